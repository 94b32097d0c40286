//! Each table of rows: its SQL, and what its cells mean.

use crate::sql::{Columns, SqlError, Value};
use crate::table::Table;
use alloy_primitives::{Address, B256};
use gaia_ledger::account::{EpochNumber, KeyId, ReservationId, Timestamp};
use gaia_ledger::rows::{
    AccountRow, Epochs, OpenEpoch, Owed, PoolRow, ReservationRow, ReservationState, ShareRow,
    TokenRow,
};
use gaia_ledger::{AccountId, NanoUnits, NanoUsd, Party, Price, Role};

mod nodes;

pub(crate) use nodes::Nodes;

pub(crate) struct EpochsTable;
pub(crate) struct Accounts;
pub(crate) struct OwedTable;
pub(crate) struct Tokens;
pub(crate) struct Reservations;
pub(crate) struct Earned;
pub(crate) struct Pools;
pub(crate) struct Shares;

/// An account's debt of an epoch.
pub(crate) type OwedKey = (AccountId, EpochNumber);
/// An access token of an account.
pub(crate) type TokenKey = (AccountId, KeyId);
/// What a party earned in an asset's epoch.
pub(crate) type EarnedKey = (Address, EpochNumber, Party);
/// A pool: asset and epoch.
pub(crate) type PoolKey = (Address, EpochNumber);
/// A share: party and asset.
pub(crate) type ShareKey = (Address, Address);

impl Table for EpochsTable {
    type Key = Address;
    type Row = Epochs;
    const SELECT: &'static str =
        "SELECT open, open_price, closing, closing_price FROM epochs WHERE asset = $1";
    const UPSERT: &'static str =
        "INSERT INTO epochs VALUES ($1, $2, $3, $4, $5) ON CONFLICT (asset) DO UPDATE SET
        open = excluded.open, open_price = excluded.open_price,
        closing = excluded.closing, closing_price = excluded.closing_price";
    const DELETE: &'static str = "DELETE FROM epochs WHERE asset = $1";

    fn key(asset: &Address) -> Vec<Value> {
        vec![address(*asset)]
    }

    fn cells(row: &Epochs) -> Vec<Value> {
        let cells = |epoch: Option<OpenEpoch>| match epoch {
            Some(epoch) => [count(epoch.number.0), usd(epoch.price.per_unit())],
            None => [Value::Null, Value::Null],
        };
        [cells(row.current), cells(row.closing)].concat()
    }

    fn row(columns: &mut Columns) -> Result<Epochs, SqlError> {
        Ok(Epochs {
            current: open_epoch(columns)?,
            closing: open_epoch(columns)?,
        })
    }

    fn is_nothing(row: &Epochs) -> bool {
        *row == Epochs::default()
    }
}

impl Table for Accounts {
    type Key = AccountId;
    type Row = AccountRow;
    const SELECT: &'static str =
        "SELECT held, refunding, charged FROM accounts WHERE payer = $1 AND asset = $2";
    const UPSERT: &'static str =
        "INSERT INTO accounts VALUES ($1, $2, $3, $4, $5) ON CONFLICT (payer, asset) DO UPDATE SET
        held = excluded.held, refunding = excluded.refunding, charged = excluded.charged";
    const DELETE: &'static str = "DELETE FROM accounts WHERE payer = $1 AND asset = $2";

    fn key(account: &AccountId) -> Vec<Value> {
        account_cells(*account).to_vec()
    }

    fn cells(row: &AccountRow) -> Vec<Value> {
        vec![units(row.held), units(row.refunding), usd(row.charged)]
    }

    fn row(columns: &mut Columns) -> Result<AccountRow, SqlError> {
        Ok(AccountRow {
            held: read_units(columns)?,
            refunding: read_units(columns)?,
            charged: read_usd(columns)?,
        })
    }

    fn is_nothing(row: &AccountRow) -> bool {
        *row == AccountRow::default()
    }
}

impl Table for OwedTable {
    type Key = OwedKey;
    type Row = Owed;
    const SELECT: &'static str =
        "SELECT reserved, charged FROM owed WHERE payer = $1 AND asset = $2 AND epoch = $3";
    const UPSERT: &'static str = "INSERT INTO owed VALUES ($1, $2, $3, $4, $5) ON CONFLICT (asset, epoch, payer) DO UPDATE SET
        reserved = excluded.reserved, charged = excluded.charged";
    const DELETE: &'static str = "DELETE FROM owed WHERE payer = $1 AND asset = $2 AND epoch = $3";

    fn key((account, epoch): &OwedKey) -> Vec<Value> {
        let [payer, asset] = account_cells(*account);
        vec![payer, asset, count(epoch.0)]
    }

    fn cells(row: &Owed) -> Vec<Value> {
        vec![usd(row.reserved), usd(row.charged)]
    }

    fn row(columns: &mut Columns) -> Result<Owed, SqlError> {
        Ok(Owed {
            reserved: read_usd(columns)?,
            charged: read_usd(columns)?,
        })
    }

