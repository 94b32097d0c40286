//! From text to rules. Groups become rules of their own.

use super::{GrammarError, Item, Names, Rule, Symbol};

/// Groups within groups.
pub const DEPTH_MAX: usize = 32;

/// Rules, those made for groups included.
pub const RULES_MAX: usize = 2048;

/// Characters, ranges and references of all rules, repetitions written out.
pub const ELEMENTS_MAX: u64 = 65_536;

type Result<T> = std::result::Result<T, GrammarError>;

/// Reads all rules, and finds each by its name.
pub(super) fn parse(text: &str) -> Result<(Vec<Rule>, Names)> {
    let mut parser = Parser {
        rest: text,
        line: 1,
        depth: 0,
        elements: 0,
        rules: Vec::new(),
        names: Names::new(),
    };
    parser.space(true);
    while !parser.rest.is_empty() {
        parser.rule()?;
        parser.space(true);
    }
    Ok((parser.rules, parser.names))
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
    elements: u64,
    rules: Vec<Rule>,
    names: Names,
}

impl Parser<'_> {
    fn fail<T>(&self, reason: impl Into<String>) -> Result<T> {
        Err(GrammarError {
            line: self.line,
            reason: reason.into(),
        })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.peek() == Some(c);
        if there {
            self.next();
        }
        there
    }

    /// Skips blanks and comments, and line breaks where a rule cannot end.
    fn space(&mut self, lines: bool) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' => {}
                '\r' | '\n' if lines => {}
                '#' => {
                    let end = self.rest.find(['\r', '\n']).unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                    continue;
                }
                _ => return,
            }
            self.next();
        }
    }

    fn rule(&mut self) -> Result<()> {
        let name = self.name();
        if name.is_empty() {
            let found = self.peek().unwrap_or(' ');
            return self.fail(format!("unexpected `{found}`"));
        }
        let index = self.index(&name)?;
        self.space(false);
        let Some(rest) = self.rest.strip_prefix("::=") else {
            return self.fail(format!("`::=` must follow the rule name `{name}`"));
        };
        self.rest = rest;
        if self.rules[index].defined {
            return self.fail(format!("rule `{name}` is defined twice"));
        }
        let line = self.line;
        self.space(true);
        let alternatives = self.alternatives()?;
        self.rules[index] = Rule {
            name,
            line,
            defined: true,
            alternatives,
        };
        match self.peek() {
            None | Some('\r' | '\n') => Ok(()),
            Some(found) => self.fail(format!("unexpected `{found}`")),
        }
    }

    fn name(&mut self) -> String {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let end = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        name.to_owned()
    }

    fn index(&mut self, name: &str) -> Result<usize> {
        if let Some(index) = self.names.get(name) {
            return Ok(*index);
        }
        let index = self.add(Rule {
            name: name.to_owned(),
            line: self.line,
            ..Rule::default()
        })?;
        self.names.insert(name.to_owned(), index);
        Ok(index)
    }

    fn add(&mut self, rule: Rule) -> Result<usize> {
        if self.rules.len() >= RULES_MAX {
            return self.fail(format!("more than {RULES_MAX} rules and groups"));
        }
        self.rules.push(rule);
        Ok(self.rules.len() - 1)
    }

    fn alternatives(&mut self) -> Result<Vec<Vec<Item>>> {
        let mut alternatives = vec![self.sequence()?];
        while self.take('|') {
            self.space(true);
            alternatives.push(self.sequence()?);
        }
        Ok(alternatives)
    }

    fn sequence(&mut self) -> Result<Vec<Item>> {
        let mut items: Vec<Item> = Vec::new();
        let mut last_elements = 0;
        loop {
            let symbol = match self.peek() {
                Some('"') => self.literal(&mut last_elements)?,
                Some('[') => self.class(&mut last_elements)?,
                Some('(') => self.group(&mut last_elements)?,
                Some('.') => {
                    self.next();
                    last_elements = 1;
                    Symbol::Text { empty: false }
                }
                Some('*' | '+' | '?' | '{') => {
                    last_elements = self.repeat(items.last_mut(), last_elements)?;
                    self.space(self.depth > 0);
                    continue;
                }
                Some(c) if c.is_ascii_alphanumeric() || c == '-' => {
                    let name = self.name();
                    last_elements = 1;
                    Symbol::Rule(self.index(&name)?)
                }
                _ => return Ok(items),
            };
            self.count(last_elements)?;
            items.push(Item {
                symbol,
                optional: false,
                unbounded: false,
            });
            self.space(self.depth > 0);
        }
    }

    fn count(&mut self, elements: u64) -> Result<()> {
        self.elements = self.elements.saturating_add(elements);
        match self.elements > ELEMENTS_MAX {
            true => self.fail(format!("more than {ELEMENTS_MAX} elements")),
            false => Ok(()),
        }
    }

    fn literal(&mut self, elements: &mut u64) -> Result<Symbol> {
        self.next();
        *elements = 0;
        while !self.take('"') {
            self.character("a literal")?;
            *elements += 1;
        }
        let empty = *elements == 0;
        Ok(Symbol::Text { empty })
    }

    fn class(&mut self, elements: &mut u64) -> Result<Symbol> {
        self.next();
        self.take('^');
        *elements = 1;
        while !self.take(']') {
            self.character("a character class")?;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                self.character("a character class")?;
            }
            *elements += 1;
        }
        Ok(Symbol::Text { empty: false })
    }

    fn character(&mut self, place: &str) -> Result<()> {
        let digits = match self.next() {
            None => return self.fail(format!("{place} is not closed")),
            Some('\\') => match self.next() {
                Some('x') => 2,
                Some('u') => 4,
                Some('U') => 8,
                Some('t' | 'r' | 'n' | '\\' | '"' | '[' | ']') => 0,
                _ => return self.fail("unknown escape"),
            },
            Some(_) => 0,
        };
        for _ in 0..digits {
            if !self.next().is_some_and(|c| c.is_ascii_hexdigit()) {
                return self.fail("an escape needs hexadecimal digits");
            }
        }
        Ok(())
    }

    fn group(&mut self, elements: &mut u64) -> Result<Symbol> {
        self.next();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fail(format!("groups are more than {DEPTH_MAX} deep"));
        }
        let line = self.line;
        self.space(true);
        let alternatives = self.alternatives()?;
        if !self.take(')') {
            return self.fail("a group is not closed");
        }
        self.depth -= 1;
        *elements = 1;
        Ok(Symbol::Rule(self.add(Rule {
            name: format!("( of line {line}"),
            line,
            defined: true,
            alternatives,
        })?))
    }

    /// Gives the elements that the item has now: the next repetition multiplies those.
    fn repeat(&mut self, item: Option<&mut Item>, elements: u64) -> Result<u64> {
        let Some(item) = item else {
            return self.fail("there is nothing to repeat");
        };
        let (min, max) = match self.next() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            _ => self.bounds()?,
        };
        if max.is_some_and(|max| max < min) {
            let max = max.unwrap_or_default();
            return self.fail(format!("`{{{min},{max}}}` is empty"));
        }
        item.optional |= min == 0;
        item.unbounded |= max.is_none();
        let times = u64::from(max.unwrap_or(min).max(1));
        let elements = elements.saturating_mul(times);
        self.count(elements)?;
        Ok(elements)
    }

    /// `m}`, `m,}` or `m,n}`.
    fn bounds(&mut self) -> Result<(u32, Option<u32>)> {
        self.space(false);
        let min = self.number()?;
        self.space(false);
        if self.take('}') {
            return Ok((min, Some(min)));
        }
        if !self.take(',') {
            return self.fail("a repetition is not closed");
        }
        self.space(false);
        let max = match self.peek() {
            Some('}') => None,
            _ => Some(self.number()?),
        };
        self.space(false);
        match self.take('}') {
            true => Ok((min, max)),
            false => self.fail("a repetition is not closed"),
        }
    }

    fn number(&mut self) -> Result<u32> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        match digits.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.fail("a repetition needs a number"),
        }
    }
}
