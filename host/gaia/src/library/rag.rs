//! `/v1/create/rag` and `/v1/chunks`: GaiaNet's way to the node's own knowledge.
//!
//! Invariant: only what came with the scope for it gets here; what is brought in is the node's, not the caller's.

use gaia_ingest::{CutError, Options, cut, ingest};
use gaia_openai::ApiError;
use gaia_openai::chunks::{ChunksReply, ChunksRequest, Learned};
use gaia_openai::files::Upload;

use super::{Given, Library, Question, broken, ingesting, json};

/// Where such documents come from, as their passages say.
const ORIGIN: &str = "api";

impl Library {
    /// Brings a document in at once, in the place of one of the same name.
    pub(super) fn learn(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let document = Upload::document(asked.content_type, asked.body)?;
        let worker = self.awake()?;
        let bytes = document.bytes.len() as u64;
        let sources = ingesting::one(document.filename.clone(), ORIGIN, bytes);
        let mut reader = document.bytes;
        let options = Options::default();
        let knowledge = self.knowledge();
        let done = ingest(
            &worker,
            &knowledge,
            sources,
            options,
            &mut reader,
            &mut |_| {},
        );
        let report = done.map_err(|error| broken(&error))?;
        if let Err(error) = ingesting::read(&report) {
            return Err(ApiError::invalid_value("file", error.message));
        }
        json(&Learned {
            filename: document.filename,
            collection: knowledge.collection().to_owned(),
            passages: report.passages,
            replaced: report.replaced > 0,
        })
    }

    /// Shows how a file is cut.
    pub(super) fn show_chunks(&self, asked: &Question<'_>) -> Result<Given, ApiError> {
        let request = ChunksRequest::parse(asked.body, &self.limits)?;
        let (id, file) = self.named_file(asked.owner, &request.id)?;
        let bytes = self.bytes.get(asked.owner, &id);
        let bytes = bytes.map_err(|error| broken(&error))?.unwrap_or_default();
        let options = request
            .chunk_capacity
            .map_or_else(Options::default, ingesting::up_to);
        let chunks = cut(&self.awake()?, &file.filename, &bytes, options);
        let chunks = chunks.map_err(|error| match error {
            CutError::Read(reason) => {
                ApiError::invalid_value("id", format!("The file is {reason}."))
            }
            CutError::Ingest(error) => broken(&error),
        })?;
        json(&ChunksReply {
            id: request.id,
            filename: file.filename,
            chunks,
        })
    }
}
