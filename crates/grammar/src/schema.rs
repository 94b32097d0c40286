//! JSON schemas (draft 2020-12) as grammars.
//!
//! Invariant: every text of the grammar is JSON that is valid against the schema. A keyword that cannot
//! be held to is refused by name.

mod apart;
mod decimal;
mod facets;
mod format;
mod merge;
mod number;
mod pattern;
mod read;
mod readable;
mod readings;
mod text;
mod trie;
mod write;

use serde_json::Value;

use crate::{Builder, Expression, Grammar};

pub use apart::COMPARISONS_MAX;
pub use decimal::DIGITS_MAX;
pub use merge::{WAYS_MAX, WORK_MAX};
pub use number::{MULTIPLES_MAX, STEP_MAX};
pub use read::NAME_BYTES_MAX;
pub use readable::{PLACES_AT_ONCE_MAX, PLACES_MAX};
pub use readings::READINGS_MAX;
pub use write::{ANY_DEPTH_MAX, OPTIONAL_MAX};

/// What a length or a count is at least or, where it is a repetition of a pattern, at most. A longer maximum
/// is taken for this one: shorter texts satisfy it too.
pub const REPETITIONS_MAX: u32 = 8192;

/// Maxima that a schema is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the schema as JSON.
    pub bytes_max: usize,
    /// Levels of nesting in it.
    pub depth_max: usize,
    /// Subschemas, each as often as it is combined with others.
    pub nodes_max: usize,
    /// Values of all `enum` lists together.
    pub enum_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 10,
            depth_max: 16,
            nodes_max: 1000,
            enum_max: 1000,
        }
    }
}

/// Why a schema is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at {at}")]
pub struct SchemaError {
    /// JSON pointer to the place, such as `#/properties/name`.
    pub at: String,
    /// What is wrong there.
    pub reason: String,
}

fn fail(at: &str, reason: impl Into<String>) -> SchemaError {
    SchemaError {
        at: at.to_owned(),
        reason: reason.into(),
    }
}

/// The grammar of JSON texts that are valid against `schema`.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn compile(schema: &Value, limits: &Limits) -> Result<Grammar, SchemaError> {
    let mut builder = Builder::new();
    let root = add(&mut builder, schema, limits)?;
    builder
        .finish(root)
        .map_err(|error| fail("#", error.to_string()))
}

/// Adds the rules of `schema` to a grammar that is being built, and gives what stands for a valid JSON
/// text in it. Where it is refused, the builder is as it was before.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn add(
    builder: &mut Builder,
    schema: &Value,
    limits: &Limits,
) -> Result<Expression, SchemaError> {
    if schema.to_string().len() > limits.bytes_max {
        let max = limits.bytes_max;
        return Err(fail("#", format!("schema is larger than {max} bytes")));
    }
    let before = builder.len();
    let added = compile_into(builder, schema, limits);
    if added.is_err() {
        builder.truncate(before);
    }
    added
}

fn compile_into(
    builder: &mut Builder,
    schema: &Value,
    limits: &Limits,
) -> Result<Expression, SchemaError> {
    let nodes = merge::nodes(schema, limits)?;
    let comparison = apart::Comparison::new(&nodes);
    comparison.check_choices()?;
    readings::check(&comparison)?;
    write::write(builder, &nodes)
}
