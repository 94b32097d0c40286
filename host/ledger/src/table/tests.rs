//! How many rows are kept, and that what is not kept is read again.

use super::*;
use crate::location::Location;
use crate::tables::Accounts;
use alloy_primitives::Address;
use gaia_ledger::rows::AccountRow;
use gaia_ledger::{AccountId, NanoUnits};

fn account(number: usize) -> AccountId {
    AccountId {
        payer: Address::left_padding_from(&number.to_be_bytes()),
        asset: Address::ZERO,
    }
}

#[test]
fn beyond_the_maximum_rows_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let place = Location::File(folder.path().join("ledger.db"));
    let mut connection = place.open().unwrap();
    let connection = connection.as_mut();
    let held = |number: usize| AccountRow {
        held: NanoUnits::new(1 + number as u64).unwrap(),
        ..AccountRow::default()
    };
    let mut rows = Rows::<Accounts>::default();
    connection.begin().unwrap();
    for number in 0..ROWS_KEPT_MAX {
        rows.set(account(number), held(number));
    }
    rows.flush(connection).unwrap();
    rows.bound();
    assert_eq!(rows.known.len(), ROWS_KEPT_MAX, "so many are kept");
    rows.set(account(ROWS_KEPT_MAX), held(ROWS_KEPT_MAX));
    rows.flush(connection).unwrap();
    rows.bound();
    assert!(rows.known.is_empty(), "more are not");
    for number in [0, ROWS_KEPT_MAX] {
        let row = rows.get(connection, account(number)).unwrap();
        assert_eq!(row, Some(held(number)));
    }
    connection.commit().unwrap();
}
