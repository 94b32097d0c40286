//! Which server, as the node's owner describes it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use gaia_egress::HeaderText;
use gaia_outbound::Target;

/// Headers with their secrets in them, or why they cannot be had.
pub type Headers = Result<Vec<(String, HeaderText)>, String>;

/// Gives the headers that are sent along, when a connection is opened.
#[derive(Clone)]
pub struct Credentials(Arc<dyn Fn() -> BoxFuture<'static, Headers> + Send + Sync>);

impl Credentials {
    /// From what gives them.
    pub fn new<F>(give: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Headers> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(give())))
    }

    /// No headers.
    pub fn none() -> Self {
        Self::new(|| async { Ok(Vec::new()) })
    }

    pub(crate) async fn give(&self) -> Headers {
        (self.0)().await
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Streamable HTTP.
    #[default]
    Http,
    /// HTTP with server-sent events, as of 2024-11-05.
    Sse,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Server {
    /// What its tools' names begin with.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// How it is spoken to.
    pub transport: Transport,
    /// What is sent along.
    pub credentials: Credentials,
    /// The only tools of it that are used, by its own names; none given: all.
    pub only: Vec<String>,
    /// The longest that a call may take.
    pub call_time_max: Duration,
    /// The longest answer, in bytes.
    pub answer_bytes_max: usize,
}
