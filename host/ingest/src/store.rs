//! One collection of the vector store, by Qdrant's REST API.
//!
//! Every write waits until the store has it on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use gaia_rag::{Hit, Payload};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::{Client, Endpoint, HttpError, KeyHeader};

/// Points read in one call while looking at what is there.
const SCROLL_POINTS_MAX: usize = 1_000;

/// A chunk as the store holds it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// See [`gaia_rag::point_id`].
    pub id: String,
    /// The embedding.
    pub vector: Vec<f32>,
    /// The passage and where it comes from.
    pub payload: Payload,
}

/// What the store holds of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Chunks by document hash. More than one hash: a change was not finished.
    pub versions: BTreeMap<String, Version>,
    /// Where it was read from.
    pub origin: String,
}

/// One version of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Chunks that are there.
    pub present: BTreeSet<u32>,
    /// Chunks it has.
    pub chunks: u32,
}

impl Held {
    /// Whether exactly this version is there, with all its chunks.
    pub fn is_exactly(&self, hash: &str) -> bool {
        self.versions.len() == 1 && self.versions.get(hash).is_some_and(Version::is_complete)
    }

    /// Whether one version is there, with all its chunks.
    pub fn is_complete(&self) -> bool {
        self.versions.len() == 1 && self.versions.values().all(Version::is_complete)
    }

    /// The number of points.
    pub fn points(&self) -> usize {
        self.versions
            .values()
            .map(|version| version.present.len())
            .sum()
    }
}

impl Version {
    fn is_complete(&self) -> bool {
        self.present.len() == self.chunks as usize
    }
}

/// What a collection holds, in one digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Nothing.
    Nothing,
    /// Documents are being added or changed.
    Changing,
    /// What has this digest: [`gaia_rag::knowledge_digest`].
    Digest([u8; 32]),
}

/// A collection.
pub struct Store {
    client: Client,
    collection: String,
}

impl Store {
    /// Calls nothing yet. The key goes as `api-key`.
    pub fn new(endpoint: Endpoint, collection: impl Into<String>) -> Self {
        Self {
            client: Client::new(endpoint, KeyHeader::ApiKey),
            collection: collection.into(),
        }
    }

    /// The collection's name.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The size of the collection's vectors; `None` where there is no such collection.
    ///
    /// # Errors
    /// When the store does not answer as it should.
    pub fn dimensions(&self) -> Result<Option<usize>, HttpError> {
        let path = self.path("");
        let Some(reply) = found(self.client.get(&path))? else {
            return Ok(None);
        };
        let size = reply
            .pointer("/result/config/params/vectors/size")
            .and_then(Value::as_u64);
        match size.and_then(|size| usize::try_from(size).ok()) {
            Some(size) => Ok(Some(size)),
            None => Err(self
                .client
                .reply_error(&path, "the collection has no unnamed vector")),
        }
    }

