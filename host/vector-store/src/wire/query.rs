//! Queries as requests carry them: one type for `/points/query`, its batch and its groups, and the
//! older `/points/search` and `/points/recommend` rewritten into it.

use qdrant_edge::{
    Filter, JsonPath, OrderByInterface, PointId, SearchParams, SparseVector, VectorPersisted,
    WithPayloadInterface, WithVector,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::formula::FormulaInput;
use crate::error::StoreError;

pub(crate) const LIMIT_DEFAULT: usize = 10;
const GROUP_SIZE_DEFAULT: usize = 3;

/// Body of `POST …/points/query`. Unknown keys are refused, so that a misspelt filter cannot
/// silently answer a wider question.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    #[serde(default, deserialize_with = "one_or_many")]
    pub prefetch: Vec<PrefetchBody>,
    pub query: Option<Value>,
    pub using: Option<String>,
    pub filter: Option<Filter>,
    pub params: Option<SearchParams>,
    pub score_threshold: Option<f32>,
    pub limit: Option<usize>,
    pub offset: Option<usize>,
    #[serde(alias = "with_vectors")]
    pub with_vector: Option<WithVector>,
    pub with_payload: Option<WithPayloadInterface>,
    pub lookup_from: Option<LookupLocation>,
    #[serde(rename = "shard_key")]
    pub _shard_key: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefetchBody {
    #[serde(default, deserialize_with = "one_or_many")]
    pub prefetch: Vec<PrefetchBody>,
    pub query: Option<Value>,
    pub using: Option<String>,
    pub filter: Option<Filter>,
    pub params: Option<SearchParams>,
    pub score_threshold: Option<f32>,
    pub limit: Option<usize>,
    pub lookup_from: Option<LookupLocation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchBody {
    pub searches: Vec<QueryBody>,
}

/// The collection and vector that ids in a query are looked up in.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LookupLocation {
    pub collection: String,
    pub vector: Option<String>,
}

/// `…/points/query/groups`: a query and how to group its hits.
#[derive(Debug)]
pub(crate) struct GroupsBody {
    pub query: QueryBody,
    pub group_by: JsonPath,
    pub group_size: usize,
    pub groups: usize,
}

impl GroupsBody {
    pub(crate) fn from_value(body: Value) -> Result<Self, StoreError> {
        let mut body = object(body)?;
        if body
            .get("with_lookup")
            .is_some_and(|lookup| !lookup.is_null())
        {
            return Err(StoreError::BadInput(
                "with_lookup is not supported".to_owned(),
            ));
        }
        body.remove("with_lookup");
        let group_by = body.remove("group_by").ok_or_else(|| missing("group_by"))?;
        let group_size = body.remove("group_size").unwrap_or_default();
        let groups = body.remove("limit").unwrap_or_default();
        Ok(Self {
            query: typed(Value::Object(body))?,
            group_by: typed(group_by)?,
            group_size: typed::<Option<usize>>(group_size)?.unwrap_or(GROUP_SIZE_DEFAULT),
            groups: typed::<Option<usize>>(groups)?.unwrap_or(LIMIT_DEFAULT),
        })
    }
}

/// `…/points/search` as a query.
pub(crate) fn from_search(body: Value) -> Result<QueryBody, StoreError> {
    let mut body = object(body)?;
    let vector = body.remove("vector").ok_or_else(|| missing("vector"))?;
    let (vector, using) = match vector {
        Value::Object(mut named) if named.contains_key("name") => (
            named.remove("vector").ok_or_else(|| missing("vector"))?,
            named.remove("name"),
        ),
        plain => (plain, None),
    };
    rename_top(&mut body);
    body.insert("query".to_owned(), json!({ "nearest": vector }));
    body.extend(using.map(|name| ("using".to_owned(), name)));
    typed(Value::Object(body))
}

/// `…/points/recommend` as a query.
pub(crate) fn from_recommend(body: Value) -> Result<QueryBody, StoreError> {
    let mut body = object(body)?;
    let mut recommend = Map::new();
    for key in ["positive", "negative", "strategy"] {
        recommend.extend(body.remove(key).map(|value| (key.to_owned(), value)));
    }
    if let Some(Value::Object(mut named)) = body.get("using").cloned() {
        body.extend(named.remove("name").map(|name| ("using".to_owned(), name)));
    }
    rename_top(&mut body);
    body.insert("query".to_owned(), json!({ "recommend": recommend }));
    typed(Value::Object(body))
}

fn rename_top(body: &mut Map<String, Value>) {
    if let Some(top) = body.remove("top") {
        body.insert("limit".to_owned(), top);
    }
}

/// What a query asks for, ids not looked up yet.
#[derive(Debug)]
pub(crate) enum Query {
    Nearest {
        vector: VectorInput,
        mmr: Option<MmrInput>,
    },
    Recommend {
        positive: Vec<VectorInput>,
        negative: Vec<VectorInput>,
        strategy: RecommendStrategy,
    },
    Discover {
        target: VectorInput,
        context: Vec<ContextPairInput>,
    },
    Context(Vec<ContextPairInput>),
    Feedback {
        target: VectorInput,
        feedback: Vec<(VectorInput, f32)>,
        strategy: NaiveInput,
    },
    OrderBy(OrderByInterface),
    Rrf(RrfInput),
    Dbsf,
    Formula(FormulaInput),
    Sample,
}

/// A vector, or the id of a point that has one.
#[derive(Debug)]
pub(crate) enum VectorInput {
    Id(PointId),
    Vector(VectorPersisted),
}

#[derive(Debug)]
pub(crate) struct ContextPairInput {
    pub positive: VectorInput,
    pub negative: VectorInput,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct MmrInput {
    pub diversity: Option<f32>,
    pub candidates_limit: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RrfInput {
    pub k: Option<usize>,
    pub weights: Option<Vec<f32>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct NaiveInput {
    pub a: f32,
    pub b: f32,
    pub c: f32,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecommendStrategy {
    #[default]
    AverageVector,
    BestScore,
    SumScores,
}

impl Query {
    pub(crate) fn from_value(value: Value) -> Result<Self, StoreError> {
        let Value::Object(mut object) = value else {
            return Ok(Self::Nearest {
                vector: VectorInput::from_value(value)?,
                mmr: None,
            });
        };
        if object.contains_key("formula") {
            return Ok(Self::Formula(typed(Value::Object(object))?));
        }
        if let Some(vector) = object.remove("nearest") {
            let mmr = typed(object.remove("mmr").unwrap_or_default())?;
            return Ok(Self::Nearest {
                vector: VectorInput::from_value(vector)?,
                mmr,
            });
        }
        let Some((key, _)) = object.iter().next() else {
            return Err(StoreError::BadJson("query: empty".to_owned()));
        };
        let key = key.clone();
        match key.as_str() {
            "recommend" => recommend(object.remove(&key)),
            "discover" => {
                let mut discover = self::object(object.remove(&key).unwrap_or_default())?;
                let target = discover.remove("target").ok_or_else(|| missing("target"))?;
                Ok(Self::Discover {
                    target: VectorInput::from_value(target)?,
                    context: context(discover.remove("context"))?,
                })
            }
            "context" => Ok(Self::Context(context(object.remove(&key))?)),
            "relevance_feedback" => feedback(object.remove(&key)),
            "order_by" => Ok(Self::OrderBy(typed(
                object.remove(&key).unwrap_or_default(),
            )?)),
            "rrf" => Ok(Self::Rrf(typed(object.remove(&key).unwrap_or_default())?)),
            "fusion" => match object.remove(&key).as_ref().and_then(Value::as_str) {
                Some("rrf") => Ok(Self::Rrf(RrfInput::default())),
                Some("dbsf") => Ok(Self::Dbsf),
                _ => Err(StoreError::BadJson(
                    "query.fusion: expected `rrf` or `dbsf`".to_owned(),
                )),
            },
            "sample" => match object.remove(&key).as_ref().and_then(Value::as_str) {
                Some("random") => Ok(Self::Sample),
                _ => Err(StoreError::BadJson(
                    "query.sample: expected `random`".to_owned(),
                )),
            },
            _ => Ok(Self::Nearest {
                vector: VectorInput::from_value(Value::Object(object))?,
                mmr: None,
            }),
        }
    }
}

impl VectorInput {
    fn from_value(value: Value) -> Result<Self, StoreError> {
        match &value {
            Value::Array(items) if items.first().is_some_and(Value::is_array) => {
                Ok(Self::Vector(VectorPersisted::MultiDense(typed(value)?)))
            }
            Value::Array(_) => Ok(Self::Vector(VectorPersisted::Dense(typed(value)?))),
            Value::Object(object) if object.contains_key("indices") => {
                let sparse: SparseVector = typed(value)?;
                Ok(Self::Vector(VectorPersisted::Sparse(sparse)))
            }
            Value::Object(_) => Err(StoreError::BadInput(
                "the store embeds nothing itself: a query takes a vector or a point id".to_owned(),
            )),
            _ => Ok(Self::Id(typed(value)?)),
        }
    }
}

fn recommend(value: Option<Value>) -> Result<Query, StoreError> {
    let mut body = object(value.unwrap_or_default())?;
    let strategy: Option<RecommendStrategy> = typed(body.remove("strategy").unwrap_or_default())?;
    Ok(Query::Recommend {
        positive: inputs(body.remove("positive"))?,
        negative: inputs(body.remove("negative"))?,
        strategy: strategy.unwrap_or_default(),
    })
}

fn feedback(value: Option<Value>) -> Result<Query, StoreError> {
    #[derive(Deserialize)]
    struct Item {
        example: Value,
        score: f32,
    }
    #[derive(Deserialize)]
    struct Strategy {
        naive: NaiveInput,
    }
    #[derive(Deserialize)]
    struct Body {
        target: Value,
        feedback: Vec<Item>,
        strategy: Strategy,
    }
    let body: Body = typed(value.unwrap_or_default())?;
    let feedback = body
        .feedback
        .into_iter()
        .map(|item| Ok((VectorInput::from_value(item.example)?, item.score)))
        .collect::<Result<_, StoreError>>()?;
    Ok(Query::Feedback {
        target: VectorInput::from_value(body.target)?,
        feedback,
        strategy: body.strategy.naive,
    })
}

fn inputs(value: Option<Value>) -> Result<Vec<VectorInput>, StoreError> {
    let values: Option<Vec<Value>> = typed(value.unwrap_or_default())?;
    values
        .into_iter()
        .flatten()
        .map(VectorInput::from_value)
        .collect()
}

fn context(value: Option<Value>) -> Result<Vec<ContextPairInput>, StoreError> {
    let pairs = match value.unwrap_or_default() {
        Value::Null => Vec::new(),
        Value::Array(pairs) => pairs,
        pair => vec![pair],
    };
    pairs
        .into_iter()
        .map(|pair| {
            let mut pair = object(pair)?;
            let mut side = |key| {
                pair.remove(key)
                    .ok_or_else(|| missing(key))
                    .and_then(VectorInput::from_value)
            };
            Ok(ContextPairInput {
                positive: side("positive")?,
                negative: side("negative")?,
            })
        })
        .collect()
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PrefetchBody>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(_) => serde_json::from_value(value).map_err(serde::de::Error::custom),
        one => Ok(vec![
            serde_json::from_value(one).map_err(serde::de::Error::custom)?,
        ]),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, StoreError> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(StoreError::BadJson("expected an object".to_owned())),
    }
}

fn missing(key: &str) -> StoreError {
    StoreError::BadJson(format!("missing field `{key}`"))
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::BadJson(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: Value, expected: &str) {
        let debug = match Query::from_value(query) {
            Ok(query) => format!("{query:?}"),
            Err(error) => error.to_string(),
        };
        assert!(debug.contains(expected), "{debug}");
    }

    #[test]
    fn every_kind_of_query_is_read() {
        check(json!([0.5, 1.0]), "Dense");
        check(json!([[0.5], [1.0]]), "MultiDense");
        check(json!({"indices": [1], "values": [0.5]}), "Sparse");
        check(json!(7), "Id(NumId(7))");
        check(json!("0190e8f4-7b7c-7000-8000-000000000000"), "Id(Uuid");
        check(
            json!({"nearest": 3, "mmr": {"diversity": 0.5}}),
            "diversity: Some(0.5)",
        );
        check(
            json!({"recommend": {"positive": [1], "strategy": "best_score"}}),
            "BestScore",
        );
        check(
            json!({"discover": {"target": 1, "context": {"positive": 2, "negative": 3}}}),
            "Discover",
        );
        check(
            json!({"context": [{"positive": 2, "negative": 3}]}),
            "Context",
        );
        check(json!({"order_by": "year"}), "OrderBy");
        check(json!({"fusion": "rrf"}), "Rrf");
        check(json!({"fusion": "dbsf"}), "Dbsf");
        check(json!({"rrf": {"k": 3, "weights": [1.0]}}), "k: Some(3)");
        check(json!({"sample": "random"}), "Sample");
        check(json!({"formula": "$score"}), "Formula");
        check(json!({"text": "hello", "model": "m"}), "embeds nothing");
        check(json!({"fusion": "magic"}), "expected `rrf`");
        check(json!({}), "empty");
    }

    #[test]
    fn older_requests_become_queries() {
        let body =
            from_search(json!({"vector": {"name": "a", "vector": [1.0]}, "top": 3})).unwrap();
        assert_eq!((body.using.as_deref(), body.limit), (Some("a"), Some(3)));
        let body = from_recommend(json!({"positive": [1], "using": "a", "limit": 2})).unwrap();
        assert_eq!((body.using.as_deref(), body.limit), (Some("a"), Some(2)));
        assert!(from_search(json!({"limit": 1})).is_err());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        assert!(serde_json::from_value::<QueryBody>(json!({"query": 1, "fliter": {}})).is_err());
    }
}
