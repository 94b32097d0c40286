//! Points: writing, reading, querying.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use qdrant_edge::{
    ConditionalInsertOperation, CountRequest, EdgeShardRead, FacetRequest, Filter, GroupRequest,
    JsonPath, OrderByInterface, PointId, PointInsertOperations, PointOperations, QueryBatchRequest,
    RetrieveRequest, ScrollRequest, SearchMatrixRequest, SearchMatrixResponse, UpdateMode,
    UpdateOperation, WithPayloadInterface, WithVector,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Reply, Sent, Wait, parse, parse_value};
use crate::VectorStore;
use crate::collection::Collection;
use crate::error::StoreError;
use crate::query::{Resolver, check_limit};
use crate::wire::point::{Selection, UpsertPoints};
use crate::wire::query::{
    BatchBody, GroupsBody, LIMIT_DEFAULT, QueryBody, from_recommend, from_search,
};
use crate::wire::reply::{self, ScoredReply};

type Store = State<VectorStore>;
type Name = Path<String>;

pub(super) async fn upsert(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let collection = store.registry().get(&name)?;
        let operation = upsert_operation(parse(&body)?, &collection)?;
        collection.update([operation], wait.wait)
    };
    Reply::started().run(work).await
}

/// Checks the points and makes the engine's operation of them.
pub(super) fn upsert_operation(
    mut body: UpsertPoints,
    collection: &Collection,
) -> Result<UpdateOperation, StoreError> {
    let points = body.take_points(&collection.engine_config()?)?;
    let points = PointInsertOperations::PointsList(points);
    let plain =
        body.update_filter.is_none() && matches!(body.update_mode, None | Some(UpdateMode::Upsert));
    Ok(UpdateOperation::PointOperation(match plain {
        true => PointOperations::UpsertPoints(points),
        false => PointOperations::UpsertPointsConditional(ConditionalInsertOperation {
            points_op: points,
            condition: body.update_filter.unwrap_or_default(),
            update_mode: body.update_mode,
        }),
    }))
}

pub(super) async fn delete(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let operation = delete_operation(parse(&body)?)?;
        store.registry().get(&name)?.update([operation], wait.wait)
    };
    Reply::started().run(work).await
}

pub(super) fn delete_operation(selection: Selection) -> Result<UpdateOperation, StoreError> {
    let operation = match (selection.points, selection.filter) {
        (Some(ids), None) => PointOperations::DeletePoints { ids },
        (None, Some(filter)) => PointOperations::DeletePointsByFilter(filter),
        _ => {
            return Err(StoreError::BadJson(
                "expected either `points` or `filter`".to_owned(),
            ));
        }
    };
    Ok(UpdateOperation::PointOperation(operation))
}

pub(super) async fn retrieve(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    #[derive(Deserialize)]
    struct Body {
        ids: Vec<PointId>,
        with_payload: Option<WithPayloadInterface>,
        #[serde(alias = "with_vectors")]
        with_vector: Option<WithVector>,
    }
    let work = move || {
        let body: Body = parse(&body)?;
        let collection = store.registry().get(&name)?;
        check_limit(body.ids.len().max(1), 0, store.registry().limits())?;
        let request = RetrieveRequest {
            point_ids: body.ids,
            with_payload: body.with_payload,
            with_vector: body.with_vector,
        };
        Ok(reply::records(collection.shard()?.retrieve(request)?))
    };
    Reply::started().run(work).await
}

pub(super) async fn retrieve_one(
    State(store): Store,
    Path((name, id)): Path<(String, String)>,
) -> Response {
    let work = move || {
        let collection = store.registry().get(&name)?;
        let point: PointId = id
            .parse()
            .map_err(|_| StoreError::BadInput(format!("Can not recognize \"{id}\" as point id")))?;
        let request = RetrieveRequest {
            point_ids: vec![point],
            with_payload: Some(WithPayloadInterface::Bool(true)),
            with_vector: Some(WithVector::Bool(true)),
        };
        let found = reply::records(collection.shard()?.retrieve(request)?)
            .into_iter()
            .next();
        found.ok_or_else(|| StoreError::NotFound(format!("Point with id {id} does not exists!")))
    };
    Reply::started().run(work).await
}

