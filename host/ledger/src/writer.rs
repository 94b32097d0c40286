//! The thread that owns the connection: takes what has come in meanwhile as one batch, commits once for all
//! of it, and only then replies.
//!
//! That is why a commit to the disk costs a busy gateway little: while one runs, the next batch gathers.

use crate::location::Location;
use crate::receipts::{self, Served};
use crate::sql::{Connection, SqlError};
use crate::store::{Batch, Failure};
use gaia_ledger::account::Timestamp;
use gaia_ledger::{Command, IdempotencyKey, Outcome, Refusal};
use tokio::sync::{mpsc, oneshot};

/// The most commands in a transaction.
pub const BATCH_LEN_MAX: usize = 256;

/// A command, and who waits for what comes of it.
pub(crate) struct Job {
    pub(crate) order: Order,
    pub(crate) reply: oneshot::Sender<Result<Outcome, ExecuteError>>,
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

/// Works until nobody can ask any more.
pub(crate) fn run(
    location: &Location,
    first: Box<dyn Connection>,
    mut asked: mpsc::Receiver<Asked>,
) {
    let mut connection = Some(first);
    while let Some(next) = asked.blocking_recv() {
        let (jobs, question) = gather(next, &mut asked);
        if connection.is_none() {
            match location.open() {
                Ok(opened) => connection = Some(opened),
                Err(error) => {
                    tracing::error!(ledger = %location, %error, "the ledger cannot be reached");
                    refuse(jobs, &error.said());
                    continue;
                }
            }
        }
        let Some(open) = connection.as_deref_mut() else {
            continue;
        };
        let mut healthy = jobs.is_empty() || carry_out(open, jobs);
        if let Some(question) = question {
            healthy &= question(open);
        }
        if !healthy {
            // What state it is in nobody knows: a new one is opened for the next batch.
            connection = None;
        }
    }
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

/// Carries a batch out and replies. Whether the connection can be used further.
fn carry_out(connection: &mut dyn Connection, jobs: Vec<Job>) -> bool {
    let done = transaction(connection, &jobs);
    match done {
        Ok(results) => {
            for (job, result) in jobs.into_iter().zip(results) {
                // Who has gone away asks again with the same key.
                job.reply.send(result.map_err(ExecuteError::Refused)).ok();
            }
            true
        }
        Err(error) => {
            connection.rollback();
            tracing::error!(%error, commands = jobs.len(), "a batch of the ledger was taken back");
            refuse(jobs, &error);
            false
        }
    }
}

fn transaction(
    connection: &mut dyn Connection,
    jobs: &[Job],
) -> Result<Vec<Result<Outcome, Refusal>>, SqlError> {
    let mut batch = Batch::begin(connection)?;
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
