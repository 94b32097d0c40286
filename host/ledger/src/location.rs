//! Where a ledger is: a file, or a PostgreSQL database.

use crate::schema::{self, SchemaError};
use crate::sql::{Connection, Postgres, SqlError, Sqlite};
use std::fmt;
use std::path::PathBuf;

/// Where a ledger is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite: one gateway.
    File(PathBuf),
    /// A `postgres://` URL: several gateways. It may hold a password, so it is not shown.
    Postgres(String),
}

impl Location {
    /// A `postgres://` or `postgresql://` URL, or else the path of a file.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Self::Postgres(text.to_owned())
        } else {
            Self::File(PathBuf::from(text.strip_prefix("sqlite:").unwrap_or(text)))
        }
    }

    /// Connects, and prepares the tables.
    pub(crate) fn open(&self) -> Result<Box<dyn Connection>, OpenError> {
        let opened = || -> Result<Box<dyn Connection>, SchemaError> {
            let mut connection: Box<dyn Connection> = match self {
                Self::File(path) => Box::new(Sqlite::open(path)?),
                Self::Postgres(url) => Box::new(Postgres::open(url)?),
            };
            schema::prepare(connection.as_mut())?;
            Ok(connection)
        };
        opened().map_err(|source| OpenError {
            location: self.clone(),
            source,
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "`{}`", path.display()),
            Self::Postgres(url) => {
                // Behind the last @ stand host and database, never the password.
                let place = url.rsplit_once('@').map_or("", |(_, place)| place);
                write!(f, "PostgreSQL at `{place}`")
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to open the ledger {location}: does it exist, and may this user write there?")]
pub struct OpenError {
    location: Location,
    #[source]
    source: SchemaError,
}

impl OpenError {
    /// What the database said, for those who only pass it on.
    pub(crate) fn said(&self) -> SqlError {
        SqlError::Database(format!("{self} ({})", self.source))
    }
}
