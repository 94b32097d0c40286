//! One open connection to a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gaia_egress::Egress;
use rmcp::RoleClient;
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation,
    JsonObject, PaginatedRequestParams, ProtocolVersion, SubscriptionFilter, Tool,
};
use rmcp::service::{
    ClientLifecycleMode, NotificationContext, Peer, RunningService, serve_client,
    serve_client_with_lifecycle,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::SseRetryPolicy;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::answer::Answer;
use crate::legacy::LegacySse;
use crate::way::Way;
use crate::{CallError, Limits, LostError, Server, Transport};

/// How often a broken stream is opened again before the connection counts as lost.
const REOPENED_MAX: usize = 6;
/// The longest cursor of a list that is sent back, in bytes.
const CURSOR_BYTES_MAX: usize = 1024;

/// A server that shook hands. Dropped, the connection ends.
#[derive(Debug)]
pub(crate) struct Connection {
    service: RunningService<RoleClient, Listener>,
    changed: Arc<AtomicBool>,
    subscription: Option<JoinHandle<()>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(subscription) = &self.subscription {
            subscription.abort();
        }
    }
}

/// Hears what a server says by itself: whether its list changed, and nothing else. What a server may
/// ask a client for is refused by the handler's defaults.
#[derive(Debug)]
struct Listener {
    changed: Arc<AtomicBool>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        let node = Implementation::new("gaia", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), node)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.store(true, Ordering::Relaxed);
    }
}

/// How long to wait before a broken stream is opened again: longer each time.
#[derive(Debug)]
struct Pauses {
    min: Duration,
    max: Duration,
}

impl SseRetryPolicy for Pauses {
    fn retry(&self, times: usize) -> Option<Duration> {
        let doubled = u32::try_from(times).unwrap_or(u32::MAX).min(16);
        let pause = self.min.saturating_mul(1 << doubled).min(self.max);
        (times < REOPENED_MAX).then_some(pause)
    }
}

impl Connection {
    /// Connects and shakes hands.
    pub(crate) async fn open(
        server: &Server,
        egress: &Arc<Egress>,
        limits: &Limits,
    ) -> Result<Self, LostError> {
        let opening = Self::shake_hands(server, egress, limits);
        let opened = timeout(limits.connect_time_max, opening).await;
        opened.unwrap_or(Err(LostError::TooSlow(limits.connect_time_max)))
    }

    async fn shake_hands(
        server: &Server,
        egress: &Arc<Egress>,
        limits: &Limits,
    ) -> Result<Self, LostError> {
        let headers = server.credentials.give().await;
        let headers = headers.map_err(LostError::Credentials)?;
        let way = Way {
            egress: Arc::clone(egress),
            target: server.target.clone(),
            headers: headers.into(),
            limits: limits.clone(),
            head_time_max: server.call_time_max.max(limits.connect_time_max),
        };
        let changed = Arc::<AtomicBool>::default();
        let listener = Listener {
            changed: Arc::clone(&changed),
        };
        let service = match server.transport {
            Transport::Http => {
                let transport = streamable(way, limits);
                serve_client_with_lifecycle(listener, transport, newest_first()).await?
            }
            Transport::Sse => serve_client(listener, LegacySse::open(way).await?).await?,
        };
        let subscription = subscribe(service.peer(), &changed);
        Ok(Self {
            service,
            changed,
            subscription,
        })
    }

    /// Whether nothing more comes by it.
    pub(crate) fn is_lost(&self) -> bool {
        self.service.is_closed() || self.service.peer().is_transport_closed()
    }

    /// Whether the server has said that its list changed since this was last asked.
    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    /// Whether it has said so, left as it is.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed)
    }

    /// The server's tools, as many as are looked at.
    pub(crate) async fn list(&self, limits: &Limits) -> Result<Vec<Tool>, LostError> {
        let max = limits.list_time_max;
        let listed = timeout(max, self.pages(limits)).await;
        listed.unwrap_or(Err(LostError::TooSlow(max)))
    }

    async fn pages(&self, limits: &Limits) -> Result<Vec<Tool>, LostError> {
        let mut tools = Vec::new();
        let mut cursor = None;
        for _ in 0..limits.pages_max {
            let page = PaginatedRequestParams::default().with_cursor(cursor);
            let page = self.service.peer().list_tools(Some(page)).await?;
            tools.extend(page.tools);
            cursor = page
                .next_cursor
                .filter(|next| next.len() <= CURSOR_BYTES_MAX);
            // One more than is offered, so that somebody says that there are too many.
            if cursor.is_none() || tools.len() > limits.tools_max {
                break;
            }
        }
        Ok(tools)
    }

    /// Calls a tool by the server's own name for it. Dropped before it ends, the call is cancelled.
    pub(crate) async fn call(
        &self,
        server: &Server,
        own_name: &str,
        arguments: JsonObject,
    ) -> Result<Answer, CallError> {
        let max = server.call_time_max;
        let call = CallToolRequestParams::new(own_name.to_owned()).with_arguments(arguments);
        let called = timeout(max, self.service.peer().call_tool_once(call)).await;
        let called = called.map_err(|_| CallError::TooSlow { max })??;
        let unexpected = |what: &str| CallError::NoAnswer(what.to_owned());
        match called {
            CallToolResponse::Complete(result) => Answer::of(&result, server.answer_bytes_max),
            CallToolResponse::InputRequired(_) => {
                Err(unexpected("it asks back, and nobody here may answer"))
            }
            _ => Err(unexpected("it would answer later")),
        }
    }
}

fn streamable(way: Way, limits: &Limits) -> StreamableHttpClientTransport<Way> {
    // The way knows where it leads; this is a name for messages.
    let mut config = StreamableHttpClientTransportConfig::with_uri(way.target.origin().to_string());
    config.max_sse_event_size = limits.message_bytes_max;
    config.retry_config = Arc::new(Pauses {
        min: limits.pause_min,
        max: limits.pause_max,
    });
    StreamableHttpClientTransport::with_client(way, config)
}

/// The newest revision, and for servers that do not know it the newest with a handshake.
fn newest_first() -> ClientLifecycleMode {
    ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::LATEST],
        legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
    }
}

/// Asks to be told of changes where the revision wants to be asked; others tell by themselves.
fn subscribe(peer: &Peer<RoleClient>, changed: &Arc<AtomicBool>) -> Option<JoinHandle<()>> {
    let info = peer.peer_info()?;
    if info.protocol_version.has_initialize() {
        return None;
    }
    let tells = info.capabilities.tools.as_ref()?.list_changed == Some(true);
    let (peer, changed) = (peer.clone(), Arc::clone(changed));
    let listening = async move {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        // Without it, lists grow old.
        let Ok(mut subscription) = peer.listen(filter).await else {
            return;
        };
        while let Ok(Some(_)) = subscription.next().await {
            changed.store(true, Ordering::Relaxed);
        }
    };
    tells.then(|| tokio::spawn(listening))
}
