//! HTTP with server-sent events, as it was in 2024-11-05: one stream for all that the server says,
//! and an address that it names for all that it is told.
//!
//! Invariant: that address is of the same origin as the stream, or there is no connection.

use futures::StreamExt;
use gaia_outbound::Target;
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::LostError;
use crate::error::{chain, said};
use crate::way::{Way, WayError, events, is_event_stream, is_success, refusal};

/// Messages that wait to be looked at; a server that says more waits.
const WAITING_MAX: usize = 16;

/// A connection of two ways.
pub(crate) struct LegacySse {
    way: Way,
    endpoint: Target,
    said: mpsc::Receiver<ServerJsonRpcMessage>,
    reader: JoinHandle<()>,
}

impl Drop for LegacySse {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl LegacySse {
    /// Opens the stream and waits until the server has named its address.
    pub(crate) async fn open(way: Way) -> Result<Self, LostError> {
        let failed = |error: &WayError| LostError::Failed(said(&chain(error)));
        let mut opened = way.listen(&[]).await.map_err(|error| failed(&error))?;
        if !is_success(opened.status()) {
            return Err(failed(&refusal(&mut opened).await));
        }
        if !is_event_stream(&opened) {
            let message = "the server sends no events at that address";
            return Err(LostError::Failed(message.to_owned()));
        }
        let mut events = events(opened, way.limits.message_bytes_max);
        let endpoint = loop {
            match events.next().await {
                Some(Ok(event)) if event.event.as_deref() == Some("endpoint") => {
                    break endpoint(&way.target, event.data.as_deref().unwrap_or_default())?;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(LostError::Failed(said(&chain(&error)))),
                None => {
                    let message = "the server broke off before it named its address";
                    return Err(LostError::Failed(message.to_owned()));
                }
            }
        };
        let (say, said) = mpsc::channel(WAITING_MAX);
        let reader = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let data = event.data.unwrap_or_default();
                // What is no message is none of ours.
                let Ok(message) = serde_json::from_str(&data) else {
                    continue;
                };
                if say.send(message).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            way,
            endpoint,
            said,
            reader,
        })
    }
}

/// Where to send messages: what the server named, if that is where it is itself.
fn endpoint(target: &Target, named: &str) -> Result<Target, LostError> {
    let elsewhere = || {
        let message = format!("the server wants messages elsewhere: {}", said(named));
        LostError::Failed(message)
    };
    let endpoint = target.redirected(named).map_err(|_| elsewhere())?;
    match endpoint.origin() == target.origin() {
        true => Ok(endpoint),
        false => Err(elsewhere()),
    }
}

impl Transport<RoleClient> for LegacySse {
    type Error = WayError;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), WayError>> + Send + 'static {
        let (way, endpoint) = (self.way.clone(), self.endpoint.clone());
        async move {
            let mut opened = way.post(&endpoint, &message, &[]).await?;
            match is_success(opened.status()) {
                true => Ok(()),
                false => Err(refusal(&mut opened).await),
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        self.said.recv().await
    }

    async fn close(&mut self) -> Result<(), WayError> {
        self.reader.abort();
        self.said.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(named: &str, expected: Option<&str>) {
        let target: Target = "https://mcp.example/a/sse".parse().unwrap();
        let endpoint = endpoint(&target, named).ok();
        let endpoint = endpoint.as_ref().map(Target::path_and_query);
        assert_eq!(endpoint, expected, "{named}");
    }

    #[test]
    fn messages_go_where_the_stream_comes_from() {
        check("/messages?session=1", Some("/messages?session=1"));
        check("https://mcp.example/m", Some("/m"));
        check("https://evil.example/m", None);
        check("http://mcp.example/m", None);
        check("https://mcp.example:8443/m", None);
        check("//evil.example/m", None);
        check("https://mcp.example@evil.example/m", None);
        check("file:///etc/passwd", None);
    }
}
