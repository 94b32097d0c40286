//! From nodes to the rules of a grammar.
//!
//! Objects are chains: each rule says what may follow a property, so that optional ones cost a rule each and
//! not a rule for each set of them. Properties come in the schema's order.

use std::collections::HashMap;

use serde_json::Value;

use super::facets::{Numbers, Strings};
use super::merge::{ANY, Array, Node, NodeId, Object, ROOT, Way};
use super::{REPETITIONS_MAX, SchemaError, fail, number, text, trie};
use crate::{Builder, Expression, Kinds, RuleId};

/// Levels of lists and objects in a value that may be anything.
pub const ANY_DEPTH_MAX: usize = 16;

/// Optional properties in a row: the engine looks for all of them at once.
pub const OPTIONAL_MAX: usize = 128;

/// Blanks after a line break.
const INDENT_MAX: u32 = 16;

/// Adds the rules of `nodes` and gives what stands for a value of the whole schema.
pub(super) fn write(builder: &mut Builder, nodes: &[Node<'_>]) -> Result<Expression, SchemaError> {
    let mut writer = Writer::new(builder, nodes);
    while let Some(id) = writer.queue.pop() {
        let body = writer.node(id)?;
        let rule = writer.rule_of(id);
        writer.builder.define(rule, body);
    }
    Ok(writer.rule_of(ROOT).into())
}

struct Writer<'b, 'n, 'a> {
    builder: &'b mut Builder,
    nodes: &'n [Node<'a>],
    rules: HashMap<NodeId, RuleId>,
    /// Nodes whose rules are declared and not yet defined.
    queue: Vec<NodeId>,
    /// Blanks where JSON may have them.
    space: Expression,
    /// One character of a string.
    character: Expression,
    string: Expression,
    /// Any value, by the levels it may have; made when first needed.
    any: Vec<Expression>,
}

fn literal(text: &str) -> Expression {
    Expression::literal(text)
}

fn sequence(parts: impl IntoIterator<Item = Expression>) -> Expression {
    Expression::sequence(parts)
}

fn space() -> Expression {
    let indent = Expression::repeat(literal(" "), 0, Some(INDENT_MAX));
    Expression::choice([
        Expression::empty(),
        literal(" "),
        sequence([literal("\n"), indent]),
    ])
}