    /// Makes the collection, with its indexes.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn create(&self, dimensions: usize) -> Result<(), HttpError> {
        self.client.put(
            &self.path(""),
            &json!({"vectors": {"size": dimensions, "distance": "Cosine"}}),
        )?;
        self.index()
    }

    /// Removes the collection and all that is in it; one that is not there stays away.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn destroy(&self) -> Result<(), HttpError> {
        found(self.client.delete(&self.path("")))?;
        Ok(())
    }

    /// Puts indexes on the names of documents and on where they come from; one that is there stays.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn index(&self) -> Result<(), HttpError> {
        for field in ["document", "origin"] {
            let index = json!({"field_name": field, "field_schema": "keyword"});
            self.client.put(&self.path("/index?wait=true"), &index)?;
        }
        Ok(())
    }

    /// The number of points; `None` where there is no such collection.
    ///
    /// # Errors
    /// When the store does not answer as it should.
    pub fn count(&self) -> Result<Option<u64>, HttpError> {
        self.count_where(&json!({}))
    }

    /// The number of points without `field`; 0 where there is no such collection.
    ///
    /// # Errors
    /// When the store does not answer as it should.
    pub fn count_without(&self, field: &str) -> Result<u64, HttpError> {
        let filter = json!({"must": [{"is_empty": {"key": field}}]});
        Ok(self.count_where(&filter)?.unwrap_or_default())
    }

    fn count_where(&self, filter: &Value) -> Result<Option<u64>, HttpError> {
        let path = self.path("/points/count");
        let body = json!({"exact": true, "filter": filter});
        let Some(reply) = found(self.client.post(&path, &body))? else {
            return Ok(None);
        };
        match reply.pointer("/result/count").and_then(Value::as_u64) {
            Some(count) => Ok(Some(count)),
            None => Err(self.client.reply_error(&path, "no count")),
        }
    }

    /// Puts the collection of a snapshot in the place of this one, or makes it. Where the store is
    /// the node's own, it has the old one or the new one at any moment.
    ///
    /// # Errors
    /// When the store refuses or goes away. With a status from 400 to 499 the old one is as it was;
    /// with anything else it may be the new one.
    pub fn restore(&self, snapshot: &mut dyn Read) -> Result<(), HttpError> {
        // `snapshot` is the priority a server of several nodes needs; one alone ignores it.
        let path = self.path("/snapshots/upload?wait=true&priority=snapshot");
        self.client.upload(&path, "snapshot", snapshot)?;
        Ok(())
    }

    /// What the collection holds, in one digest.
    ///
    /// # Errors
    /// When the store does not answer as it should.
    pub fn holding(&self) -> Result<Holding, HttpError> {
        let documents = self.documents()?;
        if !documents.values().all(Held::is_complete) {
            return Ok(Holding::Changing);
        }
        let mut passages = Vec::new();
        let nameless = json!({"must": [{"is_empty": {"key": "document"}}]});
        self.scroll(&nameless, &["source"], |point| {
            let source = point.pointer("/payload/source").and_then(Value::as_str);
            passages.push(source.unwrap_or_default().to_owned());
        })?;
        let versions = documents.iter().flat_map(|(name, held)| {
            let hashes = held.versions.keys();
            hashes.map(|hash| (name.as_str(), hash.as_str()))
        });
        let digest = gaia_rag::knowledge_digest(versions, passages.iter().map(String::as_str));
        Ok(digest.map_or(Holding::Nothing, Holding::Digest))
    }

    /// What is there, by document name. Points without a name (those of a GaiaNet snapshot) are left out.
    ///
    /// # Errors
    /// When the store does not answer as it should.
    pub fn documents(&self) -> Result<BTreeMap<String, Held>, HttpError> {
        let fields = ["document", "document_hash", "chunk", "chunks", "origin"];
        let mut documents = BTreeMap::new();
        self.scroll(&json!({}), &fields, |point| hold(&mut documents, point))?;
        Ok(documents)
    }

    /// Shows `see` these fields of all points that fit the filter.
    fn scroll(
        &self,
        filter: &Value,
        fields: &[&str],
        mut see: impl FnMut(&Value),
    ) -> Result<(), HttpError> {
        let path = self.path("/points/scroll");
        let mut offset = Value::Null;
        loop {
            let body = json!({
                "limit": SCROLL_POINTS_MAX, "offset": offset, "with_vector": false,
                "filter": filter, "with_payload": fields,
            });
            let Some(mut reply) = found(self.client.post(&path, &body))? else {
                return Ok(());
            };
            let points = reply.pointer("/result/points").and_then(Value::as_array);
            points.into_iter().flatten().for_each(&mut see);
            offset = reply
                .pointer_mut("/result/next_page_offset")
                .map(Value::take)
                .unwrap_or_default();
            if offset.is_null() {
                return Ok(());
            }
        }
    }

    /// Adds points or replaces those with the same ids.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn upsert(&self, points: &[Point]) -> Result<(), HttpError> {
        self.client
            .put(&self.path("/points?wait=true"), &json!({"points": points}))?;
        Ok(())
    }

    /// Removes all points of a document, but for those of version `keep`.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn remove(&self, document: &str, keep: Option<&str>) -> Result<(), HttpError> {
        let matching = |key: &str, value: &str| json!({"key": key, "match": {"value": value}});
        let mut filter = json!({"must": [matching("document", document)]});
        if let Some(hash) = keep {
            filter["must_not"] = json!([matching("document_hash", hash)]);
        }
        self.client.post(
            &self.path("/points/delete?wait=true"),
            &json!({"filter": filter}),
        )?;
        Ok(())
    }

    /// The texts and vectors of a few points, without those that lack one.
    ///
    /// # Errors
    /// When the store does not answer as it should.
    pub fn sample(&self, limit: usize) -> Result<Vec<(String, Vec<f32>)>, HttpError> {
        let body = json!({"limit": limit, "with_vector": true, "with_payload": ["source"]});
        let reply = self.client.post(&self.path("/points/scroll"), &body)?;
        let points = reply.pointer("/result/points").and_then(Value::as_array);
        let text_and_vector = |point: &Value| {
            let text = point.pointer("/payload/source")?.as_str()?.to_owned();
            let vector = point.get("vector")?.as_array()?;
            let number = |value: &Value| Some(value.as_f64()? as f32);
            Some((text, vector.iter().map(number).collect::<Option<_>>()?))
        };
        Ok(points
            .into_iter()
            .flatten()
            .filter_map(text_and_vector)
            .collect())
    }

    /// The nearest points, best first.
    ///
    /// # Errors
    /// When the store does not answer as it should, or there is no such collection.
    pub fn query(&self, vector: &[f32], limit: usize) -> Result<Vec<Hit>, HttpError> {
        self.query_where(vector, limit, &json!({}))
    }

    /// The nearest of the points that were read from one of `origins`, best first.
    ///
    /// # Errors
    /// When the store does not answer as it should, or there is no such collection.
    pub fn query_among(
        &self,
        vector: &[f32],
        limit: usize,
        origins: &[&str],
    ) -> Result<Vec<Hit>, HttpError> {
        let is_one = json!({"key": "origin", "match": {"any": origins}});
        self.query_where(vector, limit, &json!({"must": [is_one]}))
    }

    fn query_where(
        &self,
        vector: &[f32],
        limit: usize,
        filter: &Value,
    ) -> Result<Vec<Hit>, HttpError> {
        let body = json!({"query": vector, "limit": limit, "with_payload": true, "filter": filter});
        let reply = self.client.post(&self.path("/points/query"), &body)?;
        Ok(Hit::from_reply(&reply))
    }

    fn path(&self, rest: &str) -> String {
        format!("/collections/{}{rest}", self.collection)
    }
}

