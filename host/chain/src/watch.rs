//! What the chain has done to accounts, brought into the ledger: deposits, refunds, claims.
//!
//! A cursor says up to which block the ledger knows. It moves over blocks that have enough others on
//! top, and only after everything in them is in the ledger; each log carries an idempotency key, so that
//! after a crash, or with two watchers, the same log is booked once.
//!
//! Invariant: when the block under the cursor is no longer in the chain, nothing more is booked. What was
//! credited then may have been taken back by the chain, and only people can say what is right.

mod error;
mod events;

use crate::domain::Domain;
use crate::rpc::{At, Block, Log, RpcError};
use events::{bad, command};
use gaia_ledger::account::Timestamp;
use gaia_ledger::command::IdempotencyKeyError;
use gaia_ledger::{Command, IdempotencyKey, NanoUnits, Refusal};
use gaia_ledger_store::{ExecuteError, Ledger, Order, RecordError};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use error::WatchError;

/// Blocks whose logs are asked for at a time.
pub const BLOCKS_PER_STEP_MAX: u64 = 2_000;

/// The longest pause after failures in a row.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Records of the chain: the cursors.
pub const RECORDS: &str = "chain-cursor";

/// Brings one domain's events into one ledger.
#[derive(Debug, Clone)]
pub struct Watcher {
    domain: Domain,
    ledger: Ledger,
    confirmations: u64,
}

/// Up to where the ledger knows the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The last block that is booked.
    pub block: u64,
    /// Its hash.
    pub hash: alloy_primitives::B256,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where the cursor stands.
    pub cursor: Cursor,
    /// The chain's last block.
    pub head: u64,
    /// Events that were booked, or had been before.
    pub events: usize,
    /// Whether confirmed blocks are left to read.
    pub is_behind: bool,
}

impl Watcher {
    /// A watcher that books what has `confirmations` blocks on top. Zero is for chains of one's own.
    #[must_use]
    pub fn new(domain: Domain, ledger: Ledger, confirmations: u64) -> Self {
        Self {
            domain,
            ledger,
            confirmations,
        }
    }

    /// The cursor's record: one per chain and escrow.
    #[must_use]
    pub fn record_id(&self) -> String {
        format!("{}:{:#x}", self.domain.place.chain_id, self.domain.escrow)
    }

