//! Points as requests carry them, checked before they reach the engine's log.
//!
//! The engine writes an operation to its log first and finds out later that a vector does not
//! fit, with half a batch applied. Here the whole batch is checked first.

use std::collections::{BTreeMap, HashMap};

use qdrant_edge::{
    EdgeConfig, Filter, JsonPath, Payload, PayloadFieldSchema, PointId, PointStructPersisted,
    PointVectorsPersisted, UpdateMode, VectorPersisted, VectorStructPersisted,
};
use serde::Deserialize;

use crate::error::StoreError;

/// Body of `PUT …/points`: a list of points, or columns.
#[derive(Debug, Deserialize)]
pub(crate) struct UpsertPoints {
    pub points: Option<Vec<PointStructPersisted>>,
    pub batch: Option<Batch>,
    pub update_filter: Option<Filter>,
    pub update_mode: Option<UpdateMode>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    ids: Vec<PointId>,
    vectors: BatchVectors,
    payloads: Option<Vec<Option<Payload>>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum BatchVectors {
    Single(Vec<Vec<f32>>),
    Multi(Vec<Vec<Vec<f32>>>),
    Named(BTreeMap<String, Vec<VectorPersisted>>),
}

/// Points by id, or by a condition they meet.
#[derive(Debug, Deserialize)]
pub(crate) struct Selection {
    pub points: Option<Vec<PointId>>,
    pub filter: Option<Filter>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SetPayload {
    pub payload: Payload,
    pub points: Option<Vec<PointId>>,
    pub filter: Option<Filter>,
    pub key: Option<JsonPath>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DeletePayload {
    pub keys: Vec<JsonPath>,
    pub points: Option<Vec<PointId>>,
    pub filter: Option<Filter>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct UpdateVectors {
    pub points: Vec<PointVectorsPersisted>,
    pub update_filter: Option<Filter>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DeleteVectors {
    pub points: Option<Vec<PointId>>,
    pub filter: Option<Filter>,
    pub vector: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CreateIndex {
    pub field_name: JsonPath,
    pub field_schema: Option<PayloadFieldSchema>,
}

/// One of several operations in `POST …/points/batch`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BatchOperation {
    Upsert(UpsertPoints),
    Delete(Selection),
    SetPayload(SetPayload),
    OverwritePayload(SetPayload),
    DeletePayload(DeletePayload),
    ClearPayload(Selection),
    UpdateVectors(UpdateVectors),
    DeleteVectors(DeleteVectors),
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchOperations {
    pub operations: Vec<BatchOperation>,
}

impl UpsertPoints {
    /// The points as a list, every vector checked against the collection's.
    pub(crate) fn take_points(
        &mut self,
        config: &EdgeConfig,
    ) -> Result<Vec<PointStructPersisted>, StoreError> {
        let mut points = match (self.points.take(), self.batch.take()) {
            (Some(points), None) => points,
            (None, Some(batch)) => batch.into_points()?,
            _ => {
                return Err(StoreError::BadJson(
                    "expected either `points` or `batch`".to_owned(),
                ));
            }
        };
        for point in &mut points {
            check_vectors(&mut point.vector, config)?;
        }
        Ok(points)
    }
}

impl Batch {
    fn into_points(self) -> Result<Vec<PointStructPersisted>, StoreError> {
        let count = self.ids.len();
        let vectors = self.vectors.into_rows(count)?;
        let payloads = self.payloads.unwrap_or_else(|| vec![None; count]);
        if vectors.len() != count || payloads.len() != count {
            return Err(StoreError::Invalid(format!(
                "batch: {count} ids, {} vectors and {} payloads do not go together",
                vectors.len(),
                payloads.len()
            )));
        }
        let rows = self.ids.into_iter().zip(vectors).zip(payloads);
        Ok(rows
            .map(|((id, vector), payload)| PointStructPersisted {
                id,
                vector,
                payload,
            })
            .collect())
    }
}

impl BatchVectors {
    fn into_rows(self, count: usize) -> Result<Vec<VectorStructPersisted>, StoreError> {
        match self {
            Self::Single(rows) => Ok(rows
                .into_iter()
                .map(VectorStructPersisted::Single)
                .collect()),
            Self::Multi(rows) => Ok(rows
                .into_iter()
                .map(VectorStructPersisted::MultiDense)
                .collect()),
            Self::Named(columns) => {
                let mut rows = vec![HashMap::new(); count];
                for (name, column) in columns {
                    if column.len() != count {
                        return Err(StoreError::Invalid(format!(
                            "batch: {count} ids and {} vectors `{name}` do not go together",
                            column.len()
                        )));
                    }
                    for (row, vector) in rows.iter_mut().zip(column) {
                        row.insert(name.clone(), vector);
                    }
                }
                Ok(rows.into_iter().map(VectorStructPersisted::Named).collect())
            }
        }
    }
}

impl UpdateVectors {
    pub(crate) fn check(&mut self, config: &EdgeConfig) -> Result<(), StoreError> {
        self.points
            .iter_mut()
            .try_for_each(|point| check_vectors(&mut point.vector, config))
    }
}

/// Checks names, dimensions and values; sorts sparse vectors by index.
fn check_vectors(
    vectors: &mut VectorStructPersisted,
    config: &EdgeConfig,
) -> Result<(), StoreError> {
    match vectors {
        VectorStructPersisted::Single(vector) => check_dense("", vector, false, config),
        VectorStructPersisted::MultiDense(rows) => check_multi("", rows, config),
        VectorStructPersisted::Named(named) => named
            .iter_mut()
            .try_for_each(|(name, vector)| check_vector(name, vector, config)),
    }
}

/// Checks one vector under its name.
pub(crate) fn check_vector(
    name: &str,
    vector: &mut VectorPersisted,
    config: &EdgeConfig,
) -> Result<(), StoreError> {
    match vector {
        VectorPersisted::Dense(vector) => check_dense(name, vector, false, config),
        VectorPersisted::MultiDense(rows) => check_multi(name, rows, config),
        VectorPersisted::Sparse(sparse) => {
            if !config.sparse_vectors.contains_key(name) {
                let known = config.vectors.contains_key(name);
                return Err(if known {
                    wrong_kind(name, "dense")
                } else {
                    unknown(name)
                });
            }
            if sparse.indices.len() != sparse.values.len() {
                return Err(StoreError::Invalid(format!(
                    "sparse vector `{name}`: {} indices and {} values",
                    sparse.indices.len(),
                    sparse.values.len()
                )));
            }
            sparse.sort_by_indices();
            if !sparse.is_sorted() {
                return Err(StoreError::Invalid(format!(
                    "sparse vector `{name}`: indices must be unique"
                )));
            }
            check_finite(name, &sparse.values)
        }
    }
}

fn check_multi(name: &str, rows: &[Vec<f32>], config: &EdgeConfig) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Err(StoreError::Invalid(format!(
            "multivector `{name}` must not be empty"
        )));
    }
    rows.iter()
        .try_for_each(|row| check_dense(name, row, true, config))
}

fn check_dense(
    name: &str,
    vector: &[f32],
    multi: bool,
    config: &EdgeConfig,
) -> Result<(), StoreError> {
    let Some(params) = config.vectors.get(name) else {
        let known = config.sparse_vectors.contains_key(name);
        return Err(if known {
            wrong_kind(name, "sparse")
        } else {
            unknown(name)
        });
    };
    // A plain vector is a multivector of one row; the other way round there is no meaning.
    if multi && params.multivector_config.is_none() {
        return Err(wrong_kind(name, "dense"));
    }
    if vector.len() != params.size {
        return Err(StoreError::BadInput(format!(
            "Vector dimension error: expected dim: {}, got {}",
            params.size,
            vector.len()
        )));
    }
    check_finite(name, vector)
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), StoreError> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(StoreError::Invalid(format!(
            "vector `{name}`: values must be finite"
        ))),
    }
}

fn unknown(name: &str) -> StoreError {
    StoreError::BadInput(format!("Not existing vector name error: {name}"))
}

fn wrong_kind(name: &str, kind: &str) -> StoreError {
    StoreError::BadInput(format!(
        "Conversion between sparse and regular vectors failed: `{name}` is {kind}"
    ))
}

#[cfg(test)]
mod tests {
    use qdrant_edge::{Distance, EdgeSparseVectorParams, EdgeVectorParams};
    use serde_json::{Value, json};

