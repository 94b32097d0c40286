//! The few things the ledger asks of a database, so that one text of SQL serves SQLite and PostgreSQL.
//!
//! Statements number their places `$1`, `$2`, … in the order in which they first appear, because SQLite takes
//! them for names.

mod postgres;
mod route;
mod sqlite;

pub(crate) use postgres::Postgres;
pub(crate) use sqlite::Sqlite;

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// `BIGINT`.
    Integer(i64),
    /// `TEXT`.
    Text(String),
    /// `BYTEA`.
    Bytes(Vec<u8>),
}

/// What a database would not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SqlError {
    /// It said so.
    #[error("{0}")]
    Database(String),
    /// A cell holds something else than this ledger writes.
    #[error(
        "column {column} holds something else than the ledger writes: was the database edited?"
    )]
    Column {
        /// Which, from 0.
        column: usize,
    },
}

/// A connection with at most one transaction.
pub(crate) trait Connection: Send {
    /// Begins a transaction that is alone in writing to the ledger, among all processes.
    fn begin(&mut self) -> Result<(), SqlError>;
    /// Ends it: what it did is on the disk when this returns.
    fn commit(&mut self) -> Result<(), SqlError>;
    /// Ends it: what it did holds, and is on the disk once this connection's [`Flush`] has returned, or a later
    /// [`Connection::commit`]. Where there is no [`Flush`] it is there at once.
    fn commit_soon(&mut self) -> Result<(), SqlError> {
        self.commit()
    }
    /// Brings to the disk what [`Connection::commit_soon`] has left, while this connection goes on working.
    fn flush(&mut self) -> Result<Option<Box<dyn Flush>>, SqlError> {
        Ok(None)
    }
    /// Whether others may have written since this was asked last. Asked within a transaction.
    fn others_wrote(&mut self) -> Result<bool, SqlError> {
        Ok(true)
    }
    /// Ends it as if it had not been.
    fn rollback(&mut self);
    /// Several statements without places.
    fn script(&mut self, sql: &str) -> Result<(), SqlError>;
    /// A statement that gives no rows.
    fn execute(&mut self, sql: &'static str, values: &[Value]) -> Result<(), SqlError>;
    /// A statement that gives rows.
    fn query(&mut self, sql: &'static str, values: &[Value]) -> Result<Vec<Columns>, SqlError>;
}

/// Waits for the disk, in a thread of its own.
pub(crate) trait Flush: Send {
    /// Returns once all that was committed before is on the disk. After an error nobody knows what is.
    fn flush(&mut self) -> Result<(), SqlError>;
}

/// The cells of a row, read from left to right.
#[derive(Debug)]
pub(crate) struct Columns {
    cells: std::vec::IntoIter<Value>,
    next: usize,
}

impl Columns {
    fn new(cells: Vec<Value>) -> Self {
        Self {
            cells: cells.into_iter(),
            next: 0,
        }
    }

    /// The next cell, by what `read` makes of it.
    pub(crate) fn next<T>(&mut self, read: impl FnOnce(Value) -> Option<T>) -> Result<T, SqlError> {
        let column = self.next;
        self.next += 1;
        let cell = self.cells.next().and_then(read);
        cell.ok_or(SqlError::Column { column })
    }

    /// The next cell, a number that is not negative.
    pub(crate) fn count(&mut self) -> Result<u64, SqlError> {
        self.next(|cell| match cell {
            Value::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        })
    }

    /// The next cell, text.
    pub(crate) fn text(&mut self) -> Result<String, SqlError> {
        self.next(|cell| match cell {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// The next cell, bytes of a fixed number.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SqlError> {
        self.next(|cell| match cell {
            Value::Bytes(bytes) => bytes.try_into().ok(),
            _ => None,
        })
    }

    /// The next cell, bytes or nothing.
    pub(crate) fn optional_bytes<const N: usize>(&mut self) -> Result<Option<[u8; N]>, SqlError> {
        self.next(|cell| match cell {
            Value::Null => Some(None),
            Value::Bytes(bytes) => bytes.try_into().ok().map(Some),
            _ => None,
        })
    }
}
