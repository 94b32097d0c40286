//! The ledger in memory: the journal, and its rows as indexes.
//!
//! What a shell over SQL does must be what this does, command by command. It keeps everything, so it
//! is for tests, simulations and short-lived domains.

use crate::account::{
    AccountId, Currency, EpochNumber, KeyId, LedgerAccount, Party, ReservationId, Timestamp,
};
use crate::amount::{NanoUnits, NanoUsd};
use crate::command::{Command, IdempotencyKey};
use crate::decide::{Decision, Refusal, decide};
use crate::entry::{Answer, Entry, Outcome};
use crate::merkle::Share;
use crate::rows::{
    AccountRow, Epochs, NodeKey, NodeRow, Owed, PoolRow, ReservationRow, ReservationState, Row,
    ShareRow, TokenRow, Touched, View,
};
use alloy_primitives::Address;
use std::collections::BTreeMap;

/// Journal and rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    journal: Vec<Entry>,
    keys: BTreeMap<IdempotencyKey, usize>,
    epochs: BTreeMap<Address, Epochs>,
    accounts: BTreeMap<AccountId, AccountRow>,
    owed: BTreeMap<(AccountId, EpochNumber), Owed>,
    tokens: BTreeMap<(AccountId, KeyId), TokenRow>,
    reservations: BTreeMap<ReservationId, ReservationRow>,
    nodes: BTreeMap<NodeKey, NodeRow>,
    pools: BTreeMap<(Address, EpochNumber), PoolRow>,
    shares: BTreeMap<(Address, Address), ShareRow>,
    balances: BTreeMap<(LedgerAccount, Currency), i128>,
}

/// A charge for the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Whose account.
    pub account: AccountId,
    /// How much.
    pub cost: NanoUsd,
}

