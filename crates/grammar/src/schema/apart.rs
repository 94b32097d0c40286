//! Which values cannot be two things at once.
//!
//! `oneOf` is honoured only where no value that is written for one alternative satisfies another: all that is
//! said here errs towards "they may".

use std::cell::Cell;

use serde_json::Value;

use super::facets::is_among;
use super::merge::{Node, NodeId, Object, Property, Way};
use super::{SchemaError, fail};
use crate::Kinds;

/// Levels of nesting that are looked at.
const DEPTH_MAX: u32 = 4;

/// Comparisons of properties, for a whole schema. Past it, values may be two things at once.
pub const COMPARISONS_MAX: u64 = 1 << 20;

/// Compares the nodes of a schema.
pub(super) struct Comparison<'n, 'a> {
    pub nodes: &'n [Node<'a>],
    /// Comparisons that are left.
    left: Cell<u64>,
}

impl<'n, 'a> Comparison<'n, 'a> {
    pub fn new(nodes: &'n [Node<'a>]) -> Self {
        Self {
            nodes,
            left: Cell::new(COMPARISONS_MAX),
        }
    }

    /// Whether there may be so many comparisons more.
    pub fn spend(&self, count: usize) -> bool {
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Refuses every `oneOf` of which a value might satisfy two alternatives.
    pub fn check_choices(&self) -> Result<(), SchemaError> {
        for node in self.nodes {
            for (index, a) in node.ways.iter().enumerate() {
                for b in &node.ways[index + 1..] {
                    if of_two_alternatives(a, b) && !self.both_apart(a, b, DEPTH_MAX) {
                        return Err(fail(
                            &node.at,
                            "`oneOf` is supported only where no value can satisfy two alternatives: \
                             tell them apart by `type`, or by a required property with a `const`",
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether no value satisfies both.
    pub fn nodes_apart(&self, a: NodeId, b: NodeId) -> bool {
        self.nodes_apart_to(a, b, DEPTH_MAX)
    }

    fn nodes_apart_to(&self, a: NodeId, b: NodeId, depth: u32) -> bool {
        depth > 0
            && self.nodes[a].ways.iter().all(|a| {
                let ways = &mut self.nodes[b].ways.iter();
                ways.all(|b| self.both_apart(a, b, depth - 1))
            })
    }

    fn both_apart(&self, a: &Way<'_>, b: &Way<'_>, depth: u32) -> bool {
        self.apart(a, b, depth) && self.apart(b, a, depth)
    }

    /// Whether nothing that is written for `a` satisfies `b`.
    fn apart(&self, a: &Way<'_>, b: &Way<'_>, depth: u32) -> bool {
        if let (Some(a), Some(b)) = (&a.values, &b.values) {
            return self.spend(a.len() * b.len()) && !a.iter().any(|value| is_among(value, b));
        }
        if a.kinds.has(b.silent) {
            return false;
        }
        let shared = a.kinds.and(b.kinds);
        let values = a.values.is_some() || b.values.is_some();
        let few = Kinds::NULL.or(Kinds::BOOLEAN);
        !(shared.has(few)
            || (shared.has(Kinds::ARRAY) && !lists_apart(a, b))
            || (shared.has(Kinds::NUMBER) && !numbers_apart(a, b))
            || (shared.has(Kinds::STRING) && !lengths_apart(a, b))
            || (shared.has(Kinds::OBJECT)
                && (values || !self.objects_apart(&a.object, &b.object, depth))))
    }

    /// Whether no object that is written for `a` satisfies `b`.
    fn objects_apart(&self, a: &Object<'_>, b: &Object<'_>, depth: u32) -> bool {
        if !self.spend(1 + a.properties.len() * b.properties.len()) {
            return false;
        }
        // `b` needs what `a` never writes.
        let missing = |name: &str| match find(a, name) {
            Some(node) => node.is_none(),
            None => a.additional.is_none() && !a.properties.is_empty(),
        };
        // `a` always writes what `b` forbids, or wants to be something else.
        let wrong = |name: &str, node: Option<NodeId>| match (node, find(b, name)) {
            (_, None) => b.closed,
            (_, Some(None)) => true,
            (Some(a), Some(Some(b))) => self.nodes_apart_to(a, b, depth),
            (None, _) => false,
        };
        let required = |property: &&Property<'_>| property.required;
        let mut needed = b.properties.iter().filter(required);
        let mut written = a.properties.iter().filter(required);
        needed.any(|property| missing(property.name))
            || written.any(|property| wrong(property.name, property.node))
    }
}

fn of_two_alternatives(a: &Way<'_>, b: &Way<'_>) -> bool {
    a.chosen.iter().any(|(choice, branch)| {
        let mut others = b.chosen.iter();
        others.any(|(other, at)| other == choice && at != branch)
    })
}

/// What a listed property must be.
fn find(object: &Object<'_>, name: &str) -> Option<Option<NodeId>> {
    let mut properties = object.properties.iter();
    properties
        .find(|property| property.name == name)
        .map(|property| property.node)
}

fn numbers_apart(a: &Way<'_>, b: &Way<'_>) -> bool {
    let outside = |values: &[&Value], other: &Way<'_>| {
        values
            .iter()
            .filter_map(|value| match value {
                Value::Number(number) => Some(number),
                _ => None,
            })
            .all(|number| other.number.contain(number) == Some(false))
    };
    match (&a.values, &b.values) {
        (Some(values), _) => outside(values, b),
        (_, Some(values)) => outside(values, a),
        (None, None) => a.number.apart(&b.number),
    }
}

fn lengths_apart(a: &Way<'_>, b: &Way<'_>) -> bool {
    let below = |max: Option<u64>, min: u64| max.is_some_and(|max| max < min);
    a.values.is_none()
        && b.values.is_none()
        && (below(a.string.max, b.string.min) || below(b.string.max, a.string.min))
}

fn lists_apart(a: &Way<'_>, b: &Way<'_>) -> bool {
    let below = |max: Option<u64>, min: u64| max.is_some_and(|max| max < min);
    a.values.is_none()
        && b.values.is_none()
        && (below(a.array.max, b.array.min) || below(b.array.max, a.array.min))
}
