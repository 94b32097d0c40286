//! The one shape every error of the API has.
//!
//! Invariant: the body always carries `message`, `type`, `param` and `code`, `null` where empty.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error as the caller sees it: an HTTP status and the body that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status code.
    pub status: u16,
    /// What went wrong, for a person.
    pub message: String,
    /// The field `type`: the class of the error.
    pub kind: String,
    /// The request's field that is to blame, as `messages[0].content`.
    pub param: Option<String>,
    /// What went wrong, for a program.
    pub code: Option<String>,
    /// Seconds for the header `Retry-After`.
    pub retry_after_seconds: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    error: Body,
}

#[derive(Serialize, Deserialize)]
struct Body {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

const INVALID_REQUEST: &str = "invalid_request_error";
const UNAVAILABLE: &str = "service_unavailable_error";

impl ApiError {
    fn new(status: u16, kind: &str, code: Option<&str>, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            kind: kind.to_owned(),
            param: None,
            code: code.map(str::to_owned),
            retry_after_seconds: None,
        }
    }

    fn at(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// 400: the body is not the JSON it has to be.
    pub fn malformed_body(message: impl Into<String>) -> Self {
        Self::new(400, INVALID_REQUEST, Some("invalid_json"), message)
    }

    /// 400: `param` has a value it must not have.
    pub fn invalid_value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, INVALID_REQUEST, Some("invalid_value"), message).at(param)
    }

    /// 400: `param` is of another JSON type than `expected`, such as "a string".
    pub fn invalid_type(param: impl Into<String>, expected: &str) -> Self {
        let param = param.into();
        let message = format!("`{param}` must be {expected}.");
        Self::new(400, INVALID_REQUEST, Some("invalid_type"), message).at(param)
    }

    /// 400: `param` has to be there and is not.
    pub fn missing(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("Missing required parameter: `{param}`.");
        Self::new(
            400,
            INVALID_REQUEST,
            Some("missing_required_parameter"),
            message,
        )
        .at(param)
    }

    /// 400: `param` is part of the API and this node does not honour it yet, or not with that value.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(400, INVALID_REQUEST, Some("unsupported_parameter"), message).at(param)
    }

    /// 400: prompt and answer do not fit the context. All numbers are tokens.
    pub fn context_length_exceeded(
        param: &str,
        context: u32,
        prompt: u32,
        completion: u32,
    ) -> Self {
        let total = u64::from(prompt) + u64::from(completion);
        let message = format!(
            "This model's maximum context length is {context} tokens. However, you requested {total} tokens \
             ({prompt} in the prompt, {completion} for the completion). Please shorten the prompt or ask for fewer tokens."
        );
        Self::new(
            400,
            INVALID_REQUEST,
            Some("context_length_exceeded"),
            message,
        )
        .at(param)
    }

    /// Whether it is one of [`Self::context_length_exceeded`].
    pub fn is_context_length_exceeded(&self) -> bool {
        self.code.as_deref() == Some("context_length_exceeded")
    }

    /// 401: no key, or a wrong one. Says nothing about the key.
    pub fn invalid_api_key() -> Self {
        let message = "Missing or incorrect API key. Send it as `Authorization: Bearer YOUR_KEY`.";
        Self::new(401, INVALID_REQUEST, Some("invalid_api_key"), message)
    }

    /// 403: the request's Host or Origin is not one this node answers to.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "permission_error", Some("forbidden"), message)
    }

    /// 404: no such model here. There is no silent fall-back to another one.
    pub fn model_not_found(model: &str) -> Self {
        let shown: String = model.chars().take(128).collect();
        let message =
            format!("The model `{shown}` does not exist on this node. See GET /v1/models.");
        Self::new(404, INVALID_REQUEST, Some("model_not_found"), message).at("model")
    }

    /// 404: no such route.
    pub fn not_found(method: &str, path: &str) -> Self {
        let path: String = path.chars().take(256).collect();
        let message = format!("Unknown request URL: {method} {path}.");
        Self::new(404, INVALID_REQUEST, Some("unknown_url"), message)
    }

    /// 404: nothing of this `kind`, such as "response", has the id, or it belongs to somebody else.
    pub fn no_such_object(kind: &str, id: &str) -> Self {
        let shown: String = id.chars().take(128).collect();
        let mut letters = kind.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let name: String = first.into_iter().chain(letters).collect();
        let message = format!("{name} with id '{shown}' not found.");
        Self::new(404, INVALID_REQUEST, Some("not_found"), message).at("id")
    }

    /// 400: the response that the conversation was to go on from is not there.
    pub fn previous_response_not_found(id: &str) -> Self {
        let shown: String = id.chars().take(128).collect();
        let message = format!("Previous response with id '{shown}' not found.");
        let code = Some("previous_response_not_found");
        Self::new(400, INVALID_REQUEST, code, message).at("previous_response_id")
    }

    /// 405: the route exists, with another method.
    pub fn method_not_allowed(method: &str, path: &str) -> Self {
        let path: String = path.chars().take(256).collect();
        let message = format!("Not allowed to {method} on {path}.");
        Self::new(405, INVALID_REQUEST, Some("method_not_allowed"), message)
    }

    /// 408: the request did not arrive in time.
    pub fn request_timeout() -> Self {
        let message = "The request did not arrive in time.";
        Self::new(408, "timeout_error", Some("request_timeout"), message)
    }

    /// 413: the body is larger than `bytes_max`.
    pub fn body_too_large(bytes_max: u64) -> Self {
        let message = format!("The request body is larger than the limit of {bytes_max} bytes.");
        Self::new(413, INVALID_REQUEST, Some("request_too_large"), message)
    }

    /// 429: more requests than can run or wait; come back after `seconds`.
    pub fn too_many_requests(seconds: u32) -> Self {
        let message = "The node is busy. Please try again later.";
        Self::new(
            429,
            "rate_limit_error",
            Some("rate_limit_exceeded"),
            message,
        )
        .retry_after(seconds)
    }

    /// 431: path and headers have more than `bytes_max` bytes.
    pub fn head_too_large(bytes_max: u64) -> Self {
        let message =
            format!("The request's headers are larger than the limit of {bytes_max} bytes.");
        Self::new(431, INVALID_REQUEST, Some("headers_too_large"), message)
    }

    /// 500: our fault. The message must hold nothing a caller should not see.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "server_error", Some("internal_error"), message)
    }

    /// 501: part of the API that this node has nothing for.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(501, "server_error", Some("not_implemented"), message)
    }

    /// 502: the worker answered nothing, or nonsense.
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::new(502, "server_error", Some("bad_gateway"), message)
    }

    /// 503: no model is loaded, or not yet; come back after `seconds`.
    pub fn model_unavailable(message: impl Into<String>, seconds: u32) -> Self {
        Self::new(503, UNAVAILABLE, Some("model_unavailable"), message).retry_after(seconds)
    }

    /// 503: the node requires retrieval, and embedding or the store failed.
    pub fn retrieval_unavailable(message: impl Into<String>, seconds: u32) -> Self {
        Self::new(503, UNAVAILABLE, Some("retrieval_unavailable"), message).retry_after(seconds)
    }

    /// 503: the worker is being restarted, or the node is shutting down; come back after `seconds`.
    pub fn unavailable(message: impl Into<String>, seconds: u32) -> Self {
        Self::new(503, UNAVAILABLE, Some("unavailable"), message).retry_after(seconds)
    }

    /// The JSON body: `{"error":{…}}`.
    pub fn to_json(&self) -> String {
        let envelope = Envelope {
            error: Body {
                message: self.message.clone(),
                kind: self.kind.clone(),
                param: self.param.clone(),
                code: self.code.clone(),
            },
        };
        serde_json::to_string(&envelope).expect("strings always serialise")
    }

    /// Reads an error back from a reply with `status`, for clients. `None` if the body is not one.
    pub fn from_json(status: u16, body: &[u8]) -> Option<Self> {
        let Envelope { error } = serde_json::from_slice(body).ok()?;
        Some(Self {
            status,
            message: error.message,
            kind: error.kind,
            param: error.param,
            code: error.code,
            retry_after_seconds: None,
        })
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_keys_are_always_there() {
        let json = ApiError::request_timeout().to_json();
        assert_eq!(
            json,
            r#"{"error":{"message":"The request did not arrive in time.","type":"timeout_error","param":null,"code":"request_timeout"}}"#
        );
    }

    #[test]
    fn context_error_names_both_numbers() {
        let error = ApiError::context_length_exceeded("messages", 2048, 3000, 100);
        assert!(error.message.contains("2048") && error.message.contains("3000"));
        assert_eq!(error.code.as_deref(), Some("context_length_exceeded"));
        assert!(error.is_context_length_exceeded());
        assert!(!ApiError::invalid_api_key().is_context_length_exceeded());
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = ApiError::no_such_object("response", "resp_1");
        assert_eq!(error.message, "Response with id 'resp_1' not found.");
        assert_eq!((error.status, error.param.as_deref()), (404, Some("id")));
    }

    #[test]
    fn an_error_reads_back() {
        let error = ApiError::model_not_found("gpt-4");
        assert_eq!(
            ApiError::from_json(404, error.to_json().as_bytes()),
            Some(error)
        );
        assert_eq!(ApiError::from_json(502, b"<html>"), None);
    }
}
