//! Takes a collection over from a running Qdrant, page by page over REST.
//!
//! For what a snapshot cannot carry: servers before 1.16 write RocksDB, which the engine does not
//! read, but any server since 1.0 scrolls. The collection appears when all of it is here and on
//! disk; before that, and after a failure, there is nothing.

use std::time::Duration;

use qdrant_edge::{
    CreateIndex, EdgeShard, FieldIndexOperations, PayloadFieldSchema, PointInsertOperations,
    PointOperations, UpdateOperation,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::VectorStore;
use crate::collection::Draft;
use crate::error::StoreError;
use crate::options::ApiKey;
use crate::wire::collection::CollectionConfig;
use crate::wire::point::UpsertPoints;

/// Points asked for at a time.
const PAGE_POINTS: usize = 256;
/// Bytes of one page.
const PAGE_BYTES_MAX: u64 = 256 << 20;
/// Pages between two flushes, so that the log stays small.
const PAGES_UNFLUSHED_MAX: u64 = 64;
/// How long one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A collection somewhere else.
#[derive(Clone, Debug)]
pub struct RemoteCollection {
    /// Where the server is: `http://host:6333`.
    pub url: String,
    /// The collection's name there.
    pub collection: String,
    /// The server's key. Sent as the header `api-key`, never logged.
    pub api_key: Option<ApiKey>,
}

/// Why a collection was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The server cannot be asked.
    #[error("failed to ask {url}")]
    Ask {
        /// What was asked.
        url: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
    /// It answered something else than a Qdrant does.
    #[error("{url} does not answer as Qdrant does")]
    Answer {
        /// What was asked.
        url: String,
        /// Where the answer goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It cannot be kept here.
    #[error("failed to keep what came")]
    Keep(#[source] StoreError),
}

impl VectorStore {
    /// Makes the collection `name` of one that lies elsewhere: configuration, points, payload
    /// indexes. Blocks; calls `progress` with the number of points so far. Gives that number.
    ///
    /// # Errors
    /// There is a collection `name` already, the server cannot be asked, or what it has does not
    /// fit. Nothing stays then.
    pub fn import(
        &self,
        from: &RemoteCollection,
        name: &str,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ImportError> {
        let source = Source::new(from);
        let info: Info = source.get("")?;
        info.config
            .check(self.registry().limits())
            .map_err(ImportError::Keep)?;
        let mut points = 0;
        let mut failure = None;
        let inserted = self.registry().insert(name, |dir, name| {
            let draft = Draft::empty(dir, name, info.config)?;
            let copied = source.copy(&draft.shard, |copied| {
                points = copied;
                progress(copied);
            });
            if let Err(error) = copied {
                failure = Some(error);
                return Err(StoreError::Internal("the import broke off".to_owned()));
            }
            create_indexes(&draft.shard, info.payload_schema)?;
            draft.shard.flush()?;
            Ok(draft)
        });
        match (failure, inserted) {
            (Some(error), _) => Err(error),
            (None, result) => result.map(|()| points).map_err(ImportError::Keep),
        }
    }
}

struct Source<'a> {
    agent: ureq::Agent,
    base: String,
    api_key: Option<&'a str>,
}

#[derive(Deserialize)]
struct Reply<T> {
    result: T,
}

#[derive(Deserialize)]
struct Info {
    config: CollectionConfig,
    #[serde(default)]
    payload_schema: Map<String, Value>,
}

#[derive(Deserialize)]
struct Page {
    points: Value,
    next_page_offset: Option<Value>,
}

impl<'a> Source<'a> {
    fn new(from: &'a RemoteCollection) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PAGE_TIMEOUT))
            .build();
        Self {
            agent: config.into(),
            base: format!(
                "{}/collections/{}",
                from.url.trim_end_matches('/'),
                from.collection
            ),
            api_key: from.api_key.as_ref().map(ApiKey::reveal),
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ImportError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        if let Some(key) = self.api_key {
            request = request.header("api-key", key);
        }
        read(&url, request.call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ImportError> {
        let url = format!("{}{path}", self.base);
        let mut request = self
            .agent
            .post(&url)
            .header("content-type", "application/json");
        if let Some(key) = self.api_key {
            request = request.header("api-key", key);
        }
        read(&url, request.send(body.to_string()))
    }

    fn copy(&self, shard: &EdgeShard, mut progress: impl FnMut(u64)) -> Result<(), ImportError> {
        let mut offset = Value::Null;
        let (mut copied, mut pages) = (0, 0_u64);
        loop {
            let body = json!({"limit": PAGE_POINTS, "offset": offset, "with_payload": true, "with_vector": true});
            let page: Page = self.post("/points/scroll", &body)?;
            copied += page.points.as_array().map_or(0, Vec::len) as u64;
            keep(page.points, shard).map_err(ImportError::Keep)?;
            pages += 1;
            if pages.is_multiple_of(PAGES_UNFLUSHED_MAX) {
                shard
                    .flush()
                    .map_err(|error| ImportError::Keep(error.into()))?;
            }
            progress(copied);
            match page.next_page_offset {
                None | Some(Value::Null) => return Ok(()),
                Some(next) => offset = next,
            }
        }
    }
}

fn read<T: DeserializeOwned>(
    url: &str,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<T, ImportError> {
    let ask = |source| ImportError::Ask {
        url: url.to_owned(),
        source: Box::new(source),
    };
    let mut response = response.map_err(ask)?;
    let bytes = response
        .body_mut()
        .with_config()
        .limit(PAGE_BYTES_MAX)
        .read_to_vec()
        .map_err(ask)?;
    let reply: Reply<T> = serde_json::from_slice(&bytes).map_err(|source| ImportError::Answer {
        url: url.to_owned(),
        source,
    })?;
    Ok(reply.result)
}

fn keep(points: Value, shard: &EdgeShard) -> Result<(), StoreError> {
    let body = json!({ "points": points });
    let mut upsert: UpsertPoints =
        serde_json::from_value(body).map_err(|error| StoreError::BadJson(error.to_string()))?;
    let config = shard.config().clone();
    let points = PointInsertOperations::PointsList(upsert.take_points(&config)?);
    Ok(shard.update(UpdateOperation::PointOperation(
        PointOperations::UpsertPoints(points),
    ))?)
}

/// `{"data_type": …, "params": …}` of a server's answer becomes the index it describes.
fn create_indexes(shard: &EdgeShard, schema: Map<String, Value>) -> Result<(), StoreError> {
    for (field, mut info) in schema {
        let params = info["params"].take();
        let described = if params.is_null() {
            info["data_type"].take()
        } else {
            params
        };
        let bad = |error: &dyn std::fmt::Display| {
            StoreError::BadInput(format!("index of `{field}`: {error}"))
        };
        let field_schema: PayloadFieldSchema =
            serde_json::from_value(described).map_err(|error| bad(&error))?;
        let field_name = field.parse().map_err(|()| bad(&"no payload key"))?;
        let create = CreateIndex {
            field_name,
            field_schema: Some(field_schema),
        };
        shard.update(UpdateOperation::FieldIndexOperation(
            FieldIndexOperations::CreateIndex(create),
        ))?;
    }
    Ok(())
}
