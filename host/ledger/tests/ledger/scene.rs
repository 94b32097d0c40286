//! Payers, commands and orders for the scenarios.

use alloy_primitives::{Address, B256, U256};
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::command::Reserve;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{
    AccountId, Command, IdempotencyKey, NanoUnits, NanoUsd, Outcome, Party, Price, Role, Split,
};
use gaia_ledger_store::{ExecuteError, Ledger, Order};

pub const STABLE: Address = Address::repeat_byte(0xaa);
pub const NODE: Address = Address::repeat_byte(0xe1);
pub const OPERATOR: u8 = 0xd1;
pub const NOW: Timestamp = Timestamp(1_795_000_000);
pub const ONE: u64 = 1_000_000_000;

pub fn account(payer: u8) -> AccountId {
    AccountId {
        payer: Address::repeat_byte(payer),
        asset: STABLE,
    }
}

pub fn id(number: u64) -> B256 {
    B256::from(U256::from(number))
}

pub fn usd(nano: u64) -> NanoUsd {
    NanoUsd::new(nano).unwrap()
}

pub fn deposit(payer: u8, nano: u64) -> Command {
    Command::Deposit {
        account: account(payer),
        units: NanoUnits::new(nano).unwrap(),
    }
}

pub fn open_epoch(epoch: u64) -> Command {
    Command::OpenEpoch {
        asset: STABLE,
        epoch: EpochNumber(epoch),
        price: Price::new(usd(ONE)).unwrap(),
    }
}

pub fn reserve(request: u64, payer: u8, amount: u64) -> Command {
    Command::Reserve(Reserve {
        reservation: id(request),
        account: account(payer),
        key: id(u64::from(payer)),
        amount: usd(amount),
        key_limit: None,
        lifetime_seconds: 600,
    })
}

/// The domain a tenth, the node the rest.
pub fn split(node: u8) -> Split {
    let party = |role, address| Party {
        role,
        address: Address::repeat_byte(address),
    };
    Split::new(vec![
        (party(Role::Domain, 0xd0), BasisPoints(1_000)),
        (party(Role::NodeOperator, node), BasisPoints(9_000)),
    ])
    .unwrap()
}

pub fn capture(request: u64, cost: u64) -> Command {
    Command::Capture {
        reservation: id(request),
        node: NODE,
        cost: usd(cost),
        split: split(OPERATOR),
    }
}

pub fn key(text: impl Into<String>) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

pub fn order(text: impl Into<String>, command: Command) -> Order {
    Order {
        key: key(text),
        command,
        now: NOW,
        receipt: None,
    }
}

pub async fn ask(
    ledger: &Ledger,
    text: impl Into<String>,
    command: Command,
) -> Result<Outcome, ExecuteError> {
    ledger.execute(order(text, command)).await
}

pub async fn must(ledger: &Ledger, text: impl Into<String>, command: Command) -> Outcome {
    ask(ledger, text, command).await.unwrap()
}

/// SplitMix64.
pub struct Seed(pub u64);

impl Seed {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}
