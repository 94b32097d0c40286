//! Patterns: regular expressions of ECMAScript, as far as they mean the same to every validator.
//!
//! `\d`, `\w` and `\s` are those of ASCII; what negates them leaves out those of Unicode too. Both readings
//! of a pattern then hold. A pattern that is not anchored may have anything around it.

mod translate;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{self, Hir, HirKind, Look};

use super::readable::{self, Places, TooMany, class_of};
use super::text;
use crate::{Class, Expression};
use translate::{not_supported, translate};

/// Groups within groups.
const DEPTH_MAX: u32 = 20;

/// A pattern that can be held to.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    ways: Vec<Way>,
}

/// One of several ways to match.
#[derive(Debug, Clone)]
struct Way {
    /// Whether a text begins with it.
    starts: bool,
    /// Whether a text ends with it.
    ends: bool,
    parts: Vec<Hir>,
}

/// Reads a pattern.
///
/// # Errors
/// What it has that cannot be held to.
pub(super) fn compile(pattern: &str) -> Result<Pattern, String> {
    let text = translate(pattern)?;
    let parsed = ParserBuilder::new()
        .nest_limit(DEPTH_MAX)
        .build()
        .parse(&text);
    let hir = parsed.map_err(|error| match error {
        regex_syntax::Error::Parse(error) => format!("is not supported: {}", error.kind()),
        regex_syntax::Error::Translate(error) => format!("is not supported: {}", error.kind()),
        _ => "is not supported".to_owned(),
    })?;
    let mut ways = Vec::new();
    for way in alternatives(&hir) {
        ways.push(Way::new(way)?);
    }
    for part in ways.iter().flat_map(|way| &way.parts) {
        expression(part)?;
    }
    match are_readable(&ways) {
        Ok(true) => Ok(Pattern { ways }),
        Ok(false) => not_supported("a text can match it in too many ways"),
        Err(TooMany) => not_supported("it is too long"),
    }
}

/// Whether the engine can follow all readings of every text.
fn are_readable(ways: &[Way]) -> Result<bool, TooMany> {
    let mut places = Places::new();
    let mut starts = Vec::with_capacity(ways.len());
    for way in ways {
        let mut next = readable::END;
        if !way.ends {
            next = places.anything(next)?;
        }
        for part in way.parts.iter().rev() {
            next = places.before(part, next)?;
        }
        if !way.starts {
            next = places.anything(next)?;
        }
        starts.push(next);
    }
    let start = places.split(starts)?;
    Ok(places.are_readable(start))
}

fn alternatives(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Alternation(ways) => ways.iter().flat_map(alternatives).collect(),
        HirKind::Capture(group) => alternatives(&group.sub),
        _ => vec![hir],
    }
}

impl Way {
    fn new(hir: &Hir) -> Result<Self, String> {
        let mut parts: &[Hir] = match hir.kind() {
            HirKind::Concat(parts) => parts,
            HirKind::Empty => &[],
            _ => std::slice::from_ref(hir),
        };
        let (mut starts, mut ends) = (false, false);
        while let [first, rest @ ..] = parts
            && matches!(first.kind(), HirKind::Look(Look::Start))
        {
            (starts, parts) = (true, rest);
        }
        while let [rest @ .., last] = parts
            && matches!(last.kind(), HirKind::Look(Look::End))
        {
            (ends, parts) = (true, rest);
        }
        if parts
            .iter()
            .any(|part| !part.properties().look_set().is_empty())
        {
            return Err("is not supported: anchors within it".to_owned());
        }
        Ok(Self {
            starts,
            ends,
            parts: parts.to_vec(),
        })
    }

    /// Least and most characters of what is between the anchors.
    fn length(&self) -> (u64, Option<u64>) {
        sum(self.parts.iter().map(length))
    }

    fn write(
        &self,
        character: &Expression,
        min: u64,
        max: Option<u64>,
    ) -> Result<Expression, String> {
        let body = self
            .parts
            .iter()
            .map(expression)
            .collect::<Result<Vec<_>, _>>()?;
        let around = |there: bool, min: u64, max: Option<u64>| match there {
            true => Expression::empty(),
            false => {
                let min = u32::try_from(min).unwrap_or(u32::MAX);
                Expression::repeat(character.clone(), min, max.map(text::capped))
            }
        };
        let (least, most) = self.length();
        let fits = least >= min && max.is_none_or(|max| most.is_some_and(|most| most <= max));
        let free = max.is_none() && least >= min;
        if free || (fits && self.starts && self.ends) {
            let parts = [around(self.starts, 0, None)].into_iter().chain(body);
            return Ok(Expression::sequence(
                parts.chain([around(self.ends, 0, None)]),
            ));
        }
        let refused = || Err("`pattern` together with this length is not supported".to_owned());
        if self.starts && self.ends {
            return self.counted(min, max).map_or_else(refused, Ok);
        }
        if Some(least) != most || !(self.starts || self.ends) {
            return refused();
        }
        if max.is_some_and(|max| max < least) {
            return Err("`pattern` needs more characters than `maxLength`".to_owned());
        }
        let (min, max) = (min.saturating_sub(least), max.map(|max| max - least));
        let parts = [around(self.starts, min, max)].into_iter().chain(body);
        Ok(Expression::sequence(
            parts.chain([around(self.ends, min, max)]),
        ))
    }

