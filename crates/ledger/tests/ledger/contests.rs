//! What receipts promise nodes: counted exactly, and kept by every tree.

use crate::scene::*;
use alloy_primitives::{Address, B256};
use gaia_ledger::account::EpochNumber;
use gaia_ledger::contest::{ContestError, Demand, RECEIPTS_MAX, sum_of};
use gaia_ledger::price::ModelId;
use gaia_ledger::rows::NodeRow;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::tally::{EPOCHS_MAX, Tally, part_of};
use gaia_ledger::{Command, NanoUnits, Outcome, Price, Receipt, Role, Share, Split};
use gaia_statements::TokenCounts;
use proptest::prelude::*;
use std::collections::BTreeMap;

const OPERATORS: [u8; 2] = [0xa1, 0xa2];
const NODES: u8 = 3;

/// A request of a run: who served for whom, what it cost, and whether it was captured when the next epoch was open.
#[derive(Debug, Clone, Copy)]
struct Request {
    node: u8,
    operator: usize,
    cost: u64,
    is_late: bool,
}

fn requests() -> impl Strategy<Value = Vec<Vec<Request>>> {
    let request = (1..=NODES, 0..OPERATORS.len(), 0_u64..5_000, any::<bool>()).prop_map(
        |(node, operator, cost, is_late)| Request {
            node,
            operator,
            cost,
            is_late,
        },
    );
    prop::collection::vec(prop::collection::vec(request, 0..12), 1..5)
}

/// The operator 71.3 %, the domain the rest; the operator of the second list runs the domain, too.
fn split_for(operator: u8) -> Split {
    Split::new(vec![
        (party(Role::Domain, 0xa2), BasisPoints(2_870)),
        (party(Role::NodeOperator, operator), BasisPoints(7_130)),
    ])
    .unwrap()
}

