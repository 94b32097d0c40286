//! What an answer may look like.
//!
//! A grammar is a tree: it is written as GBNF for the engine, and read here to say what the shortest
//! legal ending of a text is. JSON schemas are compiled to it.
//!
//! Invariant: what cannot be enforced is refused by name, never approximated.
