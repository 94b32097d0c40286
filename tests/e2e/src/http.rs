//! An HTTP client that never takes an error status for a failure, and reads event streams.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use serde_json::Value;

/// Everything here answers within this, or the test fails: generous, because machines are shared.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub text: String,
    /// `Retry-After`, if there.
    pub retry_after: Option<String>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }
}

/// An event stream being read.
pub struct Events {
    reader: BufReader<Box<dyn Read + Send>>,
}

impl Events {
    /// The next event's data; none at the end of the stream (or when the connection broke).
    pub fn next_data(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data:") {
                return Some(data.trim().to_owned());
            }
        }
    }

    /// All events that are left.
    #[must_use]
    pub fn rest(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next_data()).collect()
    }
}

/// The text of the answer that the events of a stream tell.
#[must_use]
pub fn content(events: &[String]) -> String {
    events
        .iter()
        .filter(|data| *data != "[DONE]")
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        // A proxy is for the way out; this talks to this machine only.
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_LIMIT))
        .build()
        .into()
}

/// Why a request got no answer at all.
pub type Failure = ureq::Error;

/// GET.
///
/// # Errors
/// When no answer came.
pub fn get(url: &str) -> Result<Answer, Failure> {
    read(agent().get(url).call()?)
}

/// GET with one more header.
///
/// # Errors
/// When no answer came.
pub fn get_with(url: &str, header: (&str, &str)) -> Result<Answer, Failure> {
    read(agent().get(url).header(header.0, header.1).call()?)
}

/// DELETE with one more header.
///
/// # Errors
/// When no answer came.
pub fn delete_with(url: &str, header: (&str, &str)) -> Result<Answer, Failure> {
    read(agent().delete(url).header(header.0, header.1).call()?)
}

/// POST of JSON.
///
/// # Errors
/// When no answer came.
pub fn post(url: &str, body: &Value) -> Result<Answer, Failure> {
    read(agent().post(url).send_json(body)?)
}

/// POST of JSON with one more header.
///
/// # Errors
/// When no answer came.
pub fn post_with(url: &str, header: (&str, &str), body: &Value) -> Result<Answer, Failure> {
    read(
        agent()
            .post(url)
            .header(header.0, header.1)
            .send_json(body)?,
    )
}

/// POST of a form with one file, and what it is for.
///
/// # Errors
/// When no answer came.
pub fn upload(url: &str, name: &str, bytes: &[u8]) -> Result<Answer, Failure> {
    const PURPOSE: &str =
        "--form\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n";
    form(url, PURPOSE, name, bytes)
}

/// POST of a form with nothing but a file, as GaiaNet's clients send it.
///
/// # Errors
/// When no answer came.
pub fn hand_in(url: &str, name: &str, bytes: &[u8]) -> Result<Answer, Failure> {
    form(url, "", name, bytes)
}

fn form(url: &str, before: &str, name: &str, bytes: &[u8]) -> Result<Answer, Failure> {
    let head = format!(
        "{before}--form\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, b"\r\n--form--\r\n"].concat();
    let request = agent().post(url);
    read(
        request
            .header("content-type", "multipart/form-data; boundary=form")
            .send(&body[..])?,
    )
}

/// POST of JSON whose answer is an event stream.
///
/// # Errors
/// When no answer came.
///
/// # Panics
/// When the answer is not 200.
pub fn stream(url: &str, body: &Value) -> Result<Events, Failure> {
    Ok(events(agent().post(url).send_json(body)?))
}

/// POST of JSON with one more header, whose answer is an event stream.
///
/// # Errors
/// When no answer came.
///
/// # Panics
/// When the answer is not 200.
pub fn stream_with(url: &str, header: (&str, &str), body: &Value) -> Result<Events, Failure> {
    let request = agent().post(url).header(header.0, header.1);
    Ok(events(request.send_json(body)?))
}

fn events(response: ureq::http::Response<ureq::Body>) -> Events {
    assert_eq!(response.status().as_u16(), 200, "a stream begins");
    let reader: Box<dyn Read + Send> = Box::new(response.into_body().into_reader());
    Events {
        reader: BufReader::new(reader),
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, Failure> {
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: retry_after.map(str::to_owned),
        text: response.body_mut().read_to_string()?,
    })
}
