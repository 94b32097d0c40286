//! One HTTPS tool: what a call of it asks for, and what of the reply is the answer.

use std::fmt;

use serde_json::{Map, Value};

use crate::header::HeaderTemplate;
use crate::origin::Target;
use crate::parameters::{ArgumentsError, Parameters};
use crate::url_template::{FillError, UrlTemplate};

/// What of a failing server's words is passed on, in characters.
const SAID_CHARS_MAX: usize = 300;
/// How many of a reply's names are shown where a pointer leads nowhere.
const NAMES_SHOWN_MAX: usize = 16;

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With one.
    Post,
    /// With one.
    Put,
    /// With one.
    Patch,
    /// Without a body.
    Delete,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// As HTTP spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method that `text` spells, in capital letters.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }

    /// Whether arguments that have no place in the URL go into a JSON body.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A tool, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpsTool {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, in words for the model.
    pub description: String,
    /// Where it is.
    pub url: UrlTemplate,
    /// How it is asked.
    pub method: Method,
    /// What it is called with.
    pub parameters: Parameters,
    /// What is sent along.
    pub headers: Vec<HeaderTemplate>,
    /// The longest that a call may take, in milliseconds.
    pub time_ms: u32,
    /// The longest reply, in bytes.
    pub reply_bytes: u32,
    /// Where in the reply's JSON the answer stands; `None`: all of it.
    pub pointer: Option<String>,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Where.
    pub target: Target,
    /// How.
    pub method: Method,
    /// JSON, where the method has a body.
    pub body: Option<String>,
}

/// Why a tool is not called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The arguments are not those of its schema.
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    /// They do not fit into its URL.
    #[error(transparent)]
    Fill(#[from] FillError),
}

/// Why a reply holds no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The server says no.
    #[error("the server answered with status {status}{}", after_colon(said))]
    Status {
        /// Its status.
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
    /// Not text.
    #[error("the reply is not text (UTF-8)")]
    NotText,
    /// Nothing to point into.
    #[error(
        "the reply is not JSON, so `{0}` points nowhere; leave the pointer out for the whole text"
    )]
    NotJson(String),
    /// The pointer leads nowhere.
    #[error("the reply has nothing at `{pointer}`; {there}")]
    NothingThere {
        /// The pointer.
        pointer: String,
        /// How far it leads, and what is there.
        there: String,
    },
}

fn after_colon(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(": {text}"),
    }
}

impl HttpsTool {
    /// What is asked for when it is called with `arguments`.
    pub fn call(&self, arguments: &Value) -> Result<Call, CallError> {
        let arguments = self.parameters.check(arguments)?;
        Ok(Call {
            target: self.url.fill(arguments)?,
            method: self.method,
            body: self.method.has_body().then(|| self.body(arguments)),
        })
    }

    /// The arguments that have no place in the URL.
    fn body(&self, arguments: &Map<String, Value>) -> String {
        let in_url = |name: &str| self.url.arguments().any(|known| known == name);
        let rest: Map<_, _> = arguments
            .iter()
            .filter(|(name, _)| !in_url(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Value::Object(rest).to_string()
    }

    /// The answer in a reply.
    pub fn answer(&self, status: u16, body: &[u8]) -> Result<String, AnswerError> {
        if !(200..300).contains(&status) {
            let said = on_one_line(String::from_utf8_lossy(body).trim());
            return Err(AnswerError::Status { status, said });
        }
        let text = std::str::from_utf8(body).map_err(|_| AnswerError::NotText)?;
        let Some(pointer) = &self.pointer else {
            return Ok(text.to_owned());
        };
        let reply: Value =
            serde_json::from_str(text).map_err(|_| AnswerError::NotJson(pointer.clone()))?;
        match reply.pointer(pointer) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value) => Ok(value.to_string()),
            None => Err(AnswerError::NothingThere {
                pointer: pointer.clone(),
                there: how_far(&reply, pointer),
            }),
        }
    }
}

/// The beginning of a stranger's words, for a message: nothing that a terminal would obey.
fn on_one_line(text: &str) -> String {
    let tame = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(SAID_CHARS_MAX).map(tame).collect()
}

