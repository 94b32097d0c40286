//! Checks a grammar in llama.cpp's GBNF before it reaches the engine.
//!
//! A bad one must be the caller's 400 and not an exception in a C++ library. Refused are syntax
//! errors, rules that are missing or doubled, and rules that can come back to themselves without
//! having read anything, which the engine's parser cannot work with.
//!
//! Invariant: an accepted grammar has a `root`, every rule it names, and at most
//! [`ELEMENTS_MAX`] elements once its repetitions are written out.

mod parse;

use std::collections::HashMap;

pub use parse::{DEPTH_MAX, ELEMENTS_MAX, RULES_MAX};

/// Ways in which rules may begin with one another: the engine walks every one of them, in about 40 ms if there are so many.
pub const BEGINNINGS_MAX: u64 = 4 << 20;

/// Why a grammar is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarError {
    /// Line, from 1; 0 where it is about the whole.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for GrammarError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "{} in line {line}", self.reason),
        }
    }
}

impl std::error::Error for GrammarError {}

/// What a rule is made of.
#[derive(Debug, Clone, Copy)]
enum Symbol {
    /// Characters; an empty literal reads nothing.
    Text { empty: bool },
    /// Another rule.
    Rule(usize),
}

/// A symbol and how often it comes.
#[derive(Debug, Clone, Copy)]
struct Item {
    symbol: Symbol,
    optional: bool,
    unbounded: bool,
}

/// A rule, written or made for a group.
#[derive(Debug, Default)]
struct Rule {
    name: String,
    line: usize,
    defined: bool,
    alternatives: Vec<Vec<Item>>,
}

/// Checks `grammar`.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(grammar: &str) -> Result<(), GrammarError> {
    let (rules, names) = parse::parse(grammar)?;
    let whole = |reason: String| GrammarError { line: 0, reason };
    if !names.get("root").is_some_and(|root| rules[*root].defined) {
        return Err(whole("there is no rule `root`".to_owned()));
    }
    if let Some(rule) = rules.iter().find(|rule| !rule.defined) {
        return Err(whole(format!("there is no rule `{}`", rule.name)));
    }
    left_recursion(&rules)
}

type Names = HashMap<String, usize>;

/// A rule that can come back to itself before it has read anything.
fn left_recursion(rules: &[Rule]) -> Result<(), GrammarError> {
    let empty = can_be_empty(rules);
    let starts: Vec<Vec<usize>> = rules.iter().map(|rule| starts(rule, &empty)).collect();
    let mut marks = vec![Mark::New; rules.len()];
    let mut ways = vec![1u64; rules.len()];
    for (index, rule) in rules.iter().enumerate() {
        let endless = rule.alternatives.iter().flatten().any(|item| {
            let nothing = symbol_is_empty(item.symbol, &empty);
            item.unbounded && nothing
        });
        if endless || comes_back(index, &starts, &mut marks, &mut ways) {
            let reason = format!("rule `{}` can repeat without reading anything", rule.name);
            let line = rule.line;
            return Err(GrammarError { line, reason });
        }
    }
    match ways.iter().copied().fold(0, u64::saturating_add) > BEGINNINGS_MAX {
        true => Err(GrammarError {
            line: 0,
            reason: format!("rules begin with one another in more than {BEGINNINGS_MAX} ways"),
        }),
        false => Ok(()),
    }
}

/// Which rules can read nothing: the smallest answer that is true for all.
fn can_be_empty(rules: &[Rule]) -> Vec<bool> {
    let mut empty = vec![false; rules.len()];
    loop {
        let mut changed = false;
        for (index, rule) in rules.iter().enumerate() {
            let now = rule
                .alternatives
                .iter()
                .any(|items| items.iter().all(|item| item_is_empty(item, &empty)));
            changed |= now && !empty[index];
            empty[index] |= now;
        }
        if !changed {
            return empty;
        }
    }
}

fn item_is_empty(item: &Item, empty: &[bool]) -> bool {
    item.optional || symbol_is_empty(item.symbol, empty)
}

fn symbol_is_empty(symbol: Symbol, empty: &[bool]) -> bool {
    match symbol {
        Symbol::Text { empty } => empty,
        Symbol::Rule(rule) => empty[rule],
    }
}

/// The rules that a rule may begin with.
fn starts(rule: &Rule, empty: &[bool]) -> Vec<usize> {
    let mut starts = Vec::new();
    for items in &rule.alternatives {
        for item in items {
            if let Symbol::Rule(rule) = item.symbol {
                starts.push(rule);
            }
            if !item_is_empty(item, empty) {
                break;
            }
        }
    }
    starts
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnTheWay,
    Done,
}

