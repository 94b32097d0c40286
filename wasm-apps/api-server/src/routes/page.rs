//! The chat page at `/`, and 404 for everything else.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use gaia_openai::ApiError;
use gaia_page::{CONTENT_SECURITY_POLICY, File, Site, cache_control, content_type, find};

use crate::failure::Failure;

pub(super) async fn file_or_nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    match find(Site::Node, uri.path()) {
        Some(file) if method == Method::GET || method == Method::HEAD => serve(file, &headers),
        Some(_) => {
            Failure(ApiError::method_not_allowed(method.as_str(), uri.path())).into_response()
        }
        None => Failure(ApiError::not_found(method.as_str(), uri.path())).into_response(),
    }
}

fn serve(file: &'static File, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH);
    let mut response = match known.is_some_and(|etag| etag == file.etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Bytes::from_static(file.bytes).into_response(),
    };
    let fixed = [
        (header::ETAG, file.etag),
        (header::CACHE_CONTROL, cache_control(file.path)),
        (header::CONTENT_TYPE, content_type(file.path)),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
