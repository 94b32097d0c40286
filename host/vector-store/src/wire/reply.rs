//! What replies hold: points, records, groups, the outcome of an update.

use qdrant_edge::{
    FacetHit, FacetValue, Group, OrderValue, Payload, PointId, Record, ScoredPoint,
    VectorStructInternal, VectorStructPersisted,
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// A point as `retrieve` and `scroll` show it.
#[derive(Debug, Serialize)]
pub(crate) struct RecordReply {
    pub id: PointId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorStructPersisted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_value: Option<OrderValue>,
}

/// A point as a query shows it.
#[derive(Debug, Serialize)]
pub(crate) struct ScoredReply {
    pub id: PointId,
    pub version: u64,
    pub score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorStructPersisted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_value: Option<OrderValue>,
}

impl From<Record> for RecordReply {
    fn from(record: Record) -> Self {
        Self {
            id: record.id,
            payload: record.payload,
            vector: record.vector.map(shown),
            order_value: record.order_value,
        }
    }
}

impl From<ScoredPoint> for ScoredReply {
    fn from(point: ScoredPoint) -> Self {
        Self {
            id: point.id,
            version: point.version,
            score: point.score,
            payload: point.payload,
            vector: point.vector.map(shown),
            order_value: point.order_value,
        }
    }
}

fn shown(vector: VectorStructInternal) -> VectorStructPersisted {
    VectorStructPersisted::from(vector)
}

pub(crate) fn scored(points: Vec<ScoredPoint>) -> Vec<ScoredReply> {
    points.into_iter().map(ScoredReply::from).collect()
}

pub(crate) fn records(records: Vec<Record>) -> Vec<RecordReply> {
    records.into_iter().map(RecordReply::from).collect()
}

pub(crate) fn groups(groups: Vec<Group>) -> Value {
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|group| json!({"id": group.key, "hits": scored(group.hits)}))
        .collect();
    json!({ "groups": groups })
}

pub(crate) fn facet(hits: Vec<FacetHit<FacetValue>>) -> Value {
    let hits: Vec<Value> = hits
        .into_iter()
        .map(|hit| {
            let value = match hit.value {
                FacetValue::Keyword(word) => json!(word),
                FacetValue::Int(number) => json!(number),
                FacetValue::Uuid(number) => json!(Uuid::from_u128(number)),
                FacetValue::Bool(truth) => json!(truth),
            };
            json!({"value": value, "count": hit.count})
        })
        .collect();
    json!({ "hits": hits })
}

/// What became of an update: on disk, or only written to the log.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct UpdateReply {
    pub operation_id: u64,
    pub status: UpdateStatus,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UpdateStatus {
    /// Applied, and it survives a crash from here on.
    Completed,
    /// Applied; a crash within the next flush interval may lose it.
    Acknowledged,
}