fn receipt(request: &Request, epoch: EpochNumber, outcome: Outcome) -> Receipt {
    let Outcome::Captured {
        operator,
        node_cumulative,
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    Receipt {
        domain_id: B256::ZERO,
        request_id: B256::ZERO,
        key_id: B256::ZERO,
        payer: Address::ZERO,
        asset: TOKEN,
        node: Address::repeat_byte(request.node),
        operator,
        model: ModelId::of("m"),
        price_version: 1,
        tokens: TokenCounts {
            input: 0,
            cached: 0,
            output: 0,
        },
        cost: usd(request.cost),
        key_cumulative: usd(0),
        account_cumulative: usd(0),
        node_cumulative,
        epoch,
        time: NOW,
    }
}

/// A run over epochs at these prices, by the book.
struct Run {
    desk: Desk,
    receipts: Vec<Receipt>,
    tallies: BTreeMap<(Address, Address), Tally>,
    next: u64,
}

impl Run {
    fn capture(&mut self, id_: u64, request: &Request, epoch: u64, price: Price) {
        let operator = OPERATORS[request.operator];
        let outcome = self.desk.must(&Command::Capture {
            reservation: id(id_),
            node: Address::repeat_byte(request.node),
            cost: usd(request.cost),
            split: split_for(operator),
        });
        let receipt = receipt(request, EpochNumber(epoch), outcome);
        let tally = self
            .tallies
            .entry((receipt.node, receipt.operator))
            .or_default();
        let part = part_of(usd(request.cost), BasisPoints(7_130), price);
        tally.take(&receipt, part).unwrap();
        self.receipts.push(receipt);
    }

    /// Serves an epoch; those that are late are captured in the next, before anything else.
    fn epoch(&mut self, epoch: u64, price_: u64, requests: &[Request], next_price: u64) {
        let payer = account(1, TOKEN);
        let first = self.next;
        self.next += requests.len() as u64;
        for (id_, request) in (first..).zip(requests) {
            self.desk.must(&reserve(id_, payer, request.cost));
        }
        let in_time = |late: bool| {
            let all = (first..).zip(requests.to_vec());
            all.filter(move |(_, request)| request.is_late == late)
        };
        for (id_, request) in in_time(false) {
            self.capture(id_, &request, epoch, price(price_));
        }
        self.desk.must(&open(TOKEN, epoch + 1, next_price));
        // The next epoch earns before the late ones of this.
        let early = Request {
            node: 1,
            operator: 0,
            cost: 77,
            is_late: false,
        };
        self.desk.must(&reserve(self.next, payer, 77));
        self.capture(self.next, &early, epoch + 1, price(next_price));
        self.next += 1;
        for (id_, request) in in_time(true) {
            self.capture(id_, &request, epoch, price(price_));
        }
        self.desk.close(TOKEN, epoch);
    }

    /// The last receipts of an operator's nodes through an epoch demand no more than the tree gives.
    fn check(&self, epoch: u64) {
        let shares = self.desk.book.shares();
        for operator in OPERATORS.map(Address::repeat_byte) {
            let mut best: BTreeMap<Address, Receipt> = BTreeMap::new();
            let through = |receipt: &&Receipt| {
                receipt.operator == operator && receipt.epoch <= EpochNumber(epoch)
            };
            for receipt in self.receipts.iter().filter(through) {
                let known = best.entry(receipt.node).or_insert(*receipt);
                if receipt.node_cumulative > known.node_cumulative {
                    *known = *receipt;
                }
            }
            let receipts: Vec<Receipt> = best.into_values().collect();
            if receipts.is_empty() {
                continue;
            }
            let demand = Demand::of(&receipts, EpochNumber(epoch)).unwrap();
            demand.check(&shares).unwrap();
        }
    }
}

/// The promise of every capture, computed from the journal alone.
fn check_promises(run: &Run) {
    let mut prices: BTreeMap<EpochNumber, Price> = BTreeMap::new();
    let mut earned: BTreeMap<(Address, Address), Vec<(EpochNumber, u64)>> = BTreeMap::new();
    for entry in run.desk.book.journal() {
        match (&entry.command, entry.outcome) {
            (
                Command::OpenEpoch {
                    asset,
                    epoch,
                    price,
                },
                _,
            ) if *asset == TOKEN => {
                prices.insert(*epoch, *price);
            }
            (
                Command::Capture {
                    node, cost, split, ..
                },
                Outcome::Captured {
                    epoch,
                    operator,
                    node_cumulative,
                    ..
                },
            ) => {
                let part = split.of(*cost)[1].1;
                let list = earned.entry((*node, operator)).or_default();
                list.push((epoch, prices[&epoch].units_in(part).get()));
                let through = list.iter().filter(|(of, _)| *of <= epoch);
                let sum: u64 = through.map(|(_, units)| units).sum();
                assert_eq!(node_cumulative.get(), sum);
            }
            _ => {}
        }
    }
    for ((node, operator), list) in earned {
        let total: u64 = list.iter().map(|(_, units)| units).sum();
        assert_eq!(run.desk.book.node(node, operator, TOKEN).total.get(), total);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_gives_what_receipts_promise(epochs in requests(), prices in prop::collection::vec(3_u64..3_000_000_000, 6)) {
        let mut desk = Desk::default();
        desk.now = NOW;
        desk.must(&open(TOKEN, 1, prices[0]));
        desk.must(&deposit(account(1, TOKEN), u64::MAX >> 8));
        let mut run = Run { desk, receipts: Vec::new(), tallies: BTreeMap::new(), next: 0 };
        for (place, requests) in epochs.iter().enumerate() {
            let epoch = place as u64 + 1;
            run.epoch(epoch, prices[place], requests, prices[place + 1]);
            run.check(epoch);
        }
        check_promises(&run);
    }

    #[test]
    fn a_row_says_what_was_earned_through_either_of_two_epochs(steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u64..100), 1..40)) {
        let mut row = NodeRow::default();
        let mut current = 1;
        let mut all: Vec<(u64, u64)> = Vec::new();
        for (is_next, is_late, earned) in steps {
            current += u64::from(is_next);
            let epoch = current - u64::from(is_late && current > 1);
            all.push((epoch, earned));
            let (after, through) = row.earning(EpochNumber(epoch), units(earned)).unwrap();
            row = after;
            let sum: u64 = all.iter().filter(|(of, _)| *of <= epoch).map(|(_, earned)| earned).sum();
            prop_assert_eq!(through.get(), sum);
        }
    }
}

#[test]
fn what_is_more_than_an_amount_is_not_earned() {
    let row = NodeRow {
        epoch: EpochNumber(2),
        before: NanoUnits::ZERO,
        total: NanoUnits::MAX,
    };
    assert_eq!(row.earning(EpochNumber(2), units(1)), None);
    assert!(row.earning(EpochNumber(3), units(0)).is_some());
}

#[test]
fn a_domain_that_serves_by_itself_promises_nobody() {
    let mut desk = Desk::open(ONE);
    desk.must(&deposit(account(1, STABLE), 100));
    desk.must(&reserve(1, account(1, STABLE), 10));
    let alone = Split::new(vec![(party(Role::Domain, 0xd0), BasisPoints(10_000))]).unwrap();
    let outcome = desk.must(&Command::Capture {
        reservation: id(1),
        node: NODE,
        cost: usd(10),
        split: alone,
    });
    assert!(matches!(
        outcome,
        Outcome::Captured {
            operator: Address::ZERO,
            node_cumulative: NanoUnits::ZERO,
            ..
        }
    ));
    assert_eq!(desk.book.nodes().count(), 0);
}

