//! The tree that a grammar is, and the builder that makes one.
//!
//! Invariant: in a [`Grammar`] every rule is there, can end, and reads something before it comes back to
//! itself; and it is small enough for the engine's parser.

mod check;

use std::fmt;

use crate::{Class, gbnf};

pub(crate) use check::{BLOCK, TIMES_PLAIN_MAX, shortest};

pub use check::{
    DEPTH_MAX, ELEMENTS_MAX, GBNF_BYTES_MAX, LEFT_WALK_MAX, RULES_MAX, SHORTEST_BYTES_MAX,
};

/// A rule of a grammar that is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub(crate) usize);

/// What a text may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expression {
    /// Exactly this text.
    Literal(String),
    /// One character of these.
    Class(Class),
    /// One after the other; with nothing in it, the empty text.
    Sequence(Vec<Expression>),
    /// One of them.
    Choice(Vec<Expression>),
    /// The same again and again.
    Repeat {
        /// What is repeated: something that cannot be empty where there is no maximum.
        of: Box<Expression>,
        /// At least so often.
        min: u32,
        /// At most so often.
        max: Option<u32>,
    },
    /// What a rule says.
    Rule(RuleId),
}

impl Expression {
    /// Exactly `text`.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }

    /// The empty text.
    pub fn empty() -> Self {
        Self::Sequence(Vec::new())
    }

    /// One character of `characters`.
    pub fn one_of(characters: &str) -> Self {
        Self::Class(Class::of(characters))
    }

    /// One character between `low` and `high`.
    pub fn range(low: char, high: char) -> Self {
        Self::Class(Class::ranges([(low, high)]))
    }

    /// One after the other. Sequences within it are written out.
    pub fn sequence(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Sequence(parts) => flat.extend(parts),
                part => flat.push(part),
            }
        }
        match flat.len() {
            1 => flat.remove(0),
            _ => Self::Sequence(flat),
        }
    }

    /// One of them. Choices within it are written out, and what is there already is left out.
    pub fn choice(alternatives: impl IntoIterator<Item = Self>) -> Self {
        let mut flat: Vec<Self> = Vec::new();
        for alternative in alternatives {
            let alternatives = match alternative {
                Self::Choice(alternatives) => alternatives,
                alternative => vec![alternative],
            };
            for alternative in alternatives {
                if !flat.contains(&alternative) {
                    flat.push(alternative);
                }
            }
        }
        match flat.len() {
            1 => flat.remove(0),
            _ => Self::Choice(flat),
        }
    }

    /// `of`, from `min` to `max` times.
    pub fn repeat(of: Self, min: u32, max: Option<u32>) -> Self {
        match (min, max) {
            (_, Some(0)) => Self::empty(),
            (1, Some(1)) => of,
            (min, max) => Self::Repeat {
                of: Box::new(of),
                min,
                max,
            },
        }
    }

    /// `of`, or nothing.
    pub fn optional(of: Self) -> Self {
        Self::repeat(of, 0, Some(1))
    }

    /// `of` as often as one likes, also never.
    pub fn many(of: Self) -> Self {
        Self::repeat(of, 0, None)
    }
}

impl From<RuleId> for Expression {
    fn from(rule: RuleId) -> Self {
        Self::Rule(rule)
    }
}

/// A rule: its name in GBNF, and what it says once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) body: Option<Expression>,
}

/// Collects the rules of a grammar.
///
/// ```
/// use gaia_grammar::{Builder, Expression};
///
/// let mut builder = Builder::new();
/// let digits = builder.rule("digits", Expression::repeat(Expression::range('0', '9'), 1, Some(3)));
/// let root = Expression::sequence([Expression::literal("call "), digits]);
/// let grammar = builder.finish(root)?;
/// assert_eq!(grammar.gbnf(), "root ::= \"call \" digits-0\ndigits-0 ::= [0-9]{1,3}\n");
/// assert_eq!(grammar.closing("call ").as_deref(), Some("0"));
/// # Ok::<(), gaia_grammar::GrammarError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder {
    rules: Vec<Rule>,
}

