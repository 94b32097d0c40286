//! `/records/OWNER/ID`: what the worker keeps for callers. `PUT` writes, `GET` reads, `DELETE` removes.
//!
//! Whose a record is, is the worker's word: it has it from the ingress, which checked the key. What is a record and
//! what is none, how large it may be and how many there are, is judged here.

use std::sync::Arc;

use gaia_records::{Id, Limits, Owner, PutError, Records};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use tracing::warn;

use super::{Asked, Reply, refused, reply};

/// The records, over HTTP.
#[derive(Debug)]
pub struct KeptRecords {
    records: Arc<Records>,
}

impl KeptRecords {
    pub fn new(records: Arc<Records>) -> Self {
        Self { records }
    }

    /// The longest record.
    pub fn body_bytes_max(&self) -> usize {
        Limits::default().record_bytes_max
    }

    /// A disk may take its time: that is waited for elsewhere.
    pub async fn answer(&self, asked: Asked) -> Reply {
        let records = Arc::clone(&self.records);
        let answered = tokio::task::spawn_blocking(move || answer(&records, &asked));
        answered.await.unwrap_or_else(|error| {
            warn!(%error, "a record was not looked at");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "it broke off")
        })
    }
}

fn answer(records: &Records, asked: &Asked) -> Reply {
    let Some((owner, id)) = named(&asked.path) else {
        return nothing();
    };
    let done = match asked.method {
        Method::PUT => put(records, &owner, &id, &asked.body),
        Method::GET => match records.get(&owner, &id) {
            Ok(Some(bytes)) => Ok(found(bytes)),
            Ok(None) => Ok(nothing()),
            Err(error) => Err(error.into()),
        },
        Method::DELETE => match records.delete(&owner, &id) {
            Ok(true) => Ok(reply(&json!({}))),
            Ok(false) => Ok(nothing()),
            Err(error) => Err(error.into()),
        },
        _ => Ok(refused(StatusCode::METHOD_NOT_ALLOWED, "not so")),
    };
    done.unwrap_or_else(|error| failed(error.as_ref()))
}

type Done = Result<Reply, Box<dyn std::error::Error + Send + Sync>>;

fn put(records: &Records, owner: &Owner, id: &Id, bytes: &[u8]) -> Done {
    match records.put(owner, id, bytes) {
        Ok(()) => Ok(reply(&json!({}))),
        Err(error @ PutError::Taken(_)) => Ok(refused(StatusCode::CONFLICT, &error.to_string())),
        Err(error @ (PutError::TooLarge { .. } | PutError::Full)) => {
            Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()))
        }
        Err(error @ PutError::Write { .. }) => Err(error.into()),
    }
}

fn named(path: &str) -> Option<(Owner, Id)> {
    let mut parts = path.strip_prefix("/records/")?.split('/');
    let (owner, id) = (parts.next()?, parts.next()?);
    match parts.next() {
        None => Some((Owner::parse(owner)?, Id::parse(id)?)),
        Some(_) => None,
    }
}

fn nothing() -> Reply {
    refused(StatusCode::NOT_FOUND, "there is no such record")
}

fn found(bytes: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(bytes)));
    let kind = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

fn failed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Reply {
    let cause = error.source().map(ToString::to_string);
    warn!(%error, cause, "the records");
    refused(
        StatusCode::INSUFFICIENT_STORAGE,
        "the node cannot write or read its records",
    )
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn id(number: u8) -> String {
        format!("resp_{number:032x}")
    }

    fn ask(records: &Arc<Records>, method: Method, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let asked = Asked {
            method,
            path: path.to_owned(),
            query: String::new(),
            content_type: String::new(),
            body: Bytes::copy_from_slice(body),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let reply = KeptRecords::new(Arc::clone(records)).answer(asked).await;
            let status = reply.status().as_u16();
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            (status, body.to_vec())
        })
    }

    #[test]
    fn records_are_written_read_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Arc::new(Records::open(folder.path(), Limits::default()).unwrap());
        let path = format!("/records/anna/{}", id(1));
        let status = |method: Method, path: &str| ask(&records, method, path, b"").0;
        assert_eq!(status(Method::GET, &path), 404);
        assert_eq!(ask(&records, Method::PUT, &path, b"{\"a\":1}").0, 200);
        assert_eq!(
            ask(&records, Method::GET, &path, b""),
            (200, b"{\"a\":1}".to_vec())
        );
        assert_eq!(status(Method::POST, &path), 405);
        let another = format!("/records/ben/{}", id(1));
        assert_eq!(status(Method::GET, &another), 404);
        assert_eq!(status(Method::DELETE, &another), 404);
        assert_eq!(ask(&records, Method::PUT, &another, b"{}").0, 409);
        assert_eq!(status(Method::DELETE, &path), 200);
        assert_eq!(status(Method::DELETE, &path), 404);
    }

    #[test]
    fn what_is_no_record_is_not_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let records = Arc::new(Records::open(folder.path(), Limits::default()).unwrap());
        for path in [
            "/records",
            "/records/",
            "/records/a",
            "/records/../resp_1",
            "/records//x",
        ] {
            assert_eq!(ask(&records, Method::GET, path, b"").0, 404, "{path}");
        }
        let deeper = format!("/records/anna/{}/x", id(1));
        assert_eq!(ask(&records, Method::PUT, &deeper, b"{}").0, 404);
    }
}
