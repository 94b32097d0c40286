//! Reads a text by a grammar, and says how it could end soonest.
//!
//! All ways to read the text so far are kept at once, as what is wanted next and what comes after that.
//! What comes after is shared between them, so a text that can be read in several ways costs little
//! more than one that can be read in one.
//!
//! Invariant: an ending that is given makes the text legal.

use std::collections::{HashMap, HashSet};

use crate::tree::{Grammar, shortest};
use crate::{Class, Expression};

/// Bytes of an ending.
pub const CLOSING_BYTES_MAX: usize = 256 << 10;

/// Ways to read a text at the same time. Past it the reader gives up.
pub const STATES_MAX: usize = 4096;

/// Things to come that are kept before those that nothing waits for are dropped.
const LINKS_MIN: usize = 4096;

/// What comes after something, from the inside out.
#[derive(Debug, Clone, Copy)]
enum Frame<'a> {
    /// These, one after the other.
    Parts(&'a [Expression]),
    /// Again, at least and at most so often.
    Again(&'a Expression, u32, Option<u32>),
}

/// A frame and what comes after it: an index of [`Reader::links`], or [`END`].
type Link = usize;

/// After which nothing comes.
const END: Link = usize::MAX;

/// What must be read next.
#[derive(Debug, Clone, Copy)]
enum Want<'a> {
    /// This text, never empty.
    Text(&'a str),
    One(&'a Class),
}

/// A text on its way through a grammar.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    grammar: &'a Grammar,
    links: Vec<(Frame<'a>, Link)>,
    known: HashMap<(Key, Link), Link>,
    states: Vec<(Want<'a>, Link)>,
    /// Whether the text may end here.
    complete: bool,
    /// Links there may be before unneeded ones are dropped.
    links_max: usize,
}

/// Frames and wants with equal keys are the same: where in the grammar they stand, and numbers.
type Key = (usize, usize, u64);

enum Task<'a> {
    Read(&'a Expression, Link),
    Resume(Link),
}

impl<'a> Reader<'a> {
    /// At the beginning of a text.
    pub fn new(grammar: &'a Grammar) -> Self {
        let mut reader = Self {
            grammar,
            links: Vec::new(),
            known: HashMap::new(),
            states: Vec::new(),
            complete: false,
            links_max: LINKS_MIN,
        };
        reader.advance(vec![Task::Read(&grammar.root, END)], &mut Seen::default());
        reader
    }

    /// Reads on. False where the text is not legal, nor the beginning of one that is.
    pub fn read(&mut self, text: &str) -> bool {
        text.chars().all(|c| self.step(c))
    }

    /// Whether the text may end here.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The characters that may come next.
    pub fn next(&self) -> Class {
        let wanted = self.states.iter().map(|(want, _)| match want {
            Want::Text(text) => Class::ranges(text.chars().next().map(|c| (c, c))),
            Want::One(class) => (*class).clone(),
        });
        wanted.fold(Class::default(), |all, class| all.union(&class))
    }

    /// The shortest text that makes what has been read legal; `None` where nothing does, or only more
    /// than [`CLOSING_BYTES_MAX`].
    pub fn closing(&self) -> Option<String> {
        if self.complete {
            return Some(String::new());
        }
        let costs = self.states.iter().map(|state| self.cost(*state));
        let (index, cost) = costs.enumerate().min_by_key(|(_, cost)| *cost)?;
        match usize::try_from(cost) {
            Ok(bytes) if bytes <= CLOSING_BYTES_MAX => Some(self.write(self.states[index])),
            _ => None,
        }
    }

    fn step(&mut self, c: char) -> bool {
        let mut seen = Seen::default();
        let mut tasks = Vec::new();
        let mut texts = Vec::new();
        for (want, link) in std::mem::take(&mut self.states) {
            match want {
                Want::One(class) if class.contains(c) => tasks.push(Task::Resume(link)),
                Want::Text(text) => match text.strip_prefix(c) {
                    Some("") => tasks.push(Task::Resume(link)),
                    Some(rest) => texts.push((rest, link)),
                    None => {}
                },
                Want::One(_) => {}
            }
        }
        for (rest, link) in texts {
            self.want(Want::Text(rest), link, &mut seen);
        }
        self.complete = false;
        self.advance(tasks, &mut seen);
        if self.states.len() > STATES_MAX {
            self.states.clear();
            self.complete = false;
        }
        if self.links.len() > self.links_max {
            self.forget();
        }
        self.complete || !self.states.is_empty()
    }

    /// Goes on until only characters are wanted.
    fn advance(&mut self, mut tasks: Vec<Task<'a>>, seen: &mut Seen) {
        while let Some(task) = tasks.pop() {
            if self.states.len() > STATES_MAX {
                return;
            }
            match task {
                Task::Resume(END) => self.complete = true,
                Task::Resume(link) => {
                    if seen.resumed.insert(link) {
                        let (frame, after) = self.links[link];
                        self.resume(frame, after, &mut tasks);
                    }
                }
                Task::Read(expression, link) => {
                    let key = (std::ptr::from_ref(expression) as usize, link);
                    if seen.read.insert(key) {
                        self.expand(expression, link, &mut tasks, seen);
                    }
                }
            }
        }
    }

    fn resume(&mut self, frame: Frame<'a>, after: Link, tasks: &mut Vec<Task<'a>>) {
        match frame {
            Frame::Parts(parts) => self.parts(parts, after, tasks),
            Frame::Again(of, min, max) => self.again(of, min, max, after, tasks),
        }
    }

    fn parts(&mut self, parts: &'a [Expression], after: Link, tasks: &mut Vec<Task<'a>>) {
        match parts {
            [] => tasks.push(Task::Resume(after)),
            [last] => tasks.push(Task::Read(last, after)),
            [first, rest @ ..] => {
                let link = self.link(Frame::Parts(rest), after);
                tasks.push(Task::Read(first, link));
            }
        }
    }

    fn again(
        &mut self,
        of: &'a Expression,
        min: u32,
        max: Option<u32>,
        after: Link,
        tasks: &mut Vec<Task<'a>>,
    ) {
        if min == 0 {
            tasks.push(Task::Resume(after));
        }
        if max != Some(0) {
            let max = max.map(|max| max - 1);
            let link = self.link(Frame::Again(of, min.saturating_sub(1), max), after);
            tasks.push(Task::Read(of, link));
        }
    }

    fn expand(
        &mut self,
        expression: &'a Expression,
        link: Link,
        tasks: &mut Vec<Task<'a>>,
        seen: &mut Seen,
    ) {
        match expression {
            Expression::Literal(text) if text.is_empty() => tasks.push(Task::Resume(link)),
            Expression::Literal(text) => self.want(Want::Text(text), link, seen),
            Expression::Class(class) => self.want(Want::One(class), link, seen),
            Expression::Sequence(parts) => self.parts(parts, link, tasks),
            Expression::Choice(alternatives) => {
                tasks.extend(alternatives.iter().map(|way| Task::Read(way, link)));
            }
            Expression::Repeat { of, min, max } => self.again(of, *min, *max, link, tasks),
            Expression::Rule(id) => tasks.push(Task::Read(&self.grammar.rules[id.0].1, link)),
        }
    }

    fn want(&mut self, want: Want<'a>, link: Link, seen: &mut Seen) {
        if seen.wanted.insert((want.key(), link)) {
            self.states.push((want, link));
        }
    }

    fn link(&mut self, frame: Frame<'a>, after: Link) -> Link {
        let next = self.links.len();
        let link = *self.known.entry((frame.key(), after)).or_insert(next);
        if link == next {
            self.links.push((frame, after));
        }
        link
    }

    /// Drops what nothing waits for.
    fn forget(&mut self) {
        let mut kept = vec![END; self.links.len()];
        let mut links: Vec<(Frame<'a>, Link)> = Vec::new();
        for (_, link) in &mut self.states {
            // From the outside in, so that what comes after has its new place first.
            let mut way = Vec::new();
            let mut at = *link;
            while at != END && kept[at] == END {
                way.push(at);
                at = self.links[at].1;
            }
            for old in way.into_iter().rev() {
                let (frame, after) = self.links[old];
                let after = if after == END { END } else { kept[after] };
                kept[old] = links.len();
                links.push((frame, after));
            }
            *link = if *link == END { END } else { kept[*link] };
        }
        self.links_max = LINKS_MIN + 2 * links.len();
        self.known = links
            .iter()
            .enumerate()
            .map(|(link, (frame, after))| ((frame.key(), *after), link))
            .collect();
        self.links = links;
    }

    /// Bytes of the shortest ending that `state` leads to.
    fn cost(&self, (want, mut link): (Want<'a>, Link)) -> u64 {
        let mut cost = match want {
            Want::Text(text) => text.len() as u64,
            Want::One(class) => class.first().map_or(u64::MAX, |c| c.len_utf8() as u64),
        };
        let rules = &self.grammar.shortest;
        while link != END {
            let (frame, after) = self.links[link];
            let more = match frame {
                Frame::Parts(parts) => parts
                    .iter()
                    .fold(0, |sum, part| shortest(part, rules).saturating_add(sum)),
                Frame::Again(_, 0, _) => 0,
                Frame::Again(of, min, _) => shortest(of, rules).saturating_mul(u64::from(min)),
            };
            cost = cost.saturating_add(more);
            link = after;
        }
        cost
    }

    fn write(&self, (want, mut link): (Want<'a>, Link)) -> String {
        let mut text = String::new();
        match want {
            Want::Text(rest) => text.push_str(rest),
            Want::One(class) => text.extend(class.first()),
        }
        while link != END {
            let (frame, after) = self.links[link];
            match frame {
                Frame::Parts(parts) => self.write_shortest(parts.iter().collect(), &mut text),
                Frame::Again(of, min, _) => {
                    self.write_shortest(vec![of; min as usize], &mut text);
                }
            }
            link = after;
        }
        text
    }

    /// The shortest text of all `parts`. It is not endless: a rule within its own shortest text would
    /// have something before it, and be longer.
    fn write_shortest(&self, mut parts: Vec<&'a Expression>, text: &mut String) {
        let rules = &self.grammar.shortest;
        parts.reverse();
        while let Some(part) = parts.pop() {
            match part {
                Expression::Literal(literal) => text.push_str(literal),
                Expression::Class(class) => text.extend(class.first()),
                Expression::Sequence(inner) => parts.extend(inner.iter().rev()),
                Expression::Choice(ways) => {
                    parts.extend(ways.iter().min_by_key(|way| shortest(way, rules)));
                }
                Expression::Repeat { of, min, .. } => {
                    parts.extend(std::iter::repeat_n(&**of, *min as usize));
                }
                Expression::Rule(id) => parts.push(&self.grammar.rules[id.0].1),
            }
        }
    }
}

/// What has been done since the last character.
#[derive(Default)]
struct Seen {
    resumed: HashSet<Link>,
    read: HashSet<(usize, Link)>,
    wanted: HashSet<(Key, Link)>,
}

impl Frame<'_> {
    fn key(self) -> Key {
        match self {
            Self::Parts(parts) => (parts.as_ptr() as usize, parts.len(), u64::MAX),
            Self::Again(of, min, max) => {
                let max = max.map_or(u32::MAX, |max| max);
                let times = u64::from(min) << 32 | u64::from(max);
                (std::ptr::from_ref(of) as usize, usize::MAX, times)
            }
        }
    }
}

impl Want<'_> {
    fn key(self) -> Key {
        match self {
            Self::Text(text) => (text.as_ptr() as usize, text.len(), 0),
            Self::One(class) => (std::ptr::from_ref(class) as usize, usize::MAX, 0),
        }
    }
}

impl Grammar {
    /// Whether `text` is legal.
    pub fn accepts(&self, text: &str) -> bool {
        let mut reader = Reader::new(self);
        reader.read(text) && reader.is_complete()
    }

    /// The shortest text that makes `written`, the beginning of a legal text, legal: empty where it is
    /// already. `None` where nothing does, or only more than [`CLOSING_BYTES_MAX`].
    pub fn closing(&self, written: &str) -> Option<String> {
        let mut reader = Reader::new(self);
        match reader.read(written) {
            true => reader.closing(),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    fn digits(min: u32, max: Option<u32>) -> Expression {
        Expression::repeat(Expression::range('0', '9'), min, max)
    }

    /// `{"a": {…}, …}` with single letters, arbitrarily deep.
    fn nested() -> Grammar {
        let mut builder = Builder::new();
        let value = builder.declare("value");
        let pair = Expression::sequence([
            Expression::range('a', 'z'),
            Expression::literal(":"),
            value.into(),
        ]);
        let more = Expression::many(Expression::sequence([
            Expression::literal(","),
            pair.clone(),
        ]));
        let object = Expression::sequence([
            Expression::literal("{"),
            Expression::optional(Expression::sequence([pair, more])),
            Expression::literal("}"),
        ]);
        builder.define(value, Expression::choice([object, digits(1, Some(4))]));
        builder.finish(value.into()).unwrap()
    }

    #[test]
    fn texts_are_read() {
        let grammar = nested();
        for legal in ["1", "1234", "{}", "{a:1}", "{a:{b:2,c:{}},d:3}"] {
            assert!(grammar.accepts(legal), "{legal}");
        }
        for illegal in ["", "12345", "{", "{a}", "{a:1,}", "{}}", "x"] {
            assert!(!grammar.accepts(illegal), "{illegal}");
        }
    }

    #[test]
    fn the_ending_is_the_shortest() {
        let grammar = nested();
        let check = |written: &str, closing: Option<&str>| {
            assert_eq!(grammar.closing(written).as_deref(), closing, "{written}");
        };
        check("", Some("0"));
        check("12", Some(""));
        check("{", Some("}"));
        check("{a", Some(":0}"));
        check("{a:{b:1,", Some("a:0}}"));
        check("{a:{b:1},c", Some(":0}"));
        check("x", None);
        check("{}1", None);
    }

    #[test]
    fn counts_are_kept() {
        let grammar = Builder::new().finish(digits(3, Some(300))).unwrap();
        assert_eq!(grammar.closing("1").as_deref(), Some("00"));
        assert!(grammar.accepts(&"1".repeat(300)));
        assert!(!grammar.accepts(&"1".repeat(301)));
    }

    #[test]
    fn literals_are_not_cut_within_a_character() {
        let root = Expression::choice([Expression::literal("é€x"), Expression::literal("é€")]);
        let grammar = Builder::new().finish(root).unwrap();
        assert_eq!(grammar.closing("é").as_deref(), Some("€"));
        assert!(grammar.accepts("é€x"));
    }

    /// Two readings of each level: kept apart they would be 2^500.
    #[test]
    fn a_text_with_very_many_readings_is_read() {
        let mut builder = Builder::new();
        let rule = builder.declare("r");
        let one = Expression::sequence([
            Expression::literal("("),
            rule.into(),
            Expression::literal(")"),
        ]);
        let other = Expression::sequence([
            Expression::literal("("),
            rule.into(),
            Expression::literal(")x?"),
        ]);
        let body = Expression::choice([Expression::literal("."), one, other]);
        builder.define(rule, body);
        let grammar = builder.finish(rule.into()).unwrap();
        let text = format!("{}.{}", "(".repeat(9), ")".repeat(9));
        assert!(grammar.accepts(&text));
        // Past the maximum there is no answer, and no endless work.
        assert_eq!(grammar.closing(&"(".repeat(500)), None);
    }

    #[test]
    fn what_is_no_longer_needed_is_forgotten() {
        let grammar = nested();
        let mut reader = Reader::new(&grammar);
        assert!(reader.read("{"));
        for _ in 0..10_000 {
            assert!(reader.read("a:{b:1},"));
        }
        assert!(reader.links.len() < 2 * LINKS_MIN, "{}", reader.links.len());
        let deep = "{a:".repeat(20_000);
        let closing = grammar.closing(&deep).unwrap();
        assert_eq!(closing, format!("0{}", "}".repeat(20_000)));
        assert_eq!(grammar.closing(&"{a:".repeat(CLOSING_BYTES_MAX)), None);
    }

    #[test]
    fn what_may_come_next_is_known() {
        let grammar = nested();
        let mut reader = Reader::new(&grammar);
        assert!(reader.read("{"));
        assert!(reader.next().contains('}') && reader.next().contains('q'));
        assert!(!reader.next().contains('1'));
    }
}
