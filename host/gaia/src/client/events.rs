//! The pieces of a streamed answer.

use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::Value;

/// The longest event, in bytes: the first one carries whole passages.
const EVENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Something that arrived.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// More of the answer.
    Text(String),
    /// The passages it rests on.
    Citations(Vec<Citation>),
    /// The node has called a tool of its own.
    Called(Called),
    /// Why it was made without the node's knowledge.
    Warning(String),
}

/// A passage an answer rests on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Citation {
    /// The document's name.
    pub document: String,
    /// The headings above the passage.
    #[serde(default)]
    pub heading: Vec<String>,
    /// How similar it is to the question, where it was found by that.
    #[serde(default)]
    pub score: Option<f32>,
    /// The passage.
    #[serde(default)]
    pub text: String,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Called {
    /// The tool.
    pub name: String,
    /// What came of it: `completed` or `failed`.
    #[serde(default)]
    pub status: String,
    /// How long it took.
    #[serde(default)]
    pub ms: u64,
    /// How long its reply was.
    #[serde(default)]
    pub bytes: u64,
}

/// Why a stream could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventsError {
    /// The connection failed.
    #[error("the connection to the node failed")]
    Read(#[source] io::Error),
    /// It ended before its end mark.
    #[error("the stream has no end")]
    NoEnd,
    /// An event is longer than any should be.
    #[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
    TooLong,
    /// An event is not JSON.
    #[error("an event is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The node says that it failed.
    #[error("{0}")]
    Failed(String),
}

/// Reads server-sent events up to `[DONE]`.
pub fn read_events(
    mut stream: impl BufRead,
    on_event: &mut dyn FnMut(Event),
) -> Result<(), ReadEventsError> {
    let mut line = String::new();
    loop {
        line.clear();
        let length = stream
            .by_ref()
            .take(EVENT_BYTES_MAX)
            .read_line(&mut line)
            .map_err(ReadEventsError::Read)?;
        if length == 0 {
            return Err(ReadEventsError::NoEnd);
        }
        if length as u64 == EVENT_BYTES_MAX {
            return Err(ReadEventsError::TooLong);
        }
        match line.trim_end().strip_prefix("data:").map(str::trim_start) {
            Some("[DONE]") => return Ok(()),
            Some(data) => read_event(data, on_event)?,
            // Comments and other fields carry nothing here.
            None => {}
        }
    }
}

fn read_event(data: &str, on_event: &mut dyn FnMut(Event)) -> Result<(), ReadEventsError> {
    let event: Value = serde_json::from_str(data).map_err(ReadEventsError::NotJson)?;
    if let Some(message) = event["error"]["message"].as_str() {
        return Err(ReadEventsError::Failed(message.to_owned()));
    }
    if let Some(warning) = event["warning"].as_str() {
        on_event(Event::Warning(warning.to_owned()));
    }
    if let Ok(called) = Called::deserialize(&event["gaia_tool"]) {
        on_event(Event::Called(called));
    }
    let delta = &event["choices"][0]["delta"];
    let citations = citations_of(delta);
    if !citations.is_empty() {
        on_event(Event::Citations(citations));
    }
    match delta["content"].as_str() {
        Some("") | None => {}
        Some(text) => on_event(Event::Text(text.to_owned())),
    }
    Ok(())
}

/// The citations on a message or delta; one in another form is left out.
fn citations_of(message: &Value) -> Vec<Citation> {
    let list = message["citations"].as_array().into_iter().flatten();
    list.filter_map(|citation| Citation::deserialize(citation).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stream: &str, expected: Result<&[&str], &str>) {
        let mut got = Vec::new();
        let outcome = read_events(stream.as_bytes(), &mut |event| {
            got.push(match event {
                Event::Text(text) => text,
                Event::Citations(list) => format!("{}@{}", list.len(), list[0].document),
                Event::Called(called) => format!("{} {}", called.name, called.status),
                Event::Warning(text) => format!("!{text}"),
            });
        });
        match (outcome, expected) {
            (Ok(()), Ok(expected)) => assert_eq!(got, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (outcome, _) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn pieces_in_order() {
        check(
            "data: {\"warning\":\"w\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"citations\":[{\"document\":\"d\"}]}}]}\n\n\
             : ping\n\
             data: {\"gaia_tool\":{\"name\":\"t\",\"status\":\"failed\"},\"choices\":[{\"delta\":{}}]}\n\n\
             data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n\
             data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n\
             data: {\"choices\":[],\"usage\":{}}\n\n\
             data: [DONE]\n\n",
            Ok(&["!w", "1@d", "t failed", "a"]),
        );
    }

    #[test]
    fn bad_ends() {
        check("data: {\"choices\":[]}\n\n", Err("no end"));
        check("data: {\n\n", Err("not JSON"));
        check(
            "data: {\"error\":{\"message\":\"worker gone\"}}\n\n",
            Err("worker gone"),
        );
        check(
            &format!("data: {}", "x".repeat(EVENT_BYTES_MAX as usize)),
            Err("longer than"),
        );
    }
}
