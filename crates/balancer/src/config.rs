//! What may be chosen, with what is chosen if nobody does.

use std::time::Duration;

/// Limits and habits of a balancer.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Blocks of prompts that are remembered with the nodes that read them; about 100 bytes each.
    pub blocks_max: usize,
    /// Requests that may wait for a node of one service.
    pub waiting_max: usize,
    /// The longest that a request waits for a node, over all attempts.
    pub wait_max: Duration,
    /// The longest that a node may take to its first byte; then it is another's turn.
    pub first_byte_max: Duration,
    /// A node of which nothing was heard so long is ejected.
    pub silence_max: Duration,
    /// Requests that a node may have waiting before its sequences, as a part of these: they bridge the way to the
    /// gateway and back.
    pub ahead: f64,
    /// How often a request is sent at most.
    pub attempts_max: usize,
    /// Attempts after a node's error, as a part of the requests that arrive. Those after a broken connection are
    /// beside it: each node can break but once before it is ejected.
    pub retry_fraction: f64,
    /// A request that takes so many times what was predicted is sent to a second node too, within the budget of
    /// retries. `None`: never.
    pub hedge: Option<f64>,
    /// Failures in a row that eject a node.
    pub failures_max: u32,
    /// The part of a node's requests that may fail, once there were some.
    pub error_rate_max: f64,
    /// A node so many times slower than the others, measured against what is predicted, is ejected.
    pub slowness_max: f64,
    /// The part of all nodes that may be ejected for errors or slowness. A broken connection is no matter of choice.
    pub ejected_fraction_max: f64,
    /// How long a node is out at least; each ejection that follows doubles it.
    pub eject_min: Duration,
    /// How long a node is out at most, before it is probed again.
    pub eject_max: Duration,
    /// A node that was well for so long has its ejections forgotten.
    pub forgive_after: Duration,
    /// How long a node that joins or returns takes to get as many requests at a time as any.
    pub slow_start: Duration,
    /// Tokens a second that a node reads, where it has not said.
    pub reading_default: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            blocks_max: 131_072,
            waiting_max: 1_024,
            wait_max: Duration::from_secs(10),
            first_byte_max: Duration::from_secs(60),
            silence_max: Duration::from_millis(900),
            ahead: 0.25,
            attempts_max: 3,
            retry_fraction: 0.2,
            hedge: None,
            failures_max: 3,
            error_rate_max: 0.5,
            slowness_max: 5.0,
            ejected_fraction_max: 0.5,
            eject_min: Duration::from_millis(500),
            eject_max: Duration::from_secs(60),
            forgive_after: Duration::from_secs(60),
            slow_start: Duration::from_secs(5),
            reading_default: 500.0,
        }
    }
}
