//! The domain's ledger on disk: `gaia_ledger`'s decisions, kept by SQLite or PostgreSQL.
//!
//! One thread owns a connection. It takes the commands that wait as one transaction, which is alone in
//! writing to the ledger among all processes, and replies when it is on the disk. SQLite serves one gateway,
//! PostgreSQL several; the SQL is the same text, and the tests are the same.
//!
//! Invariants: what was answered is on the disk, but for reservations, which need not outlive their machine; a command
//! that is sent again with its key is carried out once, wherever the process died; the tables are what the journal adds up to ([`Ledger::audit`]).

mod earnings;
mod journal;
mod ledger;
mod location;
mod receipts;
mod records;
mod schema;
mod sql;
mod store;
mod table;
mod tables;
mod writer;

pub use earnings::{EARNINGS_LEN_MAX, Earnings, Funds, Income, NodeEarnings};
pub use ledger::{Audit, AuditError, JOBS_LEN_MAX, Ledger, ReadError};
pub use location::{Location, OpenError};
pub use receipts::{Served, SignedBy, StoredReceipt};
pub use records::{
    RECORD_NAME_LEN_MAX, RECORD_VALUE_LEN_MAX, RECORDS_LEN_MAX, Record, RecordError,
};
pub use schema::SchemaError;
pub use sql::SqlError;
pub use writer::{BATCH_LEN_MAX, ExecuteError, Order};
