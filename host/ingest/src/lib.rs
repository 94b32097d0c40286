//! Brings documents into a node's knowledge base and measures how well they are found.
