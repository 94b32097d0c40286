//! A connection, the transaction that is open on it, and who waits for its end.

use super::disk::Disk;
use super::{BATCH_LEN_MAX, Done, Job, Order, PACE, refuse};
use crate::receipts;
use crate::sql::{Connection, SqlError};
use crate::store::{Batch, Failure, Kept};
use gaia_ledger::Outcome;
use std::time::Instant;

/// A connection with what is known of its database.
pub(super) struct Open {
    // Ended before the connection: it replies to all that still wait for the disk.
    disk: Option<Disk>,
    connection: Box<dyn Connection>,
    kept: Kept,
    /// `None`: no transaction is open.
    pending: Option<Pending>,
    /// When the next commit may be.
    next_commit: Instant,
}

/// What an open transaction has done.
#[derive(Default)]
struct Pending {
    /// Who is told after the commit.
    waiting: Vec<Done>,
    /// How many commands it has carried out.
    commands: usize,
}

impl Open {
    /// Takes a connection over.
    pub(super) fn new(mut connection: Box<dyn Connection>) -> Result<Self, SqlError> {
        let flush = connection.flush()?;
        let disk = flush.map(Disk::begin).transpose()?;
        Ok(Self {
            disk,
            connection,
            kept: Kept::default(),
            pending: None,
            next_commit: Instant::now(),
        })
    }

    /// The connection, between two transactions.
    pub(super) fn connection(&mut self) -> &mut dyn Connection {
        self.connection.as_mut()
    }

    /// Whether the disk has failed.
    pub(super) fn disk_has_failed(&self) -> bool {
        self.disk.as_ref().is_some_and(Disk::has_failed)
    }

    /// Whether commits keep [`PACE`]. Where nobody hears of anything before the commit, it follows as soon as nothing
    /// more has come in.
    pub(super) fn is_paced(&self) -> bool {
        self.disk.is_some()
    }

    /// When the open transaction is to be committed; `None` if there is none.
    pub(super) fn commit_due(&self) -> Option<Instant> {
        self.pending.as_ref().map(|_| self.next_commit)
    }

    /// Whether the transaction takes no more.
    pub(super) fn is_full(&self) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| pending.commands >= BATCH_LEN_MAX)
    }

    /// Carries a command out. Whether the connection can be used further.
    pub(super) fn execute(&mut self, job: Job) -> bool {
        let result = match self.one(&job.order) {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Sql(error)) => {
                self.take_back(Some(job), &error);
                return false;
            }
        };
        let done = Done { job, result };
        match &mut self.pending {
            Some(pending) if self.disk.is_none() || done.needs_disk() => pending.waiting.push(done),
            _ => done.reply(),
        }
        true
    }

    fn one(&mut self, order: &Order) -> Result<Outcome, Failure> {
        let connection = self.connection.as_mut();
        let mut batch = match &self.pending {
            Some(_) => Batch::resume(connection, &mut self.kept),
            None => Batch::begin(connection, &mut self.kept)?,
        };
        self.pending.get_or_insert_default().commands += 1;
        let outcome = batch.execute(&order.key, &order.command, order.now)?;
        let receipt = order
            .receipt
            .as_ref()
            .and_then(|served| served.receipt(&outcome));
        if let Some(receipt) = receipt {
            receipts::keep(batch.connection(), &receipt)?;
        }
        Ok(outcome)
    }

    /// Ends the transaction, if one is open, and replies, or has it done. Whether the connection can be used further.
    pub(super) fn commit(&mut self) -> bool {
        if self.pending.is_none() {
            return true;
        }
        let committed = Batch::resume(self.connection.as_mut(), &mut self.kept).commit();
        if let Err(error) = committed {
            self.take_back(None, &error);
            return false;
        }
        let waiting = self.pending.take().unwrap_or_default().waiting;
        match &self.disk {
            Some(disk) => disk.wait(waiting),
            None => waiting.into_iter().for_each(Done::reply),
        }
        self.next_commit = match self.is_paced() {
            true => Instant::now() + PACE,
            false => self.next_commit,
        };
        true
    }

    /// Nothing of the transaction has happened.
    fn take_back(&mut self, last: Option<Job>, error: &SqlError) {
        self.connection.rollback();
        let waiting = self.pending.take().unwrap_or_default().waiting;
        let jobs: Vec<_> = waiting
            .into_iter()
            .map(|done| done.job)
            .chain(last)
            .collect();
        tracing::error!(%error, commands = jobs.len(), "a batch of the ledger was taken back");
        refuse(jobs, error);
    }
}