    fn is_nothing(row: &Owed) -> bool {
        *row == Owed::default()
    }
}

impl Table for Tokens {
    type Key = TokenKey;
    type Row = TokenRow;
    const SELECT: &'static str =
        "SELECT reserved, charged FROM tokens WHERE payer = $1 AND asset = $2 AND token = $3";
    const UPSERT: &'static str = "INSERT INTO tokens VALUES ($1, $2, $3, $4, $5) ON CONFLICT (payer, asset, token) DO UPDATE SET
        reserved = excluded.reserved, charged = excluded.charged";
    const DELETE: &'static str =
        "DELETE FROM tokens WHERE payer = $1 AND asset = $2 AND token = $3";

    fn key((account, token): &TokenKey) -> Vec<Value> {
        let [payer, asset] = account_cells(*account);
        vec![payer, asset, hash(*token)]
    }

    fn cells(row: &TokenRow) -> Vec<Value> {
        vec![usd(row.reserved), usd(row.charged)]
    }

    fn row(columns: &mut Columns) -> Result<TokenRow, SqlError> {
        Ok(TokenRow {
            reserved: read_usd(columns)?,
            charged: read_usd(columns)?,
        })
    }

    fn is_nothing(row: &TokenRow) -> bool {
        *row == TokenRow::default()
    }
}

impl Table for Reservations {
    type Key = ReservationId;
    type Row = ReservationRow;
    const SELECT: &'static str = "SELECT payer, asset, token, epoch, amount, expires_at, state FROM reservations WHERE id = $1";
    const UPSERT: &'static str = "INSERT INTO reservations VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET
        state = excluded.state";
    const DELETE: &'static str = "DELETE FROM reservations WHERE id = $1";

    fn key(id: &ReservationId) -> Vec<Value> {
        vec![hash(*id)]
    }

    fn cells(row: &ReservationRow) -> Vec<Value> {
        let [payer, asset] = account_cells(row.account);
        let state = Value::Integer(match row.state {
            ReservationState::Held => 0,
            ReservationState::Captured => 1,
            ReservationState::Released => 2,
            ReservationState::Expired => 3,
        });
        let (epoch, expires_at) = (count(row.epoch.0), count(row.expires_at.0));
        vec![
            payer,
            asset,
            hash(row.key),
            epoch,
            usd(row.amount),
            expires_at,
            state,
        ]
    }

    fn row(columns: &mut Columns) -> Result<ReservationRow, SqlError> {
        Ok(ReservationRow {
            account: read_account(columns)?,
            key: B256::from(columns.bytes()?),
            epoch: EpochNumber(columns.count()?),
            amount: read_usd(columns)?,
            expires_at: Timestamp(columns.count()?),
            state: columns.next(|cell| match cell {
                Value::Integer(0) => Some(ReservationState::Held),
                Value::Integer(1) => Some(ReservationState::Captured),
                Value::Integer(2) => Some(ReservationState::Released),
                Value::Integer(3) => Some(ReservationState::Expired),
                _ => None,
            })?,
        })
    }

    fn is_nothing(_: &ReservationRow) -> bool {
        false
    }
}

impl Table for Earned {
    type Key = EarnedKey;
    type Row = NanoUsd;
    const SELECT: &'static str =
        "SELECT amount FROM earned WHERE asset = $1 AND epoch = $2 AND role = $3 AND party = $4";
    const UPSERT: &'static str = "INSERT INTO earned VALUES ($1, $2, $3, $4, $5) ON CONFLICT (asset, epoch, role, party) DO UPDATE SET
        amount = excluded.amount";
    const DELETE: &'static str =
        "DELETE FROM earned WHERE asset = $1 AND epoch = $2 AND role = $3 AND party = $4";

    fn key((asset, epoch, party): &EarnedKey) -> Vec<Value> {
        let role = Value::Integer(match party.role {
            Role::Domain => 0,
            Role::NodeOperator => 1,
            Role::Stakers => 2,
            Role::ComponentAuthor => 3,
        });
        vec![
            address(*asset),
            count(epoch.0),
            role,
            address(party.address),
        ]
    }

    fn cells(amount: &NanoUsd) -> Vec<Value> {
        vec![usd(*amount)]
    }

    fn row(columns: &mut Columns) -> Result<NanoUsd, SqlError> {
        read_usd(columns)
    }

    fn is_nothing(amount: &NanoUsd) -> bool {
        amount.is_zero()
    }
}

impl Table for Pools {
    type Key = PoolKey;
    type Row = PoolRow;
    const SELECT: &'static str = "SELECT units, usd FROM pools WHERE asset = $1 AND epoch = $2";
    const UPSERT: &'static str =
        "INSERT INTO pools VALUES ($1, $2, $3, $4) ON CONFLICT (asset, epoch) DO UPDATE SET
        units = excluded.units, usd = excluded.usd";
    const DELETE: &'static str = "DELETE FROM pools WHERE asset = $1 AND epoch = $2";

