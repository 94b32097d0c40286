//! What an answer may look like.
//!
//! A grammar is a tree: it is written as GBNF for the engine, and read here to say what the shortest
//! legal ending of a text is. JSON schemas are compiled to it.
//!
//! Invariant: what cannot be enforced is refused by name, never approximated.

mod class;
mod gbnf;
mod kinds;
mod prose;
mod reader;
pub mod schema;
mod tree;

pub use class::Class;
pub use kinds::Kinds;
pub use prose::{MARKERS_BYTES_MAX, MarkersError, without};
pub use reader::{CLOSING_BYTES_MAX, Reader, STATES_MAX};
pub use schema::SchemaError;
pub use tree::{
    Builder, DEPTH_MAX, ELEMENTS_MAX, Expression, GBNF_BYTES_MAX, Grammar, GrammarError,
    LEFT_WALK_MAX, RULES_MAX, RuleId, SHORTEST_BYTES_MAX,
};
