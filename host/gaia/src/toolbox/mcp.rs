//! The MCP servers of the table, as their client takes them.

use std::sync::Arc;
use std::time::Duration;

use gaia_mcp::{Credentials, Limits, Server, Servers, Transport};
use gaia_outbound::{McpServer, ServerTransport};

use super::Toolbox;

impl Toolbox {
    /// The servers of the table, by the same way out as its tools. Nothing is asked of them yet.
    pub fn servers(&self, credentials: impl Fn(&McpServer) -> Credentials) -> Servers {
        let servers = self.table.servers.iter();
        let servers = servers.map(|server| client_of(server, credentials(server)));
        Servers::new(
            Arc::clone(&self.egress),
            servers.collect(),
            &Limits::default(),
        )
    }
}

fn client_of(server: &McpServer, credentials: Credentials) -> Server {
    Server {
        name: server.name.clone(),
        target: server.url.clone(),
        transport: match server.transport {
            ServerTransport::Http => Transport::Http,
            ServerTransport::Sse => Transport::Sse,
        },
        credentials,
        only: server.only.clone(),
        call_time_max: Duration::from_millis(server.time_ms.into()),
        answer_bytes_max: usize::try_from(server.reply_bytes).unwrap_or(usize::MAX),
    }
}
