//! How much servers may say, and how long they may take.

use std::time::Duration;

use gaia_egress::StreamLimits;

/// The maxima.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Tools of one server; the rest is left out.
    pub tools_max: usize,
    /// Bytes of the names, descriptions and schemas of one server's tools together.
    pub tools_bytes_max: usize,
    /// Pages of one server's list of tools.
    pub pages_max: usize,
    /// Bytes of one message, whether it comes as an event or by itself.
    pub message_bytes_max: usize,
    /// Bytes of one reply, however many messages it holds.
    pub stream_bytes_max: usize,
    /// How long a reply may stay open.
    pub stream_time_max: Duration,
    /// How long an open reply may say nothing.
    pub silence_max: Duration,
    /// From the first look at a server's name to the end of the handshake.
    pub connect_time_max: Duration,
    /// For the list of tools, all pages together.
    pub list_time_max: Duration,
    /// How long a list is good where the server does not say that it has changed.
    pub list_age_max: Duration,
    /// Between two lists, however often the server says that it has changed.
    pub list_pause_min: Duration,
    /// After a server could not be reached once.
    pub pause_min: Duration,
    /// After it could not be reached time and again.
    pub pause_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tools_max: 128,
            tools_bytes_max: 64 << 10,
            pages_max: 16,
            message_bytes_max: 1 << 20,
            stream_bytes_max: 16 << 20,
            stream_time_max: Duration::from_secs(60 * 60),
            silence_max: Duration::from_secs(10 * 60),
            connect_time_max: Duration::from_secs(20),
            list_time_max: Duration::from_secs(20),
            list_age_max: Duration::from_secs(5 * 60),
            list_pause_min: Duration::from_secs(2),
            pause_min: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Of one reply whose first word may take as long as `head_time_max`.
    pub(crate) fn of_stream(&self, head_time_max: Duration) -> StreamLimits {
        StreamLimits {
            head_time_max,
            silence_max: self.silence_max,
            time_max: self.stream_time_max,
            bytes_max: self.stream_bytes_max,
        }
    }
}
