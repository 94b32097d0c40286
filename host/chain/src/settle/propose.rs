//! A batch's way through the chain: proposed, defended, taken.

use super::batch::{ATTEMPTS_MAX, Attempt, Batch, BatchState, hash_of};
use super::{SettleError, Settled, Settler};
use crate::contracts::Refusals::RefusalsErrors;
use crate::contracts::{Charge, Escrow, State};
use crate::domain::ChainError;
use crate::rpc::At;
use crate::shares::Trees;
use crate::wallet::SendError;
use alloy_primitives::{B256, U256};
use gaia_ledger::{NanoUnits, NanoUsd, Price};

impl Settler {
    /// Takes a batch one or more steps on. Whether the next may be proposed.
    pub(super) async fn move_on(
        &self,
        mut batch: Batch,
        mut version: u64,
        done: &mut Settled,
    ) -> Result<bool, SettleError> {
        if batch.proposal.is_none() {
            let Some(after) = self.propose(&mut batch, version, done).await? else {
                return Ok(batch.state == BatchState::Lost);
            };
            version = after;
        }
        let Some(id) = batch.proposal else {
            return Ok(false);
        };
        let Some(charges) = self.charges_on_chain(&batch, id).await? else {
            let words = "is not the one that batch";
            done.waiting
                .push(format!("proposal {id} {words} {} made", batch.number));
            return Ok(false);
        };
        match self.proposal(id).await?.state {
            State::Open => {
                self.defend(&batch, id, &charges, done).await?;
                self.finalise(batch, version, id, charges, done).await?;
            }
            State::Finalised => self.finished(batch, version, id, done).await?,
            State::Cancelled => self.cancelled(batch, version, id, &charges).await?,
            _ => {
                let words = "is not on the chain any more: did the chain change?";
                done.waiting
                    .push(format!("proposal {id} of batch {} {words}", batch.number));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Proposes the batch, unless one of its attempts is on the chain. The batch's new version; `None` where nothing
    /// more can be done now.
    async fn propose(
        &self,
        batch: &mut Batch,
        version: u64,
        done: &mut Settled,
    ) -> Result<Option<u64>, SettleError> {
        // Read before the look at the chain: what is proposed after that look makes these numbers wrong, and the
        // contract refuses them.
        let Some(attempt) = self.attempt(batch).await? else {
            batch.state = BatchState::Lost;
            tracing::error!(
                batch = batch.number,
                epoch = batch.epoch,
                "nothing of a batch can be charged: the accounts are empty"
            );
            self.write(batch, version).await?;
            return Ok(None);
        };
        if let Some(found) = self.find(batch).await? {
            return self.proposed(batch, version, found, done).await;
        }
        let charges = batch.charges(&attempt);
        batch.attempts.push(attempt);
        let surplus = batch.attempts.len().saturating_sub(ATTEMPTS_MAX);
        batch.attempts.drain(..surplus);
        let Some(version) = self.write(batch, version).await? else {
            return Ok(None);
        };
        let call = Escrow::proposeCall {
            epoch: batch.epoch,
            charges,
            newSharesRoot: batch.root,
        };
        match self.wallet.send(self.domain.escrow, call).await {
            Ok(_) => match self.find(batch).await? {
                Some(found) => self.proposed(batch, version, found, done).await,
                None => Ok(None),
            },
            Err(error) => self.not_proposed(batch, version, error, done).await,
        }
    }

    async fn proposed(
        &self,
        batch: &mut Batch,
        version: u64,
        id: U256,
        done: &mut Settled,
    ) -> Result<Option<u64>, SettleError> {
        batch.proposal = Some(id);
        done.proposed.push(id);
        self.write(batch, version).await
    }

    async fn not_proposed(
        &self,
        batch: &mut Batch,
        version: u64,
        error: SendError,
        done: &mut Settled,
    ) -> Result<Option<u64>, SettleError> {
        let why = error.refusal().and_then(|refusal| refusal.error.as_deref());
        match why {
            // The epoch is too long ago: charges of it are refused for ever.
            Some(RefusalsErrors::SettlementEpochOutOfRange(_))
                if self.domain.current_epoch().await? > batch.epoch =>
            {
                tracing::error!(
                    batch = batch.number,
                    epoch = batch.epoch,
                    "a batch came too late for the chain"
                );
                batch.state = BatchState::Lost;
                self.write(batch, version).await?;
                done.waiting
                    .push(format!("batch {} is lost: {error}", batch.number));
                Ok(None)
            }
            // Somebody has charged or paid the same accounts meanwhile: the next call reads them again.
            Some(
                RefusalsErrors::SettlementCumulativeWrong(_)
                | RefusalsErrors::EscrowBalanceTooSmall(_),
            ) => {
                done.waiting
                    .push(format!("batch {}: {error}", batch.number));
                Ok(None)
            }
            _ => Err(SettleError::Send {
                doing: "propose charges",
                source: error,
            }),
        }
    }

    /// The batch's charges as the accounts are now: not more than each can pay. `None` where that is nothing.
    async fn attempt(&self, batch: &Batch) -> Result<Option<Attempt>, SettleError> {
        let escrow = self.domain.escrow;
        let rpc = &self.domain.rpc;
        let mut prices = std::collections::BTreeMap::new();
        let mut amounts = Vec::with_capacity(batch.lines.len());
        for line in &batch.lines {
            let price = match prices.get(&line.asset) {
                Some(price) => *price,
                None => self.domain.price_of(line.asset, batch.epoch).await?,
            };
            prices.insert(line.asset, price);
            let call = Escrow::accountOfCall {
                payer: line.payer,
                asset: line.asset,
            };
            let account = rpc.view(escrow, call, At::Latest).await?;
            let cost = affordable(line.cost, NanoUnits::try_from(account.balance)?, price)?;
            if cost < line.cost {
                tracing::error!(payer = %line.payer, asset = %line.asset, wanted = %line.cost, %cost, "an account has drawn a refund before it was charged");
            }
            amounts.push((cost.get(), account.charged.saturating_add(cost.get())));
        }
        let after = rpc
            .view(escrow, Escrow::proposalCountCall {}, At::Latest)
            .await?;
        let mut attempt = Attempt {
            hash: B256::ZERO,
            charges: amounts,
            after,
        };
        let charges = batch.charges(&attempt);
        attempt.hash = hash_of(&charges);
        Ok((!charges.is_empty()).then_some(attempt))
    }

    /// The proposal of one of the batch's attempts.
    async fn find(&self, batch: &Batch) -> Result<Option<U256>, SettleError> {
        let Some(first) = batch.attempts.iter().map(|attempt| attempt.after).min() else {
            return Ok(None);
        };
        let call = Escrow::proposalCountCall {};
        let count = self
            .domain
            .rpc
            .view(self.domain.escrow, call, At::Latest)
            .await?;
        let mut id = first + U256::from(1);
        while id <= count {
            let proposal = self.proposal(id).await?;
            let ours = |attempt: &Attempt| attempt.hash == proposal.chargesHash;
            if proposal.epoch == batch.epoch && batch.attempts.iter().any(ours) {
                return Ok(Some(id));
            }
            id += U256::from(1);
        }
        Ok(None)
    }

    pub(super) async fn proposal(
        &self,
        id: U256,
    ) -> Result<crate::contracts::Proposal, ChainError> {
        let call = Escrow::proposalOfCall { id };
        self.domain
            .rpc
            .view(self.domain.escrow, call, At::Latest)
            .await
    }

    async fn charges_on_chain(
        &self,
        batch: &Batch,
        id: U256,
    ) -> Result<Option<Vec<Charge>>, SettleError> {
        let hash = self.proposal(id).await?.chargesHash;
        let attempt = batch.attempts.iter().find(|attempt| attempt.hash == hash);
        Ok(attempt.map(|attempt| batch.charges(attempt)))
    }

    /// Takes the charges, where their window is over and nobody waits for an answer.
    async fn finalise(
        &self,
        batch: Batch,
        version: u64,
        id: U256,
        charges: Vec<Charge>,
        done: &mut Settled,
    ) -> Result<(), SettleError> {
        let proposal = self.proposal(id).await?;
        let disputes = u64::from(proposal.openChallenges) + u64::from(proposal.openContests);
        if disputes > 0 {
            let words = "disputes wait for what is not here";
            done.waiting
                .push(format!("proposal {id}: {disputes} {words}"));
            return Ok(());
        }
        if self.domain.rpc.now().await? < proposal.closesAt {
            let words = "can be challenged until";
            done.waiting.push(format!(
                "proposal {id} {words} {} s since 1970",
                proposal.closesAt
            ));
            return Ok(());
        }
        let call = Escrow::finaliseCall { id, charges };
        match self.wallet.send(self.domain.escrow, call).await {
            Ok(_) => self.finished(batch, version, id, done).await,
            Err(source) => match source
                .refusal()
                .and_then(|refusal| refusal.error.as_deref())
            {
                // Anybody may, and somebody did; or somebody has challenged in the last moment.
                Some(
                    RefusalsErrors::SettlementNotOpen(_)
                    | RefusalsErrors::SettlementWindowOpen(_)
                    | RefusalsErrors::SettlementChallenged(_),
                ) => Ok(()),
                _ => Err(SettleError::Send {
                    doing: "take charges",
                    source,
                }),
            },
        }
    }

    async fn finished(
        &self,
        mut batch: Batch,
        version: u64,
        id: U256,
        done: &mut Settled,
    ) -> Result<(), SettleError> {
        done.finalised.push(id);
        batch.state = BatchState::Finalised;
        // What it was is on the chain.
        batch.lines = Vec::new();
        batch.attempts = Vec::new();
        self.write(&batch, version).await?;
        self.forget_trees().await
    }

    /// Only the tree on the chain and those on their way are asked for.
    async fn forget_trees(&self) -> Result<(), SettleError> {
        let root = crate::shares::root(&self.domain).await?;
        let open = self.batches().await?;
        let open = open
            .into_iter()
            .filter(|(batch, _)| batch.state == BatchState::Open);
        let mut needed: Vec<B256> = open.map(|(batch, _)| batch.root).collect();
        needed.push(root);
        Ok(Trees::new(&self.ledger).keep_only(&needed).await?)
    }

    /// A challenge was not answered. What was not challenged is proposed again; the charge that cannot be proven is the
    /// domain's loss.
    async fn cancelled(
        &self,
        mut batch: Batch,
        version: u64,
        id: U256,
        charges: &[Charge],
    ) -> Result<(), SettleError> {
        let mut again = Vec::new();
        for (index, charge) in charges.iter().enumerate() {
            let challenge = self.challenge(id, index).await?;
            if challenge.challenger.is_zero() || challenge.answered {
                let line = batch
                    .lines
                    .iter()
                    .find(|line| line.payer == charge.payer && line.asset == charge.asset);
                again.extend(line.copied());
            } else {
                tracing::error!(proposal = %id, payer = %charge.payer, cost = charge.cost, "a charge without a receipt is lost");
            }
        }
        self.note_again(batch.epoch, &again).await?;
        batch.state = BatchState::Cancelled;
        batch.lines = Vec::new();
        batch.attempts = Vec::new();
        self.write(&batch, version).await?;
        Ok(())
    }
}

/// The cost, or what the balance pays of it.
fn affordable(cost: NanoUsd, balance: NanoUnits, price: Price) -> Result<NanoUsd, SettleError> {
    if price.units_for(cost)? <= balance {
        return Ok(cost);
    }
    Ok(price.worth(balance).min(cost))
}
