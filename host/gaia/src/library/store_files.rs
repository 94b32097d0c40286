//! The files of vector stores: brought in, shown, described, taken out.

use std::collections::HashMap;

use gaia_ingest::Options;
use gaia_openai::ApiError;
use gaia_openai::responses::Deleted;
use gaia_openai::vector_store::{
    ChunkSizes, Chunking, ChunkingRequest, FileRequest, FileStatus, STORE_FILES_MAX, StoreFile,
    VectorStore, content_reply, parse_attributes,
};
use gaia_records::{Id, Owner};

use super::ingesting::Job;
use super::{Given, Library, Question, broken, json, page, unix_seconds};

impl Library {
    pub(super) fn list_store_files(
        &self,
        asked: &Question<'_>,
        id: &str,
    ) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        list(asked, store.files)
    }

    pub(super) fn show_store_file(
        &self,
        asked: &Question<'_>,
        id: &str,
        file: &str,
    ) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        json(entry(&store, file)?)
    }

    pub(super) fn add_file(&self, asked: &Question<'_>, id: &str) -> Result<Given, ApiError> {
        let request = FileRequest::parse(asked.body, &self.limits)?;
        self.named_store(asked.owner, id)?;
        let name = request.file_id.clone();
        let store = self.add(asked.owner, id, &[request])?;
        json(entry(&store, &name)?)
    }

    pub(super) fn change_store_file(
        &self,
        asked: &Question<'_>,
        id: &str,
        file: &str,
    ) -> Result<Given, ApiError> {
        let attributes = parse_attributes(asked.body)?;
        let _alone = self.changing();
        let (_, mut store) = self.named_store(asked.owner, id)?;
        let entry = store.files.iter_mut().find(|of| of.id == file);
        entry
            .ok_or_else(|| ApiError::no_such_object("file", file))?
            .attributes = attributes;
        store.check_attributes()?;
        self.put_store(asked.owner, &store)?;
        json(&store.file(file))
    }

    pub(super) fn store_file_content(
        &self,
        asked: &Question<'_>,
        id: &str,
        file: &str,
    ) -> Result<Given, ApiError> {
        let (_, store) = self.named_store(asked.owner, id)?;
        entry(&store, file)?;
        let (id, file) = self.named_file(asked.owner, file)?;
        let bytes = self.bytes.get(asked.owner, &id);
        let bytes = bytes.map_err(|error| broken(&error))?.unwrap_or_default();
        let text = gaia_ingest::text(&file.filename, &bytes).map_err(|reason| {
            ApiError::invalid_value("file_id", format!("The file is {reason}."))
        })?;
        json(&content_reply(&text))
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

    /// Adds files to a store, all of them or none, and has those brought in that are not in it yet.
    pub(super) fn add(
        &self,
        owner: &Owner,
        id: &str,
        files: &[FileRequest],
    ) -> Result<VectorStore, ApiError> {
        self.check_chunks(files)?;
        let _alone = self.changing();
        let (id, mut store) = self.named_store(owner, id)?;
        let coming = self.push(owner, &mut store, files)?;
        self.put_store(owner, &store)?;
        self.bring_in(owner, &id, &coming);
        Ok(store)
    }

    /// Notes files of a store, and says which of them are on their way from now on.
    pub(super) fn push(
        &self,
        owner: &Owner,
        store: &mut VectorStore,
        files: &[FileRequest],
    ) -> Result<Vec<String>, ApiError> {
        let places = store.files.iter().enumerate();
        let mut places: HashMap<String, usize> =
            places.map(|(at, file)| (file.id.clone(), at)).collect();
        let mut coming = Vec::new();
        for request in files {
            let (id, file) = self.named_file(owner, &request.file_id)?;
            let at = *places.entry(id.as_str().to_owned()).or_insert_with(|| {
                let (id, now) = (id.as_str().to_owned(), unix_seconds());
                let mut entry = StoreFile::new(id.clone(), store.id.clone(), file.bytes, now);
                entry.chunking_strategy = chunking(request.chunking);
                store.files.push(entry);
                coming.push(id);
                store.files.len() - 1
            });
            if let Some(entry) = store.files.get_mut(at)
                && is_to_come_again(entry, request)
            {
                coming.push(entry.id.clone());
            }
        }
        if store.files.len() > STORE_FILES_MAX {
            let message = format!("A vector store has at most {STORE_FILES_MAX} files.");
            return Err(ApiError::invalid_value("file_id", message));
        }
        store.check_attributes()?;
        Ok(coming)
    }

    /// Refuses chunks that the embedding model does not read whole.
    pub(super) fn check_chunks(&self, files: &[FileRequest]) -> Result<(), ApiError> {
        let sizes = files.iter().filter_map(|file| match file.chunking {
            Some(ChunkingRequest::Static(sizes)) => Some(sizes.max_chunk_size_tokens),
            Some(ChunkingRequest::Auto) | None => None,
        });
        let Some(largest) = sizes.max() else {
            return Ok(());
        };
        let model = self.awake()?.embedding_model();
        let read_max = model.map_err(|error| broken(&error))?.passage_tokens_max();
        if usize::try_from(largest).is_ok_and(|largest| largest <= read_max) {
            return Ok(());
        }
        let param = "chunking_strategy.static.max_chunk_size_tokens";
        let message = format!(
            "`{param}` is {largest}, and the node's embedding model reads {read_max} tokens at once: \
             ask for no more than that, or for `auto`."
        );
        Err(ApiError::unsupported(param, message))
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

    /// Has these files of a store brought in, one after the other.
    pub(super) fn bring_in(&self, owner: &Owner, store: &Id, files: &[String]) {
        for file in files {
            if let Some(job) = Job::new(owner, store, file) {
                // Only when the node ends is there nobody who would take it.
                let _ends = self.jobs.send(job);
            }
        }
    }
}

/// A piece of a list of files, of those with the status that is asked for.
pub(super) fn list(asked: &Question<'_>, mut files: Vec<StoreFile>) -> Result<Given, ApiError> {
    let page = page(asked.query)?;
    let mut pairs = asked.query.split('&');
    if let Some(word) = pairs.find_map(|pair| pair.strip_prefix("filter=")) {
        let status = FileStatus::of_filter(word)?;
        files.retain(|file| file.status == status);
    }
    json(&page.of(files, |file| &file.id))
}

fn entry<'a>(store: &'a VectorStore, file: &str) -> Result<&'a StoreFile, ApiError> {
    let entry = store.file(file);
    entry.ok_or_else(|| ApiError::no_such_object("file", file))
}

