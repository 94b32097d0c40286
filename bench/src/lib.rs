//! What all measurements share: programs that are started and watched, numbers that are summed up, kept and shown.

pub mod child;
pub mod foreground;
pub mod machine;
pub mod memory;
pub mod report;
pub mod statistics;