    use super::*;

    fn config() -> EdgeConfig {
        EdgeConfig::builder()
            .vector("", EdgeVectorParams::builder(2, Distance::Dot).build())
            .vector("b", EdgeVectorParams::builder(1, Distance::Dot).build())
            .sparse_vector("s", EdgeSparseVectorParams::builder().build())
            .build()
    }

    fn take(body: Value) -> Result<Vec<PointStructPersisted>, StoreError> {
        let mut upsert: UpsertPoints = serde_json::from_value(body).unwrap();
        upsert.take_points(&config())
    }

    fn check_refused(vector: Value, word: &str) {
        let message = take(json!({"points": [{"id": 1, "vector": vector}]}))
            .unwrap_err()
            .to_string();
        assert!(message.contains(word), "{message}");
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused_before_the_log() {
        check_refused(json!([1.0]), "expected dim: 2, got 1");
        check_refused(json!({"nope": [1.0]}), "nope");
        check_refused(json!({"s": [1.0]}), "sparse");
        check_refused(json!({"b": {"indices": [1], "values": [1.0]}}), "dense");
        check_refused(
            json!({"s": {"indices": [1, 1], "values": [1.0, 2.0]}}),
            "unique",
        );
        check_refused(
            json!({"s": {"indices": [1], "values": [1.0, 2.0]}}),
            "1 indices and 2 values",
        );
        check_refused(json!([[1.0, 2.0]]), "dense");
        check_refused(json!([1e300, 0.0]), "finite");
    }

    #[test]
    fn a_batch_of_columns_becomes_points() {
        let points = take(json!({"batch": {
            "ids": [1, 2],
            "vectors": {"b": [[1.0], [2.0]], "s": [{"indices": [5, 3], "values": [0.5, 0.3]}, {"indices": [], "values": []}]},
            "payloads": [{"a": 1}, null],
        }}))
        .unwrap();
        assert_eq!(points.len(), 2);
        let VectorStructPersisted::Named(named) = &points[0].vector else {
            panic!("named")
        };
        let VectorPersisted::Sparse(sparse) = &named["s"] else {
            panic!("sparse")
        };
        assert_eq!(sparse.indices, [3, 5]);
        assert!(points[1].payload.is_none());
        let uneven = json!({"batch": {"ids": [1, 2], "vectors": [[1.0, 2.0]]}});
        assert!(
            take(uneven)
                .unwrap_err()
                .to_string()
                .contains("2 ids, 1 vectors")
        );
    }

    #[test]
    fn neither_points_nor_batch_is_no_request() {
        assert!(matches!(take(json!({})), Err(StoreError::BadJson(_))));
    }
}
