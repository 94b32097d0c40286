//! How much memory a model may use on this machine.

use std::fs;

use gaia_gguf::Available;

/// The share of the available memory that a model may take; the rest is for everything else the
/// node runs, and for what starts later.
pub const MEMORY_SHARE_PERCENT: u64 = 75;

/// The memory that programs can still have, in this container if it is one; none where the system
/// does not say.
pub fn available_memory() -> Option<Available> {
    Available::of(|path| fs::read_to_string(path).ok())
}

/// The memory a model may use now, in bytes; none where the system does not say.
pub fn usable_memory_bytes() -> Option<u64> {
    Some(available_memory()?.bytes / 100 * MEMORY_SHARE_PERCENT)
}
