//! Batches of charges, as records: which charges are on their way to the chain, and which wait.

use super::{SettleError, Settled, Settler};
use crate::contracts::Charge;
use crate::shares::Trees;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use gaia_ledger::NanoUsd;
use gaia_ledger::account::EpochNumber;
use gaia_ledger_store::{Record, RecordError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most charges in a batch: the contract takes no more.
pub const CHARGES_MAX: usize = 256;

/// How many epochs back a proposal may reach: the contract takes none that is older.
pub const EPOCHS_LATE_MAX: u64 = 8;

/// Attempts to propose a batch that are remembered.
pub const ATTEMPTS_MAX: usize = 64;

/// The most batches that one call makes.
const BATCHES_MAX: usize = 64;

/// Records of charges that are in no batch yet.
pub(super) const CHARGES: &str = "settle-charge";

/// Records of batches.
pub(super) const BATCHES: &str = "settle-batch";

/// A charge that is to be proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChargeNote {
    pub(super) epoch: u64,
    pub(super) payer: Address,
    pub(super) asset: Address,
    /// None until the account is closed.
    pub(super) cost: Option<NanoUsd>,
}

/// A charge of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Whose account.
    pub payer: Address,
    /// In which asset.
    pub asset: Address,
    /// How much.
    pub cost: NanoUsd,
}

/// A proposal that was sent, or was about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Hash of its charges, as the contract keeps it.
    pub hash: B256,
    /// What each charge said, in their order: cost and cumulative.
    pub charges: Vec<(u64, u64)>,
    /// How many proposals there were before.
    pub after: U256,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchState {
    /// On its way.
    Open,
    /// Its charges were taken.
    Finalised,
    /// A challenge was not answered; what can be proven is in another batch.
    Cancelled,
    /// It was too late for the chain.
    Lost,
}

/// Charges that go to the chain together. Once it is written, its charges stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Counts from 1.
    pub number: u64,
    /// The epoch of its charges.
    pub epoch: u64,
    /// Sorted by payer, then asset. Empty when all is over.
    pub lines: Vec<Line>,
    /// The tree of shares that it brings; zero for none.
    pub root: B256,
    /// Proposals that were tried.
    pub attempts: Vec<Attempt>,
    /// The one that is on the chain.
    pub proposal: Option<U256>,
    /// Where it stands.
    pub state: BatchState,
}

