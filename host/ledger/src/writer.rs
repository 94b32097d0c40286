//! The thread that owns the connection: takes what has come in meanwhile as one batch, commits once for all
//! of it, and only then replies.
//!
//! Where the database lets another thread wait for the disk ([`disk`]), that one replies to whoever needs the disk,
//! to all that have come meanwhile at once, and this one goes on.

mod disk;

use crate::location::Location;
use crate::receipts::{self, Served};
use crate::sql::{Connection, SqlError};
use crate::store::{Batch, Failure, Kept};
use gaia_ledger::account::Timestamp;
use gaia_ledger::{Command, IdempotencyKey, Outcome, Refusal};
use tokio::sync::{mpsc, oneshot};

use disk::Disk;

/// The most commands in a transaction.
pub const BATCH_LEN_MAX: usize = 256;

/// A command, and who waits for what comes of it.
pub(crate) struct Job {
    pub(crate) order: Order,
    pub(crate) reply: oneshot::Sender<Result<Outcome, ExecuteError>>,
}

/// A command that was carried out, or refused, and who waits for it.
pub(crate) struct Done {
    job: Job,
    result: Result<Outcome, Refusal>,
}

impl Done {
    /// Whether it must be on the disk before anybody hears of it. What is set aside, or given back, need not: where
    /// the machine dies, so does the request that it is for, and what is set aside expires.
    fn needs_disk(&self) -> bool {
        let light = matches!(
            self.job.order.command,
            Command::Reserve(_) | Command::Release { .. } | Command::Expire { .. }
        );
        self.result.is_ok() && !light
    }

    fn reply(self) {
        // Who has gone away asks again with the same key.
        let result = self.result.map_err(ExecuteError::Refused);
        self.job.reply.send(result).ok();
    }
}

/// A connection with what is known of its database.
struct Open {
    // Ended before the connection: it replies to all that still wait for the disk.
    disk: Option<Disk>,
    connection: Box<dyn Connection>,
    kept: Kept,
}

impl Open {
    fn new(mut connection: Box<dyn Connection>) -> Result<Self, SqlError> {
        let flush = connection.flush()?;
        let disk = flush.map(Disk::begin).transpose()?;
        Ok(Self {
            disk,
            connection,
            kept: Kept::default(),
        })
    }
}

/// A command with all that belongs into its transaction.
#[derive(Debug, Clone)]
pub struct Order {
    /// The caller's name for it: the same at every try.
    pub key: IdempotencyKey,
    /// What is to be done.
    pub command: Command,
    /// The time now.
    pub now: Timestamp,
    /// For a capture: what the receipt says.
    pub receipt: Option<Served>,
}

/// A question, answered by the same thread between two batches. Whether the connection can be used further.
pub(crate) type Question = Box<dyn FnOnce(&mut dyn Connection) -> bool + Send>;

/// What the thread is asked.
pub(crate) enum Asked {
    Execute(Box<Job>),
    Read(Question),
}

/// A command was not carried out, or nobody knows.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecuteError {
    /// By the rules. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed, perhaps in the middle of the commit.
    #[error(
        "the ledger's database failed; whether the command was carried out shows when it is sent again with the same key"
    )]
    Unknown(#[source] SqlError),
    /// More wait than may.
    #[error(
        "{} commands wait for the ledger: try again in a moment",
        crate::JOBS_LEN_MAX
    )]
    Busy,
    /// The ledger was closed.
    #[error("the ledger is closed: the process is stopping")]
    Closed,
}

/// Works until nobody can ask any more, or the disk fails.
pub(crate) fn run(
    location: &Location,
    first: Box<dyn Connection>,
    mut asked: mpsc::Receiver<Asked>,
) {
    let mut open = Open::new(first).ok();
    while let Some(next) = asked.blocking_recv() {
        let (jobs, question) = gather(next, &mut asked);
        if open.is_none() {
            match reopened(location) {
                Ok(opened) => open = Some(opened),
                Err(error) => {
                    tracing::error!(ledger = %location, %error, "the ledger cannot be reached");
                    refuse(jobs, &error);
                    continue;
                }
            }
        }
        let Some(known) = open.as_mut() else {
            continue;
        };
        let mut healthy = jobs.is_empty() || carry_out(known, jobs);
        if let Some(question) = question {
            healthy &= question(known.connection.as_mut());
        }
        if known.disk.as_ref().is_some_and(Disk::has_failed) {
            // What of it is there nobody can say before the file is read anew, by a new process.
            tracing::error!(ledger = %location, "the ledger's disk has failed: it is closed");
            return;
        }
        if !healthy {
            // What state it is in nobody knows: a new one is opened for the next batch.
            open = None;
        }
    }
}

fn reopened(location: &Location) -> Result<Open, SqlError> {
    Open::new(location.open().map_err(|error| error.said())?)
}

/// What has come in, up to a batch or a question.
fn gather(first: Asked, asked: &mut mpsc::Receiver<Asked>) -> (Vec<Job>, Option<Question>) {
    let mut jobs = Vec::new();
    let mut next = Some(first);
    while let Some(one) = next {
        match one {
            Asked::Execute(job) => jobs.push(*job),
            Asked::Read(question) => return (jobs, Some(question)),
        }
        next = (jobs.len() < BATCH_LEN_MAX)
            .then(|| asked.try_recv().ok())
            .flatten();
    }
    (jobs, None)
}

/// Carries a batch out and replies, or has it done. Whether the connection can be used further.
fn carry_out(open: &mut Open, jobs: Vec<Job>) -> bool {
    match transaction(open, &jobs) {
        Ok(results) => {
            let done = jobs.into_iter().zip(results);
            let done = done.map(|(job, result)| Done { job, result });
            let Some(disk) = &mut open.disk else {
                done.for_each(Done::reply);
                return true;
            };
            let (waiting, ready): (Vec<_>, Vec<_>) = done.partition(Done::needs_disk);
            ready.into_iter().for_each(Done::reply);
            disk.wait(waiting);
            true
        }
        Err(error) => {
            open.connection.rollback();
            tracing::error!(%error, commands = jobs.len(), "a batch of the ledger was taken back");
            refuse(jobs, &error);
            false
        }
    }
}

fn transaction(open: &mut Open, jobs: &[Job]) -> Result<Vec<Result<Outcome, Refusal>>, SqlError> {
    let mut batch = Batch::begin(open.connection.as_mut(), &mut open.kept)?;
    let mut results = Vec::with_capacity(jobs.len());
    for job in jobs {
        results.push(match one(&mut batch, &job.order) {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Sql(error)) => return Err(error),
        });
    }
    batch.commit()?;
    Ok(results)
}

fn one(batch: &mut Batch<'_>, order: &Order) -> Result<Outcome, Failure> {
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

fn refuse(jobs: Vec<Job>, error: &SqlError) {
    for job in jobs {
        job.reply
            .send(Err(ExecuteError::Unknown(error.clone())))
            .ok();
    }
}
