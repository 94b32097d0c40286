//! Free text up to a mark, and what must follow the mark, as rules.
//!
//! The rules are the states of the automaton that finds the marks, so that at each character the text
//! can be read in one way only and the engine follows one. Unlike the prose of `gaia-grammar` it knows
//! marks that stand only first, and any white space within one.

use std::collections::BTreeMap;

use gaia_grammar::{Builder, Class, Expression, RuleId};

use crate::marker::{Mark, is_space};

/// White space as JSON has it.
const SPACES: [char; 4] = [' ', '\t', '\n', '\r'];

/// Free text.
pub(super) struct Text<'a> {
    /// What it may hold only with what follows it.
    pub marks: &'a [(Mark, Expression)],
    /// Whether the answer may end within it.
    pub may_end: bool,
}

/// Where in a text one is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    /// Which marks may be on their way, and how far.
    tries: Vec<(usize, usize)>,
    /// Whether there was only white space as yet.
    beginning: bool,
}

enum Next {
    State(State),
    Found(usize),
}

impl Text<'_> {
    /// The text from its beginning.
    pub fn rules(&self, builder: &mut Builder) -> Expression {
        let start = State {
            tries: Vec::new(),
            beginning: true,
        };
        let mut known: BTreeMap<State, RuleId> = BTreeMap::new();
        let mut waiting = vec![start.clone()];
        let first = builder.declare("text");
        known.insert(start, first);
        while let Some(state) = waiting.pop() {
            let rule = known[&state];
            let body = self.body(&state, |next| {
                *known.entry(next.clone()).or_insert_with(|| {
                    waiting.push(next);
                    builder.declare("text")
                })
            });
            builder.define(rule, body);
        }
        first.into()
    }

    fn body(&self, state: &State, mut rule_of: impl FnMut(State) -> RuleId) -> Expression {
        let named = self.named(state);
        let free = State {
            tries: Vec::new(),
            beginning: false,
        };
        let mut ways: Vec<(Expression, String)> = Vec::new();
        for character in named.chars() {
            let then = match self.next(state, character) {
                Next::State(next) => rule_of(next).into(),
                Next::Found(mark) => self.marks[mark].1.clone(),
            };
            match ways.iter_mut().find(|(known, _)| *known == then) {
                Some((_, characters)) => characters.push(character),
                None => ways.push((then, character.to_string())),
            }
        }
        let others = Class::of(&named).complement();
        let free = Expression::sequence([Expression::Class(others), rule_of(free).into()]);
        let ways = ways.into_iter().map(|(then, characters)| {
            Expression::sequence([Expression::one_of(&characters), then])
        });
        let end = self.may_end.then(Expression::empty);
        Expression::choice([free].into_iter().chain(ways).chain(end))
    }

    fn tries(&self, state: &State) -> Vec<(usize, usize)> {
        let marks = self.marks.iter().enumerate();
        let new = marks.filter(|(_, (mark, _))| state.beginning || !mark.first);
        let mut tries = state.tries.clone();
        tries.extend(new.map(|(index, _)| (index, 0)));
        tries
    }

    /// The characters that do not lead to where every other one does.
    fn named(&self, state: &State) -> String {
        let mut named: Vec<char> = Vec::new();
        if state.beginning {
            named.extend(SPACES);
        }
        for (mark, at) in self.tries(state) {
            for character in self.marks[mark].0.text[at..].chars() {
                if character != ' ' {
                    named.push(character);
                    break;
                }
                named.extend(SPACES);
            }
        }
        named.sort_unstable();
        named.dedup();
        named.into_iter().collect()
    }

    fn next(&self, state: &State, character: char) -> Next {
        let step = |(mark, at): (usize, usize)| {
            let next = self.marks[mark].0.step(at, character)?;
            Some((mark, next))
        };
        let mut tries: Vec<_> = self.tries(state).into_iter().filter_map(step).collect();
        let text = |mark: usize| self.marks[mark].0.text;
        let ended = tries.iter().filter(|(mark, at)| text(*mark).len() == *at);
        // Of two that end together the one that began first is the longer.
        if let Some((mark, _)) = ended.max_by_key(|(mark, _)| text(*mark).len()) {
            return Next::Found(*mark);
        }
        tries.sort_unstable();
        tries.dedup();
        Next::State(State {
            tries,
            beginning: state.beginning && is_space(character),
        })
    }
}