    fn key((asset, epoch): &PoolKey) -> Vec<Value> {
        vec![address(*asset), count(epoch.0)]
    }

    fn cells(row: &PoolRow) -> Vec<Value> {
        vec![units(row.units), usd(row.usd)]
    }

    fn row(columns: &mut Columns) -> Result<PoolRow, SqlError> {
        Ok(PoolRow {
            units: read_units(columns)?,
            usd: read_usd(columns)?,
        })
    }

    fn is_nothing(row: &PoolRow) -> bool {
        *row == PoolRow::default()
    }
}

impl Table for Shares {
    type Key = ShareKey;
    type Row = ShareRow;
    const SELECT: &'static str =
        "SELECT cumulative, claimed FROM shares WHERE party = $1 AND asset = $2";
    const UPSERT: &'static str =
        "INSERT INTO shares VALUES ($1, $2, $3, $4) ON CONFLICT (party, asset) DO UPDATE SET
        cumulative = excluded.cumulative, claimed = excluded.claimed";
    const DELETE: &'static str = "DELETE FROM shares WHERE party = $1 AND asset = $2";

    fn key((party, asset): &ShareKey) -> Vec<Value> {
        vec![address(*party), address(*asset)]
    }

    fn cells(row: &ShareRow) -> Vec<Value> {
        vec![units(row.cumulative), units(row.claimed)]
    }

    fn row(columns: &mut Columns) -> Result<ShareRow, SqlError> {
        Ok(ShareRow {
            cumulative: read_units(columns)?,
            claimed: read_units(columns)?,
        })
    }

    fn is_nothing(row: &ShareRow) -> bool {
        *row == ShareRow::default()
    }
}

/// What parties have earned in an epoch, in the order of the parties.
pub(crate) const EARNED_OF_EPOCH: &str =
    "SELECT role, party, amount FROM earned WHERE asset = $1 AND epoch = $2 ORDER BY role, party";

/// A row of [`EARNED_OF_EPOCH`].
pub(crate) fn read_earned(mut columns: Columns) -> Result<(Party, NanoUsd), SqlError> {
    let role = read_role(&mut columns)?;
    let address = read_address(&mut columns)?;
    Ok((Party { role, address }, read_usd(&mut columns)?))
}

pub(crate) fn read_role(columns: &mut Columns) -> Result<Role, SqlError> {
    columns.next(|cell| match cell {
        Value::Integer(0) => Some(Role::Domain),
        Value::Integer(1) => Some(Role::NodeOperator),
        Value::Integer(2) => Some(Role::Stakers),
        Value::Integer(3) => Some(Role::ComponentAuthor),
        _ => None,
    })
}

pub(crate) fn address(address: Address) -> Value {
    Value::Bytes(address.to_vec())
}

pub(crate) fn hash(hash: B256) -> Value {
    Value::Bytes(hash.to_vec())
}

/// A number that is below 2^63: epochs, times, amounts.
pub(crate) fn count(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn usd(amount: NanoUsd) -> Value {
    Value::Integer(amount.signed())
}

fn units(amount: NanoUnits) -> Value {
    Value::Integer(amount.signed())
}

fn account_cells(account: AccountId) -> [Value; 2] {
    [address(account.payer), address(account.asset)]
}

pub(crate) fn read_address(columns: &mut Columns) -> Result<Address, SqlError> {
    Ok(Address::from(columns.bytes::<20>()?))
}

pub(crate) fn read_account(columns: &mut Columns) -> Result<AccountId, SqlError> {
    Ok(AccountId {
        payer: read_address(columns)?,
        asset: read_address(columns)?,
    })
}

pub(crate) fn read_usd(columns: &mut Columns) -> Result<NanoUsd, SqlError> {
    columns.next(|cell| match cell {
        Value::Integer(number) => u64::try_from(number).ok().and_then(NanoUsd::new),
        _ => None,
    })
}

pub(crate) fn read_units(columns: &mut Columns) -> Result<NanoUnits, SqlError> {
    columns.next(|cell| match cell {
        Value::Integer(number) => u64::try_from(number).ok().and_then(NanoUnits::new),
        _ => None,
    })
}

fn open_epoch(columns: &mut Columns) -> Result<Option<OpenEpoch>, SqlError> {
    let optional = |cell| match cell {
        Value::Null => Some(None),
        Value::Integer(number) => u64::try_from(number).ok().map(Some),
        _ => None,
    };
    let number = columns.next(optional)?;
    let price = columns.next(optional_price)?;
    let both = number.zip(price);
    Ok(both.map(|(number, price)| OpenEpoch {
        number: EpochNumber(number),
        price,
    }))
}

fn optional_price(cell: Value) -> Option<Option<Price>> {
    match cell {
        Value::Null => Some(None),
        Value::Integer(number) => {
            let price = NanoUsd::new(u64::try_from(number).ok()?)?;
            Price::new(price).ok().map(Some)
        }
        _ => None,
    }
}
