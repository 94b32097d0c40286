//! What a domain's operator writes down: its folder, its file, where its contracts are.
//!
//! The command `gaia domain` and the program `gaia-gateway` read the same file with this. Everything in it is checked
//! before anything starts; what is wrong is told by its name, all of it at once.
//!
//! Invariants: no secret has to be in the file, and none of it is shown; amounts and parts are exact, or refused.

mod deployment;
mod file;
mod folder;
mod gateway;
mod ledger;
mod model;
mod split;
#[cfg(test)]
mod tests;

pub use deployment::{Deployment, DeploymentError};
pub use file::{
    Chain, DomainFile, FILE_BYTES_MAX, KNOWLEDGE_MAX, KNOWLEDGE_NAME_LEN_MAX, ParseDomainError,
    ReadDomainError, Tls, Wrong,
};
pub use folder::Folder;
pub use gateway::Gateway;
pub use ledger::{LEDGER_FILE_BYTES_MAX, LEDGER_VARIABLE, LedgerAddress, LedgerAddressError};
pub use model::Model;
pub use split::{OtherPart, SplitFile};
