//! Chunking, query building, context assembly and citations
