//! The choice among nodes that have room: who will say the first token soonest.
//!
//! Where there are few nodes it looks at all of them. Else at those that have read most of the prompt's beginning,
//! and at some that chance draws; never at more than [`LOOKED_AT_MAX`].

use std::collections::BTreeMap;

use crate::affinity::Affinity;
use crate::bag::Bag;
use crate::balancer::Node;
use crate::dice::Dice;
use crate::load::Prediction;
use crate::{Beginning, Moment, NodeId};

/// Nodes that a pick looks at.
pub const LOOKED_AT_MAX: usize = 16;

/// Of them, those that have read the beginning.
const READERS_MAX: usize = 8;

/// Readers that are gone through to find those with room, and not twice the same.
const READERS_TRIED_MAX: usize = 32;

/// Up to so many times the shortest time is as good: predictions are no better than that.
const AS_SOON: f64 = 1.25;

/// What is sent.
pub(crate) struct Wanted<'a> {
    pub tokens: f64,
    pub beginning: &'a Beginning,
    /// Nodes that had their chance; taken only if no other has room.
    pub tried: &'a [NodeId],
}

pub(crate) struct Pick {
    pub node: NodeId,
    /// Tokens that it will have to read.
    pub work: f64,
    given: f64,
    pub prediction: Prediction,
}

/// What a pick needs to see.
pub(crate) struct Sight<'a> {
    pub now: Moment,
    pub room: &'a Bag,
    pub nodes: &'a BTreeMap<NodeId, Node>,
    pub affinity: &'a Affinity,
}

impl Sight<'_> {
    /// The best of those looked at, and how many these were.
    pub fn pick(&self, dice: &mut Dice, wanted: &Wanted) -> (Option<Pick>, usize) {
        let candidates = self.candidates(dice, wanted);
        let fresh = candidates
            .iter()
            .filter(|node| !wanted.tried.contains(node));
        let best = self.best(fresh, wanted);
        let best = best.or_else(|| self.best(candidates.iter(), wanted));
        (best, candidates.len())
    }

    fn candidates(&self, dice: &mut Dice, wanted: &Wanted) -> Vec<NodeId> {
        let start = dice.below(self.room.len());
        if self.room.len() <= LOOKED_AT_MAX {
            let all = 0..self.room.len();
            return all
                .filter_map(|index| self.room.at(start + index))
                .collect();
        }
        let mut candidates = Vec::with_capacity(LOOKED_AT_MAX);
        let readers = self.affinity.readers(wanted.beginning, start);
        let readers = readers.take(READERS_TRIED_MAX);
        for node in readers {
            let is_new = self.room.contains(node) && !candidates.contains(&node);
            if is_new && candidates.len() < READERS_MAX {
                candidates.push(node);
            }
        }
        while candidates.len() < LOOKED_AT_MAX {
            candidates.extend(self.room.at(dice.below(self.room.len())));
        }
        candidates
    }

    /// The soonest; of those that are about as soon, the one that had least to read lately. So none goes without,
    /// and what is new goes where there is room in the cache.
    fn best<'a>(&self, nodes: impl Iterator<Item = &'a NodeId>, wanted: &Wanted) -> Option<Pick> {
        let picks: Vec<Pick> = nodes
            .filter_map(|node| self.predict(*node, wanted))
            .collect();
        let seconds = picks.iter().map(|pick| pick.prediction.seconds);
        let soonest = seconds.fold(f64::INFINITY, f64::min);
        let as_soon = picks
            .into_iter()
            .filter(|pick| pick.prediction.seconds <= soonest * AS_SOON);
        as_soon.min_by(|one, other| one.given.total_cmp(&other.given))
    }

    fn predict(&self, id: NodeId, wanted: &Wanted) -> Option<Pick> {
        let node = self.nodes.get(&id)?;
        let known = self.affinity.depth(id, wanted.beginning);
        let work = wanted.tokens * (1.0 - wanted.beginning.part(known)).max(0.0);
        Some(Pick {
            node: id,
            work,
            given: node.load.given(self.now),
            prediction: node.load.predict(self.now, work, wanted.beginning, known),
        })
    }
}
