//! What makes rules a grammar that the engine can work with.

use std::collections::VecDeque;

use super::{Expression, GrammarError};

/// Rules of a grammar.
pub const RULES_MAX: usize = 4096;

/// Characters, ranges and references of all rules, repetitions as they are written.
pub const ELEMENTS_MAX: u64 = 65_536;

/// Expressions within expressions, in one rule.
pub const DEPTH_MAX: usize = 32;

/// Bytes of the shortest text of a rule: what may have to be written when an answer is cut off.
pub const SHORTEST_BYTES_MAX: u64 = 16 << 10;

/// Elements that llama.cpp looks at while it follows what rules begin with: it follows every way.
pub const LEFT_WALK_MAX: u64 = 4 << 20;

/// Bytes of a grammar's text; the engine takes no more.
pub const GBNF_BYTES_MAX: usize = 128 << 10;

/// The largest count of a repetition.
pub(crate) const TIMES_MAX: u32 = 65_536;

/// Repetitions that are written as they are. More are written as blocks of [`BLOCK`].
pub(crate) const TIMES_PLAIN_MAX: u32 = 200;

/// Repetitions in a block.
pub(crate) const BLOCK: u32 = 100;

/// A rule that nothing can satisfy.
const NEVER: u64 = u64::MAX;

/// Checks the rules, and gives the bytes of the shortest text of each.
pub(super) fn check(
    rules: &[(String, Expression)],
    root: &Expression,
) -> Result<Vec<u64>, GrammarError> {
    if rules.len() > RULES_MAX {
        return Err(GrammarError::TooManyRules);
    }
    let all = || {
        let rules = rules.iter().map(|(name, body)| (name.as_str(), body));
        rules.chain([("root", root)])
    };
    let mut elements: u64 = 0;
    for (name, body) in all() {
        check_shape(name, body, rules.len(), 0)?;
        elements = elements.saturating_add(count(body));
    }
    if elements > ELEMENTS_MAX {
        return Err(GrammarError::TooManyElements);
    }
    let shortest = shortest_of_all(rules);
    for (name, body) in all() {
        check_ends(name, body, &shortest)?;
    }
    check_left(rules, root, &shortest)?;
    Ok(shortest)
}

fn check_shape(
    name: &str,
    expression: &Expression,
    rules: usize,
    depth: usize,
) -> Result<(), GrammarError> {
    let rule = || name.to_owned();
    if depth > DEPTH_MAX {
        return Err(GrammarError::TooDeep { rule: rule() });
    }
    match expression {
        Expression::Literal(_) | Expression::Class(_) => Ok(()),
        Expression::Sequence(parts) | Expression::Choice(parts) => parts
            .iter()
            .try_for_each(|part| check_shape(name, part, rules, depth + 1)),
        Expression::Repeat { of, min, max } => {
            if max.unwrap_or(*min).max(*min) > TIMES_MAX {
                return Err(GrammarError::TooManyElements);
            }
            if max.is_some_and(|max| max < *min) {
                return Err(GrammarError::Impossible { rule: rule() });
            }
            check_shape(name, of, rules, depth + 1)
        }
        Expression::Rule(id) if id.0 < rules => Ok(()),
        Expression::Rule(id) => Err(GrammarError::Undefined {
            rule: id.0.to_string(),
        }),
    }
}

/// Elements that llama.cpp keeps for it.
fn count(expression: &Expression) -> u64 {
    match expression {
        Expression::Literal(text) => text.chars().count() as u64,
        Expression::Class(class) => class.iter().count() as u64 * 2 + 2,
        Expression::Sequence(parts) | Expression::Choice(parts) => parts
            .iter()
            .fold(1, |sum, part| count(part).saturating_add(sum)),
        Expression::Repeat { of, min, max } => {
            let times = u64::from(max.unwrap_or(*min).max(1));
            let block = u64::from(BLOCK);
            let written = match times > u64::from(TIMES_PLAIN_MAX) {
                true => times / block + 4 * block,
                false => times,
            };
            // Anything but a character is a rule of its own, and what repeats is its name.
            match **of {
                Expression::Class(_) | Expression::Literal(_) => count(of).saturating_mul(written),
                _ => count(of).saturating_add(written * 3),
            }
        }
        Expression::Rule(_) => 1,
    }
}

/// Bytes of the shortest text of `expression`, the shortest of rules being known.
pub(crate) fn shortest(expression: &Expression, rules: &[u64]) -> u64 {
    match expression {
        Expression::Literal(text) => text.len() as u64,
        Expression::Class(class) => class.first().map_or(NEVER, |c| c.len_utf8() as u64),
        Expression::Sequence(parts) => parts
            .iter()
            .fold(0, |sum, part| shortest(part, rules).saturating_add(sum)),
        Expression::Choice(parts) => {
            let parts = parts.iter().map(|part| shortest(part, rules));
            parts.min().unwrap_or(NEVER)
        }
        Expression::Repeat { min: 0, .. } => 0,
        Expression::Repeat { of, min, .. } => shortest(of, rules).saturating_mul(u64::from(*min)),
        Expression::Rule(id) => rules[id.0],
    }
}

