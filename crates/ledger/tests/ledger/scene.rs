//! Payers, assets and parties for the other tests, and what must hold of every book.

use alloy_primitives::{Address, B256, U256};
use gaia_ledger::account::{EpochNumber, KeyId, Timestamp};
use gaia_ledger::command::Reserve;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{
    AccountId, Book, Command, Currency, IdempotencyKey, LedgerAccount, NanoUnits, NanoUsd, Outcome,
    Party, Price, Refusal, Role, Split,
};
use std::collections::BTreeMap;

pub const STABLE: Address = Address::repeat_byte(0xaa);
pub const TOKEN: Address = Address::repeat_byte(0xbb);
pub const NODE: Address = Address::repeat_byte(0xe1);
pub const NOW: Timestamp = Timestamp(1_795_000_000);
pub const ONE: u64 = 1_000_000_000;

pub fn usd(nano: u64) -> NanoUsd {
    NanoUsd::new(nano).unwrap()
}

pub fn units(nano: u64) -> NanoUnits {
    NanoUnits::new(nano).unwrap()
}

pub fn price(nano: u64) -> Price {
    Price::new(usd(nano)).unwrap()
}

pub fn account(payer: u8, asset: Address) -> AccountId {
    AccountId {
        payer: Address::repeat_byte(payer),
        asset,
    }
}

pub fn id(number: u64) -> B256 {
    B256::from(U256::from(number))
}

pub fn key(text: impl Into<String>) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

pub fn party(role: Role, address: u8) -> Party {
    Party {
        role,
        address: Address::repeat_byte(address),
    }
}

/// The domain 10 %, the node 70 %, stakers and an author the rest; the author runs the domain, too.
pub fn split() -> Split {
    Split::new(vec![
        (party(Role::Domain, 0xd0), BasisPoints(1_000)),
        (party(Role::NodeOperator, 0xd1), BasisPoints(7_000)),
        (party(Role::Stakers, 0xd2), BasisPoints(1_333)),
        (party(Role::ComponentAuthor, 0xd0), BasisPoints(667)),
    ])
    .unwrap()
}

pub fn reserve(request: u64, account: AccountId, amount: u64) -> Command {
    reserve_with(request, account, id(1), amount, None)
}

pub fn reserve_with(
    request: u64,
    account: AccountId,
    token: KeyId,
    amount: u64,
    limit: Option<u64>,
) -> Command {
    Command::Reserve(Reserve {
        reservation: id(request),
        account,
        key: token,
        amount: usd(amount),
        key_limit: limit.map(usd),
        lifetime_seconds: 600,
    })
}

pub fn capture(request: u64, cost: u64) -> Command {
    Command::Capture {
        reservation: id(request),
        node: NODE,
        cost: usd(cost),
        split: split(),
    }
}

pub fn deposit(account: AccountId, nano: u64) -> Command {
    Command::Deposit {
        account,
        units: units(nano),
    }
}

pub fn open(asset: Address, epoch: u64, per_unit: u64) -> Command {
    Command::OpenEpoch {
        asset,
        epoch: EpochNumber(epoch),
        price: price(per_unit),
    }
}

pub fn close_account(account: AccountId, epoch: u64) -> Command {
    Command::CloseAccount {
        account,
        epoch: EpochNumber(epoch),
    }
}

pub fn close_epoch(asset: Address, epoch: u64) -> Command {
    Command::CloseEpoch {
        asset,
        epoch: EpochNumber(epoch),
    }
}

/// A book that makes its own idempotency keys.
#[derive(Default)]
pub struct Desk {
    pub book: Book,
    pub now: Timestamp,
    count: u64,
}

impl Desk {
    /// With epoch 1 open for the stablecoin and, at `token_price`, for the token.
    pub fn open(token_price: u64) -> Self {
        let mut desk = Self {
            now: NOW,
            ..Self::default()
        };
        desk.must(&open(STABLE, 1, ONE));
        desk.must(&open(TOKEN, 1, token_price));
        desk
    }

    pub fn ask(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        self.count += 1;
        let before = self.book.clone();
        let result = self
            .book
            .execute(&key(format!("desk:{}", self.count)), command, self.now);
        match &result {
            Ok(_) => check(&self.book),
            Err(_) => assert!(self.book == before, "a refusal changed the book"),
        }
        result
    }

    pub fn must(&mut self, command: &Command) -> Outcome {
        self.ask(command)
            .unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    pub fn refused(&mut self, command: &Command) -> Refusal {
        match self.ask(command) {
            Err(refusal) => {
                assert!(refusal.to_string().contains(": "), "{refusal}");
                refusal
            }
            Ok(outcome) => panic!("{command:?} was carried out: {outcome:?}"),
        }
    }

    pub fn available(&self, account: AccountId) -> u64 {
        self.book.available(account).unwrap().get()
    }

    /// Closes what was opened before `epoch` of `asset`.
    pub fn close(&mut self, asset: Address, epoch: u64) {
        for account in self.book.owing(asset, EpochNumber(epoch)) {
            self.must(&close_account(account, epoch));
        }
        self.must(&close_epoch(asset, epoch));
    }
}

/// What holds of every book: nothing negative, nothing lost, rows and journal agree.
pub fn check(book: &Book) {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for (account, currency, amount) in book.balances() {
        *sums.entry(currency).or_default() += amount;
        let below_zero = match currency {
            Currency::Units(_) => account == LedgerAccount::World,
            Currency::Usd(..) => {
                matches!(account, LedgerAccount::Drawn(_) | LedgerAccount::Pool(_))
            }
        };
        assert!(below_zero == (amount < 0), "{account:?}: {amount}");
        check_row(book, account, currency, amount);
    }
    for (currency, sum) in sums {
        assert_eq!(sum, 0, "{currency:?}");
    }
    if let Some(entry) = book.journal().last() {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for posting in &entry.postings {
            assert_ne!(posting.amount, 0);
            *sums.entry(posting.currency).or_default() += i128::from(posting.amount);
        }
        assert!(sums.values().all(|sum| *sum == 0), "{entry:?}");
    }
}

fn check_row(book: &Book, posted: LedgerAccount, currency: Currency, amount: i128) {
    match (posted, currency) {
        (LedgerAccount::Held(payer), Currency::Units(asset)) => {
            let held = book.account(AccountId { payer, asset }).held;
            assert_eq!(i128::from(held.get()), amount);
        }
        (LedgerAccount::Share(account), Currency::Units(asset)) => {
            let row = book.share(account, asset);
            let left = row.cumulative.checked_sub(row.claimed).unwrap();
            assert_eq!(i128::from(left.get()), amount);
        }
        (LedgerAccount::Drawn(payer), Currency::Usd(asset, epoch)) => {
            let owed = book.owed(AccountId { payer, asset }, epoch);
            assert_eq!(-i128::from(owed.total().unwrap().get()), amount);
            let reserved = book.balance(LedgerAccount::Reserved(payer), currency);
            assert_eq!(i128::from(owed.reserved.get()), reserved);
        }
        _ => {}
    }
}

/// All that was ever captured, by the journal.
pub fn captured(book: &Book) -> u64 {
    let costs = book.journal().iter().map(|entry| match &entry.command {
        Command::Capture { cost, .. } => cost.get(),
        _ => 0,
    });
    costs.sum()
}
