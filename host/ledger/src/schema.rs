//! The tables, and how an older database becomes one of this version.
//!
//! `entries` and `receipts` are what happened; every other table is what the entries add up to, kept
//! because a sum over millions of them is slow, and checked against them by [`crate::Ledger::audit`].
//! `records` are beside all that.

use crate::sql::{Connection, SqlError};

/// Versions of the tables: each text makes the next one out of the one before.
const VERSIONS: &[&str] = &[
    "
CREATE TABLE entries (
    number BIGINT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    time BIGINT NOT NULL,
    command TEXT NOT NULL,
    postings TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE TABLE receipts (
    request BYTEA PRIMARY KEY,
    receipt TEXT NOT NULL,
    node_signature BYTEA,
    gateway_signature BYTEA
);
CREATE TABLE epochs (
    asset BYTEA PRIMARY KEY,
    open BIGINT, open_price BIGINT,
    closing BIGINT, closing_price BIGINT
);
CREATE TABLE accounts (
    payer BYTEA NOT NULL, asset BYTEA NOT NULL,
    held BIGINT NOT NULL, refunding BIGINT NOT NULL, charged BIGINT NOT NULL,
    PRIMARY KEY (payer, asset)
);
CREATE TABLE owed (
    payer BYTEA NOT NULL, asset BYTEA NOT NULL, epoch BIGINT NOT NULL,
    reserved BIGINT NOT NULL, charged BIGINT NOT NULL,
    PRIMARY KEY (asset, epoch, payer)
);
CREATE TABLE tokens (
    payer BYTEA NOT NULL, asset BYTEA NOT NULL, token BYTEA NOT NULL,
    reserved BIGINT NOT NULL, charged BIGINT NOT NULL,
    PRIMARY KEY (payer, asset, token)
);
CREATE TABLE reservations (
    id BYTEA PRIMARY KEY,
    payer BYTEA NOT NULL, asset BYTEA NOT NULL, token BYTEA NOT NULL, epoch BIGINT NOT NULL,
    amount BIGINT NOT NULL, expires_at BIGINT NOT NULL, state BIGINT NOT NULL
);
CREATE INDEX reservations_held ON reservations (asset, epoch, expires_at) WHERE state = 0;
CREATE TABLE earned (
    asset BYTEA NOT NULL, epoch BIGINT NOT NULL, role BIGINT NOT NULL, party BYTEA NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (asset, epoch, role, party)
);
CREATE TABLE pools (
    asset BYTEA NOT NULL, epoch BIGINT NOT NULL,
    units BIGINT NOT NULL, usd BIGINT NOT NULL,
    PRIMARY KEY (asset, epoch)
);
CREATE TABLE shares (
    party BYTEA NOT NULL, asset BYTEA NOT NULL,
    cumulative BIGINT NOT NULL, claimed BIGINT NOT NULL,
    PRIMARY KEY (party, asset)
);
",
    "
CREATE TABLE records (
    kind TEXT NOT NULL, id TEXT NOT NULL,
    version BIGINT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
",
    "
CREATE TABLE nodes (
    node BYTEA NOT NULL, operator BYTEA NOT NULL, asset BYTEA NOT NULL,
    epoch BIGINT NOT NULL, before_epoch BIGINT NOT NULL, total BIGINT NOT NULL,
    PRIMARY KEY (node, operator, asset)
);
",
    "
CREATE INDEX receipts_unsigned ON receipts (request) WHERE node_signature IS NULL;
",
    // Anybody may ask what an operator has earned; that must not read the tables through.
    "
CREATE INDEX nodes_of_operators ON nodes (operator, node);
CREATE INDEX earned_by_parties ON earned (party);
",
];

/// Brings the database to this version.
pub(crate) fn prepare(connection: &mut dyn Connection) -> Result<(), SchemaError> {
    // Outside of the transaction: where two do it at once, the second finds the table there.
    connection.script("CREATE TABLE IF NOT EXISTS gaia_ledger (version BIGINT NOT NULL)")?;
    connection.begin()?;
    match upgrade(connection) {
        Ok(()) => Ok(connection.commit()?),
        Err(error) => {
            connection.rollback();
            Err(error)
        }
    }
}

fn upgrade(connection: &mut dyn Connection) -> Result<(), SchemaError> {
    let rows = connection.query("SELECT version FROM gaia_ledger", &[])?;
    let version = match rows.into_iter().next() {
        Some(mut row) => row.count()?,
        None => {
            connection.script("INSERT INTO gaia_ledger VALUES (0)")?;
            0
        }
    };
    let known = VERSIONS.len() as u64;
    if version > known {
        return Err(SchemaError::Newer { version, known });
    }
    for step in VERSIONS
        .iter()
        .skip(usize::try_from(version).unwrap_or(usize::MAX))
    {
        connection.script(step)?;
    }
    connection.script(&format!("UPDATE gaia_ledger SET version = {known}"))?;
    Ok(())
}

/// The database is not one that this program can use.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It was written by a later version.
    #[error(
        "the ledger is of version {version}, this program knows versions up to {known}: run the newer one"
    )]
    Newer {
        /// The database's.
        version: u64,
        /// The program's.
        known: u64,
    },
    /// It would not do it.
    #[error(transparent)]
    Sql(#[from] SqlError),
}
