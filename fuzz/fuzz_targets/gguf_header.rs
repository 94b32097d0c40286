//! The reader of model files against whatever a stranger may put into one.
//!
//! The property test `crates/gguf/tests/hostile.rs` looks at the same thing in its own way.

#![no_main]

use gaia_gguf::Header;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = Header::from_bytes(bytes) {
        let facts = header.facts();
        let _ = facts.memory_bytes(facts.context_length.unwrap_or(u64::MAX));
        for tensor in header.tensors() {
            assert!(tensor.offset + tensor.bytes <= bytes.len() as u64);
        }
    }
});
