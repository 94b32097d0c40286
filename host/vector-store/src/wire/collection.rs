//! A collection's configuration: as requests give it, as replies show it, as the engine takes it.
//!
//! [`CollectionConfig`] has the shape of the `config.json` in a server's snapshot, so one type
//! serves replies, our own disk and snapshots in both directions.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use qdrant_edge::{
    Distance, EdgeConfig, EdgeOptimizersConfig, EdgeSparseVectorParams, EdgeVectorParams,
    HnswIndexConfig, Memory, Modifier, MultiVectorConfig, Payload, QuantizationConfig,
    VectorStorageDatatype, WalOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::StoreError;
use crate::options::Limits;

/// Body of `PUT /collections/{name}`. Sharding and replication are accepted and have no effect:
/// there is one shard in one place.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CreateCollection {
    pub vectors: Option<VectorsConfig>,
    pub sparse_vectors: Option<BTreeMap<String, SparseVectorParams>>,
    pub on_disk_payload: Option<bool>,
    pub hnsw_config: Option<Map<String, Value>>,
    pub optimizers_config: Option<OptimizersConfig>,
    pub wal_config: Option<WalConfigDiff>,
    pub quantization_config: Option<QuantizationConfig>,
    pub metadata: Option<Payload>,
}

/// Body of `PATCH /collections/{name}`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct UpdateCollection {
    pub vectors: Option<BTreeMap<String, VectorParamsDiff>>,
    pub optimizers_config: Option<OptimizersConfig>,
    pub hnsw_config: Option<Map<String, Value>>,
    pub quantization_config: Option<Value>,
    pub metadata: Option<Payload>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct VectorParamsDiff {
    pub hnsw_config: Option<Map<String, Value>>,
}

/// One unnamed vector, or several by name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum VectorsConfig {
    Single(VectorParams),
    Named(BTreeMap<String, VectorParams>),
}

