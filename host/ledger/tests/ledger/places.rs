//! Where the scenarios run: a fresh file, or a fresh database of a PostgreSQL that the test has started.

use gaia_ledger_store::{Ledger, Location};
use std::path::PathBuf;
use std::pin::Pin;

pub type Scenario = fn(Place) -> Pin<Box<dyn Future<Output = ()>>>;

/// A database for one scenario.
#[derive(Debug, Clone)]
pub enum Place {
    File(PathBuf),
    Postgres(String),
}

impl Place {
    pub fn location(&self) -> Location {
        Location::parse(&self.text())
    }

    /// As the environment carries it to another process.
    pub fn text(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Postgres(url) => url.clone(),
        }
    }

    pub fn open(&self) -> Ledger {
        Ledger::open(self.location()).unwrap()
    }

    /// SQL behind the ledger's back.
    pub fn edit(&self, sql: &str) {
        match self {
            Self::File(path) => rusqlite::Connection::open(path)
                .unwrap()
                .execute_batch(sql)
                .unwrap(),
            Self::Postgres(url) => {
                let (url, sql) = (url.clone(), sql.to_owned());
                // The client blocks, which a thread of the runtime may not.
                let edited = std::thread::spawn(move || {
                    let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
                    client.batch_execute(&sql).unwrap();
                });
                edited.join().unwrap();
            }
        }
    }
}
