//! Continuous batching over llama.cpp
