//! What models of each family write, held against the grammar and taken apart by the parser.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod bounds;
mod grammars;
mod mistakes;
mod pieces;
mod reasoning;
mod samples;
mod templates;
mod walks;
