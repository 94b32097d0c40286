//! A request's money: set aside, captured or given back, and never left standing for ever.
//!
//! Each command has a key made of the request's id, so that it can be sent again when the database has failed.
//! A gateway that dies leaves reservations; they expire, whichever gateway sees them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use gaia_ledger::account::ReservationId;
use gaia_ledger::command::Reserve;
use gaia_ledger::{Command, IdempotencyKey, Outcome, Refusal};
use gaia_ledger_store::{ExecuteError, Order, Served};
use gaia_openai::ApiError;
use gaia_statements::Counted;

use crate::count::Basis;
use crate::credit::Unconfirmed;
use crate::forward::Job;
use crate::nodes::NodeInfo;
use crate::reply::payment_required;
use crate::shared::{Shared, now};

/// How often a command is sent to a ledger that fails.
pub(crate) const TRIES_MAX: u32 = 6;

/// How long to wait before the second try; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// What a request is charged.
pub(crate) struct Bill<'a> {
    pub id: B256,
    pub node: &'a NodeInfo,
    pub tokens: Counted,
    pub basis: Basis,
}

/// What is to be set aside for a request: the most that it can cost.
pub(crate) struct Wanted {
    shared: Arc<Shared>,
    reserve: Reserve,
}

impl Wanted {
    pub(crate) fn of(job: &Job, id: B256) -> Self {
        let reserve = Reserve {
            reservation: id,
            account: job.access.account(),
            key: job.access.key,
            amount: job.asked.cost_max,
            key_limit: job.access.limit(),
            lifetime_seconds: job.shared.config.lifetime_seconds(),
        };
        Self {
            shared: Arc::clone(&job.shared),
            reserve,
        }
    }

    /// Where the payer has so much that the request may begin before the ledger has answered. Who has set his token a
    /// limit wants it kept to the unit.
    pub(crate) fn is_ample(&self) -> Option<Unconfirmed> {
        let Reserve {
            account, amount, ..
        } = self.reserve;
        let credit = &self.shared.credit;
        match self.reserve.key_limit {
            None => credit.ample(account, amount, Instant::now()),
            Some(_) => None,
        }
    }

    /// Sets it aside.
    ///
    /// # Errors
    /// 402 where there is too little; 503 where the ledger cannot say.
    pub(crate) async fn reserve(self) -> Result<(), ApiError> {
        let Self { shared, reserve } = self;
        let account = reserve.account;
        let key = format!("reserve:{}", reserve.reservation);
        let order = order(key, Command::Reserve(reserve), None)?;
        match execute(&shared, order).await {
            Ok(Outcome::Reserved { available, .. }) => {
                shared.credit.heard(account, available, Instant::now());
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                shared.credit.refused(account);
                Err(said(&error))
            }
        }
    }
}

/// Takes what the request did cost, with its receipt, and has that signed.
///
/// # Errors
/// When the ledger would not: then nothing was charged, or it will expire.
pub(crate) async fn capture(job: &Job, bill: &Bill<'_>) -> Result<(), ApiError> {
    let shared = &job.shared;
    let config = &shared.config;
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, request = %bill.id, "a request cannot be charged");
        ApiError::internal("The request could not be charged, so its answer ends here.")
    };
    let cost = job
        .asked
        .price
        .cost(&bill.tokens)
        .map_err(|error| broken(&error))?;
    let split = match &bill.node.split {
        Some(split) => split.clone(),
        None => {
            let split = config.split.of(bill.node.operator);
            split.map_err(|error| broken(&error))?
        }
    };
    let served = Served {
        domain_id: config.place.domain_id,
        request: bill.id,
        account: job.access.account(),
        key: job.access.key,
        node: bill.node.address,
        model: job.asked.price.model,
        price_version: config.prices.version(),
        tokens: bill.tokens.0,
        cost,
        time: now(),
    };
    let command = Command::Capture {
        reservation: bill.id,
        node: bill.node.address,
        cost,
        split,
    };
    // Whose word the tokens are stands in the journal with the entry.
    let key = format!("capture:{}:{}", bill.basis.name(), bill.id);
    let captured = execute(shared, order(key, command, Some(served))?).await;
    captured.map_err(|error| broken(&error))?;
    shared.counts.earned(cost, bill.tokens.0);
    shared.nodes.served(bill.node.address, cost, bill.tokens.0);
    shared.receipts.offer(bill.id);
    Ok(())
}

/// Gives everything back.
pub(crate) async fn release(shared: &Shared, id: B256) {
    let command = Command::Release { reservation: id };
    let Ok(order) = order(format!("release:{id}"), command, None) else {
        return;
    };
    if let Err(error) = execute(shared, order).await {
        tracing::warn!(%error, request = %id, "a reservation was not released, and will expire");
    }
}

/// Gives back what nobody has captured or released in time, again and again.
pub(crate) async fn expire(shared: &Shared) -> Infallible {
    loop {
        tokio::time::sleep(shared.config.limits.expire_interval).await;
        match shared.config.ledger.overdue(now()).await {
            Ok(overdue) => {
                for id in overdue {
                    expire_one(shared, id).await;
                }
            }
            Err(error) => tracing::warn!(%error, "reservations cannot be looked through"),
        }
    }
}

async fn expire_one(shared: &Shared, id: ReservationId) {
    let command = Command::Expire { reservation: id };
    let Ok(order) = order(format!("expire:{id}"), command, None) else {
        return;
    };
    match execute(shared, order).await {
        Ok(_) => tracing::info!(request = %id, "a reservation has expired"),
        // Another gateway was there first.
        Err(ExecuteError::Refused(_)) => {}
        Err(error) => tracing::warn!(%error, request = %id, "a reservation did not expire"),
    }
}

/// Sends a command until the ledger answers, so often and no more.
async fn execute(shared: &Shared, order: Order) -> Result<Outcome, ExecuteError> {
    let mut pause = PAUSE;
    let mut tries = 1;
    loop {
        let done = shared.config.ledger.execute(order.clone()).await;
        match done {
            Err(ExecuteError::Unknown(_) | ExecuteError::Busy) if tries < TRIES_MAX => {
                tokio::time::sleep(pause).await;
                pause *= 2;
                tries += 1;
            }
            done => return done,
        }
    }
}

fn order(key: String, command: Command, receipt: Option<Served>) -> Result<Order, ApiError> {
    let key = IdempotencyKey::new(key).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Order {
        key,
        command,
        now: now(),
        receipt,
    })
}

/// What a payer is told.
fn said(error: &ExecuteError) -> ApiError {
    match error {
        ExecuteError::Refused(
            refusal @ (Refusal::InsufficientFunds { .. } | Refusal::KeyLimit { .. }),
        ) => payment_required(refusal.to_string()),
        ExecuteError::Refused(refusal @ Refusal::NoEpoch(_)) => {
            ApiError::unavailable(refusal.to_string(), 10)
        }
        error => {
            tracing::error!(%error, "nothing could be set aside");
            ApiError::unavailable("The domain's books cannot be written just now.", 1)
        }
    }
}
