//! Chat templates, rag_prompt policies and the token budget
