//! `/v1/vector_stores/{id}/file_batches`.
//!
//! A batch is noted before its files are, and says nothing of them that they do not say themselves. So a kill between
//! the two leaves a name that nobody has heard of, and what was on its way goes on by its files' own notes.

use gaia_openai::ApiError;
use gaia_openai::vector_store::{
    BatchRequest, FileBatch, FileRequest, FileStatus, StoreFile, VectorStore,
};
use gaia_records::{Id, Owner};

use super::store_files::list;
use super::{Given, Library, Question, broken, json, new_id, not_put, unix_seconds};

impl Library {
    pub(super) fn make_batch(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let request = BatchRequest::parse(asked.body, &self.limits)?;
        let (store_id, _) = self.named_store(asked.owner, id)?;
        self.check_files(asked.owner, &request.files)?;
        let batch_id = new_id("vsfb")?;
        let batch = FileBatch {
            id: batch_id.as_str().to_owned(),
            created_at: unix_seconds(),
            vector_store_id: store_id.as_str().to_owned(),
            file_ids: request
                .files
                .iter()
                .map(|file| file.file_id.clone())
                .collect(),
        };
        let note = serde_json::to_vec(&batch).map_err(|error| broken(&error))?;
        let kept = self.batches.put(asked.owner, &batch_id, &note);
        kept.map_err(|error| not_put(error, "file batch"))?;
        match self.add(asked.owner, id, &request.files) {
            Ok(store) => json(&batch.shown(&store)),
            Err(error) => {
                // A batch that nobody can ask for would only take the place of one that somebody can.
                let _goes_with_the_oldest = self.batches.delete(asked.owner, &batch_id);
                Err(error)
            }
        }
    }

    pub(super) fn show_batch(
        &self,
        asked: &Question<'_>,
        id: &str,
        batch: &str,
    ) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        let batch = self.named_batch(asked.owner, &store, batch)?;
        json(&batch.shown(&store))
    }

    /// What is not brought in yet will not be. The file that is being read just now is read to its end, and then
    /// taken out.
    pub(super) fn cancel_batch(
        &self,
        asked: &Question<'_>,
        id: &str,
        batch: &str,
    ) -> Result<Given, ApiError> {
        let _alone = self.changing();
        let (_, mut store) = self.named_store(asked.owner, id)?;
        let batch = self.named_batch(asked.owner, &store, batch)?;
        let names: Vec<String> = batch
            .files_in(&store)
            .iter()
            .filter(|file| file.status == FileStatus::InProgress)
            .map(|file| file.id.clone())
            .collect();
        if !names.is_empty() {
            for file in store
                .files
                .iter_mut()
                .filter(|file| names.contains(&file.id))
            {
                file.status = FileStatus::Cancelled;
            }
            self.put_store(asked.owner, &store)?;
        }
        json(&batch.shown(&store))
    }

    pub(super) fn list_batch_files(
        &self,
        asked: &Question<'_>,
        id: &str,
        batch: &str,
    ) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        let batch = self.named_batch(asked.owner, &store, batch)?;
        let files: Vec<StoreFile> = batch.files_in(&store).into_iter().cloned().collect();
        list(asked, files)
    }

    /// Forgets the batches of a store that is gone.
    pub(super) fn forget_batches(&self, owner: &Owner, store: &Id) -> Result<(), ApiError> {
        for id in self.batches.list(owner, "vsfb_") {
            let batch = self.batch(owner, &id)?;
            if batch.is_some_and(|batch| batch.vector_store_id == store.as_str()) {
                let deleted = self.batches.delete(owner, &id);
                deleted.map_err(|error| broken(&error))?;
            }
        }
        Ok(())
    }

    /// Refuses a batch of which a file is not there, before anything is noted.
    fn check_files(&self, owner: &Owner, files: &[FileRequest]) -> Result<(), ApiError> {
        files
            .iter()
            .try_for_each(|file| self.named_file(owner, &file.file_id).map(|_| ()))
    }

    fn named_batch(
        &self,
        owner: &Owner,
        store: &VectorStore,
        id: &str,
    ) -> Result<FileBatch, ApiError> {
        let nothing = || ApiError::no_such_object("file batch", id);
        let id = Id::parse(id).ok_or_else(nothing)?;
        let batch = self.batch(owner, &id)?;
        batch
            .filter(|batch| batch.vector_store_id == store.id)
            .ok_or_else(nothing)
    }

    fn batch(&self, owner: &Owner, id: &Id) -> Result<Option<FileBatch>, ApiError> {
        let note = self
            .batches
            .get(owner, id)
            .map_err(|error| broken(&error))?;
        let batch = note.map(|note| serde_json::from_slice(&note)).transpose();
        batch.map_err(|error| broken(&error))
    }
}
