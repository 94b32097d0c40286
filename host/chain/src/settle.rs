//! Epochs opened and closed, charges proposed, defended and taken: what a domain owes the chain.
//!
//! One call does what is due and returns; calling it again does the rest. Nothing is remembered between
//! calls: what is so stands in the ledger, in its records and on the chain, and each step first looks
//! whether it was done. So it may be killed anywhere, and run by several gateways at once.
//!
//! The order in which things are written makes that safe:
//! 1. a *charge* is noted before its account is closed, and the close gives the same answer each time;
//! 2. a *batch* takes its number and its charges in one write, which only one of several settlers wins;
//! 3. an *attempt* to propose it is noted, with the hash of exactly what is sent, before it is sent; and it is sent
//!    only after a look at the chain for all attempts so far. A charge says what the account was ever charged, so the
//!    contract refuses one that was taken meanwhile.

mod batch;
mod close;
mod defend;
mod propose;

use crate::contracts::{Escrow, Prices, Refusals::RefusalsErrors};
use crate::domain::{Asset, ChainError, Domain};
use crate::rpc::{At, RpcError};
use crate::shares::TreesError;
use crate::wallet::{SendError, Wallet};
use crate::watch::with_causes;
use alloy_primitives::{Address, U256};
use gaia_ledger::account::EpochNumber;
use gaia_ledger::amount::AmountError;
use gaia_ledger::command::IdempotencyKeyError;
use gaia_ledger::{Command, IdempotencyKey, Outcome, Price, Refusal};
use gaia_ledger_store::{ExecuteError, Ledger, Order, ReadError, RecordError};

pub use batch::{Batch, BatchState, CHARGES_MAX};

/// The most times that one call rolls prices: each time 64 epochs.
const ROLLS_MAX: usize = 16;

/// Settles one domain with one key.
#[derive(Debug, Clone)]
pub struct Settler {
    domain: Domain,
    ledger: Ledger,
    wallet: Wallet,
}

/// What a call has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The epoch that runs.
    pub epoch: u64,
    /// Assets whose epochs were opened, or had been.
    pub opened: Vec<Address>,
    /// Assets and epochs that are closed now.
    pub closed: Vec<(Address, u64)>,
    /// Proposals that were made, or found.
    pub proposed: Vec<U256>,
    /// Challenges that were answered: proposal and charge.
    pub answered: Vec<(U256, usize)>,
    /// Contests that were answered: proposal and contest.
    pub shown: Vec<(U256, u64)>,
    /// Proposals whose charges were taken.
    pub finalised: Vec<U256>,
    /// What is to be done later, or by somebody else; in sentences.
    pub waiting: Vec<String>,
}

