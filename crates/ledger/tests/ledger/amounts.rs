//! Amounts, prices and splits at their edges.

use crate::scene::{party, price, units, usd};
use alloy_primitives::U256;
use gaia_ledger::amount::{AMOUNT_MAX, AmountError};
use gaia_ledger::price::{MODELS_MAX, ModelId, PRICE_MAX, PriceError, TokenCeiling};
use gaia_ledger::split::{BasisPoints, PARTS_MAX, SplitError, apportion};
use gaia_ledger::{ModelPrice, NanoUnits, NanoUsd, Price, PriceTable, Role, Split};
use gaia_statements::{Counted, TokenCounts};
use proptest::prelude::*;

#[test]
fn an_amount_ends_where_an_i64_does() {
    assert!(NanoUsd::new(AMOUNT_MAX).is_some());
    assert!(NanoUsd::new(AMOUNT_MAX + 1).is_none());
    assert_eq!(usd(AMOUNT_MAX).checked_add(usd(1)), None);
    assert_eq!(usd(1).checked_sub(usd(2)), None);
    assert!(serde_json::from_str::<NanoUnits>("9223372036854775808").is_err());
    assert_eq!(usd(1_500_000_000).to_string(), "1.500000000 USD");
}

fn check_base(base: u128, decimals: u8, nano: Option<u64>) {
    let found = NanoUnits::from_base(U256::from(base), decimals).ok();
    assert_eq!(found.map(NanoUnits::get), nano, "{base} at {decimals}");
}

#[test]
fn deposits_are_credited_exactly() {
    check_base(1, 6, Some(1_000));
    check_base(100_000_000, 6, Some(100_000_000_000));
    check_base(7, 9, Some(7));
    check_base(1, 0, Some(1_000_000_000));
    check_base(10_u128.pow(18), 18, Some(1_000_000_000));
    check_base(10_u128.pow(9) + 1, 18, None);
    check_base(9_223_372_036_854_775, 6, Some(9_223_372_036_854_775_000));
    check_base(9_223_372_036_854_776, 6, None);
    check_base(u128::MAX, 0, None);
    check_base(1, 28, None);
}

#[test]
fn payouts_are_floored_and_the_rest_stays() {
    assert_eq!(units(1_999).to_base(6), Ok((U256::from(1), units(1_000))));
    assert_eq!(units(999).to_base(6), Ok((U256::ZERO, units(0))));
    assert_eq!(
        units(5).to_base(18),
        Ok((U256::from(5_000_000_000_u64), units(5)))
    );
    assert_eq!(units(5).to_base(28), Err(AmountError::Decimals(28)));
}

#[test]
fn a_price_of_zero_is_none() {
    assert_eq!(Price::new(usd(0)), Err(AmountError::PriceZero));
}

fn model(input: u64, cached: u64, output: u64) -> ModelPrice {
    ModelPrice {
        model: ModelId::of("m"),
        input: usd(input),
        cached: usd(cached),
        output: usd(output),
    }
}

fn check_cost(price: ModelPrice, tokens: (u64, u64, u64), cost: Option<u64>) {
    let (input, cached, output) = tokens;
    let counted = Counted(TokenCounts {
        input,
        cached,
        output,
    });
    assert_eq!(
        price.cost(&counted).ok().map(NanoUsd::get),
        cost,
        "{tokens:?}"
    );
}

#[test]
fn a_request_is_rounded_up_once() {
    let price = model(200_000, 20_000, 800_000);
    check_cost(price, (0, 0, 0), Some(0));
    check_cost(price, (1, 0, 0), Some(1));
    // 0.2 + 0.02 + 0.8 = 1.02: three roundings would make 3 of it.
    check_cost(price, (1, 1, 1), Some(2));
    check_cost(price, (1_000_000, 0, 0), Some(200_000));
    check_cost(price, (1234, 567, 89), Some(330));
}

#[test]
fn a_cost_too_large_is_an_error_and_no_small_number() {
    check_cost(model(AMOUNT_MAX, 0, 0), (1_000_000, 0, 0), Some(AMOUNT_MAX));
    check_cost(model(AMOUNT_MAX, 0, 0), (1_000_001, 0, 0), None);
    let dearest = model(AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX);
    check_cost(dearest, (u64::MAX, u64::MAX, u64::MAX), None);
}

#[test]
fn a_price_table_is_what_the_contract_takes() {
    let row = |number: usize| ModelPrice {
        model: ModelId::of(&number.to_string()),
        ..model(1, 1, 1)
    };
    let rows = |count| (0..count).map(row).collect::<Vec<_>>();
    assert!(PriceTable::new(1, rows(MODELS_MAX)).is_ok());
    assert_eq!(PriceTable::new(1, rows(65)), Err(PriceError::Models(65)));
    assert_eq!(PriceTable::new(1, Vec::new()), Err(PriceError::Models(0)));
    let twice = PriceTable::new(1, vec![row(1), row(1)]);
    assert!(matches!(twice, Err(PriceError::Twice(_))));
    assert!(PriceTable::new(1, vec![model(PRICE_MAX, 0, 0)]).is_ok());
    let high = PriceTable::new(1, vec![model(0, 0, PRICE_MAX + 1)]);
    assert!(matches!(high, Err(PriceError::TooHigh(_))));
    let table = PriceTable::new(3, rows(2)).unwrap();
    let unknown = table.price(ModelId::of("none"));
    assert!(matches!(
        unknown,
        Err(PriceError::UnknownModel { version: 3, .. })
    ));
    let json = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<PriceTable>(&json).unwrap(), table);
}