pub(super) async fn scroll(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    #[derive(Deserialize)]
    struct Body {
        offset: Option<PointId>,
        limit: Option<usize>,
        filter: Option<Filter>,
        with_payload: Option<WithPayloadInterface>,
        #[serde(alias = "with_vectors")]
        with_vector: Option<WithVector>,
        order_by: Option<OrderByInterface>,
    }
    let work = move || {
        let body: Body = parse(&body)?;
        let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
        check_limit(limit, 0, store.registry().limits())?;
        let request = ScrollRequest {
            offset: body.offset,
            limit: Some(limit),
            filter: body.filter,
            with_payload: body.with_payload,
            with_vector: body.with_vector.unwrap_or(WithVector::Bool(false)),
            order_by: body.order_by,
        };
        let (records, next) = store.registry().get(&name)?.shard()?.scroll(request)?;
        Ok(json!({ "points": reply::records(records), "next_page_offset": next }))
    };
    Reply::started().run(work).await
}

pub(super) async fn count(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    #[derive(Deserialize)]
    struct Body {
        filter: Option<Filter>,
        exact: Option<bool>,
    }
    let work = move || {
        let body: Body = parse(&body)?;
        let request = CountRequest {
            filter: body.filter,
            exact: body.exact.unwrap_or(true),
        };
        Ok(json!({ "count": store.registry().get(&name)?.shard()?.count(request)? }))
    };
    Reply::started().run(work).await
}

pub(super) async fn query(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    let work = move || Ok(json!({ "points": run(&store, &name, parse(&body)?)? }));
    Reply::started().run(work).await
}

pub(super) async fn query_batch(
    State(store): Store,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let results = run_batch(&store, &name, parse::<BatchBody>(&body)?.searches)?;
        Ok(results
            .into_iter()
            .map(|points| json!({ "points": points }))
            .collect::<Vec<_>>())
    };
    Reply::started().run(work).await
}

pub(super) async fn query_groups(
    State(store): Store,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let body = GroupsBody::from_value(parse_value(&body)?)?;
        check_limit(
            body.groups.saturating_mul(body.group_size),
            0,
            store.registry().limits(),
        )?;
        let collection = store.registry().get(&name)?;
        let query = Resolver::new(store.registry(), &collection)?.resolve(body.query)?;
        let request = GroupRequest::new(query, body.group_by, body.groups, body.group_size);
        Ok(reply::groups(
            collection
                .shard()?
                .query_groups(request)
                .map_err(StoreError::of_query)?,
        ))
    };
    Reply::started().run(work).await
}

pub(super) async fn search(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    let work = move || run(&store, &name, from_search(parse_value(&body)?)?);
    Reply::started().run(work).await
}

pub(super) async fn search_batch(
    State(store): Store,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    #[derive(Deserialize)]
    struct Body {
        searches: Vec<Value>,
    }
    let work = move || {
        let searches = parse::<Body>(&body)?.searches;
        let searches = searches
            .into_iter()
            .map(from_search)
            .collect::<Result<_, _>>()?;
        run_batch(&store, &name, searches)
    };
    Reply::started().run(work).await
}

pub(super) async fn recommend(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    let work = move || run(&store, &name, from_recommend(parse_value(&body)?)?);
    Reply::started().run(work).await
}

fn run(store: &VectorStore, name: &str, body: QueryBody) -> Result<Vec<ScoredReply>, StoreError> {
    let collection = store.registry().get(name)?;
    let request = Resolver::new(store.registry(), &collection)?.resolve(body)?;
    Ok(reply::scored(
        collection
            .shard()?
            .query(request)
            .map_err(StoreError::of_query)?,
    ))
}