/// Settlement cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The chain does not answer, or refuses.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A transaction came to nothing.
    #[error("failed to {doing}")]
    Send {
        /// What it was to do.
        doing: &'static str,
        /// Why.
        #[source]
        source: SendError,
    },
    /// The ledger refuses what must be possible.
    #[error("the ledger refuses to {doing}")]
    Refused {
        /// What was to be done.
        doing: String,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The ledger does not answer.
    #[error("the ledger does not answer")]
    Execute(#[source] ExecuteError),
    /// Its records cannot be written.
    #[error("a record of the settlement cannot be written")]
    Record(#[from] RecordError),
    /// Its records cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
    /// A record was written by something else.
    #[error("the record {kind}/{id} makes no sense: was it edited?")]
    Damaged {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        id: String,
    },
    /// The shares are no tree.
    #[error(transparent)]
    Trees(#[from] TreesError),
    /// Amounts that no amount can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// Keys that no key can be.
    #[error(transparent)]
    Key(#[from] IdempotencyKeyError),
}

impl From<RpcError> for SettleError {
    fn from(error: RpcError) -> Self {
        Self::Chain(error.into())
    }
}

impl Settler {
    /// A settler that signs with `wallet`: the key of the domain's gateway, or its owner's.
    #[must_use]
    pub fn new(domain: Domain, ledger: Ledger, wallet: Wallet) -> Self {
        Self {
            domain,
            ledger,
            wallet,
        }
    }

    /// Does all that is due now.
    ///
    /// # Errors
    /// [`SettleError`]: what was done before it stays done; call it again.
    pub async fn settle(&self) -> Result<Settled, SettleError> {
        let mut done = self.keep_time().await?;
        self.make_batches(&mut done).await?;
        let mut failed = None;
        // In the order of epochs: a receipt of an earlier one does not prove a charge that counts a later one's.
        let mut may_propose = true;
        for (batch, version) in self.batches().await? {
            if batch.state != BatchState::Open || (batch.proposal.is_none() && !may_propose) {
                continue;
            }
            match self.move_on(batch, version, &mut done).await {
                Ok(is_proposed) => may_propose &= is_proposed,
                // What is wrong with one must not keep the others from being defended.
                Err(error) => {
                    may_propose = false;
                    failed.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        self.draw_bonds(&mut done).await?;
        Ok(done)
    }

    /// Opens the epoch that runs and closes the one before, in the ledger alone. A domain without ether does at least
    /// this, and can serve.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn keep_time(&self) -> Result<Settled, SettleError> {
        let mut done = Settled {
            epoch: self.domain.current_epoch().await?,
            ..Settled::default()
        };
        if let Err(error) = self.roll(done.epoch).await {
            done.waiting.push(with_causes(&error));
        }
        for asset in &self.domain.assets {
            self.open(asset, &mut done).await?;
        }
        Ok(done)
    }

    /// Fixes the token's prices up to the epoch that runs, where nobody has.
    async fn roll(&self, epoch: u64) -> Result<(), SettleError> {
        for _ in 0..ROLLS_MAX {
            let rpc = &self.domain.rpc;
            let call = Prices::priceAtCall { epoch };
            let price = rpc.view(self.domain.prices, call, At::Latest).await;
            match price {
                Err(error) if refused_with(&error, is_not_rolled) => {
                    self.send(
                        "fix the token's price",
                        self.domain.prices,
                        Prices::rollCall {},
                    )
                    .await?;
                }
                Err(ChainError::Rpc(error)) => return Err(error.into()),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    async fn open(&self, asset: &Asset, done: &mut Settled) -> Result<(), SettleError> {
        let Some(price) = self.price(asset, done).await? else {
            return Ok(());
        };
        let epoch = EpochNumber(done.epoch);
        let command = Command::OpenEpoch {
            asset: asset.address,
            epoch,
            price,
        };
        let key = format!("open-epoch:{:#x}:{epoch}", asset.address);
        // The one before the one before may have to be closed first.
        for _ in 0..2 {
            match self.execute(&key, command.clone()).await? {
                Ok(Outcome::EpochOpened { closing }) => {
                    done.opened.push(asset.address);
                    if let Some(closing) = closing {
                        self.close(asset, closing, done).await?;
                    }
                    return Ok(());
                }
                Err(Refusal::EpochClosing(closing)) => {
                    if !self.close(asset, closing, done).await? {
                        return Ok(());
                    }
                }
                Err(Refusal::EpochNotNext { current, .. }) => {
                    let words = "the chain's clock says that epoch";
                    done.waiting
                        .push(format!("{words} {epoch} runs, the ledger is in {current}"));
                    return Ok(());
                }
                Err(source) => {
                    let doing = format!("open epoch {epoch} of {}", asset.symbol);
                    return Err(SettleError::Refused { doing, source });
                }
                Ok(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn price(&self, asset: &Asset, done: &mut Settled) -> Result<Option<Price>, SettleError> {
        if asset.is_stable {
            return Ok(Some(Price::ONE_USD));
        }
        match self.domain.price_of(asset.address, done.epoch).await {
            Ok(price) => Ok(Some(price)),
            Err(ChainError::Refused(refusal)) => {
                done.waiting.push(format!("{}: {refusal}", asset.symbol));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What answered challenges brought.
    async fn draw_bonds(&self, done: &mut Settled) -> Result<(), SettleError> {
        let account = self.wallet.address();
        let call = Escrow::bondsOfCall { account };
        let due = self
            .domain
            .rpc
            .view(self.domain.escrow, call, At::Latest)
            .await?;
        if due.is_zero() {
            return Ok(());
        }
        let drawn = self
            .send(
                "draw bonds",
                self.domain.escrow,
                Escrow::withdrawBondsCall {},
            )
            .await;
        if let Err(error) = drawn {
            done.waiting.push(with_causes(&error));
        }
        Ok(())
    }

    async fn send<C: alloy_sol_types::SolCall>(
        &self,
        doing: &'static str,
        to: Address,
        call: C,
    ) -> Result<crate::rpc::Mined, SettleError> {
        let sent = self.wallet.send(to, call).await;
        sent.map_err(|source| SettleError::Send { doing, source })
    }

    /// A command with its key; a refusal is an answer.
    async fn execute(
        &self,
        key: &str,
        command: Command,
    ) -> Result<Result<Outcome, Refusal>, SettleError> {
        let order = Order {
            key: IdempotencyKey::new(key)?,
            command,
            now: crate::watch::now(),
            receipt: None,
        };
        match self.ledger.execute(order).await {
            Ok(outcome) => Ok(Ok(outcome)),
            Err(ExecuteError::Refused(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(SettleError::Execute(error)),
        }
    }
}

fn is_not_rolled(error: &RefusalsErrors) -> bool {
    matches!(error, RefusalsErrors::PriceNotRolled(_))
}

fn refused_with(error: &ChainError, is: impl Fn(&RefusalsErrors) -> bool) -> bool {
    match error {
        ChainError::Refused(refusal) => refusal.is(is),
        _ => false,
    }
}
