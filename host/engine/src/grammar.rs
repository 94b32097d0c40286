//! Grammars that force the shape of an answer.
//!
//! llama.cpp parses GBNF by recursive descent and compiles JSON schemas likewise; text from a
//! stranger could exhaust the stack of the thread that does it. Length and nesting are bounded here
//! before it sees any of it.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;

/// The longest grammar, written or compiled from a schema, in bytes.
pub const GRAMMAR_BYTES_MAX: usize = 128 << 10;

/// The longest JSON schema, in bytes.
pub const SCHEMA_BYTES_MAX: usize = 64 << 10;

/// How deep groups in a grammar may nest.
pub const GRAMMAR_DEPTH_MAX: usize = 64;

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
    if depth(&text) > GRAMMAR_DEPTH_MAX {
        return Err(GrammarError::TooDeep);
    }
    LlamaSampler::grammar(model, &text, "root").map_err(|_| GrammarError::Syntax)
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

/// The deepest nesting of `(`. Those in literals count too, which only makes the bound stricter for
/// grammars that spell out many of them.
fn depth(grammar: &str) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    for byte in grammar.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'\n' => {}
            _ => continue,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_open_groups() {
        assert_eq!(depth("root ::= \"a\""), 0);
        assert_eq!(depth("root ::= ((\"a\") | (\"b\"))"), 2);
        assert_eq!(depth(&"(".repeat(100)), 100);
    }

    #[test]
    fn schemas_are_bounded_and_checked() {
        let long = format!("\"{}\"", "x".repeat(SCHEMA_BYTES_MAX));
        assert!(matches!(from_schema(&long), Err(GrammarError::TooLong { .. })));
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
