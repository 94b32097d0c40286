//! What a command does to the rows it touches, or why it does not.

mod epochs;
mod escrow;
mod requests;

use crate::account::{Currency, EpochNumber, LedgerAccount, ReservationId, Timestamp};
use crate::amount::{AmountError, NanoUnits, NanoUsd};
use crate::command::{Command, IdempotencyKey, LIFETIME_SECONDS_MAX};
use crate::entry::{Outcome, Posting};
use crate::rows::{ReservationState, Row, View};
use alloy_primitives::Address;

/// What is to be written: postings into the journal, rows over the old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What moves.
    pub postings: Vec<Posting>,
    /// Rows as they are afterwards, whole.
    pub rows: Vec<Row>,
    /// The reply.
    pub outcome: Outcome,
}

/// Why a command is not carried out. Nothing has changed; the idempotency key is free again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key stands for another command.
    #[error(
        "the idempotency key `{0}` stands for another command: make a new one for each command, and use it again only to retry that one"
    )]
    KeyReused(IdempotencyKey),
    /// More than an amount can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// A deposit, refund or claim of nothing.
    #[error("nothing to book: the amount is zero")]
    Nothing,
    /// No price, no service.
    #[error("no epoch is open for the asset {0}: open one with its price, then retry")]
    NoEpoch(Address),
    /// The account has too little.
    #[error(
        "{available} available, the request may cost {needed}: deposit more, or ask for fewer tokens"
    )]
    InsufficientFunds {
        /// What it can spend.
        available: NanoUsd,
        /// What was to be set aside.
        needed: NanoUsd,
    },
    /// The access token may not spend so much.
    #[error(
        "the access token may spend another {left}, the request may cost {needed}: raise its limit, or ask for fewer tokens"
    )]
    KeyLimit {
        /// What is left of its limit.
        left: NanoUsd,
        /// What was to be set aside.
        needed: NanoUsd,
    },
    /// A reservation would stand too long.
    #[error("a reservation stands {LIFETIME_SECONDS_MAX} s at most, not {0} s: ask for less")]
    LifetimeTooLong(u32),
    /// The id of a reservation is taken.
    #[error("the reservation {0} exists: every request has an id of its own")]
    ReservationTaken(ReservationId),
    /// There is no such reservation.
    #[error("there is no reservation {0}: reserve before serving")]
    NoReservation(ReservationId),
    /// It was captured or given back before.
    #[error("the reservation {id} is over ({state:?}): nothing more can be taken out of it")]
    ReservationOver {
        /// Which.
        id: ReservationId,
        /// What became of it.
        state: ReservationState,
    },
    /// The cost is more than what was set aside.
    #[error(
        "the request cost {cost}, {reserved} was set aside for it: capture no more than that, and reserve the most a request can cost"
    )]
    ExceedsReserved {
        /// What was set aside.
        reserved: NanoUsd,
        /// What was to be taken.
        cost: NanoUsd,
    },
    /// Its time is not over.
    #[error("the reservation stands until {} s since 1970: release it, or wait", expires_at.0)]
    NotExpired {
        /// When it may be given back.
        expires_at: Timestamp,
    },
    /// Paid out more than the account holds.
    #[error(
        "the account holds {held}, {paid} were paid: a deposit is missing here, or the chain was read twice"
    )]
    ExceedsHeld {
        /// What it holds.
        held: NanoUnits,
        /// What the chain is said to have paid.
        paid: NanoUnits,
    },
    /// Claimed more than earned.
    #[error(
        "{left} are left to claim, not {claimed}: an epoch is not closed here, or the chain was read twice"
    )]
    ExceedsShare {
        /// What is left.
        left: NanoUnits,
        /// What the chain is said to have paid.
        claimed: NanoUnits,
    },
    /// An epoch's number must rise.
    #[error("epoch {asked} does not come after epoch {current}, which is open: epochs only go up")]
    EpochNotNext {
        /// The one that is open.
        current: EpochNumber,
        /// The one that was to be opened.
        asked: EpochNumber,
    },
    /// Two epochs are open already.
    #[error("epoch {0} is not closed: close its accounts, then the epoch, then open the next")]
    EpochClosing(EpochNumber),
    /// Only the epoch before the current one can be closed.
    #[error(
        "epoch {0} is not the one to close: open the next epoch first; one that was closed stays so"
    )]
    NotClosing(EpochNumber),
    /// Requests of the epoch still run.
    #[error(
        "{0} is still reserved for requests of this epoch: capture, release or expire them first"
    )]
    StillReserved(NanoUsd),
    /// Reservations of the epoch still stand.
    #[error("{0} reservations of this epoch stand: capture, release or expire them first")]
    ReservationsOpen(u64),
    /// The account owes nothing of the epoch.
    #[error("the account owes nothing of epoch {0}: nothing to close")]
    NothingOwed(EpochNumber),
    /// Accounts of the epoch are not closed.
    #[error("parties earned {earned}, accounts for {collected} are closed: close the others first")]
    AccountsOpen {
        /// What was captured in the epoch.
        earned: NanoUsd,
        /// What closed accounts were charged.
        collected: NanoUsd,
    },
    /// The rows do not fit the journal.
    #[error("the books are damaged ({0}): stop serving and replay the journal")]
    Damaged(&'static str),
}

