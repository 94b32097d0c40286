//! SQLite: one file, in write-ahead mode.
//!
//! The connection itself waits for the disk only where it is told to. What a batch has committed is in the log, behind
//! all that was committed before; [`Disk`] brings the log to the disk from another thread, so that who needs no disk
//! does not wait for one. [`Checkpoints`] takes the log over into the file from a third, as nobody is to wait for
//! that either.

mod checkpoints;

use super::{Columns, Connection, Flush, SqlError, Value};
use checkpoints::Checkpoints;
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a writer waits for another process's.
const BUSY: Duration = Duration::from_secs(5);

/// Prepared statements that are kept: all that the ledger has.
const STATEMENTS_MAX: usize = 64;

pub(crate) struct Sqlite {
    // Closed before the file of the log, whose last user deletes it.
    checkpoints: Checkpoints,
    connection: rusqlite::Connection,
    log: Disk,
    /// What others' commits change.
    version: Option<i64>,
}

/// The log, which SQLite keeps beside the file as long as a connection is open.
struct Disk(File);

impl Sqlite {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, SqlError> {
        let connection = rusqlite::Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        connection.pragma_update(None, "journal_mode", "wal")?;
        // The log is brought to the disk by `Disk`, and before it is taken over by SQLite.
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        // The log is there once something was read.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let path = fs::canonicalize(path).map_err(|error| unopened(path, &error))?;
        let log = log_of(&path);
        let log = File::open(&log).map_err(|error| unopened(&log, &error))?;
        // What is in the log counts only where its name is on the disk, too.
        if let Some(folder) = path.parent() {
            let folder = File::open(folder).map_err(|error| unopened(folder, &error))?;
            folder.sync_all().map_err(|error| unopened(&path, &error))?;
        }
        Ok(Self {
            checkpoints: Checkpoints::begin(path)?,
            connection,
            log: Disk(log),
            version: None,
        })
    }
}

/// The log's path.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn unopened(path: &Path, error: &std::io::Error) -> SqlError {
    SqlError::Database(format!("{} cannot be opened: {error}", path.display()))
}

impl Flush for Disk {
    fn flush(&mut self) -> Result<(), SqlError> {
        let failed = |error| SqlError::Database(format!("the disk did not take the log: {error}"));
        self.0.sync_data().map_err(failed)
    }
}

impl Connection for Sqlite {
    fn begin(&mut self) -> Result<(), SqlError> {
        self.checkpoints.make_room(&self.connection)?;
        let mut begin = self.connection.prepare_cached("BEGIN IMMEDIATE")?;
        Ok(begin.execute([]).map(drop)?)
    }

    fn commit(&mut self) -> Result<(), SqlError> {
        self.commit_soon()?;
        self.log.flush()
    }

    fn commit_soon(&mut self) -> Result<(), SqlError> {
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.checkpoints.wake();
        Ok(())
    }

    fn flush(&mut self) -> Result<Option<Box<dyn Flush>>, SqlError> {
        let log = self.log.0.try_clone();
        let log = log.map_err(|error| SqlError::Database(error.to_string()))?;
        Ok(Some(Box::new(Disk(log))))
    }

    fn others_wrote(&mut self) -> Result<bool, SqlError> {
        let mut asked = self.connection.prepare_cached("PRAGMA data_version")?;
        let version = asked.query_row([], |row| row.get(0))?;
        Ok(self.version.replace(version) != Some(version))
    }

    fn rollback(&mut self) {
        // Fails where none is open, which is as well.
        self.connection.execute_batch("ROLLBACK").ok();
    }

    fn script(&mut self, sql: &str) -> Result<(), SqlError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<(), SqlError> {
        let is_alone = self.connection.is_autocommit();
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute(rusqlite::params_from_iter(values))?;
        match is_alone {
            true => self.log.flush(),
            false => Ok(()),
        }
    }

    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Columns>, SqlError> {
        let mut statement = self.connection.prepare_cached(sql)?;
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