    /// Where the cursor stands; none before the first step.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn cursor(&self) -> Result<Option<Cursor>, WatchError> {
        Ok(self.stored().await?.map(|(cursor, _)| cursor))
    }

    async fn stored(&self) -> Result<Option<(Cursor, u64)>, WatchError> {
        let id = self.record_id();
        let Some(record) = self.ledger.record(RECORDS, &id).await? else {
            return Ok(None);
        };
        let cursor = serde_json::from_str(&record.value);
        let cursor = cursor.map_err(|_| WatchError::CursorDamaged(id))?;
        Ok(Some((cursor, record.version)))
    }

    /// Books what is confirmed, at most [`BLOCKS_PER_STEP_MAX`] blocks of it, and moves the cursor.
    ///
    /// # Errors
    /// [`WatchError`]; then the cursor stands where it stood. What was booked on the way is not booked again.
    pub async fn step(&self) -> Result<Step, WatchError> {
        let rpc = &self.domain.rpc;
        let stored = self.stored().await?;
        if let Some((cursor, _)) = stored {
            self.still_there(cursor).await?;
        }
        let head = rpc.head().await?;
        let from = match stored {
            Some((cursor, _)) => cursor.block + 1,
            None => self.first_block(head.number).await?,
        };
        let confirmed = head.number.checked_sub(self.confirmations);
        let Some(confirmed) = confirmed.filter(|confirmed| *confirmed >= from) else {
            return Ok(Step {
                cursor: stored.map(|(cursor, _)| cursor).unwrap_or(Cursor {
                    block: from.saturating_sub(1),
                    hash: alloy_primitives::B256::ZERO,
                }),
                head: head.number,
                events: 0,
                is_behind: false,
            });
        };
        let to = confirmed.min(from + BLOCKS_PER_STEP_MAX - 1);
        let (last, logs) = self.read(from, to).await?;
        let events = self.book(&logs).await?;
        let cursor = Cursor {
            block: last.number,
            hash: last.hash,
        };
        self.keep(cursor, stored.map_or(0, |(_, version)| version))
            .await?;
        Ok(Step {
            cursor,
            head: head.number,
            events,
            is_behind: to < confirmed,
        })
    }

    /// Steps for ever, a `pause` after each that found nothing; `told` hears of every step. Failures are logged, with
    /// longer pauses; one that is not passing is logged again and again until somebody looks.
    pub async fn run(&self, pause: Duration, told: impl Fn(&Result<Step, WatchError>)) {
        let mut failures = 0_u32;
        loop {
            let step = self.step().await;
            told(&step);
            match step {
                Ok(step) => {
                    failures = 0;
                    if !step.is_behind {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => {
                    let reason = with_causes(&error);
                    match error.is_passing() {
                        true => tracing::warn!(error = reason, "the chain is not followed"),
                        false => tracing::error!(error = reason, "deposits are no longer credited"),
                    }
                    failures = failures.saturating_add(1);
                    let longer = pause.saturating_mul(1 << failures.min(6));
                    tokio::time::sleep(longer.min(PAUSE_MAX.max(pause))).await;
                }
            }
        }
    }

    async fn still_there(&self, cursor: Cursor) -> Result<(), WatchError> {
        let found = self.domain.rpc.block(At::Block(cursor.block)).await?;
        if found.is_some_and(|block| block.hash == cursor.hash) {
            return Ok(());
        }
        Err(WatchError::Reorganised {
            block: cursor.block,
            known: cursor.hash,
            found: found.map_or("none".to_owned(), |block| block.hash.to_string()),
            record: self.record_id(),
        })
    }

    /// The first block that can hold an event: the one that the escrow came with. By halving; a server that has
    /// forgotten old states answers with an error, and then all blocks are read.
    async fn first_block(&self, head: u64) -> Result<u64, WatchError> {
        let (mut without, mut with) = (0, head);
        while without < with {
            let middle = without + (with - without) / 2;
            let params =
                serde_json::json!([self.domain.escrow, alloy_primitives::U64::from(middle)]);
            let code = self
                .domain
                .rpc
                .ask::<alloy_primitives::Bytes>("eth_getCode", params)
                .await;
            match code {
                Ok(code) if code.is_empty() => without = middle + 1,
                Ok(_) => with = middle,
                Err(RpcError::Refused { .. }) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(with)
    }

    /// The logs of a range, and its last block, which was the same before and after.
    async fn read(&self, from: u64, to: u64) -> Result<(Block, Vec<Log>), WatchError> {
        let rpc = &self.domain.rpc;
        let before = rpc.block(At::Block(to)).await?;
        let logs = rpc.logs(self.domain.escrow, from, to).await?;
        let after = rpc.block(At::Block(to)).await?;
        match (before, after) {
            (Some(before), Some(after)) if before == after => Ok((after, logs)),
            _ => Err(WatchError::Moving),
        }
    }

    async fn keep(&self, cursor: Cursor, version: u64) -> Result<(), WatchError> {
        let value = serde_json::to_string(&cursor).map_err(|_| WatchError::Moving)?;
        let id = self.record_id();
        match self
            .ledger
            .put_record(RECORDS, &id, &value, Some(version))
            .await
        {
            // Another watcher was as far, or further.
            Ok(_) | Err(RecordError::Version { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn book(&self, logs: &[Log]) -> Result<usize, WatchError> {
        let mut events = 0;
        for log in logs {
            if log.address != self.domain.escrow {
                continue;
            }
            if let Some((name, command)) = command(log)? {
                let key = self.key(name, log).map_err(|error| bad(log, &error))?;
                self.execute(key, command).await?;
                events += 1;
            }
        }
        Ok(events)
    }

    /// `deposit:31337:0xab…:3`.
    fn key(&self, name: &str, log: &Log) -> Result<IdempotencyKey, IdempotencyKeyError> {
        let chain = self.domain.place.chain_id;
        IdempotencyKey::new(format!(
            "{name}:{chain}:{:#x}:{}",
            log.transaction, log.index
        ))
    }

    async fn execute(&self, key: IdempotencyKey, command: Command) -> Result<(), WatchError> {
        match self.order(&key, command.clone()).await {
            Err(ExecuteError::Refused(Refusal::ExceedsHeld { held, paid })) => {
                self.paid_more_than_held(key, command, held, paid).await
            }
            // What was booked as less than it was, below.
            Err(ExecuteError::Refused(Refusal::KeyReused(_)))
                if matches!(command, Command::PayRefund { .. }) =>
            {
                Ok(())
            }
            Err(ExecuteError::Refused(source)) => Err(WatchError::Refused { key, source }),
            Err(error) => Err(WatchError::Execute(error)),
            Ok(_) => Ok(()),
        }
    }

    /// The chain has paid a refund out of what the ledger had charged already, because that was settled too late. It is
    /// the domain's loss, and no reason to credit nobody's deposits any more.
    async fn paid_more_than_held(
        &self,
        key: IdempotencyKey,
        command: Command,
        held: NanoUnits,
        paid: NanoUnits,
    ) -> Result<(), WatchError> {
        let Command::PayRefund { account, .. } = command else {
            return Ok(());
        };
        tracing::error!(%key, %account, %held, %paid, "a refund took what was charged and not settled in time");
        if held.is_zero() {
            return Ok(());
        }
        let rest = Command::PayRefund {
            account,
            units: held,
        };
        match self.order(&key, rest).await {
            Ok(_) | Err(ExecuteError::Refused(Refusal::KeyReused(_))) => Ok(()),
            Err(ExecuteError::Refused(source)) => Err(WatchError::Refused { key, source }),
            Err(error) => Err(WatchError::Execute(error)),
        }
    }

    async fn order(
        &self,
        key: &IdempotencyKey,
        command: Command,
    ) -> Result<gaia_ledger::Outcome, ExecuteError> {
        let order = Order {
            key: key.clone(),
            command,
            now: now(),
            receipt: None,
        };
        self.ledger.execute(order).await
    }
}

/// The time of this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.unwrap_or_default().as_secs())
}

/// An error with all its causes.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