/// Decides `command` on the rows that it touches. Writes nothing.
///
/// # Errors
/// A [`Refusal`], each with what to do; nothing has to be written then.
pub fn decide(view: &View, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    match command {
        Command::Deposit { account, units } => escrow::deposit(view, *account, *units),
        Command::RequestRefund { account, units } => {
            Ok(escrow::request_refund(view, *account, *units))
        }
        Command::PayRefund { account, units } => escrow::pay_refund(view, *account, *units),
        Command::Claim {
            party,
            asset,
            units,
        } => escrow::claim(view, *party, *asset, *units),
        Command::Reserve(reserve) => requests::reserve(view, reserve, now),
        Command::Capture {
            reservation,
            node,
            cost,
            split,
        } => requests::capture(view, *reservation, *node, *cost, split),
        Command::Release { reservation } => requests::release(view, *reservation),
        Command::Expire { reservation } => requests::expire(view, *reservation, now),
        Command::OpenEpoch {
            asset,
            epoch,
            price,
        } => epochs::open(view, *asset, *epoch, *price),
        Command::CloseAccount { account, epoch } => epochs::close_account(view, *account, *epoch),
        Command::CloseEpoch { asset, epoch } => epochs::close(view, *asset, *epoch),
    }
}

/// Postings of one entry, without those of nothing.
#[derive(Default)]
struct Postings(Vec<Posting>);

impl Postings {
    /// Takes `amount` from one account and adds it to another.
    fn transfer(
        mut self,
        currency: Currency,
        from: LedgerAccount,
        to: LedgerAccount,
        amount: i64,
    ) -> Self {
        if amount != 0 {
            self.push(from, currency, -amount);
            self.push(to, currency, amount);
        }
        self
    }

    /// Adds up with what the entry posts to the account already.
    fn push(&mut self, account: LedgerAccount, currency: Currency, amount: i64) {
        let same =
            |posting: &&mut Posting| posting.account == account && posting.currency == currency;
        match self.0.iter_mut().find(same) {
            Some(posting) => posting.amount += amount,
            None => self.0.push(Posting {
                account,
                currency,
                amount,
            }),
        }
        self.0.retain(|posting| posting.amount != 0);
    }
}

/// A sum that only damaged rows can exceed.
fn add_usd(sum: NanoUsd, amount: NanoUsd) -> Result<NanoUsd, Refusal> {
    let too_much = || AmountError::TooMuch(format!("{sum} and {amount}"));
    Ok(sum.checked_add(amount).ok_or_else(too_much)?)
}

/// A sum of units.
fn add_units(sum: NanoUnits, amount: NanoUnits) -> Result<NanoUnits, Refusal> {
    let too_much = || AmountError::TooMuch(format!("{sum} and {amount}"));
    Ok(sum.checked_add(amount).ok_or_else(too_much)?)
}
