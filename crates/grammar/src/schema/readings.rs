//! How many ways there are to read the same beginning of a text.
//!
//! The engine follows all of them at once, token by token, for every row of a batch. Within one value they
//! soon come to an end: the next name or quote decides. But where two ways go on into a nested value, each
//! level of nesting multiplies them, and no length of text is safe. Such schemas are refused.

use std::collections::HashSet;

use super::apart::Comparison;
use super::merge::{ANY, Node, NodeId, Object, Way};
use super::{SchemaError, fail};
use crate::Kinds;

/// Ways to read a text that may go on into nested values.
pub const READINGS_MAX: u32 = 16;

/// Refuses schemas of which a text may have more than [`READINGS_MAX`] readings.
pub(super) fn check(comparison: &Comparison<'_, '_>) -> Result<(), SchemaError> {
    let nodes = comparison.nodes;
    let groups: Vec<Vec<Vec<usize>>> = nodes.iter().map(|node| groups(comparison, node)).collect();
    let alone = |groups: &Vec<Vec<usize>>| groups.iter().all(|group| group.len() == 1);
    if groups.iter().all(alone) {
        return Ok(());
    }
    let mut readings = vec![1u32; nodes.len()];
    loop {
        let mut grown = false;
        for (id, node) in nodes.iter().enumerate() {
            let of_way = |way: &usize| {
                let nested = nested(&node.ways[*way]);
                nested.map(|child| readings[child]).max().unwrap_or(1)
            };
            let of_group = |group: &Vec<usize>| group.iter().map(of_way).sum::<u32>();
            let now = groups[id].iter().map(of_group).max().unwrap_or(1);
            if now > READINGS_MAX {
                return Err(fail(
                    &node.at,
                    "alternatives of `anyOf` begin alike and go on into nested values: \
                     begin each with a required property with a `const` of its own",
                ));
            }
            grown |= now > readings[id];
            readings[id] = now.max(readings[id]);
        }
        if !grown {
            return Ok(());
        }
    }
}

/// The nodes within the values of a way.
fn nested<'n>(way: &'n Way<'_>) -> impl Iterator<Item = NodeId> + 'n {
    let object = way
        .object
        .properties
        .iter()
        .filter_map(|property| property.node);
    let object = object.chain(way.object.additional);
    let array = way.array.prefix.iter().copied().chain([way.array.items]);
    let object = object.filter(|_| way.kinds.has(Kinds::OBJECT));
    let array = array.filter(|_| way.kinds.has(Kinds::ARRAY));
    let free = way.values.is_none();
    object.chain(array).filter(move |_| free)
}

/// Whether a value may have values within it.
fn nests(nodes: &[Node<'_>], node: NodeId) -> bool {
    let containers = Kinds::ARRAY.or(Kinds::OBJECT);
    node == ANY || nodes[node].ways.iter().any(|way| way.kinds.has(containers))
}

/// The ways of a node, those together that may be read together down to a nested value.
fn groups(comparison: &Comparison<'_, '_>, node: &Node<'_>) -> Vec<Vec<usize>> {
    let nests: Vec<bool> = node
        .ways
        .iter()
        .map(|way| nested(way).any(|child| nests(comparison.nodes, child)))
        .collect();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, way) in node.ways.iter().enumerate() {
        let alike = |group: &Vec<usize>| {
            let mut others = group.iter().filter(|other| nests[index] && nests[**other]);
            others.any(|other| go_on(comparison, &node.ways[*other], way))
        };
        // What is like two groups makes one of them.
        let (joined, others): (Vec<_>, Vec<_>) = groups.into_iter().partition(alike);
        let mut group: Vec<usize> = joined.into_iter().flatten().collect();
        group.push(index);
        groups = others;
        groups.push(group);
    }
    groups
}

/// Whether the same text may lead both, which have nested values, into one.
fn go_on(comparison: &Comparison<'_, '_>, a: &Way<'_>, b: &Way<'_>) -> bool {
    let shared = a.kinds.and(b.kinds);
    shared.has(Kinds::ARRAY)
        || (shared.has(Kinds::OBJECT) && objects_go_on(comparison, &a.object, &b.object))
}

/// Follows the properties of both in the order in which they are written, for as long as they are the same.
fn objects_go_on(comparison: &Comparison<'_, '_>, a: &Object<'_>, b: &Object<'_>) -> bool {
    let open = |object: &Object<'_>| object.additional.is_some() || object.properties.is_empty();
    if open(a) || open(b) {
        return true;
    }
    let mut seen = HashSet::new();
    let mut next = vec![(0, 0)];
    while let Some((from, other_from)) = next.pop() {
        if !seen.insert((from, other_from)) {
            continue;
        }
        if !comparison.spend(a.properties.len() * b.properties.len()) {
            return true;
        }
        for (i, name, mine) in coming(a, from) {
            let mut others = coming(b, other_from);
            let Some((j, _, other)) = others.find(|(_, other, _)| *other == name) else {
                continue;
            };
            if nests(comparison.nodes, mine) && nests(comparison.nodes, other) {
                return true;
            }
            if !comparison.nodes_apart(mine, other) {
                next.push((i + 1, j + 1));
            }
        }
    }
    false
}

/// The properties that may be written next, after the first `from` of them.
fn coming<'o>(
    object: &'o Object<'_>,
    from: usize,
) -> impl Iterator<Item = (usize, &'o str, NodeId)> + 'o {
    let rest = object.properties.iter().enumerate().skip(from);
    let mut over = false;
    let upto_required = rest.take_while(move |(_, property)| {
        let before = over;
        over |= property.required;
        !before
    });
    upto_required.filter_map(|(index, property)| Some((index, property.name, property.node?)))
}
