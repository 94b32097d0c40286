//! What hangs on points: payloads, single vectors, indexes; and several updates in one request.

use axum::extract::{Path, Query, State};
use axum::response::Response;
use qdrant_edge::{
    CreateIndex as CreateIndexOperation, DeletePayloadOp, FieldIndexOperations, JsonPath,
    PayloadOps, SetPayloadOp, UpdateOperation, UpdateVectorsOp, VectorOperations,
};

use super::points::{delete_operation, upsert_operation};
use super::{Reply, Sent, Wait, parse};
use crate::VectorStore;
use crate::collection::Collection;
use crate::error::StoreError;
use crate::wire::point::{
    BatchOperation, BatchOperations, CreateIndex, DeletePayload, DeleteVectors, Selection,
    SetPayload, UpdateVectors,
};
use crate::wire::reply::UpdateReply;

type Store = State<VectorStore>;
type Name = Path<String>;

/// Operations one request may carry.
const BATCH_OPERATIONS_MAX: usize = 1_000;

async fn update<F>(store: VectorStore, name: String, wait: Wait, operations: F) -> Response
where
    F: FnOnce(&Collection) -> Result<Vec<UpdateOperation>, StoreError> + Send + 'static,
{
    let work = move || {
        let collection = store.registry().get(&name)?;
        collection.update(operations(&collection)?, wait.wait)
    };
    Reply::started().run(work).await
}

pub(super) async fn set(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    update(store, name, wait, move |_| {
        Ok(vec![set_operation(parse(&body)?, PayloadOps::SetPayload)?])
    })
    .await
}

pub(super) async fn overwrite(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    update(store, name, wait, move |_| {
        Ok(vec![set_operation(
            parse(&body)?,
            PayloadOps::OverwritePayload,
        )?])
    })
    .await
}

pub(super) async fn delete(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    update(store, name, wait, move |_| {
        Ok(vec![delete_payload_operation(parse(&body)?)?])
    })
    .await
}

pub(super) async fn clear(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    update(store, name, wait, move |_| {
        Ok(vec![clear_operation(parse(&body)?)?])
    })
    .await
}

pub(super) async fn update_vectors(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    update(store, name, wait, move |collection| {
        Ok(vec![vectors_operation(parse(&body)?, collection)?])
    })
    .await
}

pub(super) async fn delete_vectors(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    update(store, name, wait, move |collection| {
        delete_vectors_operations(parse(&body)?, collection)
    })
    .await
}

pub(super) async fn create_index(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    let operations = move |_: &Collection| {
        let body: CreateIndex = parse(&body)?;
        if body.field_schema.is_none() {
            return Err(StoreError::BadInput(
                "field_schema: say what the field holds".to_owned(),
            ));
        }
        let create = CreateIndexOperation {
            field_name: body.field_name,
            field_schema: body.field_schema,
        };
        Ok(vec![UpdateOperation::FieldIndexOperation(
            FieldIndexOperations::CreateIndex(create),
        )])
    };
    update(store, name, wait, operations).await
}

pub(super) async fn delete_index(
    State(store): Store,
    Path((name, field)): Path<(String, String)>,
    Query(wait): Query<Wait>,
) -> Response {
    let operations = move |_: &Collection| {
        let field: JsonPath = field
            .parse()
            .map_err(|()| StoreError::BadInput(format!("`{field}` is no payload key")))?;
        Ok(vec![UpdateOperation::FieldIndexOperation(
            FieldIndexOperations::DeleteIndex(field),
        )])
    };
    update(store, name, wait, operations).await
}

/// Several operations in order; one reply for each.
pub(super) async fn batch(
    State(store): Store,
    Path(name): Name,
    Query(wait): Query<Wait>,
    Sent(body): Sent,
) -> Response {
    let work = move || {
        let operations = parse::<BatchOperations>(&body)?.operations;
        if operations.len() > BATCH_OPERATIONS_MAX {
            return Err(StoreError::Invalid(format!(
                "operations: at most {BATCH_OPERATIONS_MAX}"
            )));
        }
        let collection = store.registry().get(&name)?;
        let last = operations.len().saturating_sub(1);
        let apply = |(index, operation)| {
            let operations = operations_of(operation, &collection)?;
            let mut reply = collection.update(operations, wait.wait && index == last)?;
            reply.status = match wait.wait {
                // The last one's flush carries all of them, and nobody hears of any before it.
                true => crate::wire::reply::UpdateStatus::Completed,
                false => reply.status,
            };
            Ok(reply)
        };
        operations
            .into_iter()
            .enumerate()
            .map(apply)
            .collect::<Result<Vec<UpdateReply>, StoreError>>()
    };
    Reply::started().run(work).await
}

