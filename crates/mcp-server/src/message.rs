//! One message of the protocol, read and answered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::tools::{Answer, Tool};

/// The revision without a handshake.
const NEWEST: &str = "2026-07-28";
/// The newest revision with one.
const NEWEST_WITH_HANDSHAKE: &str = "2025-11-25";
/// All that are spoken, the newest first.
const REVISIONS: [&str; 5] = [
    NEWEST,
    NEWEST_WITH_HANDSHAKE,
    "2025-06-18",
    "2025-03-26",
    "2024-11-05",
];

/// Where a request says by itself which revision it is in.
const META_REVISION: &str = "io.modelcontextprotocol/protocolVersion";
/// Where an answer says whose it is.
const META_SERVER: &str = "io.modelcontextprotocol/serverInfo";

/// How long what never changes while a node runs may be kept, in milliseconds.
const KEPT_MS: u64 = 60_000;

/// The longest id of a request, in bytes.
const ID_BYTES_MAX: usize = 256;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const HEADER_MISMATCH: i32 = -32020;
const UNSUPPORTED_REVISION: i32 = -32022;

/// What the headers of a request say about its message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    /// `MCP-Protocol-Version`.
    pub revision: Option<&'a str>,
    /// `Mcp-Method`.
    pub method: Option<&'a str>,
    /// `Mcp-Name`.
    pub name: Option<&'a str>,
}

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Nothing but this.
    Reply(Reply),
    /// Something that the node does first.
    Call(Call),
}

/// What is said over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// JSON; none where nothing is to be said.
    pub body: Option<String>,
}

/// A tool's call: one request to the node's own API.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    tool: Tool,
    body: String,
    asked: Asked,
}

impl Call {
    /// Where the request goes, by `POST`.
    pub fn path(&self) -> &'static str {
        self.tool.path()
    }

    /// Its body, JSON.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The answer, from the node's.
    pub fn reply(&self, status: u16, body: &[u8]) -> Reply {
        self.asked.tool_result(&self.tool.answer(status, body))
    }
}

/// Who asked, and in which revision.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    id: Value,
    is_newest: bool,
}

/// Reads one message, and answers it if that needs nobody else.
pub fn hear(labels: &Labels<'_>, body: &[u8]) -> Heard {
    let nobody = Asked {
        id: Value::Null,
        is_newest: false,
    };
    let refused = |code, message: &str| Heard::Reply(nobody.refusal(code, message, None));
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return refused(PARSE_ERROR, "the body is no JSON");
    };
    let Value::Object(message) = message else {
        return refused(INVALID_REQUEST, "the body must be one message");
    };
    if message.get("jsonrpc") != Some(&json!("2.0")) {
        return refused(INVALID_REQUEST, "the message must say \"jsonrpc\": \"2.0\"");
    }
    match (message.get("method"), message.get("id")) {
        (Some(Value::String(_)), None) | (None, Some(_)) => Heard::Reply(Reply {
            // A notification, or an answer to what was never asked: taken note of.
            status: 202,
            body: None,
        }),
        (Some(Value::String(method)), Some(id)) if is_id(id) => {
            hear_request(labels, method, id, message.get("params"))
        }
        _ => refused(
            INVALID_REQUEST,
            "the message is neither request, notification nor answer",
        ),
    }
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= ID_BYTES_MAX,
        Value::Number(_) => true,
        _ => false,
    }
}

