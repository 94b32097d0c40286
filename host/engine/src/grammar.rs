//! Grammars that force the shape of an answer.
//!
//! llama.cpp parses GBNF by recursive descent, follows rules recursively, writes repetitions out and
//! does not expect `{5,2}`; text from a stranger could exhaust a stack or the memory. Length, nesting
//! and repetitions are bounded here before it sees any of it, and it works on a thread whose stack is
//! enough for what is left.

use std::thread;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;

/// The longest grammar, written or compiled from a schema, in bytes.
pub const GRAMMAR_BYTES_MAX: usize = 128 << 10;

/// The longest JSON schema, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// How deep groups in a grammar may nest.
pub const GRAMMAR_DEPTH_MAX: usize = 64;

/// How many bytes of grammar there may be once repetitions are written out.
pub const GRAMMAR_WRITTEN_OUT_MAX: usize = 4 << 20;

/// A chain of rules has fewer links than the grammar has bytes, and a link takes a few hundred bytes.
const STACK_BYTES: usize = 64 << 20;

/// A grammar as it comes with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grammar {
    /// llama.cpp's own notation; the rule `root` is the whole answer.
    Gbnf(String),
    /// A JSON schema as text.
    JsonSchema(String),
}

/// Why a grammar was refused.
#[derive(Debug, thiserror::Error)]
pub enum GrammarError {
    /// Longer than its maximum.
    #[error("{what} has {found} bytes, the maximum is {max}")]
    TooLong {
        /// Grammar or schema.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The maximum.
        max: usize,
    },
    /// Groups nest deeper than [`GRAMMAR_DEPTH_MAX`].
    #[error("groups in the grammar nest deeper than {GRAMMAR_DEPTH_MAX}")]
    TooDeep,
    /// A repetition `{m,n}` with m above n.
    #[error("a repetition in the grammar ends before it starts")]
    Backwards,
    /// Repetitions make more of it than [`GRAMMAR_WRITTEN_OUT_MAX`].
    #[error(
        "written out, the grammar's repetitions have more than {GRAMMAR_WRITTEN_OUT_MAX} bytes"
    )]
    TooManyRepetitions,
    /// There was no thread to compile it on.
    #[error("failed to start a thread for the grammar")]
    Thread(#[source] std::io::Error),
    /// The schema is not JSON.
    #[error("the schema is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// llama.cpp cannot express the schema.
    #[error("the schema uses something that cannot be turned into a grammar")]
    Schema,
    /// llama.cpp does not understand the grammar.
    #[error("the grammar has an error, or no rule `root`")]
    Syntax,
}

/// Compiles `grammar` for `model`.
pub(crate) fn compile(model: &LlamaModel, grammar: &Grammar) -> Result<LlamaSampler, GrammarError> {
    let text = match grammar {
        Grammar::Gbnf(text) => text.clone(),
        Grammar::JsonSchema(schema) => from_schema(schema)?,
    };
    check_size("the grammar", &text, GRAMMAR_BYTES_MAX)?;
    check_shape(&text)?;
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK_BYTES);
        let compile = || LlamaSampler::grammar(model, &text, "root");
        let thread = builder
            .spawn_scoped(scope, compile)
            .map_err(GrammarError::Thread)?;
        match thread.join() {
            Ok(Ok(sampler)) => Ok(sampler),
            Ok(Err(_)) | Err(_) => Err(GrammarError::Syntax),
        }
    })
}

fn from_schema(schema: &str) -> Result<String, GrammarError> {
    check_size("the schema", schema, SCHEMA_BYTES_MAX)?;
    // serde_json refuses what nests deeper than 128, which the compiler's recursion then cannot.
    let parsed: serde_json::Value = serde_json::from_str(schema).map_err(GrammarError::NotJson)?;
    llama_cpp_2::json_schema_to_grammar(&parsed.to_string()).map_err(|_| GrammarError::Schema)
}

fn check_size(what: &'static str, text: &str, max: usize) -> Result<(), GrammarError> {
    let found = text.len();
    match found > max {
        true => Err(GrammarError::TooLong { what, found, max }),
        false => Ok(()),
    }
}

