//! How adding went, while it goes and at its end.

use gaia_rag::AssembleError;

use crate::http::HttpError;
use crate::read::Skipped;
use crate::worker::WorkerError;

/// Why adding stopped. What was written until then stays and is not done again.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The worker failed.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] HttpError),
    /// Another embedding model made what is there.
    #[error(
        "collection `{collection}` holds vectors of {held} numbers, the embedding model `{model}` makes {made}: \
         choose another collection, or the model it was made with"
    )]
    Dimensions {
        /// The collection.
        collection: String,
        /// Numbers in a vector there.
        held: usize,
        /// The model.
        model: String,
        /// Numbers in its vectors.
        made: usize,
    },
    /// Two places, one name.
    #[error(
        "there is already a document `{name}` from another place: give this one a name of its own with --name, or \
         the same name with --name to replace it"
    )]
    OtherOrigin {
        /// The name.
        name: String,
    },
    /// A document could not be cut.
    #[error("cannot cut `{name}`")]
    Cut {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: AssembleError,
    },
    /// The system has no room for a thread.
    #[error("failed to start a thread")]
    Threads,
    /// The embedding model reads next to nothing.
    #[error("the embedding model `{model}` reads only {context} tokens")]
    Context {
        /// The model.
        model: String,
        /// Its context.
        context: usize,
    },
}

/// What happens, as it happens.
#[derive(Debug)]
pub enum Event<'a> {
    /// How much there is to do, in bytes of documents.
    Started {
        /// All documents together.
        bytes: u64,
    },
    /// More of it is done.
    Advanced {
        /// Bytes done since the last time.
        bytes: u64,
    },
    /// A file was left out.
    Skipped(&'a Skipped),
}

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// New documents.
    pub added: usize,
    /// Documents that were there in another version, or not completely.
    pub replaced: usize,
    /// Documents that were there just so.
    pub unchanged: usize,
    /// Documents without text.
    pub empty: usize,
    /// Documents of the folder that are no longer in it.
    pub dropped: usize,
    /// Passages embedded and written.
    pub passages: usize,
    /// Files left out.
    pub skipped: Vec<Skipped>,
}
