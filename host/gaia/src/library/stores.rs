//! `/v1/vector_stores`.

use gaia_openai::ApiError;
use gaia_openai::responses::Deleted;
use gaia_openai::vector_store::{
    FileStatus, Found, STORE_FILES_MAX, SearchRequest, StoreFile, StoreRequest, VectorStore,
    parse_file_id, search_reply,
};
use gaia_records::{Id, Owner};

use super::ingesting::Job;
use super::{Given, Library, Question, broken, json, new_id, not_put, page, unix_seconds};

impl Library {
    pub(super) fn make_store(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let request = StoreRequest::parse(asked.body, &self.limits)?;
        let id = new_id("vs")?;
        let mut store = VectorStore {
            id: id.as_str().to_owned(),
            created_at: unix_seconds(),
            name: request.name.unwrap_or_default(),
            metadata: request.metadata.unwrap_or_default(),
            files: Vec::new(),
        };
        for file in &request.file_ids {
            self.push(asked.owner, &mut store, file)?;
        }
        self.put_store(asked.owner, &store)?;
        self.bring_in(asked.owner, &store);
        json(&store.shown())
    }

    pub(super) fn list_stores(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let page = page(asked.query)?;
        let mut stores = Vec::new();
        for id in self.stores.list(asked.owner, "vs_") {
            stores.extend(
                self.kept_store(asked.owner, &id)?
                    .map(|store| store.shown()),
            );
        }
        json(&page.of(stores, |store| store["id"].as_str().unwrap_or_default()))
    }

    pub(super) fn show_store(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        json(&store.shown())
    }

    pub(super) fn change_store(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let request = StoreRequest::parse(asked.body, &self.limits)?;
        let _alone = self.changing();
        let (_, mut store) = self.named_store(asked.owner, id)?;
        store.name = request.name.unwrap_or(store.name);
        store.metadata = request.metadata.unwrap_or(store.metadata);
        self.put_store(asked.owner, &store)?;
        json(&store.shown())
    }

    pub(super) fn delete_store(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let (id, _) = self.named_store(asked.owner, id)?;
        let deleted = self.stores.delete(asked.owner, &id);
        deleted.map_err(|error| broken(&error))?;
        let destroyed = self.collection(&id).destroy();
        destroyed.map_err(|error| broken(&error))?;
        json(&Deleted::new(id.as_str(), "vector_store.deleted"))
    }

    pub(super) fn list_store_files(
        &self,
        asked: &Question<'_>,
        id: &str,
    ) -> Result<Given, ApiError> {
        let page = page(asked.query)?;
        let (_, store) = self.named_store(asked.owner, id)?;
        json(&page.of(store.files, |file| &file.id))
    }

