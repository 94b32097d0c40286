//! Answers to clients: whole ones, and such as come piece by piece.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use alloy_primitives::Address;
use gaia_openai::ApiError;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

/// What the body of an answer is.
#[derive(Debug)]
pub enum Reply {
    /// All there.
    Whole(Option<Bytes>),
    /// As the pieces come. An error breaks the connection off.
    Pieces(mpsc::Receiver<Result<Bytes, io::Error>>),
}

impl Reply {
    /// A whole one.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Pieces(pieces) => {
                let piece = pieces.poll_recv(context);
                piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// An answer in JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Reply> {
    // Values of ours always serialise; one that did not would be an empty body.
    let text = serde_json::to_vec(value).unwrap_or_default();
    typed(status, HeaderValue::from_static("application/json"), text)
}

/// An error, in the shape that all errors of the API have.
pub fn error(error: &ApiError) -> Response<Reply> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    let mut response = typed(status, json, error.to_json());
    if let Some(seconds) = error.retry_after_seconds {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An answer of any type.
pub(crate) fn typed(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// From where on a list is asked for: `?after=ADDRESS`, or from its beginning.
///
/// # Errors
/// 400 where that is no address.
pub(crate) fn after(query: Option<&str>) -> Result<Option<Address>, ApiError> {
    let shown = query.and_then(|query| query.strip_prefix("after="));
    match shown.map(str::parse::<Address>) {
        None => Ok(None),
        Some(Ok(after)) => Ok(Some(after)),
        Some(Err(_)) => {
            let message = "`after` must be an address.";
            Err(ApiError::invalid_value("after", message))
        }
    }
}

/// 402: the account or the token has too little.
pub(crate) fn payment_required(message: impl Into<String>) -> ApiError {
    ApiError {
        status: 402,
        message: message.into(),
        kind: "insufficient_quota".to_owned(),
        param: None,
        code: Some("insufficient_quota".to_owned()),
        retry_after_seconds: None,
    }
}

/// 409: what was sent does not fit what is there.
pub(crate) fn conflict(message: impl Into<String>) -> ApiError {
    ApiError {
        status: 409,
        message: message.into(),
        kind: "invalid_request_error".to_owned(),
        param: None,
        code: Some("conflict".to_owned()),
        retry_after_seconds: None,
    }
}

/// A handler that cannot fail, as hyper wants it.
pub(crate) type Handled = Result<Response<Reply>, Infallible>;
