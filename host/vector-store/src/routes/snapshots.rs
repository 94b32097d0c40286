//! Snapshots.
use crate::VectorStore;
use axum::Router;
pub(super) fn routes() -> Router<VectorStore> {
    Router::new()
}
