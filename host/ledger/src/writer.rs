//! The thread that owns the connection: carries commands out one after the other, and commits once for many.
//!
//! Where the database lets another thread wait for the disk ([`disk`]), a transaction stays open for [`PACE`], and that
//! thread replies to whoever needs the disk, to all that have come meanwhile at once. Who needs no disk is answered
//! when it is decided. Everywhere else nobody hears of anything before the commit.

mod disk;
mod transaction;

use crate::location::Location;
use crate::receipts::Served;
use crate::sql::{Connection, SqlError};
use gaia_ledger::account::Timestamp;
use gaia_ledger::{Command, IdempotencyKey, Outcome, Refusal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

use transaction::Open;

/// The most commands in a transaction.
pub const BATCH_LEN_MAX: usize = 256;

/// So long after a commit follows the next one, at the earliest; who comes alone does not wait. Pages that many
/// commands change are written once for all of them then.
const PACE: Duration = Duration::from_millis(5);

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
pub(crate) fn run(location: &Location, first: Box<dyn Connection>, asked: &Receiver<Asked>) {
    let mut open = Open::new(first).ok();
    loop {
        let next = match &open {
            Some(known) => next(known, asked),
            None => asked.recv().map_or(Next::Nobody, Next::Asked),
        };
        let healthy = match (next, &mut open) {
            (Next::Asked(Asked::Execute(job)), open) => execute(location, open, *job),
            (Next::Asked(Asked::Read(question)), open) => answer(location, open, question),
            (Next::Commit, Some(known)) => known.commit(),
            (Next::Commit, None) => true,
            (Next::Nobody, open) => {
                open.as_mut().map(Open::commit);
                return;
            }
        };
        if open.as_ref().is_some_and(Open::disk_has_failed) {
            // What of it is there nobody can say before the file is read anew, by a new process.
            tracing::error!(ledger = %location, "the ledger's disk has failed: it is closed");
            return;
        }
        if !healthy {
            // What state it is in nobody knows: a new one is opened for what comes next.
            open = None;
        }
    }
}

/// What is to be done.
enum Next {
    Asked(Asked),
    /// Nothing more belongs into the transaction.
    Commit,
    /// Everybody has gone.
    Nobody,
}

fn next(open: &Open, asked: &Receiver<Asked>) -> Next {
    let Some(due) = open.commit_due() else {
        return asked.recv().map_or(Next::Nobody, Next::Asked);
    };
    let left = due.saturating_duration_since(Instant::now());
    if open.is_full() || open.is_paced() && left.is_zero() {
        return Next::Commit;
    }
    match asked.try_recv() {
        Ok(next) => return Next::Asked(next),
        Err(TryRecvError::Disconnected) => return Next::Nobody,
        Err(TryRecvError::Empty) => {}
    }
    match asked.recv_timeout(left) {
        Ok(next) => Next::Asked(next),
        Err(RecvTimeoutError::Timeout) => Next::Commit,
        Err(RecvTimeoutError::Disconnected) => Next::Nobody,
    }
}

/// Whether the connection can be used further.
fn execute(location: &Location, open: &mut Option<Open>, job: Job) -> bool {
    match opened(location, open) {
        Ok(known) => known.execute(job),
        Err(error) => {
            refuse(vec![job], &error);
            true
        }
    }
}

/// Whether the connection can be used further.
fn answer(location: &Location, open: &mut Option<Open>, question: Question) -> bool {
    match opened(location, open) {
        Ok(known) => known.commit() && question(known.connection()),
        // Who asked sees that nobody answers.
        Err(_) => true,
    }
}

fn opened<'a>(location: &Location, open: &'a mut Option<Open>) -> Result<&'a mut Open, SqlError> {
    match open {
        Some(known) => Ok(known),
        none => {
            let connection = location.open().map_err(|error| error.said());
            match connection.and_then(Open::new) {
                Ok(known) => Ok(none.insert(known)),
                Err(error) => {
                    tracing::error!(ledger = %location, %error, "the ledger cannot be reached");
                    Err(error)
                }
            }
        }
    }
}

fn refuse(jobs: Vec<Job>, error: &SqlError) {
    for job in jobs {
        job.reply
            .send(Err(ExecuteError::Unknown(error.clone())))
            .ok();
    }
}
