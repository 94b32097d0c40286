//! The domain's pages: its chat for users, the operator's dashboard, what a node's owner has earned.
//!
//! All are one document, which looks at its own address and asks the gateway's JSON, with a bearer token where that
//! wants one. No page knows more than its reader: what is served here is the same for everybody.

use alloy_primitives::Address;
use gaia_page::{CONTENT_SECURITY_POLICY, File, Site, cache_control, content_type};
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY as POLICY, CONTENT_TYPE, ETAG, HeaderValue,
    IF_NONE_MATCH,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::reply::Reply;

/// The operator's page.
const DASHBOARD: &str = "/gaia/dashboard";

/// What a node's owner has earned: below it, an address.
const EARNINGS: &str = "/gaia/earnings";

/// The page of a request, if it is for one.
pub(crate) fn answer<B>(request: &Request<B>) -> Option<Response<Reply>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let file = find(request.uri().path())?;
    let known = request.headers().get(IF_NONE_MATCH);
    Some(serve(file, known.is_some_and(|etag| etag == file.etag)))
}

fn find(path: &str) -> Option<&'static File> {
    let of_earnings = |rest: &str| match rest.strip_prefix('/') {
        None => rest.is_empty(),
        Some(address) => address.parse::<Address>().is_ok(),
    };
    match path.strip_prefix(EARNINGS) {
        Some(rest) if of_earnings(rest) => Some(gaia_page::document(Site::Domain)),
        _ if path == DASHBOARD => Some(gaia_page::document(Site::Domain)),
        _ => gaia_page::find(Site::Domain, path),
    }
}

fn serve(file: &'static File, is_known: bool) -> Response<Reply> {
    let mut response = match is_known {
        true => Response::new(Reply::whole(Bytes::new())),
        false => Response::new(Reply::whole(Bytes::from_static(file.bytes))),
    };
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let fixed = [
        (ETAG, file.etag),
        (CACHE_CONTROL, cache_control(file.path)),
        (CONTENT_TYPE, content_type(file.path)),
        (POLICY, CONTENT_SECURITY_POLICY),
    ];
    for (name, value) in fixed {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_where_people_are_told_they_are() {
        let check = |path: &str, expected: bool| {
            assert_eq!(find(path).is_some(), expected, "{path}");
        };
        let address = "0x90F79bf6EB2c4f870365E785982E1f101E93b906";
        check("/", true);
        check("/licences.txt", true);
        check("/gaia/dashboard", true);
        check("/gaia/earnings", true);
        check(&format!("/gaia/earnings/{address}"), true);
        check("/gaia/earnings/0x1", false);
        check(&format!("/gaia/earnings{address}"), false);
        check("/gaia/dashboard/x", false);
        check("/index.html", false);
        check("/gaia", false);
    }
}
