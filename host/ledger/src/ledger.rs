//! The handle: what a gateway asks of its ledger.

mod audit;

use crate::location::{Location, OpenError};
use crate::receipts::{self, SignedBy, StoredReceipt};
use crate::sql::{Connection, SqlError};
use crate::tables::{address, count, read_account, read_address, read_units};
use crate::writer::{self, Asked, ExecuteError, Job, Order};
use crate::{journal, tables};
use alloy_primitives::{Address, B256};
use gaia_ledger::account::{EpochNumber, ReservationId, Timestamp};
use gaia_ledger::{AccountId, Entry, Outcome, Share};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use tokio::sync::oneshot;

pub use audit::{Audit, AuditError};

/// The most commands and questions that wait.
pub const JOBS_LEN_MAX: usize = 4096;

/// Rows of one reply, at most.
const PAGE_LEN_MAX: u64 = 1000;

/// A ledger. Clones are the same one; it closes when the last is gone.
#[derive(Debug, Clone)]
pub struct Ledger {
    asked: SyncSender<Asked>,
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// By the database.
    #[error("failed to read the ledger")]
    Sql(#[from] SqlError),
    /// More wait than may.
    #[error("the ledger is busy: try again in a moment")]
    Busy,
    /// The ledger was closed, or its database cannot be reached.
    #[error("the ledger cannot be reached")]
    Closed,
}

impl Ledger {
    /// Opens a ledger, or makes it.
    ///
    /// # Errors
    /// When the database cannot be opened, or is of a later version.
    pub fn open(location: Location) -> Result<Self, OpenError> {
        let (asked, jobs) = sync_channel(JOBS_LEN_MAX);
        let (opened, result) = sync_channel(1);
        // The clients of databases block, so the thread that will use the connection opens it, too.
        let work = move || match location.open() {
            Ok(connection) => {
                opened.send(Ok(())).ok();
                writer::run(&location, connection, &jobs);
            }
            Err(error) => {
                opened.send(Err(error)).ok();
            }
        };
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        thread
            .spawn(work)
            .expect("a process that is starting may start a thread");
        result.recv().expect("the thread replies before it works")?;
        Ok(Self { asked })
    }

    /// Carries a command out, once for each key. What this returns is on the disk; but for what is set aside or given
    /// back, which a machine that loses its power may forget together with the request that it was for.
    ///
    /// # Errors
    /// Refusals by the rules; [`ExecuteError::Unknown`] when the database failed: send it again.
    pub async fn execute(&self, order: Order) -> Result<Outcome, ExecuteError> {
        let (reply, outcome) = oneshot::channel();
        let sent = self
            .asked
            .try_send(Asked::Execute(Box::new(Job { order, reply })));
        sent.map_err(|error| match error {
            TrySendError::Full(_) => ExecuteError::Busy,
            TrySendError::Disconnected(_) => ExecuteError::Closed,
        })?;
        outcome.await.unwrap_or(Err(ExecuteError::Closed))
    }

    /// The receipt of a request, if it was captured.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn receipt(
        &self,
        request: ReservationId,
    ) -> Result<Option<StoredReceipt>, ReadError> {
        self.read(move |connection| receipts::find(connection, request))
            .await
    }

    /// Requests whose receipts their nodes have not signed, at most 1,000, those behind `after`; zero begins.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn unsigned_receipts(
        &self,
        after: ReservationId,
    ) -> Result<Vec<ReservationId>, ReadError> {
        self.read(move |connection| receipts::unsigned(connection, after, PAGE_LEN_MAX))
            .await
    }

    /// Adds a signature to a receipt; one that is there stays.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn sign_receipt(
        &self,
        request: B256,
        by: SignedBy,
        signature: [u8; 65],
    ) -> Result<(), ReadError> {
        self.read(move |connection| receipts::sign(connection, request, by, signature))
            .await
    }

    /// Adds many signatures to receipts, in one transaction; those that are there stay.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn sign_receipts(
        &self,
        signatures: Vec<(ReservationId, SignedBy, [u8; 65])>,
    ) -> Result<(), ReadError> {
        self.read(move |connection| receipts::sign_all(connection, &signatures))
            .await
    }

    /// An account: what it holds, and what it was charged.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn account(
        &self,
        account: AccountId,
    ) -> Result<gaia_ledger::rows::AccountRow, ReadError> {
        self.read(move |connection| {
            let mut rows = crate::table::Rows::<tables::Accounts>::default();
            Ok(rows.get(connection, account)?.unwrap_or_default())
        })
        .await
    }

    /// Entries of the journal from a number on, at most 1,000.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn entries(&self, from: u64) -> Result<Vec<Entry>, ReadError> {
        self.read(move |connection| journal::entries(connection, from, PAGE_LEN_MAX))
            .await
    }

    /// Reservations whose time is over, at most 1,000: somebody is to expire them.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn overdue(&self, now: Timestamp) -> Result<Vec<ReservationId>, ReadError> {
        self.read(move |connection| {
            let sql = "SELECT id FROM reservations WHERE state = 0 AND expires_at <= $1 ORDER BY expires_at LIMIT $2";
            let found = connection.query(sql, &[count(now.0), count(PAGE_LEN_MAX)])?;
            found.into_iter().map(|mut columns| Ok(B256::from(columns.bytes()?))).collect()
        })
        .await
    }

    /// Accounts that owe something of an epoch, at most 1,000: those to close.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn owing(
        &self,
        asset: Address,
        epoch: EpochNumber,
    ) -> Result<Vec<AccountId>, ReadError> {
        self.read(move |connection| {
            let sql = "SELECT payer, asset FROM owed WHERE asset = $1 AND epoch = $2 ORDER BY payer LIMIT $3";
            let found = connection.query(sql, &[address(asset), count(epoch.0), count(PAGE_LEN_MAX)])?;
            found.into_iter().map(|mut columns| read_account(&mut columns)).collect()
        })
        .await
    }

    /// What everybody has earned ever: the leaves of the tree of shares.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn shares(&self) -> Result<Vec<Share>, ReadError> {
        self.read(|connection| {
            let sql = "SELECT party, asset, cumulative FROM shares WHERE cumulative > 0 ORDER BY party, asset";
            let found = connection.query(sql, &[])?;
            let share = |mut columns: crate::sql::Columns| {
                Ok(Share {
                    account: read_address(&mut columns)?,
                    asset: read_address(&mut columns)?,
                    cumulative: read_units(&mut columns)?,
                })
            };
            found.into_iter().map(share).collect()
        })
        .await
    }

    /// Reads the whole journal again and compares what it adds up to with the tables.
    ///
    /// # Errors
    /// When an entry is missing or altered, or a table says something else.
    pub async fn audit(&self) -> Result<Audit, AuditError> {
        let audited = self.read(|connection| Ok(audit::audit(connection))).await;
        audited.map_err(AuditError::Read)?
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Connection) -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked::Read(Box::new(move |connection| {
            let answer = question(connection);
            let healthy = answer.is_ok();
            reply.send(answer).ok();
            healthy
        }));
        self.asked.try_send(asked).map_err(|error| match error {
            TrySendError::Full(_) => ReadError::Busy,
            TrySendError::Disconnected(_) => ReadError::Closed,
        })?;
        match answer.await {
            Ok(found) => Ok(found?),
            Err(_) => Err(ReadError::Closed),
        }
    }
}