/// Walks over the grammar's items and bounds nesting and repetitions. Syntax is llama.cpp's to check.
fn check_shape(grammar: &str) -> Result<(), GrammarError> {
    let bytes = grammar.as_bytes();
    let mut groups = Vec::new();
    let mut written_out = bytes.len();
    // Where the item before a repetition starts.
    let mut item = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b'"' => end_of_quoted(bytes, at, b'"'),
            b'[' => end_of_quoted(bytes, at, b']'),
            b'#' => {
                at + bytes[at..]
                    .iter()
                    .take_while(|byte| **byte != b'\n')
                    .count()
            }
            b'{' => at + bytes[at..].iter().take_while(|byte| **byte != b'}').count(),
            _ => at + 1,
        };
        match byte {
            b'(' => groups.push(at),
            b')' => item = groups.pop().unwrap_or(at),
            b'{' => {
                let times = repetitions(&bytes[at + 1..end.max(at + 1)])?;
                written_out = written_out.saturating_add(times.saturating_mul(at - item));
            }
            b'"' | b'[' | b'.' | b'<' => item = at,
            byte if is_name(*byte) && (at == 0 || !is_name(bytes[at - 1])) => item = at,
            _ => {}
        }
        if groups.len() > GRAMMAR_DEPTH_MAX {
            return Err(GrammarError::TooDeep);
        }
        at = end.max(at + 1);
    }
    match written_out > GRAMMAR_WRITTEN_OUT_MAX {
        true => Err(GrammarError::TooManyRepetitions),
        false => Ok(()),
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// The place behind the closing `quote`; a backslash takes the next byte with it.
fn end_of_quoted(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            byte if *byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// How often the inside of `{m}`, `{m,}` or `{m,n}` repeats at least or, if bounded, at most.
fn repetitions(inside: &[u8]) -> Result<usize, GrammarError> {
    let text = String::from_utf8_lossy(inside);
    let number = |text: &str| text.trim().parse::<usize>().ok();
    match text.split_once(',') {
        None => Ok(number(&text).unwrap_or(0)),
        Some((min, max)) => match (number(min), number(max)) {
            (Some(min), Some(max)) if min > max => Err(GrammarError::Backwards),
            // Above this many llama.cpp takes a maximum for none.
            (_, Some(max)) if max <= 2000 => Ok(max),
            (min, _) => Ok(min.unwrap_or(0)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_bounded() {
        let nested =
            |depth: usize| format!("root ::= {}\"a\"{}", "(".repeat(depth), ")".repeat(depth));
        assert!(check_shape(&nested(GRAMMAR_DEPTH_MAX)).is_ok());
        assert!(matches!(
            check_shape(&nested(GRAMMAR_DEPTH_MAX + 1)),
            Err(GrammarError::TooDeep)
        ));
        // Neither literals, nor classes, nor comments nest.
        let quoted = "(".repeat(100);
        for grammar in [
            format!("root ::= \"{quoted}\""),
            format!("root ::= [{quoted}]"),
            format!("# {quoted}"),
        ] {
            assert!(check_shape(&grammar).is_ok(), "{grammar}");
        }
        assert!(check_shape(r#"root ::= "\"((" [^\]((]"#).is_ok());
    }

    #[test]
    fn repetitions_are_bounded() {
        let backwards =
            |grammar: &str| matches!(check_shape(grammar), Err(GrammarError::Backwards));
        assert!(backwards(r#"root ::= "a"{5,2}"#));
        assert!(backwards(r#"root ::= "a"{ 5 , 2 }"#));
        assert!(!backwards(r#"root ::= "{5,2}" "a"{2,5} "b"{3} "c"{4,}"#));
        let long = format!("root ::= \"{}\"{{2000}}", "x".repeat(3000));
        assert!(matches!(
            check_shape(&long),
            Err(GrammarError::TooManyRepetitions)
        ));
        let group = format!("root ::= (\"{}\"){{2000}}", "x".repeat(3000));
        assert!(matches!(
            check_shape(&group),
            Err(GrammarError::TooManyRepetitions)
        ));
        assert!(check_shape("root ::= [a-z]{2000} \"x\"{1,100000000}").is_ok());
    }

    #[test]
    fn unfinished_grammars_are_walked_to_their_end() {
        for grammar in [
            "\"",
            "[",
            "{",
            "\"\\",
            "(",
            ")",
            "{,",
            "# x",
            "",
            "root ::= {5",
        ] {
            assert!(check_shape(grammar).is_ok(), "{grammar}");
        }
    }

    #[test]
    fn schemas_are_bounded_and_checked() {
        let long = format!("\"{}\"", "x".repeat(SCHEMA_BYTES_MAX));
        assert!(matches!(
            from_schema(&long),
            Err(GrammarError::TooLong { .. })
        ));
        assert!(matches!(from_schema("{"), Err(GrammarError::NotJson(_))));
        let deep = "[".repeat(1000);
        assert!(matches!(from_schema(&deep), Err(GrammarError::NotJson(_))));
        assert!(matches!(
            from_schema(r#"{"type":"nonsense"}"#),
            Err(GrammarError::Schema)
        ));
        assert!(from_schema(r#"{"type":"boolean"}"#).is_ok_and(|text| text.contains("root")));
    }
}
