//! Qdrant's REST types: what requests carry and replies hold.
//!
//! Filters, points, payload schemas and search parameters are read by the engine's own types;
//! here is what the engine has no JSON for.

pub(crate) mod collection;
pub(crate) mod formula;
pub(crate) mod point;
pub(crate) mod query;
pub(crate) mod reply;