fn promise(node: u8, epoch: u64, cumulative: u64) -> Receipt {
    let request = Request {
        node,
        operator: 0,
        cost: 1,
        is_late: false,
    };
    let outcome = Outcome::Captured {
        epoch: EpochNumber(epoch),
        released: usd(0),
        key_cumulative: usd(1),
        account_cumulative: usd(1),
        operator: Address::repeat_byte(OPERATORS[0]),
        node_cumulative: units(cumulative),
    };
    receipt(&request, EpochNumber(epoch), outcome)
}

#[test]
fn receipts_of_one_operator_add_up() {
    let share = |account: u8, asset, cumulative| Share {
        account: Address::repeat_byte(account),
        asset,
        cumulative: units(cumulative),
    };
    let demand = Demand::of(&[promise(1, 3, 5), promise(2, 4, 6)], EpochNumber(4)).unwrap();
    assert_eq!(demand.least, 11);
    let enough = [share(0xa1, TOKEN, 11), share(0xa2, TOKEN, 1)];
    assert_eq!(demand.check(&enough), Ok(()));
    assert_eq!(sum_of(&enough, TOKEN), 12);
    for wrong in [
        share(0xa1, TOKEN, 10),
        share(0xa1, STABLE, 11),
        share(0xa2, TOKEN, 11),
    ] {
        let error = demand.check(&[wrong]).unwrap_err();
        assert!(matches!(error, ContestError::TooLittle { .. }));
        assert!(error.to_string().contains("contest it"), "{error}");
    }
}

#[test]
fn receipts_that_the_contract_would_not_take_are_named() {
    let of = |receipts: &[Receipt]| Demand::of(receipts, EpochNumber(4)).unwrap_err();
    assert_eq!(of(&[]), ContestError::Count(0));
    let many: Vec<Receipt> = (0..=RECEIPTS_MAX)
        .map(|node| promise(node as u8, 4, 1))
        .collect();
    assert_eq!(of(&many), ContestError::Count(RECEIPTS_MAX + 1));
    assert!(Demand::of(&many[..RECEIPTS_MAX], EpochNumber(4)).is_ok());
    let first = promise(1, 4, 5);
    let second = promise(2, 4, 5);
    assert_eq!(of(&[promise(1, 5, 5)]), ContestError::Other(0));
    let others: [fn(&mut Receipt); 5] = [
        |r| r.domain_id = B256::repeat_byte(1),
        |r| r.operator = Address::ZERO,
        |r| r.asset = STABLE,
        |r| r.epoch = EpochNumber(5),
        |r| r.node = Address::repeat_byte(1),
    ];
    for change in others {
        let mut other = second;
        change(&mut other);
        assert_eq!(of(&[first, other]), ContestError::Other(1));
    }
}

#[test]
fn a_node_signs_in_any_order_and_for_nothing_less() {
    let (first, second) = (promise(1, 4, 50), promise(1, 4, 110));
    let mut tally = Tally::default();
    // They ran side by side: the second came first.
    tally.take(&second, units(60)).unwrap();
    tally.take(&first, units(50)).unwrap();
    assert_eq!(tally.earned(), 110);
    let before = tally.clone();
    let error = tally.take(&promise(1, 4, 119), units(10)).unwrap_err();
    assert_eq!((error.promised, error.earned), (units(119), 120));
    assert_eq!(tally, before, "what was refused is not counted");
    // Through an earlier epoch it is less.
    tally.take(&promise(1, 5, 130), units(20)).unwrap();
    tally.take(&promise(1, 4, 120), units(10)).unwrap();
    assert!(tally.clone().take(&promise(1, 5, 139), units(0)).is_err());
    let read: Tally = serde_json::from_str(&serde_json::to_string(&tally).unwrap()).unwrap();
    assert_eq!(read, tally);
}

#[test]
fn old_epochs_are_counted_as_one() {
    let mut tally = Tally::default();
    for epoch in 1..=3 * EPOCHS_MAX as u64 {
        tally
            .take(&promise(1, epoch, epoch * 10), units(10))
            .unwrap();
    }
    assert_eq!(tally.earned(), 30 * EPOCHS_MAX as u64);
    let json = serde_json::to_value(&tally).unwrap();
    assert_eq!(json["epochs"].as_object().unwrap().len(), EPOCHS_MAX);
}
