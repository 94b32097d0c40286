//! From errors to responses: the one place where an error gets a status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gaia_openai::ApiError;

use crate::admission::QueueFull;
use crate::inference::InferenceError;
use crate::log;

/// When there may be room for images again.
const IMAGES_RETRY_SECONDS: u32 = 5;

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<QueueFull> for Failure {
    fn from(full: QueueFull) -> Self {
        Self(ApiError::too_many_requests(full.retry_after_seconds))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = self.0;
        let status =
            StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, error.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = error.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What the caller learns of an engine's error; the whole of it goes to the log. `param` is the field that holds the
/// text, `constrained` the one that holds a grammar or schema, if the request has one.
pub(crate) fn from_inference(
    error: InferenceError,
    param: &str,
    constrained: Option<&str>,
) -> ApiError {
    match error {
        InferenceError::PromptTooLong => ApiError {
            code: Some("context_length_exceeded".to_owned()),
            ..ApiError::invalid_value(
                param,
                format!("What `{param}` holds is too long for the model."),
            )
        },
        InferenceError::Unsupported { param } => ApiError::unsupported(param, format!("{error}.")),
        InferenceError::Refused => match constrained {
            Some(field) => ApiError::invalid_value(
                field,
                format!(
                    "The engine refuses what `{field}` holds: it cannot be made into a grammar."
                ),
            ),
            None => {
                ApiError::invalid_value(param, format!("The engine refuses what `{param}` holds."))
            }
        },
        InferenceError::ImagesFull => ApiError::too_many_requests(IMAGES_RETRY_SECONDS),
        InferenceError::Engine { .. } => {
            log::warn(&error);
            ApiError::internal("The engine failed; the log of the node says more.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_status_type_and_retry_after() {
        let full = QueueFull {
            retry_after_seconds: 7,
        };
        let response = Failure::from(full).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["content-type"], "application/json");
    }

    #[test]
    fn inference_errors_keep_their_place() {
        let check = |error, constrained, status: u16, param: Option<&str>| {
            let error = from_inference(error, "messages", constrained);
            assert_eq!((error.status, error.param.as_deref()), (status, param));
        };
        check(InferenceError::PromptTooLong, None, 400, Some("messages"));
        check(
            InferenceError::Refused,
            Some("grammar"),
            400,
            Some("grammar"),
        );
        check(InferenceError::Refused, None, 400, Some("messages"));
        check(
            InferenceError::Unsupported { param: "logprobs" },
            None,
            400,
            Some("logprobs"),
        );
        let failed = InferenceError::Engine {
            doing: "compute",
            reason: "secret".to_owned(),
        };
        assert!(
            !from_inference(failed.clone(), "x", None)
                .message
                .contains("secret")
        );
        check(failed, None, 500, None);
    }
}