    pub(super) fn show_store_file(
        &self,
        asked: &Question<'_>,
        id: &str,
        file: &str,
    ) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        let found = store.files.iter().find(|of| of.id == file);
        json(found.ok_or_else(|| ApiError::no_such_object("file", file))?)
    }

    pub(super) fn add_file(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let file = parse_file_id(asked.body, &self.limits)?;
        let _alone = self.changing();
        let (_, mut store) = self.named_store(asked.owner, id)?;
        self.push(asked.owner, &mut store, &file)?;
        self.put_store(asked.owner, &store)?;
        self.bring_in(asked.owner, &store);
        json(&store.files.last())
    }

    pub(super) fn drop_file(
        &self,
        asked: &Question<'_>,
        id: &str,
        file: &str,
    ) -> Result<Given, ApiError> {
        let (id, _) = self.named_store(asked.owner, id)?;
        match self.forget(asked.owner, &id, file)? {
            true => json(&Deleted::new(file, "vector_store.file.deleted")),
            false => Err(ApiError::no_such_object("file", file)),
        }
    }

    pub(super) fn search(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let request = SearchRequest::parse(asked.body, &self.limits)?;
        let (id, store) = self.named_store(asked.owner, id)?;
        let collection = self.collection(&id);
        if !has_passages(&store, &collection)? {
            return json(&search_reply(&request.query, &[]));
        }
        let worker = self.awake()?;
        let limit = usize::try_from(request.results_max).unwrap_or(usize::MAX);
        let found = gaia_ingest::search(&worker, &collection, &request.query, limit);
        let found = found.map_err(|error| broken(&error))?;
        let near = found
            .into_iter()
            .filter(|hit| hit.score >= request.score_threshold);
        let found: Vec<Found> = near
            .map(|hit| {
                let (file_id, filename) = hit.document.split_once('/').unwrap_or_default();
                Found {
                    file_id: file_id.to_owned(),
                    filename: filename.to_owned(),
                    score: hit.score,
                    text: hit.text,
                }
            })
            .collect();
        json(&search_reply(&request.query, &found))
    }

    /// Notes that a file is on its way; one that is there already stays, unless it failed.
    fn push(&self, owner: &Owner, store: &mut VectorStore, file: &str) -> Result<(), ApiError> {
        let (id, file) = self.named_file(owner, file)?;
        if store.files.len() >= STORE_FILES_MAX {
            let message = format!("A vector store has at most {STORE_FILES_MAX} files.");
            return Err(ApiError::invalid_value("file_id", message));
        }
        let (name, now) = (id.as_str().to_owned(), unix_seconds());
        let mut entry = StoreFile::new(name, store.id.clone(), file.bytes, now);
        let before = store.files.iter().position(|of| of.id == entry.id);
        if let Some(before) = before.map(|at| store.files.remove(at))
            && before.status != FileStatus::Failed
        {
            entry = before;
        }
        store.files.push(entry);
        Ok(())
    }

    /// Removes a file from a store, with all passages from it; false if it is not in it.
    pub(super) fn forget(&self, owner: &Owner, id: &Id, file: &str) -> Result<bool, ApiError> {
        {
            let _alone = self.changing();
            let Some(mut store) = self.kept_store(owner, id)? else {
                return Ok(false);
            };
            let before = store.files.len();
            store.files.retain(|of| of.id != file);
            if store.files.len() == before {
                return Ok(false);
            }
            self.put_store(owner, &store)?;
        }
        self.remove_passages(id, file)?;
        Ok(true)
    }

    pub(super) fn remove_passages(&self, id: &Id, file: &str) -> Result<(), ApiError> {
        let collection = self.collection(id);
        let documents = collection.documents().map_err(|error| broken(&error))?;
        let of_file = |name: &&String| name.split_once('/').is_some_and(|(of, _)| of == file);
        for name in documents.keys().filter(of_file) {
            let removed = collection.remove(name, None);
            removed.map_err(|error| broken(&error))?;
        }
        Ok(())
    }

    fn bring_in(&self, owner: &Owner, store: &VectorStore) {
        let on_their_way = store
            .files
            .iter()
            .filter(|file| file.status == FileStatus::InProgress);
        for file in on_their_way {
            if let Some(job) = Job::new(owner, &store.id, &file.id) {
                // Only when the node ends is there nobody who would take it.
                let _ends = self.jobs.send(job);
            }
        }
    }

    /// What was on its way when the node ended.
    pub(super) fn go_on_where_it_stopped(&self) {
        for (owner, id) in self.stores.all() {
            if let Ok(Some(store)) = self.kept_store(&owner, &id) {
                self.bring_in(&owner, &store);
            }
        }
    }

    fn named_store(&self, owner: &Owner, id: &str) -> Result<(Id, VectorStore), ApiError> {
        let nothing = || ApiError::no_such_object("vector store", id);
        let id = Id::parse(id).ok_or_else(nothing)?;
        let store = self.kept_store(owner, &id)?.ok_or_else(nothing)?;
        Ok((id, store))
    }

    pub(super) fn kept_store(
        &self,
        owner: &Owner,
        id: &Id,
    ) -> Result<Option<VectorStore>, ApiError> {
        let note = self.stores.get(owner, id).map_err(|error| broken(&error))?;
        let store = note.map(|note| serde_json::from_slice(&note)).transpose();
        store.map_err(|error| broken(&error))
    }

    pub(super) fn put_store(&self, owner: &Owner, store: &VectorStore) -> Result<(), ApiError> {
        let note = serde_json::to_vec(store).map_err(|error| broken(&error))?;
        let id =
            Id::parse(&store.id).ok_or_else(|| ApiError::no_such_object("vector store", ""))?;
        let kept = self.stores.put(owner, &id, &note);
        kept.map_err(|error| not_put(error, "vector store"))
    }
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