/// Up to where `pointer` leads in `reply`, and what it could say next.
fn how_far(reply: &Value, pointer: &str) -> String {
    let mut ends = pointer.match_indices('/').map(|(at, _)| at).rev();
    let (at, value) = ends
        .find_map(|end| Some((&pointer[..end], reply.pointer(&pointer[..end])?)))
        .unwrap_or(("", reply));
    let here = match at {
        "" => "the reply".to_owned(),
        at => format!("`{at}`"),
    };
    match value {
        Value::Object(object) if object.is_empty() => format!("{here} is an empty object"),
        Value::Object(object) => {
            let names = object.keys().take(NAMES_SHOWN_MAX);
            let names: Vec<_> = names
                .map(|name| format!("`{}`", on_one_line(name)))
                .collect();
            format!("{here} has {}", names.join(", "))
        }
        Value::Array(list) => format!("{here} is a list of {}", list.len()),
        _ => format!("{here} is neither an object nor a list"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(method: Method, pointer: Option<&str>) -> HttpsTool {
        let url = UrlTemplate::parse("https://api.example/{country}").unwrap();
        let schema = json!({
            "type": "object",
            "properties": {"country": {"type": "string"}, "query": {}},
            "required": ["country"],
        });
        HttpsTool {
            name: "news".to_owned(),
            description: String::new(),
            url,
            method,
            parameters: Parameters::parse(&schema.to_string()).unwrap(),
            headers: Vec::new(),
            time_ms: 1,
            reply_bytes: 1,
            pointer: pointer.map(str::to_owned),
        }
    }

    #[test]
    fn what_has_no_place_in_the_url_is_the_body() {
        let arguments = json!({"country": "de", "query": {"words": ["a"]}});
        let call = tool(Method::Post, None).call(&arguments).unwrap();
        assert_eq!(call.target.path_and_query(), "/de");
        assert_eq!(
            call.body.as_deref(),
            Some("{\"query\":{\"words\":[\"a\"]}}")
        );
        assert_eq!(tool(Method::Get, None).call(&arguments).unwrap().body, None);
        let error = tool(Method::Get, None)
            .call(&json!({"country": ".."}))
            .unwrap_err();
        assert!(
            error.to_string().contains("`country` must not be empty"),
            "{error}"
        );
    }

    fn check(pointer: Option<&str>, status: u16, body: &[u8], expected: Result<&str, &str>) {
        let said = tool(Method::Get, pointer)
            .answer(status, body)
            .map_err(|error| error.to_string());
        assert_eq!(said.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn answers_are_pointed_at() {
        let body = br#"{"now": {"text": "Sunny", "c": 21.5}, "list": [{"a/b": null}]}"#;
        check(None, 200, b"plain", Ok("plain"));
        check(Some("/now/text"), 200, body, Ok("Sunny"));
        check(Some("/now/c"), 200, body, Ok("21.5"));
        check(
            Some("/now"),
            201,
            body,
            Ok("{\"text\":\"Sunny\",\"c\":21.5}"),
        );
        check(Some("/list/0/a~1b"), 200, body, Ok("null"));
        check(
            Some("/list/1/x"),
            200,
            body,
            Err("the reply has nothing at `/list/1/x`; `/list` is a list of 1"),
        );
        check(
            Some("/new"),
            200,
            body,
            Err("the reply has nothing at `/new`; the reply has `now`, `list`"),
        );
        check(
            Some("/x"),
            200,
            b"{}",
            Err("the reply has nothing at `/x`; the reply is an empty object"),
        );
        check(
            Some("/now/c/x"),
            200,
            body,
            Err("the reply has nothing at `/now/c/x`; `/now/c` is neither an object nor a list"),
        );
    }

    #[test]
    fn failures_say_what_the_server_said() {
        check(
            None,
            404,
            b" no such city\n",
            Err("the server answered with status 404: no such city"),
        );
        check(
            None,
            500,
            b"\x1b[2Ja\nb",
            Err("the server answered with status 500:  [2Ja b"),
        );
        check(None, 302, b"", Err("the server answered with status 302"));
        check(None, 200, b"\xff", Err("the reply is not text (UTF-8)"));
        let error = tool(Method::Get, Some("/a"))
            .answer(200, b"<html>")
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the reply is not JSON, so `/a` points nowhere")
        );
        let long = "x".repeat(SAID_CHARS_MAX + 1);
        let error = tool(Method::Get, None)
            .answer(500, long.as_bytes())
            .unwrap_err();
        assert!(matches!(error, AnswerError::Status { said, .. } if said.len() == SAID_CHARS_MAX));
    }
}
