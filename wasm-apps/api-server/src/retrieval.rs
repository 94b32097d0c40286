//! Looks up what the node knows about a question.

use std::time::Instant;

use gaia_openai::embedding::EmbeddingInput;
use gaia_openai::{ApiError, Message, Role};
use gaia_rag::{Citation, SelectLimits};

use crate::app::App;
use crate::failure::{Failure, from_inference};
use crate::metrics::Retrieval;

const STORE_RETRY_SECONDS: u32 = 5;
// More than fit the prompt are asked for: some say the same.
const CANDIDATES: usize = 2;

/// What a look-up brought.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Best first; `None` where the node looks nothing up.
    pub(crate) citations: Option<Vec<Citation>>,
    /// Why there was no look-up although there should have been.
    pub(crate) warning: Option<String>,
}

/// The query a conversation makes; `None` where there is nothing to ask.
pub(crate) fn query_of(messages: &[Message], context_window: usize) -> Option<String> {
    let turns = messages.iter().filter(|message| message.role == Role::User);
    let turns: Vec<&str> = turns.map(|message| message.content.as_str()).collect();
    gaia_rag::query(&turns, context_window)
}

/// Passages for a conversation, as the options want them.
///
/// # Errors
/// 503 when the store is down and required; otherwise that is a warning.
pub(crate) async fn find(app: &App, messages: &[Message]) -> Result<Found, Failure> {
    let ready = app.store.is_some() && app.options.limit > 0;
    let Some(query) = query_of(messages, app.options.context_window).filter(|_| ready) else {
        return Ok(Found::default());
    };
    match search(app, &query, app.options.limit).await {
        Ok(citations) => Ok(Found {
            citations: Some(citations),
            warning: None,
        }),
        Err(error) if app.options.store_required || error.0.status == 429 => Err(error),
        Err(error) => Ok(Found {
            citations: None,
            warning: Some(format!("Answered without retrieval: {}", error.0.message)),
        }),
    }
}

/// The passages nearest to `query`, at most `limit`.
///
/// # Errors
/// 503 when the store or the embedding model is not there.
pub(crate) async fn search(app: &App, query: &str, limit: usize) -> Result<Vec<Citation>, Failure> {
    let started = Instant::now();
    let citations = look_up(app, query, limit).await;
    app.metrics.retrieval.observe(started.elapsed());
    app.metrics.retrieved(match &citations {
        Ok(citations) if citations.is_empty() => Retrieval::Nothing,
        Ok(_) => Retrieval::Hits,
        Err(_) => Retrieval::Failed,
    });
    citations
}

async fn look_up(app: &App, query: &str, limit: usize) -> Result<Vec<Citation>, Failure> {
    let store = app
        .store
        .as_ref()
        .ok_or_else(|| unavailable("this node has no vector store"))?;
    let model = app.embedding(None)?;
    let _pass = model.gate.enter().await?;
    let input = EmbeddingInput::Texts(vec![query.to_owned()]);
    let embedded = model
        .embed(&input)
        .await
        .map_err(|error| from_inference(error, "messages", None))?;
    app.metrics.embedding_tokens.add(embedded.tokens.into());
    let vector = embedded
        .vectors
        .first()
        .ok_or_else(|| unavailable("the query has no embedding"))?;
    let threshold = app.options.score_threshold;
    let hits = store.query(vector, limit * CANDIDATES, threshold).await;
    let hits = hits.map_err(|error| {
        eprintln!("{error}");
        unavailable(&error.to_string())
    })?;
    let limits = SelectLimits {
        score_threshold: threshold,
        limit,
    };
    Ok(gaia_rag::select(hits, limits))
}

fn unavailable(reason: &str) -> ApiError {
    ApiError::retrieval_unavailable(reason, STORE_RETRY_SECONDS)
}

/// A citation as the API shows it.
pub(crate) fn shown(citation: &Citation) -> gaia_openai::Citation {
    gaia_openai::Citation {
        document: citation.document.clone(),
        chunk: citation.chunk,
        heading: citation.heading.clone(),
        score: citation.score,
        start: citation.start as u64,
        end: citation.end as u64,
        text: citation.text.clone(),
    }
}