/// Goes on for as long as a rule gets shorter, looking again only at the rules that name it.
fn shortest_of_all(rules: &[(String, Expression)]) -> Vec<u64> {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); rules.len()];
    for (index, (_, body)) in rules.iter().enumerate() {
        each_rule(body, &mut |rule| users[rule].push(index));
    }
    let mut found = vec![NEVER; rules.len()];
    let mut waits = vec![true; rules.len()];
    let mut queue: VecDeque<usize> = (0..rules.len()).collect();
    while let Some(index) = queue.pop_front() {
        waits[index] = false;
        let now = shortest(&rules[index].1, &found);
        if now >= found[index] {
            continue;
        }
        found[index] = now;
        for user in &users[index] {
            if !std::mem::replace(&mut waits[*user], true) {
                queue.push_back(*user);
            }
        }
    }
    found
}

fn each_rule(expression: &Expression, found: &mut impl FnMut(usize)) {
    match expression {
        Expression::Literal(_) | Expression::Class(_) => {}
        Expression::Sequence(parts) | Expression::Choice(parts) => {
            for part in parts {
                each_rule(part, found);
            }
        }
        Expression::Repeat { of, .. } => each_rule(of, found),
        Expression::Rule(id) => found(id.0),
    }
}

/// Everything in a rule can end, and nothing that can be empty repeats without a maximum.
fn check_ends(name: &str, expression: &Expression, rules: &[u64]) -> Result<(), GrammarError> {
    let rule = || name.to_owned();
    match shortest(expression, rules) {
        NEVER => return Err(GrammarError::Impossible { rule: rule() }),
        bytes if bytes > SHORTEST_BYTES_MAX => {
            return Err(GrammarError::TooMuchToWrite { rule: rule() });
        }
        _ => {}
    }
    match expression {
        Expression::Literal(_) | Expression::Class(_) | Expression::Rule(_) => Ok(()),
        Expression::Sequence(parts) | Expression::Choice(parts) => parts
            .iter()
            .try_for_each(|part| check_ends(name, part, rules)),
        Expression::Repeat { of, max: None, .. } if shortest(of, rules) == 0 => {
            Err(GrammarError::LeftRecursion { rule: rule() })
        }
        Expression::Repeat { of, .. } => check_ends(name, of, rules),
    }
}

/// The rules that `expression` may begin with, as often as it may. Says whether it can be empty.
fn starts(expression: &Expression, rules: &[u64], found: &mut Vec<usize>) -> bool {
    match expression {
        Expression::Literal(text) => text.is_empty(),
        Expression::Class(_) => false,
        Expression::Sequence(parts) => parts.iter().all(|part| starts(part, rules, found)),
        Expression::Choice(parts) => {
            let mut empty = false;
            for part in parts {
                empty |= starts(part, rules, found);
            }
            empty
        }
        Expression::Repeat { of, min, max } => {
            let before = found.len();
            let empty = starts(of, rules, found);
            let again = found[before..].to_vec();
            // Each repetition of what can be empty is one more way to begin.
            let times = max.unwrap_or(*min).max(1);
            for _ in 1..if empty { times.min(TIMES_PLAIN_MAX) } else { 1 } {
                found.extend_from_slice(&again);
            }
            empty || *min == 0
        }
        Expression::Rule(id) => {
            found.push(id.0);
            rules[id.0] == 0
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnTheWay,
    Done,
}

/// No rule comes back to itself before it has read anything, and there are not too many ways that one
/// rule begins with another. Without recursion: the caller chooses how deep it goes.
fn check_left(
    rules: &[(String, Expression)],
    root: &Expression,
    shortest: &[u64],
) -> Result<(), GrammarError> {
    let begins = |body: &Expression| {
        let mut found = Vec::new();
        starts(body, shortest, &mut found);
        found
    };
    let starts: Vec<Vec<usize>> = rules.iter().map(|(_, body)| begins(body)).collect();
    let mut marks = vec![Mark::New; rules.len()];
    let mut walks = vec![0u64; rules.len()];
    let mut total: u64 = 0;
    for from in 0..rules.len() {
        if marks[from] != Mark::New {
            continue;
        }
        marks[from] = Mark::OnTheWay;
        let mut way = vec![(from, 0)];
        while let Some((rule, next)) = way.last_mut() {
            let Some(&start) = starts[*rule].get(*next) else {
                let own = count(&rules[*rule].1);
                let walk = starts[*rule].iter().map(|start| walks[*start]);
                walks[*rule] = walk.fold(own, u64::saturating_add);
                total = total.saturating_add(walks[*rule]);
                marks[*rule] = Mark::Done;
                way.pop();
                continue;
            };
            *next += 1;
            match marks[start] {
                Mark::OnTheWay => {
                    let rule = rules[start].0.clone();
                    return Err(GrammarError::LeftRecursion { rule });
                }
                Mark::Done => {}
                Mark::New => {
                    marks[start] = Mark::OnTheWay;
                    way.push((start, 0));
                }
            }
        }
    }
    let root_walk = begins(root).into_iter().map(|start| walks[start]);
    match root_walk.fold(total, u64::saturating_add) > LEFT_WALK_MAX {
        true => Err(GrammarError::TooManyBeginnings),
        false => Ok(()),
    }
}
