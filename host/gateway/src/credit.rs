//! What accounts can still spend, as this gateway heard last.
//!
//! Setting money aside takes a commit, on another machine perhaps. Who has far more than all that this gateway is
//! setting aside for him needs not wait for it before he hears the first word: the ledger's own answer is there
//! before the answer ends, and nothing is captured without it.
//!
//! Invariant: of what an account could spend, at most one part in [`AMPLE`] is on its way to the ledger while its
//! requests are served already. Who has less waits for the ledger, so that credit for ten serves ten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gaia_ledger::{AccountId, NanoUsd};

/// Accounts that are remembered at a time. Who is not remembered waits for the ledger.
pub(crate) const ACCOUNTS_KNOWN_MAX: usize = 10_000;

/// The part of an account that may be unconfirmed: one in so many. The others are for what other gateways take.
const AMPLE: u64 = 16;

/// What was heard is believed for so long.
const AGE_MAX: Duration = Duration::from_secs(2);

/// What is known of accounts. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Credit(Arc<Mutex<HashMap<AccountId, Known>>>);

#[derive(Debug)]
struct Known {
    available: u64,
    heard: Instant,
    /// What is on its way to the ledger.
    unconfirmed: u64,
}

/// An amount that is on its way to the ledger. Dropped when the ledger has answered.
#[derive(Debug)]
pub(crate) struct Unconfirmed {
    credit: Credit,
    account: AccountId,
    amount: u64,
}

impl Credit {
    /// The ledger has said what an account can still spend.
    pub(crate) fn heard(&self, account: AccountId, available: NanoUsd, now: Instant) {
        let mut known = self.known();
        if known.len() >= ACCOUNTS_KNOWN_MAX && !known.contains_key(&account) {
            known.retain(|_, other| other.unconfirmed > 0 || other.is_fresh(now));
            if known.len() >= ACCOUNTS_KNOWN_MAX {
                return;
            }
        }
        let known = known.entry(account).or_insert(Known {
            available: 0,
            heard: now,
            unconfirmed: 0,
        });
        known.available = available.get();
        known.heard = now;
    }

    /// The ledger has refused an account: the next request waits for it.
    pub(crate) fn refused(&self, account: AccountId) {
        if let Some(known) = self.known().get_mut(&account) {
            known.available = 0;
        }
    }

    /// Takes note of an amount that is to be set aside, where the account has plenty; `None`: wait for the ledger.
    pub(crate) fn ample(
        &self,
        account: AccountId,
        amount: NanoUsd,
        now: Instant,
    ) -> Option<Unconfirmed> {
        let amount = amount.get();
        let mut all = self.known();
        let known = all.get_mut(&account).filter(|known| known.is_fresh(now))?;
        let unconfirmed = known.unconfirmed.checked_add(amount)?;
        if unconfirmed > known.available / AMPLE {
            return None;
        }
        known.unconfirmed = unconfirmed;
        Some(Unconfirmed {
            credit: self.clone(),
            account,
            amount,
        })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<AccountId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < AGE_MAX
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        if let Some(known) = self.credit.known().get_mut(&self.account) {
            known.unconfirmed = known.unconfirmed.saturating_sub(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    fn account(number: u64) -> AccountId {
        AccountId {
            payer: Address::left_padding_from(&number.to_be_bytes()),
            asset: Address::ZERO,
        }
    }

    fn nano(amount: u64) -> NanoUsd {
        NanoUsd::new(amount).unwrap()
    }

    #[test]
    fn one_part_in_sixteen_may_be_unconfirmed_and_no_more() {
        let (credit, now) = (Credit::default(), Instant::now());
        assert!(credit.ample(account(1), nano(1), now).is_none());
        credit.heard(account(1), nano(160), now);
        let first = credit.ample(account(1), nano(7), now).unwrap();
        let second = credit.ample(account(1), nano(3), now).unwrap();
        assert!(credit.ample(account(1), nano(1), now).is_none());
        assert!(credit.ample(account(2), nano(1), now).is_none());
        drop(first);
        assert!(credit.ample(account(1), nano(8), now).is_none());
        let third = credit.ample(account(1), nano(7), now);
        assert!(third.is_some());
        drop((second, third));
        assert!(credit.ample(account(1), nano(11), now).is_none());
        assert!(credit.ample(account(1), NanoUsd::MAX, now).is_none());
    }

    #[test]
    fn what_is_old_or_was_refused_is_not_believed() {
        let (credit, now) = (Credit::default(), Instant::now());
        credit.heard(account(1), nano(1_000), now);
        assert!(credit.ample(account(1), nano(1), now + AGE_MAX).is_none());
        assert!(credit.ample(account(1), nano(1), now).is_some());
        credit.refused(account(1));
        assert!(credit.ample(account(1), nano(1), now).is_none());
    }

    #[test]
    fn no_more_accounts_are_remembered_than_may_and_old_ones_make_room() {
        let (credit, now) = (Credit::default(), Instant::now());
        for number in 0..ACCOUNTS_KNOWN_MAX as u64 + 5 {
            credit.heard(account(number), nano(1_000), now);
        }
        assert_eq!(credit.known().len(), ACCOUNTS_KNOWN_MAX);
        let beyond = account(ACCOUNTS_KNOWN_MAX as u64);
        assert!(credit.ample(beyond, nano(1), now).is_none());
        let kept = credit.ample(account(0), nano(1), now);
        let later = now + AGE_MAX;
        credit.heard(beyond, nano(1_000), later);
        assert!(credit.ample(beyond, nano(1), later).is_some());
        assert_eq!(credit.known().len(), 2);
        drop(kept);
    }
}