impl Default for VectorsConfig {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct VectorParams {
    pub size: usize,
    pub distance: Distance,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hnsw_config: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization_config: Option<QuantizationConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datatype: Option<VectorStorageDatatype>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multivector_config: Option<MultiVectorConfig>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct SparseVectorParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<SparseIndexParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modifier: Option<Modifier>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct SparseIndexParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_scan_threshold: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disk: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datatype: Option<VectorStorageDatatype>,
}

/// What the optimiser goes by. `None` leaves the engine's own value.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct OptimizersConfig {
    pub deleted_threshold: Option<f64>,
    pub vacuum_min_vector_number: Option<usize>,
    pub default_segment_number: Option<usize>,
    pub max_segment_size: Option<usize>,
    pub indexing_threshold: Option<usize>,
    pub flush_interval_sec: Option<u64>,
    /// Kept and shown; the engine has no use for it any more.
    pub memmap_threshold: Option<usize>,
    pub prevent_unoptimized: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct WalConfigDiff {
    pub wal_capacity_mb: Option<usize>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct WalConfig {
    pub wal_capacity_mb: usize,
    pub wal_segments_ahead: usize,
}

impl Default for WalConfig {
    fn default() -> Self {
        Self {
            wal_capacity_mb: WAL_CAPACITY_MB_DEFAULT,
            wal_segments_ahead: 0,
        }
    }
}

/// A segment of the log is a file of this size from its first byte on, so small collections get a
/// small one; the server's is 32.
const WAL_CAPACITY_MB_DEFAULT: usize = 8;
const WAL_CAPACITY_MB_MAX: usize = 256;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct CollectionParams {
    pub vectors: VectorsConfig,
    pub shard_number: usize,
    pub replication_factor: usize,
    pub write_consistency_factor: usize,
    pub on_disk_payload: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sparse_vectors: Option<BTreeMap<String, SparseVectorParams>>,
}

impl Default for CollectionParams {
    fn default() -> Self {
        Self {
            vectors: VectorsConfig::default(),
            shard_number: 1,
            replication_factor: 1,
            write_consistency_factor: 1,
            on_disk_payload: true,
            sparse_vectors: None,
        }
    }
}

/// A collection's whole configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CollectionConfig {
    pub params: CollectionParams,
    pub hnsw_config: HnswIndexConfig,
    #[serde(default)]
    pub optimizer_config: OptimizersConfig,
    #[serde(default)]
    pub wal_config: WalConfig,
    #[serde(default)]
    pub quantization_config: Option<QuantizationConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Payload>,
}

impl CreateCollection {
    /// Fills in what was left out and checks what was given.
    pub(crate) fn into_config(self, limits: &Limits) -> Result<CollectionConfig, StoreError> {
        let hnsw_config = overlay(&HnswIndexConfig::default(), self.hnsw_config.as_ref())?;
        let wal_capacity_mb = self
            .wal_config
            .and_then(|wal| wal.wal_capacity_mb)
            .unwrap_or(WAL_CAPACITY_MB_DEFAULT);
        let config = CollectionConfig {
            params: CollectionParams {
                vectors: self.vectors.unwrap_or_default(),
                on_disk_payload: self.on_disk_payload.unwrap_or(true),
                sparse_vectors: self.sparse_vectors,
                ..CollectionParams::default()
            },
            hnsw_config,
            optimizer_config: with_shown_defaults(self.optimizers_config.unwrap_or_default()),
            wal_config: WalConfig {
                wal_capacity_mb,
                wal_segments_ahead: 0,
            },
            quantization_config: self.quantization_config,
            metadata: self.metadata,
        };
        config.check(limits)?;
        Ok(config)
    }
}

impl CollectionConfig {
    /// Refuses what is past a limit.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), StoreError> {
        let dense = self.vectors();
        let sparse = self.params.sparse_vectors.iter().flatten();
        let names: Vec<&str> = dense
            .iter()
            .map(|(name, _)| *name)
            .chain(sparse.map(|(name, _)| name.as_str()))
            .collect();
        if names.len() > limits.vectors_max {
            return Err(StoreError::Invalid(format!(
                "{} vectors are more than the {} a collection may have",
                names.len(),
                limits.vectors_max
            )));
        }
        if let Some(name) = names.iter().find(|name| name.len() > limits.name_len_max) {
            return Err(StoreError::Invalid(format!(
                "the vector name `{name}` is too long"
            )));
        }
        for (name, params) in dense {
            if !(1..=limits.vector_size_max).contains(&params.size) {
                return Err(StoreError::Invalid(format!(
                    "vectors.size of `{name}`: value {} invalid, must be from 1 to {}",
                    params.size, limits.vector_size_max
                )));
            }
        }
        if !(1..=WAL_CAPACITY_MB_MAX).contains(&self.wal_config.wal_capacity_mb) {
            return Err(StoreError::Invalid(format!(
                "wal_config.wal_capacity_mb: must be from 1 to {WAL_CAPACITY_MB_MAX}"
            )));
        }
        Ok(())
    }

    /// The dense vectors by name; the unnamed one has the empty name.
    pub(crate) fn vectors(&self) -> Vec<(&str, &VectorParams)> {
        match &self.params.vectors {
            VectorsConfig::Single(params) => vec![("", params)],
            VectorsConfig::Named(named) => named
                .iter()
                .map(|(name, params)| (name.as_str(), params))
                .collect(),
        }
    }

    /// The same for the engine.
    pub(crate) fn to_engine(&self) -> Result<EdgeConfig, StoreError> {
        let mut builder = EdgeConfig::builder()
            .payload_memory(if self.params.on_disk_payload {
                Memory::Cold
            } else {
                Memory::Cached
            })
            .hnsw_config(self.hnsw_config)
            .optimizers(self.optimizer_config.to_engine())
            .wal_options(WalOptions {
                segment_capacity: self.wal_config.wal_capacity_mb << 20,
                segment_queue_len: 0,
                retain_closed: NonZeroUsize::MIN,
            });
        if let Some(quantization) = &self.quantization_config {
            builder = builder.quantization_config(quantization.clone());
        }
        for (name, params) in self.vectors() {
            builder = builder.vector(name, params.to_engine(&self.hnsw_config)?);
        }
        for (name, params) in self.params.sparse_vectors.iter().flatten() {
            builder = builder.sparse_vector(name.as_str(), params.to_engine());
        }
        Ok(builder.build())
    }

