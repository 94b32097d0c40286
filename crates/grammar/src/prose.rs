//! Any text in which certain markers do not occur: what a model may say beside its tool calls.
//!
//! The rules are the states of the automaton that finds the markers (Aho and Corasick, 1975): each
//! says which character leads where, and none leads to the end of a marker.

use std::collections::{BTreeMap, VecDeque};

use crate::{Builder, Class, Expression, RuleId};

/// Bytes of all markers together.
pub const MARKERS_BYTES_MAX: usize = 1024;

/// Why there are no rules for markers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkersError {
    /// Every text contains the empty one.
    #[error("a marker is empty")]
    Empty,
    /// Together they are longer than the maximum.
    #[error("markers have more than {MARKERS_BYTES_MAX} bytes")]
    TooLong,
}

/// Any text, also the empty one, in which none of `markers` occurs. It may end with the beginning of one.
///
/// `without(call) (call without(call))*` can thus be read in one way only: a call begins where the
/// marker does.
///
/// # Errors
/// An empty marker, or too many of them.
pub fn without(builder: &mut Builder, markers: &[&str]) -> Result<Expression, MarkersError> {
    if markers.iter().any(|marker| marker.is_empty()) {
        return Err(MarkersError::Empty);
    }
    if markers.iter().map(|marker| marker.len()).sum::<usize>() > MARKERS_BYTES_MAX {
        return Err(MarkersError::TooLong);
    }
    let states = states(markers);
    let rules: Vec<Option<RuleId>> = states
        .iter()
        .map(|state| (!state.found).then(|| builder.declare("prose")))
        .collect();
    for (state, rule) in states.iter().zip(&rules) {
        if let Some(rule) = rule {
            builder.define(*rule, body(state, &rules));
        }
    }
    let start = rules.first().copied().flatten();
    Ok(start.map_or(Expression::empty(), Expression::Rule))
}

/// One state: how much of which marker the text ends with.
#[derive(Debug, Clone, Default)]
struct State {
    /// Where a character leads; any other leads to the start.
    next: BTreeMap<char, usize>,
    /// Whether the text ends with a marker.
    found: bool,
}

fn states(markers: &[&str]) -> Vec<State> {
    let mut states = vec![State::default()];
    for marker in markers {
        let mut at = 0;
        for c in marker.chars() {
            at = match states[at].next.get(&c) {
                Some(next) => *next,
                None => {
                    states.push(State::default());
                    let new = states.len() - 1;
                    states[at].next.insert(c, new);
                    new
                }
            };
        }
        states[at].found = true;
    }
    // In order of length: the state of the longest other ending is complete when it is needed.
    let mut queue: VecDeque<(usize, usize)> = VecDeque::new();
    queue.extend(states[0].next.values().map(|child| (*child, 0)));
    while let Some((at, ending)) = queue.pop_front() {
        for (c, child) in states[at].next.clone() {
            let ending = states[ending].next.get(&c).copied().unwrap_or(0);
            queue.push_back((child, ending));
        }
        states[at].found |= states[ending].found;
        for (c, next) in states[ending].next.clone() {
            states[at].next.entry(c).or_insert(next);
        }
    }
    states
}

fn body(state: &State, rules: &[Option<RuleId>]) -> Expression {
    let mut leading: BTreeMap<usize, String> = BTreeMap::new();
    for (c, next) in &state.next {
        leading.entry(*next).or_default().push(*c);
    }
    let named: String = state.next.keys().collect();
    let mut ways: Vec<(Class, Option<RuleId>)> = vec![(Class::of(&named).complement(), rules[0])];
    ways.extend(
        leading
            .iter()
            .map(|(next, characters)| (Class::of(characters), rules[*next])),
    );
    let ways = ways
        .into_iter()
        .filter_map(|(class, rule)| Some((class, rule?)))
        .map(|(class, rule)| Expression::sequence([Expression::Class(class), rule.into()]));
    Expression::choice(ways.chain([Expression::empty()]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Grammar;

    fn grammar(markers: &[&str]) -> Grammar {
        let mut builder = Builder::new();
        let prose = without(&mut builder, markers).unwrap();
        builder.finish(prose).unwrap()
    }

    #[test]
    fn one_marker_takes_as_many_rules_as_it_has_characters() {
        assert_eq!(
            grammar(&["<t"]).gbnf(),
            "root ::= prose-0\n\
             prose-0 ::= [\\x00-;=-\\uD7FF\\uE000-\\U0010FFFF] prose-0 | [<] prose-1 | \"\"\n\
             prose-1 ::= [\\x00-;=-su-\\uD7FF\\uE000-\\U0010FFFF] prose-0 | [<] prose-1 | \"\"\n"
        );
    }

    #[test]
    fn bad_markers_are_refused() {
        let mut builder = Builder::new();
        assert_eq!(without(&mut builder, &["a", ""]), Err(MarkersError::Empty));
        let long = "x".repeat(MARKERS_BYTES_MAX + 1);
        assert_eq!(without(&mut builder, &[&long]), Err(MarkersError::TooLong));
        let long = "x".repeat(MARKERS_BYTES_MAX);
        assert!(without(&mut builder, &[&long]).is_ok());
    }

    #[test]
    fn calls_between_prose_are_read_in_one_way() {
        let mut builder = Builder::new();
        let prose = without(&mut builder, &["<call>"]).unwrap();
        let call = Expression::sequence([
            Expression::literal("<call>"),
            Expression::repeat(Expression::range('0', '9'), 1, None),
            Expression::literal("</call>"),
        ]);
        let more = Expression::many(Expression::sequence([call, prose.clone()]));
        let grammar = builder.finish(Expression::sequence([prose, more])).unwrap();
        assert!(grammar.accepts("hm <call"));
        assert!(grammar.accepts("I <ca ask. <call>17</call> and <call>3</call>"));
        assert!(!grammar.accepts("<call>x</call>"));
        assert_eq!(grammar.closing("so <call>1").as_deref(), Some("</call>"));
        assert_eq!(grammar.closing("so <cal").as_deref(), Some(""));
        assert_eq!(grammar.closing("so <call>").as_deref(), Some("0</call>"));
        assert_eq!(grammar.closing("so <call>x"), None);
    }

    proptest! {
        #[test]
        fn exactly_texts_without_the_markers_are_accepted(
            markers in prop::collection::vec("[ab]{1,4}", 1..4),
            text in "[abc]{0,12}",
        ) {
            let markers: Vec<&str> = markers.iter().map(String::as_str).collect();
            let contains = markers.iter().any(|marker| text.contains(marker));
            prop_assert_eq!(grammar(&markers).accepts(&text), !contains);
        }
    }
}
