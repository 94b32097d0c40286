//! `/v1/vector_stores`.

use gaia_openai::ApiError;
use gaia_openai::responses::Deleted;
use gaia_openai::vector_store::{FileRequest, FileStatus, StoreRequest, VectorStore};
use gaia_records::{Id, Owner};

use super::{Given, Library, Question, broken, json, new_id, not_put, page, unix_seconds};

impl Library {
    pub(super) fn make_store(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let request = StoreRequest::parse(asked.body, &self.limits)?;
        let id = new_id("vs")?;
        let files: Vec<FileRequest> = request.files().collect();
        self.check_chunks(&files)?;
        let mut store = VectorStore {
            name: request.name.unwrap_or_default(),
            metadata: request.metadata.unwrap_or_default(),
            ..VectorStore::new(id.as_str().to_owned(), unix_seconds())
        };
        let coming = self.push(asked.owner, &mut store, &files)?;
        self.put_store(asked.owner, &store)?;
        self.bring_in(asked.owner, &id, &coming);
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
        {
            // Who changes it just now must not write it once more.
            let _alone = self.changing();
            let deleted = self.stores.delete(asked.owner, &id);
            deleted.map_err(|error| broken(&error))?;
        }
        let destroyed = self.collection(&id).destroy();
        destroyed.map_err(|error| broken(&error))?;
        self.forget_batches(asked.owner, &id)?;
        json(&Deleted::new(id.as_str(), "vector_store.deleted"))
    }

    /// What was on its way when the node ended.
    pub(super) fn go_on_where_it_stopped(&self) {
        for (owner, id) in self.stores.all() {
            if let Ok(Some(store)) = self.kept_store(&owner, &id) {
                let files = store.files.into_iter();
                let coming = files.filter(|file| file.status == FileStatus::InProgress);
                let names: Vec<String> = coming.map(|file| file.id).collect();
                self.bring_in(&owner, &id, &names);
            }
        }
    }

    /// A store of this owner, by the name that he says.
    pub(super) fn named_store(
        &self,
        owner: &Owner,
        id: &str,
    ) -> Result<(Id, VectorStore), ApiError> {
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