/// Walks what may come first, without recursion: the caller chooses how deep it goes. Counts the ways.
fn comes_back(from: usize, starts: &[Vec<usize>], marks: &mut [Mark], ways: &mut [u64]) -> bool {
    if marks[from] != Mark::New {
        return false;
    }
    marks[from] = Mark::OnTheWay;
    let mut way = vec![(from, 0)];
    while let Some((rule, next)) = way.last_mut() {
        let Some(&start) = starts[*rule].get(*next) else {
            marks[*rule] = Mark::Done;
            let first = starts[*rule].iter().map(|start| ways[*start]);
            ways[*rule] = first.fold(1, u64::saturating_add);
            way.pop();
            continue;
        };
        *next += 1;
        match marks[start] {
            Mark::OnTheWay => return true,
            Mark::Done => {}
            Mark::New => {
                marks[start] = Mark::OnTheWay;
                way.push((start, 0));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_ok(grammar: &str) {
        assert_eq!(check(grammar), Ok(()));
    }

    #[track_caller]
    fn check_fails(grammar: &str, reason: &str) {
        let error = check(grammar).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn what_people_write_passes() {
        check_ok("root ::= \"yes\" | \"no\"");
        check_ok("# a comment\nroot ::= item+ # another\nitem ::= \"- \" [^\\n]+ \"\\n\"\n");
        check_ok(
            "root ::= object\nobject ::= \"{\" ws (pair (\",\" ws pair)*)? \"}\"\npair ::= string \":\" ws value\nstring ::= \"\\\"\" [^\"\\\\]* \"\\\"\" ws\nvalue ::= object | string\nws ::= [ \\t\\n]*",
        );
        check_ok("root ::= (\n  \"a\" |\n  \"b\"\n) [a-z]{2,4} .{3} \"c\"{0,}");
        check_ok("root ::= expr\nexpr ::= term (\"+\" term)*\nterm ::= [0-9]+ | \"(\" expr \")\"");
        check_ok("root ::=\n  \"a\" |\n  root-2\r\nroot-2 ::= \"\\x41\\u00e9\"");
        check_ok("root ::= | \"a\"");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        check_fails("", "no rule `root`");
        check_fails("a ::= \"b\"", "no rule `root`");
        check_fails("root ::= b", "no rule `b`");
        check_fails("root ::= \"a\"\nroot ::= \"b\"", "twice in line 2");
        check_fails("root = \"a\"", "`::=`");
        check_fails("root ::= \"a", "not closed");
        check_fails("root ::= [a", "not closed");
        check_fails("root ::= (\"a\"", "not closed");
        check_fails("root ::= \"a\")", "unexpected `)`");
        check_fails("root ::= \"\\q\"", "escape");
        check_fails("root ::= \"\\x4\"", "escape");
        check_fails("root ::= *", "repeat");
        check_fails("root ::= \"a\"{2,1}", "{2,1}");
        check_fails("root ::= \"a\"{x}", "number");
        check_fails("root ::= \"a\"{99999999999}", "number");
        check_fails("root ::= <think>", "unexpected `<`");
    }

    #[test]
    fn rules_that_never_end_are_refused() {
        check_fails("root ::= root \"a\"", "without reading");
        check_fails(
            "root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= a | \"y\"",
            "without reading",
        );
        check_fails("root ::= (\"a\"*)*", "without reading");
        check_fails("root ::= \"\"+", "without reading");
        check_fails("root ::= (\"a\"? root)", "without reading");
    }

    #[test]
    fn every_limit_is_reached() {
        let deep = |depth| format!("root ::= {}\"a\"{}", "(".repeat(depth), ")".repeat(depth));
        check_ok(&deep(DEPTH_MAX));
        check_fails(&deep(DEPTH_MAX + 1), "deep");
        check_ok("root ::= \"a\"{1000}");
        check_fails(
            &format!("root ::= \"{}\"{{1000}}", "a".repeat(100)),
            "elements",
        );
        check_fails("root ::= \"a\"{65537}", "elements");
        check_fails("root ::= \"a\"{256}{256}{256}", "elements");
        check_fails(
            &format!("root ::= {}", "(\"a\")".repeat(RULES_MAX)),
            "rules",
        );
        check_fails("root ::= \"a\"{60000} \"b\"{60000}", "elements");
        let twice = |levels: usize| {
            let level = |n| format!("r{n} ::= r{0} | r{0}\n", n + 1);
            let rules: String = (0..levels).map(level).collect();
            format!("root ::= r0\n{rules}r{levels} ::= \"a\"\n")
        };
        check_ok(&twice(16));
        check_fails(&twice(24), "ways");
    }

    /// One step of recursion for each of these would end the sandbox.
    #[test]
    fn long_ways_need_no_stack() {
        let mut grammar = "root ::= r0\n".to_owned();
        for n in 0..2000 {
            grammar.push_str(&format!("r{n} ::= r{}\n", n + 1));
        }
        grammar.push_str("r2000 ::= \"a\"\n");
        check_ok(&grammar);
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "(root ::= |[a-c\"\\\\()|*+?{},.\\[\\]^ #0-9\n-]|::=|\\PC){0,40}") {
            let _ = check(&text);
        }
    }
}
