//! `POST /v1/vector_stores/{id}/search`.
//!
//! What a filter takes is judged here, by what is noted of the files now; the store looks among the files that are
//! left. So nothing of an attribute is ever part of what the store is asked, and one that is changed holds at once.

use gaia_openai::ApiError;
use gaia_openai::vector_store::{
    FileStatus, Filter, Found, SearchRequest, StoreFile, VectorStore, search_reply,
};

use super::{Given, Library, Question, broken, json};

impl Library {
    pub(super) fn search(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let request = SearchRequest::parse(asked.body, &self.limits)?;
        let (id, store) = self.named_store(asked.owner, id)?;
        let collection = self.collection(&id);
        let among = request.filters.as_ref().map(|filter| taken(&store, filter));
        let is_none_taken = among.as_ref().is_some_and(Vec::is_empty);
        if is_none_taken || !has_passages(&store, &collection)? {
            return json(&search_reply(&request.query, &[]));
        }
        let worker = self.awake()?;
        let limit = usize::try_from(request.results_max).unwrap_or(usize::MAX);
        let query = &request.query;
        let found = match among {
            None => gaia_ingest::search(&worker, &collection, query, limit),
            Some(files) => gaia_ingest::search_among(&worker, &collection, query, limit, &files),
        };
        let found = found.map_err(|error| broken(&error))?.into_iter();
        let near = found.filter(|hit| hit.score >= request.score_threshold);
        let noted = near.filter_map(|hit| {
            let (file, filename) = hit.document.split_once('/')?;
            Some(Found {
                file_id: file.to_owned(),
                filename: filename.to_owned(),
                score: hit.score,
                attributes: findable(&store, file)?.attributes.clone(),
                text: hit.text,
            })
        });
        json(&search_reply(query, &noted.collect::<Vec<_>>()))
    }
}

/// The files that a filter takes.
pub(super) fn taken<'a>(store: &'a VectorStore, filter: &Filter) -> Vec<&'a str> {
    let files = store.files.iter();
    let taken = files.filter(|file| filter.takes(&file.attributes));
    taken.map(|file| file.id.as_str()).collect()
}

/// The file of a passage, unless it was taken out or cancelled a moment ago.
fn findable<'a>(store: &'a VectorStore, file: &str) -> Option<&'a StoreFile> {
    let file = store.file(file);
    file.filter(|file| file.status != FileStatus::Cancelled)
}

/// Whether anything can be found: a file without a word has made no collection.
fn has_passages(store: &VectorStore, collection: &gaia_ingest::Store) -> Result<bool, ApiError> {
    let is_done = |file: &StoreFile| file.status == FileStatus::Completed;
    if !store.files.iter().any(is_done) {
        return Ok(false);
    }
    let points = collection.count().map_err(|error| broken(&error))?;
    Ok(points.is_some_and(|points| points > 0))
}