/// The longest hint that goes into a rule's name.
const HINT_CHARS_MAX: usize = 24;

impl Builder {
    /// No rules yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A rule that will be defined later: rules may need each other. `hint` makes its name readable.
    pub fn declare(&mut self, hint: &str) -> RuleId {
        let index = self.rules.len();
        let hint: String = hint
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(HINT_CHARS_MAX)
            .collect();
        self.rules.push(Rule {
            name: format!("{hint}-{index}"),
            body: None,
        });
        RuleId(index)
    }

    /// Says what `rule`, which [`declare`](Self::declare) of this builder gave, stands for.
    pub fn define(&mut self, rule: RuleId, body: Expression) {
        if let Some(rule) = self.rules.get_mut(rule.0) {
            rule.body = Some(body);
        }
    }

    /// A rule that says `body`, as an expression that refers to it.
    pub fn rule(&mut self, hint: &str, body: Expression) -> Expression {
        let rule = self.declare(hint);
        self.define(rule, body);
        Expression::Rule(rule)
    }

    /// Takes back all rules but the first `len`, which must not name them.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.rules.truncate(len);
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule yet.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The grammar whose texts are those of `root`.
    ///
    /// # Errors
    /// Where the engine could not work with it.
    pub fn finish(self, root: Expression) -> Result<Grammar, GrammarError> {
        let rules = self.rules.into_iter();
        let rules = rules
            .map(|rule| match rule.body {
                Some(body) => Ok((rule.name, body)),
                None => Err(GrammarError::Undefined { rule: rule.name }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let shortest = check::check(&rules, &root)?;
        let mut grammar = Grammar {
            rules,
            root,
            shortest,
            gbnf: String::new(),
        };
        grammar.gbnf = gbnf::write(&grammar);
        match grammar.gbnf.len() > GBNF_BYTES_MAX {
            true => Err(GrammarError::TooLong),
            false => Ok(grammar),
        }
    }
}

/// What an answer may look like.
#[derive(Clone, PartialEq, Eq)]
pub struct Grammar {
    /// Name and body.
    pub(crate) rules: Vec<(String, Expression)>,
    pub(crate) root: Expression,
    /// Bytes of the shortest text of each rule.
    pub(crate) shortest: Vec<u64>,
    gbnf: String,
}

impl Grammar {
    /// The grammar in the notation of llama.cpp; the rule `root` is the whole text.
    pub fn gbnf(&self) -> &str {
        &self.gbnf
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grammar").field(&self.gbnf).finish()
    }
}

/// Why rules are no grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A rule was declared and not defined.
    #[error("rule `{rule}` is not defined")]
    Undefined {
        /// Which.
        rule: String,
    },
    /// No text satisfies a rule.
    #[error("no text satisfies rule `{rule}`")]
    Impossible {
        /// Which.
        rule: String,
    },
    /// A rule comes back to itself, or repeats, without having read anything.
    #[error("rule `{rule}` can repeat without reading anything")]
    LeftRecursion {
        /// Which.
        rule: String,
    },
    /// Expressions nest too deep.
    #[error("rule `{rule}` nests deeper than {DEPTH_MAX}")]
    TooDeep {
        /// Which.
        rule: String,
    },
    /// The shortest text is too long to be written at the end of an answer.
    #[error("the shortest text of rule `{rule}` has more than {SHORTEST_BYTES_MAX} bytes")]
    TooMuchToWrite {
        /// Which.
        rule: String,
    },
    /// More rules than the maximum.
    #[error("it takes more than {RULES_MAX} rules")]
    TooManyRules,
    /// More characters, ranges and references than the maximum.
    #[error("it takes more than {ELEMENTS_MAX} elements")]
    TooManyElements,
    /// There are too many ways to begin.
    #[error("rules begin with one another in more than {LEFT_WALK_MAX} ways")]
    TooManyBeginnings,
    /// Its text is longer than the maximum.
    #[error("it takes more than {GBNF_BYTES_MAX} bytes")]
    TooLong,
}