    /// Applies what a `PATCH` carries.
    pub(crate) fn apply(&mut self, update: UpdateCollection) -> Result<(), StoreError> {
        self.hnsw_config = overlay(&self.hnsw_config, update.hnsw_config.as_ref())?;
        if let Some(optimizers) = update.optimizers_config {
            let given = to_object(&optimizers)?;
            self.optimizer_config = overlay(&self.optimizer_config, Some(&given))?;
        }
        if let Some(metadata) = update.metadata {
            self.metadata = Some(metadata);
        }
        match update.quantization_config {
            None => {}
            Some(Value::String(word)) if word == "Disabled" => self.quantization_config = None,
            Some(value) => {
                self.quantization_config = Some(serde_json::from_value(value).map_err(bad_json)?)
            }
        }
        for (name, diff) in update.vectors.into_iter().flatten() {
            let params = self.vector_mut(&name).ok_or_else(|| {
                StoreError::BadInput(format!("Not existing vector name error: {name}"))
            })?;
            if let Some(hnsw) = diff.hnsw_config {
                params
                    .hnsw_config
                    .get_or_insert_default()
                    .extend(present(hnsw));
            }
        }
        Ok(())
    }

    fn vector_mut(&mut self, name: &str) -> Option<&mut VectorParams> {
        match &mut self.params.vectors {
            VectorsConfig::Single(params) => name.is_empty().then_some(params),
            VectorsConfig::Named(named) => named.get_mut(name),
        }
    }
}

impl VectorParams {
    fn to_engine(&self, global: &HnswIndexConfig) -> Result<EdgeVectorParams, StoreError> {
        let mut builder = EdgeVectorParams::builder(self.size, self.distance);
        if let Some(memory) = placement(self.memory, self.on_disk) {
            builder = builder.memory(memory);
        }
        if let Some(multivector) = self.multivector_config {
            builder = builder.multivector_config(multivector);
        }
        if let Some(datatype) = self.datatype {
            builder = builder.datatype(datatype);
        }
        if let Some(quantization) = &self.quantization_config {
            builder = builder.quantization_config(quantization.clone());
        }
        if let Some(hnsw) = &self.hnsw_config {
            builder = builder.hnsw_config(overlay(global, Some(hnsw))?);
        }
        Ok(builder.build())
    }
}

impl SparseVectorParams {
    fn to_engine(&self) -> EdgeSparseVectorParams {
        let mut builder = EdgeSparseVectorParams::builder();
        if let Some(modifier) = self.modifier {
            builder = builder.modifier(modifier);
        }
        let Some(index) = &self.index else {
            return builder.build();
        };
        if let Some(threshold) = index.full_scan_threshold {
            builder = builder.full_scan_threshold(threshold);
        }
        if let Some(memory) = placement(index.memory, index.on_disk) {
            builder = builder.memory(memory);
        }
        if let Some(datatype) = index.datatype {
            builder = builder.datatype(datatype);
        }
        builder.build()
    }
}

impl OptimizersConfig {
    pub(crate) fn to_engine(&self) -> EdgeOptimizersConfig {
        EdgeOptimizersConfig {
            deleted_threshold: self.deleted_threshold,
            vacuum_min_vector_number: self.vacuum_min_vector_number,
            default_segment_number: self.default_segment_number,
            max_segment_size: self.max_segment_size,
            indexing_threshold: self.indexing_threshold,
            // Deferred points become visible by an optimiser that runs right then; ours runs later.
            prevent_unoptimized: None,
        }
    }
}

/// Clients require these numbers in a reply; the engine's own values are the same.
fn with_shown_defaults(given: OptimizersConfig) -> OptimizersConfig {
    OptimizersConfig {
        deleted_threshold: given.deleted_threshold.or(Some(0.2)),
        vacuum_min_vector_number: given.vacuum_min_vector_number.or(Some(1000)),
        default_segment_number: given.default_segment_number.or(Some(0)),
        indexing_threshold: given.indexing_threshold.or(Some(10_000)),
        flush_interval_sec: given.flush_interval_sec.or(Some(5)),
        ..given
    }
}

