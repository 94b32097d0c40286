//! What the node keeps for its callers: small records as files, bounded, each with an owner.
//!
//! A record is bytes under an id, and what the bytes mean is for others to know. It belongs to the one who had it
//! written: for everybody else it is not there. What is over the limits makes the oldest records go of whoever has
//! most.
//!
//! Invariants: what was acknowledged is on the disk; a record is there whole or not at all; a name that came from
//! outside is a path only after it was found to be an [`Id`].

mod file;
mod id;
mod index;
mod records;

pub use id::{Id, Owner};
pub use records::{DeleteError, Limits, OpenRecordsError, PutError, ReadError, Records, WhenFull};