    /// Where it is one character again and again, the lengths say how often.
    fn counted(&self, min: u64, max: Option<u64>) -> Option<Expression> {
        let [part] = self.parts.as_slice() else {
            return None;
        };
        let part = match part.kind() {
            HirKind::Capture(group) => &*group.sub,
            _ => part,
        };
        let HirKind::Repetition(repetition) = part.kind() else {
            return None;
        };
        if length(&repetition.sub) != (1, Some(1)) {
            return None;
        }
        let min = u32::try_from(min).ok()?.max(repetition.min);
        let max = match (max.map(text::capped), repetition.max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let one = expression(&repetition.sub).ok()?;
        max.is_none_or(|max| min <= max)
            .then(|| Expression::repeat(one, min, max))
    }
}

impl Pattern {
    /// What stands between the quotes of a string that matches and has `min` to `max` characters.
    ///
    /// # Errors
    /// Where pattern and length cannot both be held to.
    pub fn write(
        &self,
        character: &Expression,
        min: u64,
        max: Option<u64>,
    ) -> Result<Expression, String> {
        let ways = self.ways.iter().map(|way| way.write(character, min, max));
        Ok(Expression::choice(ways.collect::<Result<Vec<_>, _>>()?))
    }
}

fn sum(lengths: impl Iterator<Item = (u64, Option<u64>)>) -> (u64, Option<u64>) {
    lengths.fold((0, Some(0)), |(least, most), (min, max)| {
        let most = most
            .zip(max)
            .and_then(|(most, max): (u64, u64)| most.checked_add(max));
        (least.saturating_add(min), most)
    })
}

/// Least and most characters of what matches; `None` = no maximum.
fn length(hir: &Hir) -> (u64, Option<u64>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => (0, Some(0)),
        HirKind::Literal(literal) => {
            let count = String::from_utf8_lossy(&literal.0).chars().count() as u64;
            (count, Some(count))
        }
        HirKind::Class(_) => (1, Some(1)),
        HirKind::Repetition(repetition) => {
            let (least, most) = length(&repetition.sub);
            let times = repetition.max.map(u64::from);
            let most = most
                .zip(times)
                .and_then(|(most, times)| most.checked_mul(times));
            (least.saturating_mul(u64::from(repetition.min)), most)
        }
        HirKind::Capture(group) => length(&group.sub),
        HirKind::Concat(parts) => sum(parts.iter().map(length)),
        HirKind::Alternation(ways) => {
            let ways = ways.iter().map(length);
            let either = |(a, b): (u64, Option<u64>), (c, d): (u64, Option<u64>)| {
                (a.min(c), b.zip(d).map(|(b, d)| b.max(d)))
            };
            ways.reduce(either).unwrap_or((0, Some(0)))
        }
    }
}

fn expression(hir: &Hir) -> Result<Expression, String> {
    match hir.kind() {
        HirKind::Empty => Ok(Expression::empty()),
        HirKind::Literal(literal) => Ok(Expression::sequence(
            String::from_utf8_lossy(&literal.0)
                .chars()
                .filter_map(|c| text::one_of(&Class::ranges([(c, c)]))),
        )),
        HirKind::Class(class) => {
            let class = class_of(class);
            text::one_of(&class).ok_or_else(|| "matches nothing".to_owned())
        }
        HirKind::Look(_) => Err("is not supported: anchors within it".to_owned()),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Capture(group) => expression(&group.sub),
        HirKind::Concat(parts) => {
            let parts = parts
                .iter()
                .map(expression)
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Expression::sequence(parts))
        }
        HirKind::Alternation(ways) => {
            let ways = ways.iter().map(expression).collect::<Result<Vec<_>, _>>()?;
            Ok(Expression::choice(ways))
        }
    }
}

