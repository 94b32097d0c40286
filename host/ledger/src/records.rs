//! Records: what gateways of a domain have in common beside money, by kind and id.
//!
//! Access tokens, members, prices, the cursor of the chain: small texts that whoever writes them
//! understands. They stand in the ledger's database because gateways share nothing else.
//!
//! Invariant: a version rises by one at each change, so that who changes what he has read loses
//! nobody's change.

use crate::ledger::{Ledger, ReadError};
use crate::sql::{Columns, Connection, SqlError, Value};
use crate::tables::count;

/// Records of one reply, at most.
pub const RECORDS_LEN_MAX: u64 = 1000;

/// The longest kind or id, in bytes.
pub const RECORD_NAME_LEN_MAX: usize = 256;

/// The longest value, in bytes.
pub const RECORD_VALUE_LEN_MAX: usize = 1 << 20;

/// A record as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name within its kind.
    pub id: String,
    /// 1 for a new one, one more at each change.
    pub version: u64,
    /// What it says.
    pub value: String,
}

/// A record was not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Somebody else was there first.
    #[error(
        "the record `{kind}/{id}` is of version {found}, not {expected}: read it again, then change it"
    )]
    Version {
        /// Its kind.
        kind: String,
        /// Its name.
        id: String,
        /// What it was expected to be; 0 for a new one.
        expected: u64,
        /// What it is; 0 for none.
        found: u64,
    },
    /// More than a record may hold.
    #[error(
        "the {part} of a record has {len} bytes, {len_max} are the most: keep what is larger elsewhere"
    )]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it is.
        len: usize,
        /// How long it may be.
        len_max: usize,
    },
    /// By the database.
    #[error(transparent)]
    Ledger(#[from] ReadError),
}

impl Ledger {
    /// Writes a record and gives its version. With `expected_version` only over that one: 0 is for a
    /// record that is not there yet. What this returns is on the disk.
    ///
    /// # Errors
    /// When the record is of another version, too long, or the database cannot be written. After a
    /// failure of the database nobody knows whether it was: read it again.
    pub async fn put_record(
        &self,
        kind: &str,
        id: &str,
        value: &str,
        expected_version: Option<u64>,
    ) -> Result<u64, RecordError> {
        short_enough("kind", kind, RECORD_NAME_LEN_MAX)?;
        short_enough("id", id, RECORD_NAME_LEN_MAX)?;
        short_enough("value", value, RECORD_VALUE_LEN_MAX)?;
        let (kind, id, value) = (kind.to_owned(), id.to_owned(), value.to_owned());
        let names = (kind.clone(), id.clone());
        let put = self
            .read(move |connection| put(connection, &kind, &id, value, expected_version))
            .await?;
        put.map_err(|found| RecordError::Version {
            kind: names.0,
            id: names.1,
            expected: expected_version.unwrap_or_default(),
            found,
        })
    }

    /// A record, if there is one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn record(&self, kind: &str, id: &str) -> Result<Option<Record>, ReadError> {
        let values = [text(kind), text(id)];
        self.read(move |connection| {
            let sql = "SELECT id, version, value FROM records WHERE kind = $1 AND id = $2";
            let found = connection.query(sql, &values)?;
            found.into_iter().next().map(record).transpose()
        })
        .await
    }

    /// Records of a kind in the order that the database gives their ids, those behind `after_id`; an empty one begins.
    /// At most `limit`, and at most [`RECORDS_LEN_MAX`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn records(
        &self,
        kind: &str,
        after_id: &str,
        limit: u64,
    ) -> Result<Vec<Record>, ReadError> {
        let values = [
            text(kind),
            text(after_id),
            count(limit.min(RECORDS_LEN_MAX)),
        ];
        self.read(move |connection| {
            let sql = "SELECT id, version, value FROM records
                WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3";
            let found = connection.query(sql, &values)?;
            found.into_iter().map(record).collect()
        })
        .await
    }

    /// Removes a record; one that is not there is removed already.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn remove_record(&self, kind: &str, id: &str) -> Result<(), ReadError> {
        let values = [text(kind), text(id)];
        self.read(move |connection| {
            connection.execute("DELETE FROM records WHERE kind = $1 AND id = $2", &values)
        })
        .await
    }
}

/// The new version, or the one that stands in the way.
fn put(
    connection: &mut dyn Connection,
    kind: &str,
    id: &str,
    value: String,
    expected: Option<u64>,
) -> Result<Result<u64, u64>, SqlError> {
    connection.begin()?;
    let written = write(connection, kind, id, value, expected);
    match written {
        Ok(Ok(version)) => connection.commit().map(|()| Ok(version)),
        other => {
            connection.rollback();
            other
        }
    }
}

fn write(
    connection: &mut dyn Connection,
    kind: &str,
    id: &str,
    value: String,
    expected: Option<u64>,
) -> Result<Result<u64, u64>, SqlError> {
    let sql = "SELECT version FROM records WHERE kind = $1 AND id = $2";
    let found = connection.query(sql, &[text(kind), text(id)])?;
    let found = found.into_iter().next().map(|mut columns| columns.count());
    let found = found.transpose()?.unwrap_or(0);
    if expected.is_some_and(|expected| expected != found) {
        return Ok(Err(found));
    }
    let version = found + 1;
    let sql = "INSERT INTO records VALUES ($1, $2, $3, $4) ON CONFLICT (kind, id) DO UPDATE SET
        version = excluded.version, value = excluded.value";
    let values = [text(kind), text(id), count(version), Value::Text(value)];
    connection.execute(sql, &values)?;
    Ok(Ok(version))
}

fn record(mut columns: Columns) -> Result<Record, SqlError> {
    Ok(Record {
        id: columns.text()?,
        version: columns.count()?,
        value: columns.text()?,
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn short_enough(part: &'static str, text: &str, len_max: usize) -> Result<(), RecordError> {
    let len = text.len();
    if len > len_max {
        return Err(RecordError::TooLong { part, len, len_max });
    }
    Ok(())
}
