//! JSON strings: what stands between the quotes.
//!
//! Invariant: every text read by these is a JSON string that decodes; no control characters, no halves of
//! surrogate pairs.

use std::collections::BTreeMap;

use super::facets::Strings;
use super::{format, pattern};
use crate::{Builder, Class, Expression};

/// Characters that may stand in a string as they are.
pub(super) fn plain() -> Class {
    let control = Class::ranges([('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')]);
    Class::any().without(&control).without(&Class::of("\"\\"))
}

fn hex(times: u32) -> Expression {
    let hex = Class::ranges([('0', '9'), ('a', 'f'), ('A', 'F')]);
    Expression::repeat(Expression::Class(hex), times, Some(times))
}

/// Any character of a string, however it is written.
pub(super) fn character() -> Expression {
    let unicode = Expression::choice([
        Expression::sequence([Expression::one_of("0123456789abcefABCEF"), hex(3)]),
        // Above are the halves of surrogate pairs.
        Expression::sequence([
            Expression::one_of("dD"),
            Expression::range('0', '7'),
            hex(2),
        ]),
    ]);
    let escape = Expression::choice([
        Expression::one_of("\"\\/bfnrt"),
        Expression::sequence([Expression::literal("u"), unicode]),
    ]);
    Expression::choice([
        Expression::Class(plain()),
        Expression::sequence([Expression::literal("\\"), escape]),
    ])
}

/// One character of `class`, written in one way: as it is where that can be, else as short as can be.
/// `None` where it has none.
pub(super) fn one_of(class: &Class) -> Option<Expression> {
    let mut ways = Vec::new();
    let raw = class.intersection(&plain());
    if !raw.is_empty() {
        ways.push(Expression::Class(raw));
    }
    let rest = class.without(&plain());
    for c in rest.iter().flat_map(|(low, high)| low..=high) {
        ways.push(Expression::literal(escaped(c)));
    }
    (!ways.is_empty()).then(|| Expression::choice(ways))
}

fn escaped(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        c => format!("\\u{:04x}", u32::from(c)),
    }
}

pub(super) fn quoted(inside: Expression) -> Expression {
    let quote = || Expression::literal("\"");
    Expression::sequence([quote(), inside, quote()])
}

/// Strings that `strings` permits; `None` where there is none.
///
/// # Errors
/// Names the keyword that cannot be held to.
pub(super) fn write(
    character: &Expression,
    strings: &Strings,
) -> Result<Option<Expression>, String> {
    let (min, max) = (strings.min, strings.max);
    if max.is_some_and(|max| max < min) {
        return Ok(None);
    }
    let limited = min > 0 || max.is_some();
    let inside = match (&strings.pattern, &strings.format) {
        (None, None) => {
            let min = u32::try_from(min).map_err(|_| "`minLength` is too large".to_owned())?;
            Expression::repeat(character.clone(), min, max.map(capped))
        }
        (Some(_), Some(_)) => {
            return Err("`pattern` together with `format` is not supported".to_owned());
        }
        (None, Some(_)) if limited => {
            return Err("`format` together with a length is not supported".to_owned());
        }
        (None, Some(name)) => format::write(name).ok_or("`format` is not supported")?,
        (Some(text), None) => {
            let pattern = pattern::compile(text).map_err(|reason| format!("`pattern` {reason}"))?;
            pattern.write(character, min, max)?
        }
    };
    Ok(Some(quoted(inside)))
}

/// A maximum that nobody reaches is none that a grammar must count to: fewer characters satisfy it too.
pub(super) fn capped(max: u64) -> u32 {
    u32::try_from(max)
        .unwrap_or(u32::MAX)
        .min(super::REPETITIONS_MAX)
}

/// Strings other than `names`, written without escapes: with them, a name could be written in another way.
pub(super) fn other_than(builder: &mut Builder, names: &[&str]) -> Expression {
    let names: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| name.chars().all(|c| plain().contains(c)))
        .collect();
    let free = Expression::many(Expression::Class(plain()));
    let inside = rest_other_than(builder, &names, &free);
    quoted(inside)
}

fn rest_other_than(builder: &mut Builder, names: &[&str], free: &Expression) -> Expression {
    let mut groups: BTreeMap<char, Vec<&str>> = BTreeMap::new();
    let mut ends = false;
    for name in names {
        let mut rest = name.chars();
        match rest.next() {
            None => ends = true,
            Some(first) => groups.entry(first).or_default().push(rest.as_str()),
        }
    }
    let known: String = groups.keys().collect();
    let other = Expression::Class(plain().without(&Class::of(&known)));
    let mut ways = vec![Expression::sequence([other, free.clone()])];
    for (first, rests) in groups {
        let rest = rest_other_than(builder, &rests, free);
        let rest = match rest {
            Expression::Choice(_) => builder.rule("key", rest),
            rest => rest,
        };
        ways.push(Expression::sequence([
            Expression::literal(first.to_string()),
            rest,
        ]));
    }
    if !ends {
        ways.push(Expression::empty());
    }
    Expression::choice(ways)
}