impl<'b, 'n, 'a> Writer<'b, 'n, 'a> {
    fn new(builder: &'b mut Builder, nodes: &'n [Node<'a>]) -> Self {
        let space = builder.rule("space", space());
        let character = builder.rule("char", text::character());
        let characters = Expression::many(character.clone());
        let string = builder.rule("string", text::quoted(characters));
        let root = builder.declare("value");
        Self {
            builder,
            nodes,
            rules: HashMap::from([(ROOT, root)]),
            queue: vec![ROOT],
            space,
            character,
            string,
            any: Vec::new(),
        }
    }

    fn rule_of(&mut self, node: NodeId) -> RuleId {
        if let Some(rule) = self.rules.get(&node) {
            return *rule;
        }
        let at = &self.nodes[node].at;
        let rule = self.builder.declare(at.rsplit('/').next().unwrap_or(at));
        self.rules.insert(node, rule);
        self.queue.push(node);
        rule
    }

    fn value(&mut self, node: NodeId) -> Expression {
        match node {
            ANY => self.any_value(ANY_DEPTH_MAX),
            node => self.rule_of(node).into(),
        }
    }

    fn node(&mut self, id: NodeId) -> Result<Expression, SchemaError> {
        let nodes = self.nodes;
        let node = &nodes[id];
        let mut ways = Vec::new();
        for way in &node.ways {
            self.way(way, &mut ways)
                .map_err(|reason| fail(&node.at, reason))?;
        }
        match ways.is_empty() {
            true => Err(fail(&node.at, "no value satisfies it")),
            false => Ok(Expression::choice(ways)),
        }
    }

    fn way(&mut self, way: &Way<'_>, ways: &mut Vec<Expression>) -> Result<(), String> {
        if way.is_any() {
            ways.push(self.any_value(ANY_DEPTH_MAX));
            return Ok(());
        }
        if let Some(values) = &way.values {
            let texts = values.iter().map(|value| value.to_string()).collect();
            ways.push(trie::write(self.builder, texts));
            return Ok(());
        }
        if way.kinds.has(Kinds::OBJECT) {
            ways.extend(self.object(&way.object)?);
        }
        if way.kinds.has(Kinds::ARRAY) {
            ways.extend(self.array(&way.array));
        }
        if way.kinds.has(Kinds::STRING) {
            ways.extend(self.strings(&way.string)?);
        }
        if way.kinds.has(Kinds::NUMBER) {
            ways.extend(self.numbers(&way.number)?);
        }
        if way.kinds.has(Kinds::BOOLEAN) {
            ways.extend([literal("true"), literal("false")]);
        }
        if way.kinds.has(Kinds::NULL) {
            ways.push(literal("null"));
        }
        Ok(())
    }

    fn strings(&mut self, strings: &Strings) -> Result<Option<Expression>, String> {
        match strings.is_free() {
            true => Ok(Some(self.string.clone())),
            false => text::write(&self.character, strings),
        }
    }

    fn numbers(&mut self, numbers: &Numbers) -> Result<Option<Expression>, String> {
        number::write(self.builder, numbers)
    }

    fn object(&mut self, object: &Object<'_>) -> Result<Option<Expression>, String> {
        let silent = object.additional.is_none() && !object.closed;
        if silent && object.properties.is_empty() {
            return Ok(Some(self.any_object(ANY_DEPTH_MAX)));
        }
        let written: Vec<(&str, NodeId, bool)> = object
            .properties
            .iter()
            .filter_map(|property| Some((property.name, property.node?, property.required)))
            .collect();
        let rows = written.split(|(_, _, required)| *required);
        if rows.map(<[_]>::len).max() > Some(OPTIONAL_MAX) {
            return Err(format!(
                "more than {OPTIONAL_MAX} optional properties in a row"
            ));
        }
        if written.is_empty() && object.additional.is_none() {
            return Ok(Some(self.between("{", Expression::empty(), "}")));
        }
        // What may follow a property, from the last to the first.
        let (mut tail, mut heads) = self.more_properties(object);
        let mut optional = true;
        for (name, node, required) in written.into_iter().rev() {
            let pair = self.pair(name, node);
            let head = sequence([pair.clone(), tail.clone()]);
            let mut next = sequence([literal(","), self.space.clone(), pair]);
            if required {
                (heads, optional) = (vec![head], false);
            } else {
                next = Expression::optional(next);
                heads.insert(0, head);
            }
            let body = sequence([next, tail]);
            tail = self.builder.rule("more", body);
        }
        let inside = sequence([Expression::choice(heads), self.space.clone()]);
        let inside = match optional {
            true => Expression::optional(inside),
            false => inside,
        };
        Ok(Some(self.between("{", inside, "}")))
    }

    /// Properties that are not listed: after others, and as the first.
    fn more_properties(&mut self, object: &Object<'_>) -> (Expression, Vec<Expression>) {
        let Some(node) = object.additional else {
            return (Expression::empty(), Vec::new());
        };
        let names: Vec<&str> = object
            .properties
            .iter()
            .map(|property| property.name)
            .collect();
        let key = match names.is_empty() {
            true => self.string.clone(),
            false => {
                let other = text::other_than(self.builder, &names);
                self.builder.rule("key", other)
            }
        };
        let value = self.value(node);
        let pair = sequence([key, literal(":"), self.space.clone(), value]);
        let more = Expression::many(sequence([literal(","), self.space.clone(), pair.clone()]));
        let tail = self.builder.rule("more", more);
        (tail.clone(), vec![sequence([pair, tail])])
    }

    fn pair(&mut self, name: &str, node: NodeId) -> Expression {
        let key = format!("{}:", Value::from(name));
        let value = self.value(node);
        sequence([literal(&key), self.space.clone(), value])
    }

    fn between(&self, open: &str, inside: Expression, close: &str) -> Expression {
        sequence([literal(open), self.space.clone(), inside, literal(close)])
    }

    fn array(&mut self, array: &Array) -> Option<Expression> {
        let count = |count: u64| {
            u32::try_from(count)
                .unwrap_or(u32::MAX)
                .min(REPETITIONS_MAX)
        };
        let (min, max) = (count(array.min), array.max.map(count));
        if max == Some(0) {
            return Some(self.between("[", Expression::empty(), "]"));
        }
        let prefix: Vec<NodeId> = array
            .prefix
            .iter()
            .copied()
            .take(max.unwrap_or(u32::MAX) as usize)
            .collect();
        let listed = u32::try_from(prefix.len()).unwrap_or(u32::MAX).max(1);
        let after =
            |item: Expression, space: &Expression| sequence([literal(","), space.clone(), item]);
        let mut tail = match max {
            Some(max) if max <= listed => Expression::empty(),
            max => {
                let item = self.value(array.items);
                let more = after(item, &self.space);
                Expression::repeat(
                    more,
                    min.saturating_sub(listed),
                    max.map(|max| max - listed),
                )
            }
        };
        for (index, node) in prefix.iter().enumerate().skip(1).rev() {
            let item = self.value(*node);
            let next = sequence([after(item, &self.space), tail]);
            let next = match (index as u32) < min {
                true => next,
                false => Expression::optional(next),
            };
            tail = self.builder.rule("items", next);
        }
        let first = self.value(prefix.first().copied().unwrap_or(array.items));
        let inside = sequence([first, tail, self.space.clone()]);
        let inside = match min {
            0 => Expression::optional(inside),
            _ => inside,
        };
        Some(self.between("[", inside, "]"))
    }

    /// Any value with at most so many levels of lists and objects.
    fn any_value(&mut self, levels: usize) -> Expression {
        while self.any.len() <= levels {
            let mut ways = vec![
                self.string.clone(),
                number::any(),
                literal("true"),
                literal("false"),
                literal("null"),
            ];
            if !self.any.is_empty() {
                let inner = self.any.len();
                let (object, array) = (self.any_object(inner), self.any_array(inner));
                ways = [object, array].into_iter().chain(ways).collect();
            }
            let value = self.builder.rule("any", Expression::choice(ways));
            self.any.push(value);
        }
        self.any[levels].clone()
    }

    fn any_object(&mut self, levels: usize) -> Expression {
        let value = self.any_value(levels - 1);
        let pair = sequence([self.string.clone(), literal(":"), self.space.clone(), value]);
        self.listed("{", pair, "}")
    }

    fn any_array(&mut self, levels: usize) -> Expression {
        let value = self.any_value(levels - 1);
        self.listed("[", value, "]")
    }

    fn listed(&self, open: &str, item: Expression, close: &str) -> Expression {
        let more = sequence([literal(","), self.space.clone(), item.clone()]);
        let inside = sequence([item, Expression::many(more), self.space.clone()]);
        self.between(open, Expression::optional(inside), close)
    }
}