fn operations_of(
    operation: BatchOperation,
    collection: &Collection,
) -> Result<Vec<UpdateOperation>, StoreError> {
    let one = match operation {
        BatchOperation::Upsert(body) => upsert_operation(body, collection)?,
        BatchOperation::Delete(body) => delete_operation(body)?,
        BatchOperation::SetPayload(body) => set_operation(body, PayloadOps::SetPayload)?,
        BatchOperation::OverwritePayload(body) => {
            set_operation(body, PayloadOps::OverwritePayload)?
        }
        BatchOperation::DeletePayload(body) => delete_payload_operation(body)?,
        BatchOperation::ClearPayload(body) => clear_operation(body)?,
        BatchOperation::UpdateVectors(body) => vectors_operation(body, collection)?,
        BatchOperation::DeleteVectors(body) => return delete_vectors_operations(body, collection),
    };
    Ok(vec![one])
}

fn set_operation(
    body: SetPayload,
    kind: impl FnOnce(SetPayloadOp) -> PayloadOps,
) -> Result<UpdateOperation, StoreError> {
    if body.points.is_none() && body.filter.is_none() {
        return Err(no_selection());
    }
    let SetPayload {
        payload,
        points,
        filter,
        key,
    } = body;
    Ok(UpdateOperation::PayloadOperation(kind(SetPayloadOp {
        payload,
        points,
        filter,
        key,
    })))
}

fn delete_payload_operation(body: DeletePayload) -> Result<UpdateOperation, StoreError> {
    if body.points.is_none() && body.filter.is_none() {
        return Err(no_selection());
    }
    let DeletePayload {
        keys,
        points,
        filter,
    } = body;
    Ok(UpdateOperation::PayloadOperation(
        PayloadOps::DeletePayload(DeletePayloadOp {
            keys,
            points,
            filter,
        }),
    ))
}

fn clear_operation(selection: Selection) -> Result<UpdateOperation, StoreError> {
    let operation = match (selection.points, selection.filter) {
        (Some(points), None) => PayloadOps::ClearPayload { points },
        (None, Some(filter)) => PayloadOps::ClearPayloadByFilter(filter),
        _ => return Err(no_selection()),
    };
    Ok(UpdateOperation::PayloadOperation(operation))
}

fn vectors_operation(
    mut body: UpdateVectors,
    collection: &Collection,
) -> Result<UpdateOperation, StoreError> {
    body.check(&collection.engine_config()?)?;
    let UpdateVectors {
        points,
        update_filter,
    } = body;
    let operation = VectorOperations::UpdateVectors(UpdateVectorsOp {
        points,
        update_filter,
    });
    Ok(UpdateOperation::VectorOperation(operation))
}

fn delete_vectors_operations(
    body: DeleteVectors,
    collection: &Collection,
) -> Result<Vec<UpdateOperation>, StoreError> {
    let config = collection.engine_config()?;
    let known = |name: &String| {
        config.vectors.contains_key(name) || config.sparse_vectors.contains_key(name)
    };
    if let Some(unknown) = body.vector.iter().find(|name| !known(name)) {
        return Err(StoreError::BadInput(format!(
            "Not existing vector name error: {unknown}"
        )));
    }
    let by_id = body
        .points
        .map(|ids| VectorOperations::DeleteVectors(ids.into(), body.vector.clone()));
    let by_filter = body
        .filter
        .map(|filter| VectorOperations::DeleteVectorsByFilter(filter, body.vector));
    let operations: Vec<_> = by_id
        .into_iter()
        .chain(by_filter)
        .map(UpdateOperation::VectorOperation)
        .collect();
    match operations.is_empty() {
        true => Err(no_selection()),
        false => Ok(operations),
    }
}

fn no_selection() -> StoreError {
    StoreError::Invalid("Either list of point ids or filter must be provided".to_owned())
}
