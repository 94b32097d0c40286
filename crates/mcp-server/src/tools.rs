//! The two tools: how they are described, what they ask of the node, what of its answer is theirs.

use serde_json::{Map, Value, json};

/// The longest question, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;
/// The longest answer that may be asked for, in tokens: the node has a smaller maximum of its own.
const TOKENS_MAX: u64 = 1 << 20;
/// What of the node's own words is passed on when it says no, in characters.
const SAID_CHARS_MAX: usize = 500;

/// A tool of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Ask,
    SearchKnowledge,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) structured: Option<Value>,
    pub(crate) failed: bool,
}

impl Tool {
    const ALL: [Self; 2] = [Self::Ask, Self::SearchKnowledge];

    /// The tool called `name`.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::SearchKnowledge => "search_knowledge",
        }
    }

    /// Where the node does what the tool says.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Ask => "/v1/chat/completions",
            Self::SearchKnowledge => "/v1/retrieve",
        }
    }

    /// All tools as a list shows them.
    pub(crate) fn list() -> Value {
        Self::ALL.iter().map(|tool| tool.described()).collect()
    }

    fn described(self) -> Value {
        let (title, description, properties, required) = match self {
            Self::Ask => (
                "Ask this node",
                "Asks this node's language model a question. It answers with the help of its knowledge base, where it has one, and names its sources.",
                json!({
                    "question": {"type": "string", "description": "The whole question: nothing is remembered between calls"},
                    "max_tokens": {"type": "integer", "minimum": 1, "description": "The longest answer, in tokens"},
                }),
                "question",
            ),
            Self::SearchKnowledge => (
                "Search this node's knowledge",
                "Gives the passages of this node's knowledge base that are nearest to a query, without a model's words.",
                json!({"query": {"type": "string", "description": "What to look for, in words"}}),
                "query",
            ),
        };
        json!({
            "name": self.name(),
            "title": title,
            "description": description,
            "inputSchema": {
                "type": "object",
                "properties": properties,
                "required": [required],
                "additionalProperties": false,
            },
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        })
    }

    /// The body of the request to the node, or what is wrong with the arguments.
    pub(crate) fn request(self, arguments: &Map<String, Value>) -> Result<Value, String> {
        let known: &[&str] = match self {
            Self::Ask => &["question", "max_tokens"],
            Self::SearchKnowledge => &["query"],
        };
        if let Some(name) = arguments
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            let name: String = name.chars().take(64).collect();
            return Err(format!("there is no argument `{name}`"));
        }
        let text = text(arguments, known[0])?;
        match self {
            Self::Ask => {
                let mut body = json!({"messages": [{"role": "user", "content": text}]});
                if let Some(tokens) = arguments.get("max_tokens") {
                    let tokens = tokens.as_u64().filter(|n| (1..=TOKENS_MAX).contains(n));
                    body["max_tokens"] = tokens
                        .ok_or("`max_tokens` must be a number above 0")?
                        .into();
                }
                Ok(body)
            }
            Self::SearchKnowledge => Ok(json!({"query": text})),
        }
    }

    /// What of the node's answer is the tool's.
    pub(crate) fn answer(self, status: u16, body: &[u8]) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if !(200..300).contains(&status) {
            let said = body["error"]["message"].as_str();
            let said = said.map_or_else(|| format!("the node answered with status {status}"), cut);
            return Answer::failed(said);
        }
        let read = match self {
            Self::Ask => answered(&body),
            Self::SearchKnowledge => found(&body),
        };
        read.unwrap_or_else(|| Answer::failed("the node's answer cannot be read".to_owned()))
    }
}

impl Answer {
    pub(crate) fn failed(text: String) -> Self {
        Self {
            text,
            structured: None,
            failed: true,
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(SAID_CHARS_MAX).collect()
}

fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    match arguments.get(name) {
        None => Err(format!("argument `{name}` is missing")),
        Some(Value::String(text)) if text.trim().is_empty() => Err(format!("`{name}` is empty")),
        Some(Value::String(text)) if text.len() > TEXT_BYTES_MAX => {
            Err(format!("`{name}` is longer than {TEXT_BYTES_MAX} bytes"))
        }
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{name}` must be a string")),
    }
}

/// The model's words, and what they stand on.
fn answered(body: &Value) -> Option<Answer> {
    let message = &body["choices"][0]["message"];
    let text = message["content"].as_str()?.to_owned();
    let sources = match &message["citations"] {
        Value::Array(citations) => Value::Array(citations.clone()),
        _ => json!([]),
    };
    let mut structured = json!({"answer": text, "sources": sources});
    if let Some(warning) = body["warning"].as_str() {
        structured["warning"] = warning.into();
    }
    Some(Answer {
        text,
        structured: Some(structured),
        failed: false,
    })
}

/// The passages, each below its number and where it stands.
fn found(body: &Value) -> Option<Answer> {
    let hits = body["hits"].as_array()?;
    let passages: Vec<_> = hits
        .iter()
        .enumerate()
        .map(|(at, hit)| passage(at + 1, hit))
        .collect();
    let text = match passages.is_empty() {
        true => "Nothing in the knowledge base is near to that.".to_owned(),
        false => passages.join("\n\n"),
    };
    Some(Answer {
        text,
        structured: Some(json!({"passages": hits})),
        failed: false,
    })
}

fn passage(number: usize, hit: &Value) -> String {
    let headings = hit["heading"].as_array().into_iter().flatten();
    let place: Vec<_> = std::iter::once(&hit["document"])
        .chain(headings)
        .filter_map(Value::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let text = hit["text"].as_str().unwrap_or_default();
    format!("[{number}] {}\n{text}", place.join(" > "))
}
