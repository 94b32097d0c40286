//! The journal in the database: entries are appended and read, never changed.

use crate::sql::{Columns, Connection, SqlError, Value};
use crate::tables::{address, count};
use alloy_primitives::Address;
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::{Entry, IdempotencyKey};

/// The number of the next entry.
pub(crate) fn next_number(connection: &mut dyn Connection) -> Result<u64, SqlError> {
    let last = connection.query(
        "SELECT number FROM entries ORDER BY number DESC LIMIT 1",
        &[],
    )?;
    match last.into_iter().next() {
        Some(mut columns) => Ok(columns.count()? + 1),
        None => Ok(0),
    }
}

/// The entry of a key.
pub(crate) fn find(
    connection: &mut dyn Connection,
    key: &IdempotencyKey,
) -> Result<Option<Entry>, SqlError> {
    let sql = "SELECT number, key, time, command, postings, outcome FROM entries WHERE key = $1";
    let found = connection.query(sql, &[Value::Text(key.to_string())])?;
    found.into_iter().next().map(entry).transpose()
}

/// Entries from a number on, `limit` at most.
pub(crate) fn entries(
    connection: &mut dyn Connection,
    from: u64,
    limit: u64,
) -> Result<Vec<Entry>, SqlError> {
    let sql = "SELECT number, key, time, command, postings, outcome FROM entries
        WHERE number >= $1 ORDER BY number LIMIT $2";
    let found = connection.query(sql, &[count(from), count(limit)])?;
    found.into_iter().map(entry).collect()
}

/// Appends an entry.
pub(crate) fn append(connection: &mut dyn Connection, entry: &Entry) -> Result<(), SqlError> {
    let values = [
        count(entry.number),
        Value::Text(entry.key.to_string()),
        count(entry.time.0),
        json(&entry.command)?,
        json(&entry.postings)?,
        json(&entry.outcome)?,
    ];
    connection.execute(
        "INSERT INTO entries VALUES ($1, $2, $3, $4, $5, $6)",
        &values,
    )
}

/// Reservations of an epoch that stand.
pub(crate) fn reserved_open(
    connection: &mut dyn Connection,
    asset: Address,
    epoch: EpochNumber,
) -> Result<u64, SqlError> {
    let sql = "SELECT COUNT(*) FROM reservations WHERE asset = $1 AND epoch = $2 AND state = 0";
    let found = connection.query(sql, &[address(asset), count(epoch.0)])?;
    found
        .into_iter()
        .next()
        .map_or(Ok(0), |mut columns| columns.count())
}

fn entry(mut columns: Columns) -> Result<Entry, SqlError> {
    Ok(Entry {
        number: columns.count()?,
        key: columns.next(|cell| match cell {
            Value::Text(key) => IdempotencyKey::new(key).ok(),
            _ => None,
        })?,
        time: Timestamp(columns.count()?),
        command: parsed(&mut columns)?,
        postings: parsed(&mut columns)?,
        outcome: parsed(&mut columns)?,
    })
}

fn json(value: &impl serde::Serialize) -> Result<Value, SqlError> {
    let text =
        serde_json::to_string(value).map_err(|error| SqlError::Database(error.to_string()))?;
    Ok(Value::Text(text))
}

fn parsed<T: serde::de::DeserializeOwned>(columns: &mut Columns) -> Result<T, SqlError> {
    columns.next(|cell| match cell {
        Value::Text(text) => serde_json::from_str(&text).ok(),
        _ => None,
    })
}
