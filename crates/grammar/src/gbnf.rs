//! Writes a grammar in the notation of llama.cpp.
//!
//! What repeats is a character, a literal or the name of a rule, never a group: its parser multiplies
//! groups. Many repetitions are written as repeated blocks, which takes it a few hundred elements where
//! it would take as many as there are repetitions.

use std::fmt::Write as _;

use crate::tree::{BLOCK, TIMES_PLAIN_MAX};
use crate::{Class, Expression, Grammar};

/// The text of `grammar`.
pub(crate) fn write(grammar: &Grammar) -> String {
    let mut writer = Writer {
        grammar,
        text: String::new(),
        extra: Vec::new(),
    };
    writer.rule("root", &grammar.root);
    for ((name, body), needed) in grammar.rules.iter().zip(needed(grammar)) {
        if needed {
            writer.rule(name, body);
        }
    }
    let Writer {
        mut text, extra, ..
    } = writer;
    for line in extra {
        text.push_str(&line);
    }
    text
}

/// Which rules the root needs.
fn needed(grammar: &Grammar) -> Vec<bool> {
    let mut needed = vec![false; grammar.rules.len()];
    let mut next = vec![&grammar.root];
    while let Some(expression) = next.pop() {
        match expression {
            Expression::Literal(_) | Expression::Class(_) => {}
            Expression::Sequence(parts) | Expression::Choice(parts) => next.extend(parts),
            Expression::Repeat { of, .. } => next.push(of),
            Expression::Rule(id) => {
                if !std::mem::replace(&mut needed[id.0], true) {
                    next.push(&grammar.rules[id.0].1);
                }
            }
        }
    }
    needed
}

struct Writer<'a> {
    grammar: &'a Grammar,
    text: String,
    /// Lines of rules for what repeats.
    extra: Vec<String>,
}

impl Writer<'_> {
    fn rule(&mut self, name: &str, body: &Expression) {
        self.text.push_str(name);
        self.text.push_str(" ::= ");
        self.alternatives(body);
        self.text.push('\n');
    }

    fn alternatives(&mut self, body: &Expression) {
        match body {
            Expression::Choice(alternatives) => {
                for (index, alternative) in alternatives.iter().enumerate() {
                    self.text.push_str(if index > 0 { " | " } else { "" });
                    self.sequence(alternative);
                }
            }
            body => self.sequence(body),
        }
    }

    fn sequence(&mut self, body: &Expression) {
        match body {
            Expression::Sequence(parts) if !parts.is_empty() => {
                for (index, part) in parts.iter().enumerate() {
                    self.text.push_str(if index > 0 { " " } else { "" });
                    self.item(part);
                }
            }
            body => self.item(body),
        }
    }

    fn item(&mut self, item: &Expression) {
        match item {
            Expression::Literal(text) => literal(text, &mut self.text),
            Expression::Class(class) => set(class, &mut self.text),
            Expression::Rule(id) => self.text.push_str(&self.grammar.rules[id.0].0),
            Expression::Sequence(parts) if parts.is_empty() => self.text.push_str("\"\""),
            Expression::Sequence(_) | Expression::Choice(_) => {
                self.text.push('(');
                self.alternatives(item);
                self.text.push(')');
            }
            Expression::Repeat { of, min, max } => self.repeat(of, *min, *max),
        }
    }

    fn repeat(&mut self, of: &Expression, min: u32, max: Option<u32>) {
        let sign = match (min, max) {
            (0, Some(1)) => Some('?'),
            (0, None) => Some('*'),
            (1, None) => Some('+'),
            _ => None,
        };
        if let Some(sign) = sign {
            match of {
                // One sign after the other would mean another thing.
                Expression::Repeat { .. } => {
                    self.text.push('(');
                    self.item(of);
                    self.text.push(')');
                }
                of => self.item(of),
            }
            self.text.push(sign);
            return;
        }
        let name = match of {
            Expression::Literal(_) | Expression::Class(_) | Expression::Rule(_) => {
                self.apart(|writer| writer.item(of))
            }
            of => {
                let body = self.apart(|writer| writer.alternatives(of));
                self.extra_rule(&body)
            }
        };
        self.times(&name, min, max);
    }

    /// `name`, which is one item, so many times.
    fn times(&mut self, name: &str, min: u32, max: Option<u32>) {
        if max.unwrap_or(min) <= TIMES_PLAIN_MAX {
            let times = match max {
                None => format!("{name}{{{min},}}"),
                Some(max) if max == min => format!("{name}{{{min}}}"),
                Some(max) => format!("{name}{{{min},{max}}}"),
            };
            self.text.push_str(&times);
            return;
        }
        let block = self.extra_rule(&format!("{name}{{{BLOCK}}}"));
        let mut parts = Vec::new();
        if min > TIMES_PLAIN_MAX {
            parts.push(format!("{block}{{{}}}", min / BLOCK));
        }
        match if min > TIMES_PLAIN_MAX {
            min % BLOCK
        } else {
            min
        } {
            0 => {}
            rest => parts.push(format!("{name}{{{rest}}}")),
        }
        match max.map(|max| max - min) {
            None => parts.push(format!("{name}*")),
            Some(0) => {}
            Some(more) if more <= TIMES_PLAIN_MAX => parts.push(format!("{name}{{0,{more}}}")),
            Some(more) => {
                parts.push(format!("{block}{{0,{}}}", more / BLOCK - 1));
                parts.push(format!("{name}{{0,{}}}", BLOCK + more % BLOCK));
            }
        }
        let _ = write!(self.text, "{}", parts.join(" "));
    }

    /// What `write` writes, and nothing of it in the text.
    fn apart(&mut self, write: impl FnOnce(&mut Self)) -> String {
        let before = std::mem::take(&mut self.text);
        write(self);
        std::mem::replace(&mut self.text, before)
    }

    fn extra_rule(&mut self, body: &str) -> String {
        let tail = format!(" ::= {body}\n");
        if let Some(line) = self.extra.iter().find(|line| line.ends_with(&tail)) {
            return line[..line.len() - tail.len()].to_owned();
        }
        // All names end with numbers of their own.
        let name = format!("x-{}", self.grammar.rules.len() + self.extra.len());
        self.extra.push(format!("{name}{tail}"));
        name
    }
}

