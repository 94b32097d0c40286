//! Some texts, beginnings they share written once: the engine follows all alternatives at a time.

use std::collections::BTreeMap;

use crate::{Builder, Expression};

/// Levels that are written within one rule.
const LEVELS_MAX: u32 = 6;

/// Exactly one of `texts`, of which there is at least one.
pub(super) fn write(builder: &mut Builder, mut texts: Vec<String>) -> Expression {
    texts.sort_unstable();
    texts.dedup();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    node(builder, &texts, 0)
}

fn node(builder: &mut Builder, texts: &[&str], level: u32) -> Expression {
    let shared = shared(texts);
    let head = Expression::literal(&texts[0][..shared]);
    let rest: Vec<&str> = texts.iter().map(|text| &text[shared..]).collect();
    if let [""] = rest.as_slice() {
        return head;
    }
    let mut groups: BTreeMap<Option<char>, Vec<&str>> = BTreeMap::new();
    for text in rest {
        groups.entry(text.chars().next()).or_default().push(text);
    }
    let ways: Vec<Expression> = groups
        .into_iter()
        .map(|(first, texts)| match first {
            None => Expression::empty(),
            Some(_) => node(builder, &texts, (level + 1) % LEVELS_MAX),
        })
        .collect();
    let tail = Expression::choice(ways);
    let tail = match level + 1 == LEVELS_MAX {
        true => builder.rule("text", tail),
        false => tail,
    };
    match shared {
        0 => tail,
        _ => Expression::sequence([head, tail]),
    }
}

/// Bytes that all begin with: whole characters, for the texts are sorted.
fn shared(texts: &[&str]) -> usize {
    let (Some(first), Some(last)) = (texts.first(), texts.last()) else {
        return 0;
    };
    let pairs = first.chars().zip(last.chars());
    pairs
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grammar(texts: &[String]) -> crate::Grammar {
        let mut builder = Builder::new();
        let root = write(&mut builder, texts.to_vec());
        builder.finish(root).unwrap()
    }

    #[test]
    fn beginnings_are_written_once() {
        let texts = ["red", "rot", "blau", "rote"].map(str::to_owned);
        let grammar = grammar(&texts);
        assert_eq!(
            grammar.gbnf(),
            "root ::= \"blau\" | \"r\" (\"ed\" | \"ot\" (\"\" | \"e\"))\n"
        );
        for text in &texts {
            assert!(grammar.accepts(text));
        }
        assert!(!grammar.accepts("r") && !grammar.accepts("roten"));
    }

    #[test]
    fn long_chains_are_rules() {
        let texts: Vec<String> = (1..=100).map(|length| "é".repeat(length)).collect();
        let grammar = grammar(&texts);
        assert!(texts.iter().all(|text| grammar.accepts(text)));
        assert!(!grammar.accepts(&"é".repeat(101)));
    }
}
