//! Qdrant's REST API over its own engine