/// A missing collection is no error where we only look.
fn found(reply: Result<Value, HttpError>) -> Result<Option<Value>, HttpError> {
    match reply {
        Err(HttpError::Refused { status: 404, .. }) => Ok(None),
        other => other.map(Some),
    }
}

fn hold(documents: &mut BTreeMap<String, Held>, point: &Value) {
    let text = |key: &str| {
        point
            .pointer(&format!("/payload/{key}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let number = |key: &str| {
        point
            .pointer(&format!("/payload/{key}"))
            .and_then(Value::as_u64)
    };
    let number = |key: &str| {
        number(key)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or_default()
    };
    if text("document").is_empty() {
        return;
    }
    let held: &mut Held = documents.entry(text("document").to_owned()).or_default();
    text("origin").clone_into(&mut held.origin);
    let version = held
        .versions
        .entry(text("document_hash").to_owned())
        .or_default();
    version.present.insert(number("chunk"));
    version.chunks = number("chunks");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(points: &[(&str, u32, u32)]) -> Held {
        let mut documents = BTreeMap::new();
        for (hash, chunk, chunks) in points {
            let payload =
                json!({"document": "d", "document_hash": hash, "chunk": chunk, "chunks": chunks});
            hold(&mut documents, &json!({"id": 1, "payload": payload}));
        }
        hold(
            &mut documents,
            &json!({"id": 2, "payload": {"source": "GaiaNet's"}}),
        );
        assert!(documents.len() <= 1);
        documents.remove("d").unwrap_or_default()
    }

    #[test]
    fn only_a_whole_version_is_complete() {
        let check = |points: &[(&str, u32, u32)], exactly: bool, complete: bool| {
            let held = held(points);
            assert_eq!(
                (held.is_exactly("a"), held.is_complete()),
                (exactly, complete),
                "{points:?}"
            );
        };
        check(&[], false, false);
        check(&[("a", 0, 1)], true, true);
        check(&[("a", 0, 2)], false, false);
        check(&[("a", 0, 2), ("a", 1, 2)], true, true);
        check(&[("a", 0, 1), ("b", 1, 2)], false, false);
        check(&[("b", 0, 1)], false, true);
    }
}
