//! How models of each family write tool calls.
//!
//! A format is chosen from the model's chat template. It says what grammar holds the model to calls that parse,
//! and reads what the model wrote, piece by piece.
//!
//! Invariant: the same text in other pieces gives the same parts.
