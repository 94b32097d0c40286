//! Embeds a query and asks the store: alone for `/v1/retrieve`, as two steps of a turn for answers.

use std::time::Instant;

use gaia_openai::embedding::EmbeddingInput;
use gaia_openai::{ApiError, ServiceTier};
use gaia_rag::{Citation, Hit, SelectLimits};
use gaia_trace::What;

use crate::answer::enter;
use crate::app::App;
use crate::failure::from_inference;
use crate::log;
use crate::meter::Meter;
use crate::metrics::Retrieval;

const STORE_RETRY_SECONDS: u32 = 5;

/// More than the wanted passages are asked for: some say the same.
const CANDIDATES_PER_PASSAGE: usize = 2;

/// The query as a vector.
///
/// # Errors
/// 503 without an embedding model, 429 when its queue is full.
pub(crate) async fn embed(app: &App, query: &str, tier: ServiceTier) -> Result<Vec<f32>, ApiError> {
    let started = Instant::now();
    let embedded = embed_one(app, query, tier).await;
    app.metrics.query_embedding.observe(started.elapsed());
    embedded.inspect_err(|_| app.metrics.retrieved(Retrieval::Failed))
}

async fn embed_one(app: &App, query: &str, tier: ServiceTier) -> Result<Vec<f32>, ApiError> {
    let vectors = embed_all(app, vec![query.to_owned()], tier).await?;
    let vector = vectors.into_iter().next();
    vector.ok_or_else(|| unavailable("the query has no embedding"))
}

/// Texts as vectors.
///
/// # Errors
/// 503 without an embedding model, 429 when its queue is full.
pub(crate) async fn embed_all(
    app: &App,
    texts: Vec<String>,
    tier: ServiceTier,
) -> Result<Vec<Vec<f32>>, ApiError> {
    let model = app.embedding(None)?;
    let started = Instant::now();
    let _pass = enter(app, model, 1, tier).await?;
    let embedded = model.embed(&EmbeddingInput::Texts(texts)).await;
    let tokens = embedded.as_ref().map_or(0, |embedded| embedded.tokens);
    if let Some(meter) = Meter::current() {
        let what = What::Embeddings {
            model: model.id.clone(),
            tokens: tokens.into(),
        };
        let failed = embedded.as_ref().err().map(|_| "not_embedded");
        meter.phase(started, what, None, failed);
    }
    let embedded = embedded.map_err(|error| from_inference(error, "messages", None))?;
    app.metrics.embedding_tokens.add(embedded.tokens.into());
    Ok(embedded.vectors)
}

/// What the store has near `vector`; `None` where it has no such collection, which is no failure: the node was
/// taught nothing yet.
///
/// # Errors
/// 503 when it does not answer.
pub(crate) async fn ask(
    app: &App,
    vector: &[f32],
    limit: usize,
    score_threshold: f32,
) -> Result<Option<Vec<Hit>>, ApiError> {
    let store = app.store.as_ref();
    let store = store.ok_or_else(|| unavailable("this node has no knowledge store"))?;
    let started = Instant::now();
    let hits = store
        .query(vector, limit * CANDIDATES_PER_PASSAGE, score_threshold)
        .await;
    app.metrics.retrieval.observe(started.elapsed());
    if let Some(meter) = Meter::current() {
        let found = hits
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map_or(0, Vec::len);
        let what = What::Retrieval {
            collection: app.options.collection.clone(),
            hits: found as u64,
        };
        let failed = hits.as_ref().err().map(|_| "store_unavailable");
        meter.phase(started, what, None, failed);
    }
    app.metrics.retrieved(match &hits {
        Ok(Some(hits)) if !hits.is_empty() => Retrieval::Hits,
        Ok(_) => Retrieval::Nothing,
        Err(_) => Retrieval::Failed,
    });
    hits.map_err(|error| {
        log::warn(&error);
        unavailable(&error.to_string())
    })
}

/// The passages nearest to `query`, within `limits`.
///
/// # Errors
/// 503 when the store or the embedding model is not there.
pub(crate) async fn search(
    app: &App,
    query: &str,
    limits: SelectLimits,
) -> Result<Vec<Citation>, ApiError> {
    let vector = embed(app, query, ServiceTier::Default).await?;
    let hits = ask(app, &vector, limits.limit, limits.score_threshold).await?;
    Ok(gaia_rag::select(hits.unwrap_or_default(), limits))
}

fn unavailable(reason: &str) -> ApiError {
    ApiError::retrieval_unavailable(reason, STORE_RETRY_SECONDS)
}
