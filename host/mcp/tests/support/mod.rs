//! MCP servers of a few lines, and a node's side of them.

#![allow(dead_code, reason = "not every test file needs all of it")]

#[path = "../../../egress/tests/support/mod.rs"]
mod http;

use std::sync::Arc;
use std::time::Duration;

use gaia_egress::{Egress, HeaderText, Limits as EgressLimits};
use gaia_mcp::{Answer, CallError, Credentials, Limits, Listing, Server, Servers, Transport};
use gaia_outbound::AllowList;
pub use http::{Reply, Server as Web};
use serde_json::{Value, json};

/// Long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One message to a server.
#[derive(Debug)]
pub struct Said {
    pub http_method: String,
    pub head: String,
    pub message: Value,
}

impl Said {
    pub fn read(request: &str) -> Self {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        Self {
            http_method: head.split(' ').next().unwrap().to_owned(),
            head: head.to_owned(),
            message: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    pub fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub fn params(&self) -> &Value {
        &self.message["params"]
    }

    /// The answer to it, as JSON.
    pub fn result(&self, result: Value) -> Reply {
        let answer = json!({"jsonrpc": "2.0", "id": self.message["id"], "result": result});
        Reply::of(
            "200 OK",
            "content-type: application/json\r\n",
            &answer.to_string(),
        )
    }

    /// The answer to it, as an event after `others`.
    pub fn event(&self, others: &[Value], result: Value) -> Reply {
        let answer = json!({"jsonrpc": "2.0", "id": self.message["id"], "result": result});
        let all = others.iter().chain([&answer]);
        let events: String = all.map(|message| format!("data: {message}\n\n")).collect();
        Reply::of("200 OK", "content-type: text/event-stream\r\n", &events)
    }

    pub fn error(&self, code: i32, message: &str) -> Reply {
        let error = json!({"code": code, "message": message});
        let answer = json!({"jsonrpc": "2.0", "id": self.message["id"], "error": error});
        Reply::of(
            "200 OK",
            "content-type: application/json\r\n",
            &answer.to_string(),
        )
    }
}

/// What a well-behaved server with a handshake says, but for its tools.
pub fn polite(said: &Said) -> Reply {
    match (said.http_method.as_str(), said.method()) {
        ("GET", _) => Reply::of("405 Method Not Allowed", "", ""),
        ("DELETE", _) => Reply::of("200 OK", "", ""),
        (_, "initialize") => said.result(json!({
            "protocolVersion": said.params()["protocolVersion"],
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "test", "version": "1"},
        })),
        (_, method) if method.starts_with("notifications/") => Reply::of("202 Accepted", "", ""),
        _ => said.error(-32601, "unknown method"),
    }
}

/// Tools of these names that take an object.
pub fn tools(names: &[&str]) -> Value {
    let tool = |name: &&str| json!({"name": name, "description": "does it", "inputSchema": {"type": "object"}});
    json!({"tools": names.iter().map(tool).collect::<Vec<_>>()})
}

/// A tool's answer.
pub fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

/// A server that says `special`, and what is polite where that has nothing to say.
pub async fn server(special: impl Fn(&Said) -> Option<Reply> + Send + Sync + 'static) -> Web {
    Web::start(move |request| {
        let said = Said::read(request);
        special(&said).unwrap_or_else(|| polite(&said))
    })
    .await
}

/// A node that knows one server.
pub struct Node {
    pub egress: Arc<Egress>,
    pub servers: Servers,
}

/// The server at `url` as an owner would describe it; it is sent a secret.
pub fn described(url: &str, transport: Transport) -> Server {
    let headers = || async {
        let secret = HeaderText::plain("Bearer ").and_hidden("s3cret-key");
        Ok(vec![("authorization".to_owned(), secret)])
    };
    Server {
        name: "news".to_owned(),
        target: url.parse().unwrap(),
        transport,
        credentials: Credentials::new(headers),
        only: Vec::new(),
        call_time_max: PATIENCE,
        answer_bytes_max: 10_000,
    }
}

/// Limits that make no test wait.
pub fn limits() -> Limits {
    Limits {
        pause_min: Duration::from_millis(1),
        pause_max: Duration::from_millis(1),
        list_pause_min: Duration::ZERO,
        ..Limits::default()
    }
}

impl Node {
    /// That may reach `origin` alone.
    pub fn new(origin: &str, server: Server, limits: &Limits) -> Self {
        let allow = AllowList::new(Vec::new(), vec![origin.parse().unwrap()]);
        let egress = Arc::new(Egress::new(allow, EgressLimits::default()));
        let servers = Servers::new(Arc::clone(&egress), vec![server], limits);
        Self { egress, servers }
    }

    pub fn of(web: &Web) -> Self {
        let server = described(&web.url("/mcp"), Transport::Http);
        Self::new(&web.origin(), server, &limits())
    }

    pub async fn listing(&self) -> Listing {
        self.servers.listing("news", PATIENCE).await.unwrap()
    }

    /// The names of the tools that are offered.
    pub async fn names(&self) -> Vec<String> {
        let listing = self.listing().await;
        listing.tools.into_iter().map(|tool| tool.name).collect()
    }

    pub async fn call(&self, name: &str, arguments: Value) -> Result<Answer, CallError> {
        let turn = self.egress.turn();
        self.servers.call(&turn, name, &arguments).await
    }
}

pub fn answered(text: &str) -> Answer {
    Answer {
        text: text.to_owned(),
        failed: false,
    }
}
