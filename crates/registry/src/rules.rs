//! When members of a domain rise and fall.

use gaia_statements::CountTolerance;

/// The most nodes a domain remembers, those that left among them.
pub const MEMBERS_MAX: usize = 100_000;

/// When members rise and fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Silence of so many seconds suspends.
    pub silence_seconds_max: u64,
    /// So far a node's clock may be off.
    pub clock_skew_seconds_max: u64,
    /// So many canaries end the probation.
    pub canaries_to_serve: u32,
    /// So many failed in a row suspend.
    pub canaries_failed_max: u32,
    /// After so many seconds one who failed canaries is tried again.
    pub canary_pause_seconds: u64,
    /// How far a node's count may be off.
    pub tolerance: CountTolerance,
    /// So many counts further off suspend...
    pub counts_differed_max: u32,
    /// ...within so many seconds.
    pub counts_window_seconds: u64,
    /// After so many seconds, one who left or fell silent in good standing is forgotten; never before its
    /// last statement has expired, or that could be replayed.
    pub forget_seconds: u64,
    /// So many nodes are remembered; [`MEMBERS_MAX`] unless said otherwise.
    pub members_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            silence_seconds_max: 30,
            clock_skew_seconds_max: 60,
            canaries_to_serve: 2,
            canaries_failed_max: 3,
            canary_pause_seconds: 600,
            tolerance: CountTolerance::default(),
            counts_differed_max: 5,
            counts_window_seconds: 86_400,
            forget_seconds: 7 * 86_400,
            members_max: MEMBERS_MAX,
        }
    }
}