fn run_batch(
    store: &VectorStore,
    name: &str,
    bodies: Vec<QueryBody>,
) -> Result<Vec<Vec<ScoredReply>>, StoreError> {
    let queries_max = store.registry().limits().queries_max;
    if bodies.len() > queries_max {
        return Err(StoreError::Invalid(format!(
            "searches: at most {queries_max}"
        )));
    }
    let collection = store.registry().get(name)?;
    let mut resolver = Resolver::new(store.registry(), &collection)?;
    let queries = bodies
        .into_iter()
        .map(|body| resolver.resolve(body))
        .collect::<Result<_, _>>()?;
    let results = collection
        .shard()?
        .query_batch(QueryBatchRequest { queries })
        .map_err(StoreError::of_query)?;
    Ok(results.into_iter().map(reply::scored).collect())
}

pub(super) async fn facet(State(store): Store, Path(name): Name, Sent(body): Sent) -> Response {
    #[derive(Deserialize)]
    struct Body {
        key: JsonPath,
        limit: Option<usize>,
        filter: Option<Filter>,
        exact: Option<bool>,
    }
    let work = move || {
        let body: Body = parse(&body)?;
        let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
        check_limit(limit, 0, store.registry().limits())?;
        let request = FacetRequest {
            key: body.key,
            limit,
            filter: body.filter,
            exact: body.exact.unwrap_or(false),
        };
        Ok(reply::facet(
            store.registry().get(&name)?.shard()?.facet(request)?.hits,
        ))
    };
    Reply::started().run(work).await
}

pub(super) async fn matrix_pairs(
    State(store): Store,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let matrix = matrix(&store, &name, parse(&body)?)?;
        let rows = matrix.sample_ids.iter().zip(&matrix.nearests);
        let pairs: Vec<Value> = rows
            .flat_map(|(a, nearest)| {
                nearest
                    .iter()
                    .map(move |b| json!({"a": a, "b": b.id, "score": b.score}))
            })
            .collect();
        Ok(json!({ "pairs": pairs }))
    };
    Reply::started().run(work).await
}

pub(super) async fn matrix_offsets(
    State(store): Store,
    Path(name): Name,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let matrix = matrix(&store, &name, parse(&body)?)?;
        let column = |id| matrix.sample_ids.iter().position(|sampled| *sampled == id);
        let (mut rows, mut columns, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for (row, nearest) in matrix.nearests.iter().enumerate() {
            for point in nearest {
                if let Some(column) = column(point.id) {
                    rows.push(row);
                    columns.push(column);
                    scores.push(point.score);
                }
            }
        }
        Ok(
            json!({"offsets_row": rows, "offsets_col": columns, "scores": scores, "ids": matrix.sample_ids}),
        )
    };
    Reply::started().run(work).await
}

#[derive(Deserialize)]
struct MatrixBody {
    filter: Option<Filter>,
    sample: Option<usize>,
    limit: Option<usize>,
    using: Option<String>,
}

/// Points that may be compared each with each.
const MATRIX_SAMPLE_MAX: usize = 1_000;

fn matrix(
    store: &VectorStore,
    name: &str,
    body: MatrixBody,
) -> Result<SearchMatrixResponse, StoreError> {
    const SAMPLE_DEFAULT: usize = 10;
    const LIMIT_PER_SAMPLE_DEFAULT: usize = 3;
    let sample_size = body.sample.unwrap_or(SAMPLE_DEFAULT);
    if !(2..=MATRIX_SAMPLE_MAX).contains(&sample_size) {
        return Err(StoreError::Invalid(format!(
            "sample: must be from 2 to {MATRIX_SAMPLE_MAX}"
        )));
    }
    let limit_per_sample = body.limit.unwrap_or(LIMIT_PER_SAMPLE_DEFAULT);
    check_limit(limit_per_sample, 0, store.registry().limits())?;
    let collection = store.registry().get(name)?;
    let using = body.using.unwrap_or_default();
    let request = SearchMatrixRequest {
        filter: body.filter,
        ..SearchMatrixRequest::new(sample_size, limit_per_sample, using)
    };
    Ok(collection.shard()?.search_matrix(request)?)
}