/// Notes what is said of a file that is in the store; true if it has to be brought in for that. One that is there
/// stays as it is, but for what is said.
fn is_to_come_again(entry: &mut StoreFile, request: &FileRequest) -> bool {
    if let Some(attributes) = &request.attributes {
        entry.attributes.clone_from(attributes);
    }
    let is_there = matches!(entry.status, FileStatus::InProgress | FileStatus::Completed);
    let wanted = match request.chunking {
        None if is_there => entry.chunking_strategy,
        said => chunking(said),
    };
    if is_there && wanted == entry.chunking_strategy {
        return false;
    }
    entry.chunking_strategy = wanted;
    entry.status = FileStatus::InProgress;
    entry.last_error = None;
    true
}

/// The sizes that a file is cut to.
fn chunking(said: Option<ChunkingRequest>) -> Chunking {
    let sizes = match said {
        Some(ChunkingRequest::Static(sizes)) => sizes,
        Some(ChunkingRequest::Auto) | None => {
            let limits = Options::default().limits;
            let tokens = |number| u32::try_from(number).unwrap_or(u32::MAX);
            ChunkSizes {
                max_chunk_size_tokens: tokens(limits.tokens_max),
                chunk_overlap_tokens: tokens(limits.tokens_overlap),
            }
        }
    };
    Chunking::Static { sizes }
}
