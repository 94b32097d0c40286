//! What can go wrong with a request, and with opening a store.
//!
//! The engine's errors become [`StoreError`]s by whose fault they are; `routes` alone turns those
//! into a status and Qdrant's error shape.

use std::io;
use std::path::PathBuf;

use qdrant_edge::OperationError;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the folder.
    #[error("the store in {} is in use by another process", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
    },
    /// The folder cannot be made, locked or read.
    #[error("failed to open the store in {}", path.display())]
    Io {
        /// The store's folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A thread for the work behind the scenes could not be started.
    #[error("failed to start the store's threads")]
    Thread(#[source] io::Error),
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The caller asked for something that makes no sense.
    #[error("Wrong input: {0}")]
    BadInput(String),
    /// The body is not the JSON this route takes.
    #[error("Format error in JSON body: {0}")]
    BadJson(String),
    /// No such collection, point, alias or snapshot.
    #[error("Not found: {0}")]
    NotFound(String),
    /// It is there already.
    #[error("Wrong input: {0}")]
    Conflict(String),
    /// More than a named limit allows.
    #[error("Payload too large: {0}")]
    TooLarge(String),
    /// Well formed, but a value is out of its range.
    #[error("Validation error: {0}")]
    Invalid(String),
    /// No key, or another one.
    #[error("Must provide an API key or an Authorization bearer token")]
    Unauthorized,
    /// The request came by a name this store does not go by.
    #[error("this host name is not served")]
    ForeignHost,
    /// Too much under way already.
    #[error("the store is busy: {0} requests are running")]
    Busy(usize),
    /// Our fault, or the disk's.
    #[error("Service internal error: {0}")]
    Internal(String),
}

impl StoreError {
    /// A collection nobody has made.
    pub fn no_collection(name: &str) -> Self {
        Self::NotFound(format!("Collection `{name}` doesn't exist!"))
    }

    /// What a query failed of. When a formula cannot be computed for a point in one segment, the
    /// engine tells the others to stop, and their `Cancelled` may come first; nothing else here
    /// breaks queries off.
    pub(crate) fn of_query(error: OperationError) -> Self {
        match error {
            OperationError::Cancelled { .. } => Self::BadInput(
                "the formula cannot be computed for some of the points; `defaults` may help"
                    .to_owned(),
            ),
            other => other.into(),
        }
    }
}

impl From<OperationError> for StoreError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::PointIdError { .. } => Self::NotFound(error.to_string()),
            OperationError::ServiceError { .. }
            | OperationError::InconsistentStorage { .. }
            | OperationError::FileNotFound { .. }
            | OperationError::OutOfMemory { .. }
            | OperationError::OutOfAppendableCapacity { .. }
            | OperationError::Cancelled { .. }
            | OperationError::Timeout { .. } => Self::Internal(error.to_string()),
            OperationError::WrongVectorDimension { .. }
            | OperationError::MalformedVectorBlob { .. }
            | OperationError::MalformedPayloadBlob { .. }
            | OperationError::VectorNameNotExists { .. }
            | OperationError::TypeError { .. }
            | OperationError::TypeInferenceError { .. }
            | OperationError::ValidationError { .. }
            | OperationError::WrongSparse
            | OperationError::WrongMulti
            | OperationError::MissingRangeIndexForOrderBy { .. }
            | OperationError::MissingMapIndexForFacet { .. }
            | OperationError::VariableTypeError { .. }
            | OperationError::NonFiniteNumber { .. } => Self::BadInput(error.to_string()),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Internal(error.to_string())
    }
}