impl ChargeNote {
    /// In the order of epochs, payers, assets.
    pub(super) fn id(&self) -> String {
        charge_id(self.epoch, self.payer, self.asset)
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn charge_id(epoch: u64, payer: Address, asset: Address) -> String {
    format!("{epoch:020}:{payer:#x}:{asset:#x}")
}

impl Batch {
    fn id(&self) -> String {
        format!("{:020}", self.number)
    }

    /// The charges of an attempt, as the contract takes them.
    #[must_use]
    pub fn charges(&self, attempt: &Attempt) -> Vec<Charge> {
        let lines = self.lines.iter().zip(&attempt.charges);
        // A charge of nothing is none: it was left out.
        let charges = lines.filter(|(_, (cost, _))| *cost > 0);
        let charge = |(line, (cost, cumulative)): (&Line, &(u64, u64))| Charge {
            payer: line.payer,
            asset: line.asset,
            cost: *cost,
            cumulative: *cumulative,
        };
        charges.map(charge).collect()
    }
}

/// What the contract keeps of charges.
pub(super) fn hash_of(charges: &[Charge]) -> B256 {
    keccak256(charges.to_vec().abi_encode())
}

impl Settler {
    /// All batches ever made, with the versions of their records.
    ///
    /// # Errors
    /// When records cannot be read.
    pub async fn batches(&self) -> Result<Vec<(Batch, u64)>, SettleError> {
        let records = self.all(BATCHES).await?;
        records
            .into_iter()
            .map(|record| {
                let batch = parsed(BATCHES, &record)?;
                Ok((batch, record.version))
            })
            .collect()
    }

    /// Puts charges that wait into batches, an epoch's charges together.
    pub(super) async fn make_batches(&self, done: &mut Settled) -> Result<(), SettleError> {
        for _ in 0..BATCHES_MAX {
            // First the batches, then the charges: a batch that appears in between takes the number.
            let batches = self.batches().await?;
            self.forget_taken(&batches).await?;
            let waiting = self.waiting_charges(done).await?;
            let Some((epoch, lines)) = waiting.first_key_value() else {
                return Ok(());
            };
            let is_last = waiting.len() == 1 && lines.len() <= CHARGES_MAX;
            let lines: Vec<Line> = lines.iter().take(CHARGES_MAX).copied().collect();
            let latest = batches.iter().map(|(batch, _)| batch.epoch).max();
            let through = latest.unwrap_or_default().max(*epoch);
            let root = match is_last && self.is_all_earned(through).await? {
                true => self.keep_tree().await?,
                false => B256::ZERO,
            };
            let batch = Batch {
                number: batches.last().map_or(0, |(batch, _)| batch.number) + 1,
                epoch: *epoch,
                lines,
                root,
                attempts: Vec::new(),
                proposal: None,
                state: BatchState::Open,
            };
            match self
                .ledger
                .put_record(BATCHES, &batch.id(), &json(&batch), Some(0))
                .await
            {
                Ok(_) => self.forget_taken(&[(batch, 1)]).await?,
                // Another settler was faster: look again.
                Err(RecordError::Version { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Charges whose epochs are closed, so that the tree knows what they have earned: by epoch, sorted.
    async fn waiting_charges(
        &self,
        done: &mut Settled,
    ) -> Result<BTreeMap<u64, Vec<Line>>, SettleError> {
        let mut waiting: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
        let mut closed: BTreeMap<(Address, u64), bool> = BTreeMap::new();
        for record in self.all(CHARGES).await? {
            let note: ChargeNote = parsed(CHARGES, &record)?;
            let Some(cost) = note.cost else {
                // A call was killed between the note and the close.
                self.price_note(&note).await?;
                continue;
            };
            let epoch_of = (note.asset, note.epoch);
            let is_closed = match closed.get(&epoch_of) {
                Some(known) => *known,
                None => self.is_closed(note.asset, note.epoch, done).await?,
            };
            closed.insert(epoch_of, is_closed);
            if is_closed {
                waiting.entry(note.epoch).or_default().push(Line {
                    payer: note.payer,
                    asset: note.asset,
                    cost,
                });
            }
        }
        for lines in waiting.values_mut() {
            lines.sort_unstable_by_key(|line| (line.payer, line.asset));
        }
        Ok(waiting)
    }

    async fn is_closed(
        &self,
        asset: Address,
        epoch: u64,
        done: &mut Settled,
    ) -> Result<bool, SettleError> {
        if done.closed.contains(&(asset, epoch)) {
            return Ok(true);
        }
        let Some(asset) = self
            .domain
            .assets
            .iter()
            .find(|known| known.address == asset)
        else {
            return Ok(false);
        };
        Ok(self.close_epoch(asset, EpochNumber(epoch)).await?.is_ok())
    }

    /// Whether shares say all that was earned through an epoch, in every asset. A tree that says less can be contested.
    async fn is_all_earned(&self, through: u64) -> Result<bool, SettleError> {
        for asset in &self.domain.assets {
            for epoch in through.saturating_sub(EPOCHS_LATE_MAX)..=through {
                let owing = self.ledger.owing(asset.address, EpochNumber(epoch)).await?;
                if !owing.is_empty() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Removes the notes of charges that are in a batch.
    async fn forget_taken(&self, batches: &[(Batch, u64)]) -> Result<(), SettleError> {
        let open = batches
            .iter()
            .filter(|(batch, _)| batch.state == BatchState::Open);
        let mut taken = BTreeSet::new();
        for (batch, _) in open {
            let ids = batch
                .lines
                .iter()
                .map(|line| charge_id(batch.epoch, line.payer, line.asset));
            taken.extend(ids);
        }
        if taken.is_empty() {
            return Ok(());
        }
        for record in self.all(CHARGES).await? {
            if taken.contains(&record.id) {
                self.ledger.remove_record(CHARGES, &record.id).await?;
            }
        }
        Ok(())
    }

    /// Notes charges anew, whose batch came to nothing.
    pub(super) async fn note_again(&self, epoch: u64, lines: &[Line]) -> Result<(), SettleError> {
        for line in lines {
            let note = ChargeNote {
                epoch,
                payer: line.payer,
                asset: line.asset,
                cost: Some(line.cost),
            };
            self.ledger
                .put_record(CHARGES, &note.id(), &note.json(), None)
                .await?;
        }
        Ok(())
    }

    /// Keeps the tree of shares as they are now; its root.
    async fn keep_tree(&self) -> Result<B256, SettleError> {
        let shares = self.ledger.shares().await?;
        if shares.is_empty() {
            return Ok(B256::ZERO);
        }
        Ok(Trees::new(&self.ledger).keep(&shares).await?)
    }

    /// Writes a batch over the version that was read. `None` where another settler was faster.
    pub(super) async fn write(
        &self,
        batch: &Batch,
        version: u64,
    ) -> Result<Option<u64>, SettleError> {
        match self
            .ledger
            .put_record(BATCHES, &batch.id(), &json(batch), Some(version))
            .await
        {
            Ok(version) => Ok(Some(version)),
            Err(RecordError::Version { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn all(&self, kind: &'static str) -> Result<Vec<Record>, SettleError> {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map_or(String::new(), |record| record.id.clone());
            let page = self
                .ledger
                .records(kind, &after, gaia_ledger_store::RECORDS_LEN_MAX)
                .await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

fn json(batch: &Batch) -> String {
    serde_json::to_string(batch).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(kind: &'static str, record: &Record) -> Result<T, SettleError> {
    serde_json::from_str(&record.value).map_err(|_| SettleError::Damaged {
        kind,
        id: record.id.clone(),
    })
}