fn placement(memory: Option<Memory>, on_disk: Option<bool>) -> Option<Memory> {
    memory.or(on_disk.map(|on_disk| {
        if on_disk {
            Memory::Cold
        } else {
            Memory::Cached
        }
    }))
}

/// `base` with the keys of `given` that are not null written over it.
fn overlay<T>(base: &T, given: Option<&Map<String, Value>>) -> Result<T, StoreError>
where
    T: Clone + Serialize + for<'de> Deserialize<'de>,
{
    let Some(given) = given else {
        return Ok(base.clone());
    };
    let mut merged = to_object(base)?;
    merged.extend(present(given.clone()));
    serde_json::from_value(Value::Object(merged)).map_err(bad_json)
}

fn to_object<T: Serialize>(value: &T) -> Result<Map<String, Value>, StoreError> {
    match serde_json::to_value(value).map_err(bad_json)? {
        Value::Object(object) => Ok(object),
        _ => Err(StoreError::BadJson("expected an object".to_owned())),
    }
}

fn present(given: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    given.into_iter().filter(|(_, value)| !value.is_null())
}

fn bad_json(error: serde_json::Error) -> StoreError {
    StoreError::BadJson(error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(body: Value) -> Result<CollectionConfig, StoreError> {
        let create: CreateCollection = serde_json::from_value(body).unwrap();
        create.into_config(&Limits::default())
    }

    fn check_refused(body: Value, word: &str) {
        let message = config(body).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }

    #[test]
    fn one_vector_or_several() {
        let single = config(json!({"vectors": {"size": 4, "distance": "Cosine"}})).unwrap();
        assert_eq!(single.vectors()[0].0, "");
        let named = config(json!({"vectors": {"a": {"size": 4, "distance": "Dot"}, "b": {"size": 8, "distance": "Euclid"}}})).unwrap();
        assert_eq!(named.to_engine().unwrap().vectors.len(), 2);
        let none = config(json!({"sparse_vectors": {"words": {}}})).unwrap();
        assert_eq!(none.to_engine().unwrap().sparse_vectors.len(), 1);
    }

    #[test]
    fn a_part_of_the_graph_settings_keeps_the_rest() {
        let config = config(json!({
            "vectors": {"size": 4, "distance": "Cosine", "hnsw_config": {"m": 32}},
            "hnsw_config": {"ef_construct": 50, "m": null},
        }))
        .unwrap();
        assert_eq!(
            (config.hnsw_config.m, config.hnsw_config.ef_construct),
            (16, 50)
        );
        let engine = config.to_engine().unwrap();
        let vector = engine.vectors[""].hnsw_config.unwrap();
        assert_eq!((vector.m, vector.ef_construct), (32, 50));
    }

    #[test]
    fn limits_are_held() {
        check_refused(
            json!({"vectors": {"size": 0, "distance": "Cosine"}}),
            "size",
        );
        check_refused(
            json!({"vectors": {"size": 65537, "distance": "Cosine"}}),
            "65536",
        );
        check_refused(
            json!({"vectors": {"n".repeat(256): {"size": 1, "distance": "Dot"}}}),
            "too long",
        );
        check_refused(
            json!({"wal_config": {"wal_capacity_mb": 0}}),
            "wal_capacity_mb",
        );
        let many: Map<String, Value> = (0..65)
            .map(|n| (n.to_string(), json!({"size": 1, "distance": "Dot"})))
            .collect();
        check_refused(json!({"vectors": many}), "65 vectors");
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let mut config = config(json!({"vectors": {"size": 4, "distance": "Cosine"}})).unwrap();
        let patch = json!({"optimizers_config": {"indexing_threshold": 7}, "vectors": {"": {"hnsw_config": {"m": 5}}}});
        config
            .apply(serde_json::from_value(patch).unwrap())
            .unwrap();
        assert_eq!(config.optimizer_config.indexing_threshold, Some(7));
        assert_eq!(config.optimizer_config.vacuum_min_vector_number, Some(1000));
        assert_eq!(
            config.to_engine().unwrap().vectors[""]
                .hnsw_config
                .unwrap()
                .m,
            5
        );
    }
}
