//! SQLite: one file, in write-ahead mode, every commit on the disk before it returns.

use super::{Columns, Connection, SqlError, Value};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::path::Path;
use std::time::Duration;

/// How long a writer waits for another process's.
const BUSY: Duration = Duration::from_secs(5);

/// Prepared statements that are kept: all that the ledger has.
const STATEMENTS_MAX: usize = 64;

pub(crate) struct Sqlite(rusqlite::Connection);

impl Sqlite {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, SqlError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        Ok(Self(connection))
    }
}

impl Connection for Sqlite {
    fn begin(&mut self) -> Result<(), SqlError> {
        Ok(self
            .0
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])
            .map(drop)?)
    }

    fn commit(&mut self) -> Result<(), SqlError> {
        Ok(self.0.prepare_cached("COMMIT")?.execute([]).map(drop)?)
    }

    fn rollback(&mut self) {
        // Fails where none is open, which is as well.
        self.0.execute_batch("ROLLBACK").ok();
    }

    fn script(&mut self, sql: &str) -> Result<(), SqlError> {
        Ok(self.0.execute_batch(sql)?)
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<(), SqlError> {
        let mut statement = self.0.prepare_cached(sql)?;
        statement.execute(rusqlite::params_from_iter(values))?;
        Ok(())
    }

    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Columns>, SqlError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|column| Ok(Value::from(row.get_ref(column)?)));
            found.push(Columns::new(cells.collect::<Result<_, rusqlite::Error>>()?));
        }
        Ok(found)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(cell: ValueRef<'_>) -> Self {
        match cell {
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
            // The ledger writes no fractions: read as nothing, so that the reader objects.
            ValueRef::Null | ValueRef::Real(_) => Self::Null,
        }
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(format!("SQLite: {error}"))
    }
}
