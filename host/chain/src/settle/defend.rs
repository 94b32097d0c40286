//! Challenges, answered with the receipt that covers the charge; contests, with the leaves of the tree.

use super::batch::Batch;
use super::{SettleError, Settled, Settler};
use crate::contracts::{Charge, Contest, Escrow, Leaf, Registry};
use crate::domain::ChainError;
use crate::evidence;
use crate::rpc::At;
use crate::shares::Trees;
use alloy_primitives::{Bytes, U256};
use alloy_signer::SignerSync as _;
use gaia_ledger::account::EpochNumber;
use gaia_ledger::{AccountId, Share, ShareTree};
use gaia_ledger_store::StoredReceipt;
use std::collections::BTreeSet;

impl Settler {
    /// Answers what can be answered.
    pub(super) async fn defend(
        &self,
        batch: &Batch,
        id: U256,
        charges: &[Charge],
        done: &mut Settled,
    ) -> Result<(), SettleError> {
        let proposal = self.proposal(id).await?;
        if proposal.openContests > 0 {
            self.show_tree(batch, id, done).await?;
        }
        if proposal.openChallenges == 0 {
            return Ok(());
        }
        for (index, charge) in charges.iter().enumerate() {
            let challenge = self.challenge(id, index).await?;
            if challenge.challenger.is_zero() || challenge.answered {
                continue;
            }
            match self.answer(batch, id, charges, index).await {
                Ok(true) => done.answered.push((id, index)),
                Ok(false) => done.waiting.push(format!(
                    "proposal {id}: no receipt with both signatures covers the charge of {}; answer by {} s since 1970",
                    charge.payer, challenge.respondBy
                )),
                // One that cannot be answered must not keep the others from it.
                Err(error) => done.waiting.push(crate::watch::with_causes(&error)),
            }
        }
        Ok(())
    }

    pub(super) async fn challenge(
        &self,
        id: U256,
        index: usize,
    ) -> Result<crate::contracts::Challenge, ChainError> {
        let call = Escrow::challengeOfCall {
            id,
            index: U256::from(index),
        };
        self.domain
            .rpc
            .view(self.domain.escrow, call, At::Latest)
            .await
    }

    /// Shows the batch's tree to whoever demands it: all of it once for each asset, then the one leaf that is meant.
    async fn show_tree(
        &self,
        batch: &Batch,
        id: U256,
        done: &mut Settled,
    ) -> Result<(), SettleError> {
        let (rpc, escrow) = (&self.domain.rpc, self.domain.escrow);
        let call = Escrow::contestCountCall { id };
        let count: u64 = rpc.view(escrow, call, At::Latest).await?.saturating_to();
        let (mut shown, mut open) = (BTreeSet::new(), Vec::new());
        for number in 0..count {
            let index = U256::from(number);
            let call = Escrow::contestOfCall { id, index };
            let contest = rpc.view(escrow, call, At::Latest).await?;
            if contest.answered {
                shown.insert(contest.asset);
            } else {
                open.push((number, contest));
            }
        }
        let tree = Trees::new(&self.ledger).tree(batch.root).await?;
        for (number, contest) in open {
            let is_shown = shown.contains(&contest.asset);
            match self
                .answer_contest(&tree, id, number, &contest, is_shown)
                .await
            {
                Ok(()) => {
                    shown.insert(contest.asset);
                    done.shown.push((id, number));
                }
                Err(error) => done.waiting.push(crate::watch::with_causes(&error)),
            }
        }
        Ok(())
    }

    async fn answer_contest(
        &self,
        tree: &ShareTree,
        id: U256,
        number: u64,
        contest: &Contest,
        is_shown: bool,
    ) -> Result<(), SettleError> {
        let (escrow, index) = (self.domain.escrow, U256::from(number));
        let doing = "show the tree of shares";
        if is_shown && let Ok((share, proof)) = tree.proof(contest.operator, contest.asset) {
            let share = share.cumulative.get();
            let call = Escrow::answerContestByProofCall {
                id,
                index,
                share,
                proof,
            };
            self.send(doing, escrow, call).await?;
            return Ok(());
        }
        let leaf = |share: Share| Leaf {
            account: share.account,
            asset: share.asset,
            cumulative: share.cumulative.get(),
        };
        let leaves = Trees::new(&self.ledger).leaves(tree.root()).await?;
        let leaves = leaves.into_iter().map(leaf).collect();
        let call = Escrow::answerContestCall { id, index, leaves };
        self.send(doing, escrow, call).await?;
        Ok(())
    }

    async fn answer(
        &self,
        batch: &Batch,
        id: U256,
        charges: &[Charge],
        index: usize,
    ) -> Result<bool, SettleError> {
        let charge = &charges[index];
        let account = AccountId {
            payer: charge.payer,
            asset: charge.asset,
        };
        let epoch = EpochNumber(batch.epoch);
        let found = evidence::covering(&self.ledger, account, epoch, charge.cumulative).await?;
        let Some(stored) = found else {
            return Ok(false);
        };
        let Some((node, gateway)) = self.signatures(&stored).await? else {
            return Ok(false);
        };
        let call = Escrow::answerCall {
            id,
            charges: charges.to_vec(),
            index: U256::from(index),
            receipt: evidence::on_chain(&stored.receipt),
            nodeSignature: node,
            gatewaySignature: gateway,
        };
        self.send("answer a challenge", self.domain.escrow, call)
            .await?;
        Ok(true)
    }

    /// The node's signature and the gateway's. Only the present gateway key counts: where this wallet has it, it signs
    /// anew what is missing or was signed with an earlier one.
    async fn signatures(
        &self,
        stored: &StoredReceipt,
    ) -> Result<Option<(Bytes, Bytes)>, SettleError> {
        let Some(node) = stored.node_signature else {
            return Ok(None);
        };
        let call = Registry::gatewayOfCall {
            id: self.domain.place.domain_id,
        };
        let registry = self.domain.place.registry;
        let gateway = self.domain.rpc.view(registry, call, At::Latest).await?;
        let digest = stored.receipt.digest(&self.domain.signing_domain());
        let own = (gateway == self.wallet.address())
            .then(|| self.wallet.key().signer().sign_hash_sync(&digest).ok())
            .flatten();
        let signature = own
            .map(|signature| signature.as_bytes())
            .or(stored.gateway_signature);
        Ok(signature.map(|gateway| (node.to_vec().into(), gateway.to_vec().into())))
    }
}
