//! Reads and writes GGUF headers defensively, from bytes
