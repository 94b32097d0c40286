//! An epoch's end in the ledger: what each account was charged, noted for the chain.

use super::batch::{CHARGES, ChargeNote};
use super::{SettleError, Settled, Settler};
use crate::domain::Asset;
use crate::watch::now;
use gaia_ledger::account::EpochNumber;
use gaia_ledger::{AccountId, Command, NanoUsd, Outcome, Refusal};
use gaia_ledger_store::{Record, RecordError};

/// Pages of accounts that one call closes, of 1,000 each.
const PAGES_MAX: usize = 1_000;

impl Settler {
    /// Closes the accounts of an epoch, then the epoch. Whether it is closed now.
    pub(super) async fn close(
        &self,
        asset: &Asset,
        epoch: EpochNumber,
        done: &mut Settled,
    ) -> Result<bool, SettleError> {
        self.expire().await?;
        for _ in 0..PAGES_MAX {
            let owing = self.ledger.owing(asset.address, epoch).await?;
            let mut any_closed = false;
            for account in owing {
                any_closed |= self.close_account(account, epoch).await?;
            }
            if !any_closed {
                break;
            }
        }
        let closed = self.close_epoch(asset, epoch).await?;
        match closed {
            Ok(()) => done.closed.push((asset.address, epoch.0)),
            Err(refusal) => done
                .waiting
                .push(format!("epoch {epoch} of {}: {refusal}", asset.symbol)),
        }
        Ok(closed_ok(&done.closed, asset, epoch))
    }

    /// Closes the epoch, or says why that has to wait. The same for one that is closed.
    pub(super) async fn close_epoch(
        &self,
        asset: &Asset,
        epoch: EpochNumber,
    ) -> Result<Result<(), Refusal>, SettleError> {
        let key = format!("close-epoch:{:#x}:{epoch}", asset.address);
        let command = Command::CloseEpoch {
            asset: asset.address,
            epoch,
        };
        match self.execute(&key, command).await? {
            Ok(_) => Ok(Ok(())),
            Err(refusal @ (Refusal::AccountsOpen { .. } | Refusal::ReservationsOpen(_))) => {
                Ok(Err(refusal))
            }
            Err(source) => Err(SettleError::Refused {
                doing: format!("close epoch {epoch} of {}", asset.symbol),
                source,
            }),
        }
    }

    /// Gives back reservations that nobody has captured in time.
    async fn expire(&self) -> Result<(), SettleError> {
        for reservation in self.ledger.overdue(now()).await? {
            let key = format!("expire:{reservation:#x}");
            // Refused where somebody else was there first.
            let _done_or_over = self.execute(&key, Command::Expire { reservation }).await?;
        }
        Ok(())
    }

    /// Notes that there will be a charge, then closes the account. Whether that was possible.
    async fn close_account(
        &self,
        account: AccountId,
        epoch: EpochNumber,
    ) -> Result<bool, SettleError> {
        let note = ChargeNote {
            epoch: epoch.0,
            payer: account.payer,
            asset: account.asset,
            cost: None,
        };
        let noted = self
            .ledger
            .put_record(CHARGES, &note.id(), &note.json(), Some(0))
            .await;
        match noted {
            // One that is there is of an earlier try.
            Ok(_) | Err(RecordError::Version { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.price_note(&note).await
    }

    /// Closes the account that a note is of, and writes what it was charged into the note. Whether it is closed.
    pub(super) async fn price_note(&self, note: &ChargeNote) -> Result<bool, SettleError> {
        let account = AccountId {
            payer: note.payer,
            asset: note.asset,
        };
        let epoch = EpochNumber(note.epoch);
        let key = format!("close:{:#x}:{:#x}:{epoch}", note.asset, note.payer);
        match self
            .execute(&key, Command::CloseAccount { account, epoch })
            .await?
        {
            Ok(Outcome::AccountClosed { cost, short, .. }) => {
                if !short.is_zero() {
                    tracing::error!(%account, %epoch, %short, "refunds took what was charged and not settled in time");
                }
                self.finish_note(note, cost).await?;
                Ok(true)
            }
            Err(Refusal::StillReserved(_)) => Ok(false),
            Err(Refusal::NothingOwed(_) | Refusal::NotClosing(_)) => {
                self.ledger.remove_record(CHARGES, &note.id()).await?;
                Ok(false)
            }
            Err(source) => Err(SettleError::Refused {
                doing: format!("close the account of {account} for epoch {epoch}"),
                source,
            }),
            Ok(_) => Ok(false),
        }
    }

    async fn finish_note(&self, note: &ChargeNote, cost: NanoUsd) -> Result<(), SettleError> {
        if cost.is_zero() {
            return Ok(self.ledger.remove_record(CHARGES, &note.id()).await?);
        }
        let priced = ChargeNote {
            cost: Some(cost),
            ..note.clone()
        };
        let id = priced.id();
        // Only over the note: when another settler has taken the charge into a batch, the note is gone for good.
        let Some(Record { version, .. }) = self.ledger.record(CHARGES, &id).await? else {
            return Ok(());
        };
        match self
            .ledger
            .put_record(CHARGES, &id, &priced.json(), Some(version))
            .await
        {
            Ok(_) | Err(RecordError::Version { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn closed_ok(
    closed: &[(alloy_primitives::Address, u64)],
    asset: &Asset,
    epoch: EpochNumber,
) -> bool {
    closed.contains(&(asset.address, epoch.0))
}