fn hear_request(labels: &Labels<'_>, method: &str, id: &Value, params: Option<&Value>) -> Heard {
    let no_params = Map::new();
    let (params, is_object) = match params {
        None => (&no_params, true),
        Some(Value::Object(params)) => (params, true),
        Some(_) => (&no_params, false),
    };
    let by_itself = params
        .get("_meta")
        .and_then(|meta| meta.get(META_REVISION))
        .and_then(Value::as_str);
    let revision = by_itself.or(labels.revision);
    let asked = Asked {
        id: id.clone(),
        is_newest: method != "initialize" && revision == Some(NEWEST),
    };
    if !is_object {
        let refusal = asked.refusal(INVALID_PARAMS, "`params` must be an object", None);
        return Heard::Reply(refusal);
    }
    if let Some(refusal) = asked.check(labels, method, params, by_itself) {
        return Heard::Reply(refusal);
    }
    match method {
        "initialize" => Heard::Reply(asked.result(handshake(params))),
        "server/discover" => Heard::Reply(asked.result(discovery())),
        "ping" => Heard::Reply(asked.result(json!({}))),
        "tools/list" => Heard::Reply(asked.list(params)),
        "tools/call" => asked.call(params),
        _ => {
            let message = format!("there is no method `{}`", shortened(method));
            Heard::Reply(asked.refusal(METHOD_NOT_FOUND, &message, None))
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The revision of the handshake: the client's, or the newest that has one.
fn handshake(params: &Map<String, Value>) -> Value {
    let wanted = params.get("protocolVersion").and_then(Value::as_str);
    let known = REVISIONS.iter().filter(|known| **known != NEWEST);
    let revision = known.copied().find(|known| Some(*known) == wanted);
    json!({
        "protocolVersion": revision.unwrap_or(NEWEST_WITH_HANDSHAKE),
        "capabilities": capabilities(),
        "serverInfo": server(),
        "instructions": INSTRUCTIONS,
    })
}

fn discovery() -> Value {
    json!({
        "supportedVersions": REVISIONS,
        "capabilities": capabilities(),
        "instructions": INSTRUCTIONS,
        "ttlMs": KEPT_MS,
        "cacheScope": "private",
    })
}

const INSTRUCTIONS: &str = "A Gaia node: a language model and a knowledge base on its owner's machine. `ask` gives an answer, `search_knowledge` the passages themselves.";

fn capabilities() -> Value {
    json!({"tools": {"listChanged": false}})
}

fn server() -> Value {
    json!({"name": "gaia", "title": "Gaia node", "version": env!("CARGO_PKG_VERSION")})
}

impl Asked {
    /// What is wrong with the labels, if anything is.
    fn check(
        &self,
        labels: &Labels<'_>,
        method: &str,
        params: &Map<String, Value>,
        by_itself: Option<&str>,
    ) -> Option<Reply> {
        let mismatch = |what: &str| {
            let message = format!("the header {what} does not say what the message says");
            Some(self.refusal(HEADER_MISMATCH, &message, None))
        };
        // A handshake says in its message which revision it wants.
        if method != "initialize"
            && let Some(unknown) = [by_itself, labels.revision]
                .into_iter()
                .flatten()
                .find(|revision| !REVISIONS.contains(revision))
        {
            let data = json!({"supported": REVISIONS, "requested": shortened(unknown)});
            let message = "that revision of the protocol is not spoken here";
            return Some(self.refusal(UNSUPPORTED_REVISION, message, Some(data)));
        }
        if !self.is_newest {
            return None;
        }
        if labels.revision.is_some() && by_itself.is_some() && labels.revision != by_itself {
            return mismatch("MCP-Protocol-Version");
        }
        if labels.method.is_some_and(|label| label != method) {
            return mismatch("Mcp-Method");
        }
        let name = params.get("name").and_then(Value::as_str);
        match labels.name.map(plain) {
            Some(label) if method == "tools/call" && label.as_deref() != name => {
                mismatch("Mcp-Name")
            }
            _ => None,
        }
    }

    fn list(&self, params: &Map<String, Value>) -> Reply {
        if params.get("cursor").is_some_and(|cursor| !cursor.is_null()) {
            return self.refusal(INVALID_PARAMS, "the list has one page", None);
        }
        let mut list = json!({"tools": Tool::list()});
        if self.is_newest {
            list["ttlMs"] = KEPT_MS.into();
            list["cacheScope"] = "private".into();
        }
        self.result(list)
    }

    fn call(self, params: &Map<String, Value>) -> Heard {
        let name = params
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(tool) = Tool::find(name) else {
            let message = format!("there is no tool `{}`", shortened(name));
            return Heard::Reply(self.refusal(INVALID_PARAMS, &message, None));
        };
        let none = Map::new();
        let arguments = match params.get("arguments") {
            None | Some(Value::Null) => &none,
            Some(Value::Object(arguments)) => arguments,
            Some(_) => {
                let refusal = self.refusal(INVALID_PARAMS, "`arguments` must be an object", None);
                return Heard::Reply(refusal);
            }
        };
        match tool.request(arguments) {
            Ok(body) => Heard::Call(Call {
                tool,
                body: body.to_string(),
                asked: self,
            }),
            // A model can do better the next time; so it is told, and not its program.
            Err(wrong) => Heard::Reply(self.tool_result(&Answer::failed(wrong))),
        }
    }

    fn tool_result(&self, answer: &Answer) -> Reply {
        let mut result = json!({
            "content": [{"type": "text", "text": answer.text}],
            "isError": answer.failed,
        });
        if let Some(structured) = &answer.structured {
            result["structuredContent"] = structured.clone();
        }
        self.result(result)
    }

    fn result(&self, mut result: Value) -> Reply {
        if self.is_newest {
            result["resultType"] = "complete".into();
            result["_meta"] = json!({META_SERVER: server()});
        }
        self.said(
            200,
            &json!({"jsonrpc": "2.0", "id": self.id, "result": result}),
        )
    }

    /// An error of the protocol; its status is an error too where the revision wants it so, and where
    /// nobody can be told by his id.
    fn refusal(&self, code: i32, message: &str, data: Option<Value>) -> Reply {
        let status = match code {
            PARSE_ERROR | INVALID_REQUEST | HEADER_MISMATCH | UNSUPPORTED_REVISION => 400,
            METHOD_NOT_FOUND if self.is_newest => 404,
            _ => 200,
        };
        let mut error = json!({"code": code, "message": message});
        if let Some(data) = data {
            error["data"] = data;
        }
        self.said(
            status,
            &json!({"jsonrpc": "2.0", "id": self.id, "error": error}),
        )
    }

    fn said(&self, status: u16, message: &Value) -> Reply {
        Reply {
            status,
            body: Some(message.to_string()),
        }
    }
}

/// A label's text; in base64 where it could not be a header otherwise.
fn plain(label: &str) -> Option<String> {
    match label
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="))
    {
        None => Some(label.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}
