//! Makes a node say what a stream took, where the client did not ask for it.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Kind;
use crate::scan::top_level;

const OPTIONS: &str = "stream_options";
const USAGE: &str = "include_usage";

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: Option<Value>,
    #[serde(default)]
    stream_options: Option<Value>,
}

/// The request `body`, which is known to be JSON, with `stream_options.include_usage`, and otherwise byte for byte as it was. What then comes is
/// for the gateway alone: read it with [`Meter::hiding_usage`](crate::Meter::hiding_usage).
///
/// `None`: leave the body as it is. It does not stream, asks for usage by itself, is of a kind that always says it, or
/// is nothing that a node takes.
///
/// The other chunks then carry `"usage":null`, which clients skip as they skip it from everybody.
#[must_use]
pub fn ask_for_usage(kind: Kind, body: &[u8]) -> Option<Vec<u8>> {
    if !matches!(kind, Kind::Chat | Kind::Completion) {
        return None;
    }
    let asked: Asked = serde_json::from_slice(body).ok()?;
    if asked.stream != Some(Value::Bool(true)) {
        return None;
    }
    let mut options = match asked.stream_options {
        None => Map::new(),
        Some(Value::Object(options)) => options,
        Some(_) => return None,
    };
    if !matches!(
        options.get(USAGE),
        None | Some(Value::Null | Value::Bool(false))
    ) {
        return None;
    }
    options.insert(USAGE.to_owned(), Value::Bool(true));
    let options = Value::Object(options).to_string();
    Some(match top_level(body, OPTIONS) {
        Some(range) => [&body[..range.start], options.as_bytes(), &body[range.end..]].concat(),
        None => {
            let inside = body.iter().position(|byte| *byte == b'{')? + 1;
            let member = format!("\"{OPTIONS}\":{options},");
            [&body[..inside], member.as_bytes(), &body[inside..]].concat()
        }
    })
}
