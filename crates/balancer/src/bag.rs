//! A set of nodes from which one can be drawn at random in constant time.

use std::collections::BTreeMap;

use crate::NodeId;

#[derive(Debug, Default)]
pub(crate) struct Bag {
    nodes: Vec<NodeId>,
    index: BTreeMap<NodeId, usize>,
}

impl Bag {
    /// Puts the node in or takes it out.
    pub fn set(&mut self, node: NodeId, is_in: bool) {
        match (self.index.get(&node).copied(), is_in) {
            (None, true) => {
                self.index.insert(node, self.nodes.len());
                self.nodes.push(node);
            }
            (Some(index), false) => self.take_out(node, index),
            _ => {}
        }
    }

    fn take_out(&mut self, node: NodeId, index: usize) {
        self.nodes.swap_remove(index);
        self.index.remove(&node);
        if let Some(moved) = self.nodes.get(index) {
            self.index.insert(*moved, index);
        }
    }

    pub fn contains(&self, node: NodeId) -> bool {
        self.index.contains_key(&node)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node at this place, counted round and round.
    pub fn at(&self, index: usize) -> Option<NodeId> {
        let index = index.checked_rem(self.nodes.len())?;
        self.nodes.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_out_is_not_drawn() {
        let mut bag = Bag::default();
        for id in [1, 2, 3, 3] {
            bag.set(NodeId(id), true);
        }
        bag.set(NodeId(1), false);
        bag.set(NodeId(9), false);
        assert_eq!((bag.len(), bag.contains(NodeId(1))), (2, false));
        let mut drawn: Vec<_> = (0..2).filter_map(|index| bag.at(index)).collect();
        drawn.sort();
        assert_eq!(drawn, [NodeId(2), NodeId(3)]);
        assert_eq!(bag.at(0), bag.at(2));
        bag.set(NodeId(2), false);
        bag.set(NodeId(3), false);
        assert_eq!(bag.at(0), None);
    }
}