fn literal(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c => character(c, out),
        }
    }
    out.push('"');
}

fn set(class: &Class, out: &mut String) {
    out.push('[');
    for (low, high) in class.iter() {
        // The halves of surrogate pairs are no characters; the engine would take them for some.
        match low < FIRST_ABOVE_HALVES && high >= FIRST_ABOVE_HALVES {
            true => {
                range(low, LAST_BELOW_HALVES, out);
                range(FIRST_ABOVE_HALVES, high, out);
            }
            false => range(low, high, out),
        }
    }
    out.push(']');
}

const LAST_BELOW_HALVES: char = '\u{d7ff}';
const FIRST_ABOVE_HALVES: char = '\u{e000}';

fn range(low: char, high: char, out: &mut String) {
    in_set(low, out);
    if low < high {
        out.push('-');
        in_set(high, out);
    }
}

fn in_set(c: char, out: &mut String) {
    match c {
        '[' | ']' | '\\' | '^' | '-' | '"' => {
            let _ = write!(out, "\\x{:02X}", u32::from(c));
        }
        c => character(c, out),
    }
}

fn character(c: char, out: &mut String) {
    let code = u32::from(c);
    let _ = match c {
        '\n' => write!(out, "\\n"),
        '\r' => write!(out, "\\r"),
        '\t' => write!(out, "\\t"),
        ' '..='~' => write!(out, "{c}"),
        _ if code <= 0xff => write!(out, "\\x{code:02X}"),
        _ if code <= 0xffff => write!(out, "\\u{code:04X}"),
        _ => write!(out, "\\U{code:08X}"),
    };
}

#[cfg(test)]
mod tests {
    use crate::{Builder, Class, Expression};

    #[track_caller]
    fn check(root: Expression, expected: &str) {
        let grammar = Builder::new().finish(root).unwrap();
        assert_eq!(grammar.gbnf(), expected);
    }

    #[test]
    fn texts_are_escaped() {
        check(
            Expression::literal("a\"\\\n\r\t\u{7}é€😀]"),
            "root ::= \"a\\\"\\\\\\n\\r\\t\\x07\\xE9\\u20AC\\U0001F600]\"\n",
        );
        check(
            Expression::Class(Class::of("^]-[\\\"ab")),
            "root ::= [\\x22\\x2D\\x5B-\\x5Ea-b]\n",
        );
        check(
            Expression::Class(Class::of("a").complement()),
            "root ::= [\\x00-`b-\\uD7FF\\uE000-\\U0010FFFF]\n",
        );
        check(Expression::empty(), "root ::= \"\"\n");
    }

    #[test]
    fn what_binds_weaker_is_a_group() {
        let (a, b) = (Expression::literal("a"), Expression::literal("b"));
        let either = Expression::choice([a.clone(), b.clone(), Expression::empty()]);
        check(either.clone(), "root ::= \"a\" | \"b\" | \"\"\n");
        check(
            Expression::sequence([a.clone(), either.clone()]),
            "root ::= \"a\" (\"a\" | \"b\" | \"\")\n",
        );
        check(
            Expression::optional(Expression::sequence([a.clone(), b.clone()])),
            "root ::= (\"a\" \"b\")?\n",
        );
        check(
            Expression::optional(Expression::repeat(a, 2, Some(3))),
            "root ::= (\"a\"{2,3})?\n",
        );
    }

    #[test]
    fn groups_that_repeat_are_rules() {
        let (a, b) = (Expression::literal("a"), Expression::literal("b"));
        let pair = Expression::sequence([a, b]);
        let twice = Expression::repeat(pair.clone(), 2, Some(3));
        let again = Expression::repeat(pair, 4, None);
        check(
            Expression::sequence([twice, again]),
            "root ::= x-0{2,3} x-0{4,}\nx-0 ::= \"a\" \"b\"\n",
        );
    }

    #[test]
    fn rules_that_nothing_needs_are_left_out() {
        let mut builder = Builder::new();
        builder.rule("lost", Expression::literal("a"));
        let kept = builder.rule("x", Expression::literal("b"));
        let many = Expression::optional(Expression::repeat(kept, 300, Some(300)));
        let grammar = builder.finish(many).unwrap();
        assert_eq!(
            grammar.gbnf(),
            "root ::= (x-2{3})?\nx-1 ::= \"b\"\nx-2 ::= x-1{100}\n"
        );
    }

    #[test]
    fn many_repetitions_are_blocks() {
        let a = || Expression::literal("a");
        let block = "x-0 ::= \"a\"{100}\n";
        check(Expression::repeat(a(), 200, None), "root ::= \"a\"{200,}\n");
        check(
            Expression::repeat(a(), 1, Some(1050)),
            &format!("root ::= \"a\"{{1}} x-0{{0,9}} \"a\"{{0,149}}\n{block}"),
        );
        check(
            Expression::repeat(a(), 250, None),
            &format!("root ::= x-0{{2}} \"a\"{{50}} \"a\"*\n{block}"),
        );
        check(
            Expression::repeat(a(), 300, Some(300)),
            &format!("root ::= x-0{{3}}\n{block}"),
        );
    }
}