fn repeated(repetition: &hir::Repetition) -> Result<Expression, String> {
    let (min, max) = (repetition.min, repetition.max);
    if max.unwrap_or(min).max(min) > super::REPETITIONS_MAX {
        let most = super::REPETITIONS_MAX;
        return Err(format!("repeats more than {most} times"));
    }
    let of = match repetition.sub.kind() {
        HirKind::Capture(group) => &*group.sub,
        _ => &*repetition.sub,
    };
    if max.is_none() && length(of).0 == 0 {
        // What may be missing, again and again, is what is there, as often as one likes.
        return match of.kind() {
            HirKind::Repetition(inner) if inner.min == 0 && length(&inner.sub).0 > 0 => {
                Ok(Expression::many(expression(&inner.sub)?))
            }
            _ => Err("is not supported: it repeats what may be empty".to_owned()),
        };
    }
    Ok(Expression::repeat(expression(of)?, min, max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Grammar};

    fn grammar(pattern: &str, min: u64, max: Option<u64>) -> Result<Grammar, String> {
        let inside = compile(pattern)?.write(&text::character(), min, max)?;
        Ok(Builder::new().finish(text::quoted(inside)).unwrap())
    }

    #[track_caller]
    fn check(pattern: &str, good: &[&str], bad: &[&str]) {
        let grammar = grammar(pattern, 0, None).unwrap();
        for text in good {
            let text = serde_json::to_string(text).unwrap();
            assert!(grammar.accepts(&text), "{text} for {pattern}");
        }
        for text in bad {
            let text = serde_json::to_string(text).unwrap();
            assert!(!grammar.accepts(&text), "{text} for {pattern}");
        }
    }

    #[track_caller]
    fn check_fails(pattern: &str, reason: &str) {
        let error = compile(pattern).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn what_matches_is_written() {
        check(
            "^[A-Z]{2}-\\d{3}$",
            &["AB-123"],
            &["AB-12", "xAB-123", "AB-1234", "AB-١٢٣"],
        );
        check("b", &["b", "abc", "\n\"b\\"], &["", "ac"]);
        check("^a", &["a", "abc"], &["ba"]);
        check("a$", &["a", "cba"], &["ab"]);
        check("^a|b$", &["a", "ax", "b", "xb"], &["x", "bx"]);
        check("^(red|green|blue)$", &["red", "blue"], &["reds", "yellow"]);
        check(
            "^(?<year>[0-9]+)(?:\\.[0-9]+)?$",
            &["1", "1.5"],
            &["1.", ".5"],
        );
        check("^.$", &["x", "é", "😀", "\""], &["\n", "\r", "", "xx"]);
        check("^[\\w.-]+$", &["a_1.-"], &["a b", "é"]);
        check("^[^\\s]+$", &["aéb"], &["a b", "\u{a0}", "\u{feff}"]);
        check("^[^\\D]\\S$", &["1x"], &["x1", "1 ", "1\u{a0}", "١x"]);
        check("^\\S+\\/\\W$", &["x/!"], &["x/é", "x/a"]);
        check("^[a&&b]+$", &["a&b"], &["c"]);
        check("^[[a]+$", &["[a"], &["b"]);
        check("^\"\\\\\\t$", &["\"\\\t"], &["\""]);
        check("^(a+)*$", &[], &["b"]);
        check("^(?:a*)*$", &["", "aaa"], &["b"]);
        check("^([a-z]{1,10}-){1,5}$", &["ab-", "a-b-"], &["a", "-"]);
        check("^$", &[""], &["a"]);
        check("", &["", "a"], &[]);
        check("^\\u00e9\\x41$", &["éA"], &["e"]);
    }

    #[test]
    fn what_cannot_be_held_to_is_named() {
        check_fails("(?=a)", "look-around");
        check_fails("(?<!a)b", "look-around");
        check_fails("(a)\\1", "references back");
        check_fails("\\bword", "word boundaries");
        check_fails("a^b", "anchors");
        check_fails("(?i)a", "flags");
        check_fails("[]", "empty class");
        check_fails("[a", "without an end");
        check_fails("\\p{L}", "`\\p`");
        check_fails("\\cA", "`\\c`");
        check_fails("(a", "unclosed");
        check_fails("a{2,1}", "repetition");
        check_fails("(a*|b)*", "may be empty");
        check_fails("^a{30000}$", "repeats more than");
        check_fails("^(?:abc){1500}$", "too long");
        check_fails("^(a{0,20}){0,20}$", "too many ways");
        check_fails("^(a|b)*a(a|b){60}x", "too many ways");
        check_fails("[+--]", "`--`");
        check_fails("[^\\s\\S]", "nothing");
        check_fails(&"(".repeat(100), "");
        check_fails(&format!("{}a{}", "(".repeat(30), ")".repeat(30)), "");
    }

    #[track_caller]
    fn check_length(pattern: &str, (min, max): (u64, u64), good: &[&str], bad: &[&str]) {
        let grammar = grammar(pattern, min, Some(max)).unwrap();
        assert!(
            good.iter()
                .all(|text| grammar.accepts(&format!("\"{text}\"")))
        );
        assert!(
            !bad.iter()
                .any(|text| grammar.accepts(&format!("\"{text}\"")))
        );
    }

    #[test]
    fn lengths_are_merged_where_that_can_be() {
        check_length("^[a-z]+$", (2, 3), &["ab", "abc"], &["a", "abcd", ""]);
        check_length(
            "^[a-z]{1,9}$",
            (1, 20),
            &["a", "abcdefghi"],
            &["", "abcdefghij"],
        );
        check_length("^(abc|de)$", (1, 3), &["abc", "de"], &["d"]);
        check_length("^ab", (3, 4), &["abc", "abcd"], &["ab", "abcde"]);
        check_length("yz$", (3, 4), &["xyz", "wxyz"], &["yz", "vwxyz"]);
        assert!(grammar("ab", 0, Some(9)).is_err());
        assert!(grammar("^a+b$", 0, Some(9)).is_err());
        assert!(grammar("^abc", 0, Some(2)).is_err());
    }
}