/// A journal is not what this ledger wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// An entry is missing, or stands in another place.
    #[error("entry {found} stands where entry {expected} must: restore the journal from its copy")]
    Gap {
        /// The number that comes next.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// A command that would not have been carried out.
    #[error("entry {number} cannot have been written: restore the journal from its copy")]
    Refused {
        /// Which entry.
        number: u64,
        /// Why it would have been refused.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The entry says something else than its command does.
    #[error("entry {0} was altered: restore the journal from its copy")]
    Altered(u64),
}

impl Book {
    /// Carries `command` out, once for each `key`: a retry gets what the first try got.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub fn execute(
        &mut self,
        key: &IdempotencyKey,
        command: &Command,
        now: Timestamp,
    ) -> Result<Outcome, Refusal> {
        if let Some(before) = self.keys.get(key) {
            return match self.journal[*before].answers(command) {
                Answer::Before(outcome) => Ok(*outcome),
                Answer::Another => Err(Refusal::KeyReused(key.clone())),
            };
        }
        let (entry, rows) = self.prepare(key, command, now)?;
        let outcome = entry.outcome;
        self.apply(entry, rows);
        Ok(outcome)
    }

    /// The entry that `command` would be, with the rows after it. Changes nothing.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn prepare(
        &self,
        key: &IdempotencyKey,
        command: &Command,
        now: Timestamp,
    ) -> Result<(Entry, Vec<Row>), Refusal> {
        let Decision {
            postings,
            rows,
            outcome,
        } = decide(&self.view(command), command, now)?;
        let entry = Entry {
            number: self.journal.len() as u64,
            key: key.clone(),
            time: now,
            command: command.clone(),
            postings,
            outcome,
        };
        Ok((entry, rows))
    }

    fn apply(&mut self, entry: Entry, rows: Vec<Row>) {
        for posting in &entry.postings {
            let place = (posting.account, posting.currency);
            let balance = self.balances.entry(place).or_default();
            *balance += i128::from(posting.amount);
            if *balance == 0 {
                self.balances.remove(&place);
            }
        }
        for row in rows {
            self.write(row);
        }
        self.keys.insert(entry.key.clone(), self.journal.len());
        self.journal.push(entry);
    }

    fn write(&mut self, row: Row) {
        match row {
            Row::Epochs(asset, row) => {
                self.epochs.insert(asset, row);
            }
            Row::Account(account, row) => {
                self.accounts.insert(account, row);
            }
            Row::Owed(account, epoch, row) => put(&mut self.owed, (account, epoch), row),
            Row::Token(account, key, row) => {
                self.tokens.insert((account, key), row);
            }
            Row::Reservation(id, row) => {
                self.reservations.insert(id, row);
            }
            Row::Node(key, row) => put(&mut self.nodes, key, row),
            Row::Pool(asset, epoch, row) => put(&mut self.pools, (asset, epoch), row),
            Row::Share(party, asset, row) => {
                self.shares.insert((party, asset), row);
            }
        }
    }

    /// The book that `journal` leads to, checked entry by entry.
    ///
    /// # Errors
    /// When the journal is not what this ledger wrote.
    pub fn replay(journal: impl IntoIterator<Item = Entry>) -> Result<Self, ReplayError> {
        let mut book = Self::default();
        for entry in journal {
            let expected = book.journal.len() as u64;
            if entry.number != expected {
                return Err(ReplayError::Gap {
                    expected,
                    found: entry.number,
                });
            }
            if book.keys.contains_key(&entry.key) {
                return Err(ReplayError::Altered(entry.number));
            }
            let again = book.prepare(&entry.key, &entry.command, entry.time);
            let (again, rows) = again.map_err(|refusal| ReplayError::Refused {
                number: entry.number,
                refusal: Box::new(refusal),
            })?;
            if again != entry {
                return Err(ReplayError::Altered(entry.number));
            }
            book.apply(entry, rows);
        }
        Ok(book)
    }

    /// The rows that `command` touches, as they are.
    #[must_use]
    pub fn view(&self, command: &Command) -> View {
        let touched = command.touches();
        match touched {
            Touched::Asset(asset) => self.view_of_asset(asset),
            Touched::Account(account) => self.view_of_account(account),
            Touched::Reserve(account, key, id) => self.view_of_request(account, key, id),
            Touched::Reservation(id) => match self.reservations.get(&id) {
                Some(row) => self.view_of_request(row.account, row.key, id),
                None => View::default(),
            },
            Touched::Capture {
                reservation,
                node,
                operator,
            } => self.view_of_capture(reservation, node, operator),
            Touched::CloseAccount(account, epoch) => View {
                pool: got(&self.pools, &(account.asset, epoch)),
                ..self.view_of_account(account)
            },
            Touched::Epoch(asset, epoch) => self.view_of_epoch(asset, epoch),
            Touched::Share(party, asset) => View {
                shares: vec![(party, got(&self.shares, &(party, asset)))],
                ..View::default()
            },
        }
    }

    fn view_of_asset(&self, asset: Address) -> View {
        View {
            epochs: got(&self.epochs, &asset),
            ..View::default()
        }
    }

    fn view_of_account(&self, account: AccountId) -> View {
        let view = self.view_of_asset(account.asset);
        let owed = |epoch: Option<crate::rows::OpenEpoch>| match epoch {
            Some(epoch) => got(&self.owed, &(account, epoch.number)),
            None => Owed::default(),
        };
        View {
            account: got(&self.accounts, &account),
            current: owed(view.epochs.current),
            closing: owed(view.epochs.closing),
            ..view
        }
    }

    fn view_of_request(&self, account: AccountId, key: KeyId, id: ReservationId) -> View {
        View {
            token: got(&self.tokens, &(account, key)),
            reservation: self.reservations.get(&id).copied(),
            ..self.view_of_account(account)
        }
    }

    fn view_of_capture(&self, id: ReservationId, node: Address, operator: Option<Address>) -> View {
        let Some(row) = self.reservations.get(&id) else {
            return View::default();
        };
        let asset = row.account.asset;
        let earned = operator.map(|operator| self.node(node, operator, asset));
        View {
            node: earned.unwrap_or_default(),
            ..self.view_of_request(row.account, row.key, id)
        }
    }

    fn view_of_epoch(&self, asset: Address, epoch: EpochNumber) -> View {
        let earned = self.earned(asset, epoch);
        let mut addresses: Vec<Address> = earned.iter().map(|(party, _)| party.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let stands = |row: &&ReservationRow| {
            row.account.asset == asset && row.epoch == epoch && row.state == ReservationState::Held
        };
        View {
            pool: got(&self.pools, &(asset, epoch)),
            reserved_open: self.reservations.values().filter(stands).count() as u64,
            shares: addresses
                .into_iter()
                .map(|address| (address, got(&self.shares, &(address, asset))))
                .collect(),
            earned,
            ..self.view_of_asset(asset)
        }
    }

    /// What parties have earned in an open epoch.
    #[must_use]
    pub fn earned(&self, asset: Address, epoch: EpochNumber) -> Vec<(Party, NanoUsd)> {
        let currency = Currency::Usd(asset, epoch);
        let balances = self.balances.iter();
        balances
            .filter(|((_, found), _)| *found == currency)
            .filter_map(|((account, _), amount)| match account {
                LedgerAccount::Earned(party) => Some((*party, *amount)),
                _ => None,
            })
            .filter_map(|(party, amount)| {
                let amount = NanoUsd::try_from(u128::try_from(amount).ok()?).ok()?;
                Some((party, amount))
            })
            .collect()
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// What an entry posted to sums up to.
    #[must_use]
    pub fn balance(&self, account: LedgerAccount, currency: Currency) -> i128 {
        got(&self.balances, &(account, currency))
    }

    /// All balances but those of zero.
    pub fn balances(&self) -> impl Iterator<Item = (LedgerAccount, Currency, i128)> + '_ {
        let balances = self.balances.iter();
        balances.map(|((account, currency), amount)| (*account, *currency, *amount))
    }

    /// An account's row.
    #[must_use]
    pub fn account(&self, account: AccountId) -> AccountRow {
        got(&self.accounts, &account)
    }

    /// What an account can still spend.
    ///
    /// # Errors
    /// As [`View::available`].
    pub fn available(&self, account: AccountId) -> Result<NanoUsd, Refusal> {
        Ok(self.view_of_account(account).available()?)
    }

    /// An access token's row.
    #[must_use]
    pub fn token(&self, account: AccountId, key: KeyId) -> TokenRow {
        got(&self.tokens, &(account, key))
    }

    /// What a node has earned for an operator in an asset.
    #[must_use]
    pub fn node(&self, node: Address, operator: Address, asset: Address) -> NodeRow {
        let key = NodeKey {
            node,
            operator,
            asset,
        };
        got(&self.nodes, &key)
    }

    /// The nodes that have earned something.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeKey, NodeRow)> + '_ {
        self.nodes.iter().map(|(key, row)| (*key, *row))
    }

    /// A reservation.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<&ReservationRow> {
        self.reservations.get(&id)
    }

    /// What an account owes of an epoch that is not closed.
    #[must_use]
    pub fn owed(&self, account: AccountId, epoch: EpochNumber) -> Owed {
        got(&self.owed, &(account, epoch))
    }

    /// What an address has earned in an asset.
    #[must_use]
    pub fn share(&self, account: Address, asset: Address) -> ShareRow {
        got(&self.shares, &(account, asset))
    }

    /// Reservations whose time is over, for somebody to expire.
    pub fn overdue(&self, now: Timestamp) -> impl Iterator<Item = ReservationId> + '_ {
        let rows = self.reservations.iter();
        rows.filter(move |(_, row)| row.state == ReservationState::Held && row.expires_at <= now)
            .map(|(id, _)| *id)
    }

    /// Accounts that owe something of an epoch: those to close.
    #[must_use]
    pub fn owing(&self, asset: Address, epoch: EpochNumber) -> Vec<AccountId> {
        let owed = self.owed.keys();
        owed.filter(|(account, of)| account.asset == asset && *of == epoch)
            .map(|(account, _)| *account)
            .collect()
    }

    /// Charges of an epoch, for the chain, in the order of the journal.
    #[must_use]
    pub fn charges(&self, asset: Address, epoch: EpochNumber) -> Vec<Charge> {
        let charge = |entry: &Entry| match (&entry.command, entry.outcome) {
            (Command::CloseAccount { account, epoch: of }, Outcome::AccountClosed { cost, .. })
                if account.asset == asset && *of == epoch && !cost.is_zero() =>
            {
                Some(Charge {
                    account: *account,
                    cost,
                })
            }
            _ => None,
        };
        self.journal.iter().filter_map(charge).collect()
    }

    /// What everybody has earned ever: the leaves of the tree.
    #[must_use]
    pub fn shares(&self) -> Vec<Share> {
        let rows = self.shares.iter();
        rows.filter(|(_, row)| row.cumulative != NanoUnits::ZERO)
            .map(|((account, asset), row)| Share {
                account: *account,
                asset: *asset,
                cumulative: row.cumulative,
            })
            .collect()
    }
}

fn got<K: Ord, V: Default + Copy>(rows: &BTreeMap<K, V>, key: &K) -> V {
    rows.get(key).copied().unwrap_or_default()
}

/// A row of zeros is one that is not there.
fn put<K: Ord, V: Default + PartialEq>(rows: &mut BTreeMap<K, V>, key: K, row: V) {
    if row == V::default() {
        rows.remove(&key);
    } else {
        rows.insert(key, row);
    }
}