#[test]
fn a_split_is_whole_or_none() {
    let part = |address: u8, part: u16| (party(Role::Domain, address), BasisPoints(part));
    let check = |parts: Vec<_>, error| assert_eq!(Split::new(parts), Err(error));
    check(vec![], SplitError::Parts(0));
    let many: Vec<_> = (1..=33).map(|address| part(address, 300)).collect();
    check(many, SplitError::Parts(PARTS_MAX + 1));
    check(vec![part(1, 9_999)], SplitError::NotWhole(9_999));
    check(
        vec![part(1, 9_999), part(2, 2)],
        SplitError::NotWhole(10_001),
    );
    check(
        vec![part(1, 10_000), part(2, 0)],
        SplitError::Nothing(party(Role::Domain, 2)),
    );
    check(
        vec![part(1, 5_000), part(1, 5_000)],
        SplitError::Twice(party(Role::Domain, 1)),
    );
    check(vec![part(0, 10_000)], SplitError::Nobody);
    assert!(serde_json::from_str::<Split>("[]").is_err());
    let most: Vec<_> = (1..=32)
        .map(|address| part(address, if address == 1 { 700 } else { 300 }))
        .collect();
    assert!(Split::new(most).is_ok());
}

#[test]
fn equal_remainders_go_by_the_order_of_the_list() {
    assert_eq!(apportion(1, &[1, 1, 1]), [1, 0, 0]);
    assert_eq!(apportion(2, &[1, 1, 1]), [1, 1, 0]);
    assert_eq!(apportion(10, &[6_666, 3_334]), [7, 3]);
    assert_eq!(apportion(5, &[0, 0]), [0, 0]);
    assert_eq!(apportion(5, &[]), [] as [u64; 0]);
    assert_eq!(
        apportion(u64::MAX, &[u64::MAX, u64::MAX]),
        [1 << 63, (1 << 63) - 1]
    );
}

proptest! {
    #[test]
    fn parts_add_up_and_none_is_off_by_more_than_one(
        total in 0..=AMOUNT_MAX,
        weights in prop::collection::vec(0_u64..=AMOUNT_MAX, 1..40),
    ) {
        let parts = apportion(total, &weights);
        let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        prop_assume!(whole > 0);
        prop_assert_eq!(parts.iter().sum::<u64>(), total);
        for (part, weight) in parts.iter().zip(&weights) {
            let floor = u128::from(total) * u128::from(*weight) / whole;
            prop_assert!(u128::from(*part) == floor || u128::from(*part) == floor + 1);
            prop_assert!(*weight > 0 || *part == 0);
        }
    }

    #[test]
    fn nothing_costs_more_than_what_was_reserved_for_it(
        prices in (0..=PRICE_MAX, 0..=PRICE_MAX, 0..=PRICE_MAX),
        prompt in 0_u64..1_000_000, output in 0_u64..1_000_000,
        read in 0.0..=1.0_f64, cached in 0.0..=1.0_f64, written in 0.0..=1.0_f64,
    ) {
        let price = model(prices.0, prices.1, prices.2);
        let part = |of: u64, ratio: f64| ((of as f64) * ratio) as u64;
        let used = part(prompt, read);
        let cached = part(used, cached);
        let counted = Counted(TokenCounts { input: used - cached, cached, output: part(output, written) });
        let cost = price.cost(&counted).unwrap();
        let ceiling = TokenCeiling { prompt, output };
        prop_assert!(cost <= price.cost_max(&ceiling).unwrap());
    }

    #[test]
    fn what_is_worth_enough_is_enough_and_a_unit_less_is_not(
        held in 0..=AMOUNT_MAX, per_unit in 1..=AMOUNT_MAX, ratio in 0.0..=1.0_f64,
    ) {
        let price = price(per_unit);
        let worth = price.worth(units(held));
        let cost = usd(((worth.get() as f64) * ratio) as u64).min(worth);
        let needed = price.units_for(cost).unwrap();
        prop_assert!(needed <= units(held));
        prop_assert!(price.worth(needed) >= cost);
        if let Some(less) = needed.checked_sub(units(1)) {
            prop_assert!(price.worth(less) < cost);
        }
    }
}

#[test]
fn a_model_id_is_the_hash_of_its_name() {
    let id = ModelId::of("smollm2-135m-instruct").0.to_string();
    assert_eq!(
        id,
        "0xb448e035e8598b8f5f2ee2830d005f50e35f6d9f8a6d5456eafb058148f3421e"
    );
}
