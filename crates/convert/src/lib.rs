//! Turns a safetensors BERT model into a GGUF file
