//! What holds whatever is asked, in whatever order.

use crate::scene::*;
use gaia_ledger::account::EpochNumber;
use gaia_ledger::{Book, Command, Currency, LedgerAccount, NanoUsd, Outcome};
use proptest::prelude::*;

const ASSETS: [alloy_primitives::Address; 2] = [STABLE, TOKEN];

/// What somebody tries: mostly possible, often not.
#[derive(Debug, Clone)]
enum Try {
    One(Command),
    /// Opens the next epoch of an asset at a price.
    Next(usize, u64),
    /// Closes all accounts of the epoch before, and the epoch.
    Close(usize),
    /// Repeats a command of the journal, or uses its key for another.
    Again(prop::sample::Index, bool),
    Wait(u64),
}

fn tries() -> impl Strategy<Value = Try> {
    let account = (1_u8..=2, prop::sample::select(&ASSETS[..]))
        .prop_map(|(payer, asset)| account(payer, asset));
    let request = 0_u64..12;
    let amount = prop_oneof![0_u64..2_000, 0..=u64::MAX >> 1];
    prop_oneof![
        2 => (account.clone(), 0_u64..5_000).prop_map(|(a, n)| Try::One(deposit(a, n))),
        6 => (request.clone(), account.clone(), 0_u64..2, amount, prop::option::of(0_u64..4_000))
            .prop_map(|(r, a, k, n, limit)| Try::One(reserve_with(r, a, id(k), n, limit))),
        5 => (request.clone(), 0_u64..2_000).prop_map(|(r, n)| Try::One(capture(r, n))),
        1 => request.clone().prop_map(|r| Try::One(Command::Release { reservation: id(r) })),
        1 => request.prop_map(|r| Try::One(Command::Expire { reservation: id(r) })),
        1 => (account.clone(), 0_u64..3_000).prop_map(|(account, n)| Try::One(Command::RequestRefund { account, units: units(n) })),
        1 => (account.clone(), 0_u64..1_500).prop_map(|(account, n)| Try::One(Command::PayRefund { account, units: units(n) })),
        1 => (account, 1_u64..6).prop_map(|(a, e)| Try::One(close_account(a, e))),
        1 => (prop::sample::select(vec![0xd0_u8, 0xd1, 0xd2]), prop::sample::select(&ASSETS[..]), 0_u64..2_000)
            .prop_map(|(who, asset, n)| Try::One(Command::Claim { party: party(gaia_ledger::Role::Domain, who).address, asset, units: units(n) })),
        2 => (0_usize..2, prop_oneof![1_u64..10, 500_000_000_u64..3_000_000_000]).prop_map(|(a, p)| Try::Next(a, p)),
        2 => (0_usize..2).prop_map(Try::Close),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(i, same)| Try::Again(i, same)),
        1 => (0_u64..700).prop_map(Try::Wait),
    ]
}

/// Epochs so far, by asset.
struct Run {
    desk: Desk,
    epochs: [u64; 2],
}

impl Run {
    fn start() -> Self {
        let mut desk = Desk::open(2 * ONE);
        for asset in ASSETS {
            desk.must(&deposit(account(1, asset), 3_000));
        }
        Self {
            desk,
            epochs: [1, 1],
        }
    }

    fn step(&mut self, step: &Try) {
        match step {
            Try::One(command) => drop(self.desk.ask(command)),
            Try::Next(place, price) => {
                let price = if *place == 0 { ONE } else { *price };
                let next = open(ASSETS[*place], self.epochs[*place] + 1, price);
                if self.desk.ask(&next).is_ok() {
                    self.epochs[*place] += 1;
                }
            }
            Try::Close(place) => {
                let (asset, epoch) = (ASSETS[*place], self.epochs[*place] - 1);
                for account in self.desk.book.owing(asset, EpochNumber(epoch)) {
                    drop(self.desk.ask(&close_account(account, epoch)));
                }
                drop(self.desk.ask(&close_epoch(asset, epoch)));
            }
            Try::Again(index, same) => self.again(index, *same),
            Try::Wait(seconds) => self.desk.now.0 += seconds,
        }
    }

    fn again(&mut self, index: &prop::sample::Index, same: bool) {
        let entry = index.get(self.desk.book.journal()).clone();
        let before = self.desk.book.clone();
        let book = &mut self.desk.book;
        if same {
            let outcome = book.execute(&entry.key, &entry.command, self.desk.now);
            assert_eq!(outcome, Ok(entry.outcome));
        } else {
            let other = deposit(account(9, STABLE), 4_242_424);
            assert!(book.execute(&entry.key, &other, self.desk.now).is_err());
        }
        assert!(*book == before, "a repetition changed the book");
    }
}

/// Everything captured is earned, collected or paid; everything deposited is somewhere.
fn check_sums(book: &Book) {
    let mut earned = i128::from(captured(book));
    for entry in book.journal() {
        if let (Command::CloseAccount { .. }, Outcome::AccountClosed { cost, short, .. }) =
            (&entry.command, entry.outcome)
        {
            earned -= i128::from(cost.get()) + i128::from(short.get());
        }
    }
    let open: i128 = book
        .balances()
        .filter(|(account, currency, _)| {
            matches!(currency, Currency::Usd(..))
                && matches!(account, LedgerAccount::Earned(_) | LedgerAccount::Pool(_))
        })
        .map(|(.., amount)| amount)
        .sum();
    assert_eq!(open, earned, "captured and earned differ");
    for asset in ASSETS {
        for payer in 1..=2 {
            let available = book.available(account(payer, asset)).unwrap();
            assert!(available <= NanoUsd::MAX);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_negative_lost_or_double_whatever_is_tried(steps in prop::collection::vec(tries(), 1..90)) {
        let mut run = Run::start();
        for step in &steps {
            run.step(step);
        }
        check_sums(&run.desk.book);
    }

    #[test]
    fn every_prefix_of_the_journal_gives_the_book_that_was(
        steps in prop::collection::vec(tries(), 1..60), cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(steps.len());
        let mut run = Run::start();
        for step in &steps[..cut] {
            run.step(step);
        }
        let then = run.desk.book.clone();
        for step in &steps[cut..] {
            run.step(step);
        }
        let journal = run.desk.book.journal().to_vec();
        let prefix = journal[..then.journal().len()].to_vec();
        prop_assert_eq!(Book::replay(prefix), Ok(then));
        prop_assert_eq!(Book::replay(journal), Ok(run.desk.book));
    }

    #[test]
    fn reserves_that_all_fit_may_come_in_any_order(
        amounts in prop::collection::vec(0_u64..100, 1..20), seed in any::<u64>(),
    ) {
        let mut order: Vec<usize> = (0..amounts.len()).collect();
        order.sort_by_key(|place| (*place as u64 + 1).wrapping_mul(seed | 1));
        let serve = |order: &[usize]| {
            let mut desk = Desk::open(ONE);
            desk.must(&deposit(account(1, STABLE), amounts.iter().sum::<u64>() + 1));
            for place in order {
                desk.must(&reserve(*place as u64, account(1, STABLE), amounts[*place]));
            }
            for place in order.iter().rev() {
                desk.must(&capture(*place as u64, amounts[*place] / 2));
            }
            let mut balances: Vec<_> = desk.book.balances().collect();
            balances.sort_unstable();
            (balances, desk.available(account(1, STABLE)))
        };
        let straight: Vec<usize> = (0..amounts.len()).collect();
        let (ours, theirs) = (serve(&order), serve(&straight));
        // What each party earned may differ by the rounding of nobody: each capture is split by itself.
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn operators_get_what_receipts_promise_as_long_as_it_is_there(
        costs in prop::collection::vec(0_u64..1_000_000, 1..30), per_unit in 1_000_u64..10_000_000_000, kept in 0_u64..=1_200,
    ) {
        let mut desk = Desk::open(per_unit);
        let payer = account(1, TOKEN);
        let total: u64 = costs.iter().sum();
        let needed = price(per_unit).units_for(usd(total)).unwrap().get();
        // Reservations need what they may cost; what is over a thousandth of it times `kept` is paid back.
        let deposited = needed * 2 + 10;
        desk.must(&deposit(payer, deposited));
        for (request, cost) in (0..).zip(&costs) {
            desk.must(&reserve(request, payer, *cost));
            desk.must(&capture(request, *cost));
        }
        let left = u128::from(needed) * u128::from(kept) / 1_000;
        let paid = deposited - u64::try_from(left).unwrap();
        desk.must(&Command::PayRefund { account: payer, units: units(paid) });
        desk.must(&open(TOKEN, 2, per_unit));
        desk.close(TOKEN, 1);
        let collected = deposited - paid - desk.book.account(payer).held.get();
        let shares: u64 = desk.book.shares().iter().map(|share| share.cumulative.get()).sum();
        prop_assert_eq!(shares, collected);
        let pool = desk.book.balance(LedgerAccount::Pool(EpochNumber(1)), Currency::Units(TOKEN));
        prop_assert_eq!(pool, 0);
        let operator = party(gaia_ledger::Role::NodeOperator, 0xd1).address;
        let promised = desk.book.node(NODE, operator, TOKEN).total.get();
        prop_assert!(desk.book.share(operator, TOKEN).cumulative.get() >= promised.min(collected));
    }

    #[test]
    fn shares_add_up_to_what_was_captured(
        costs in prop::collection::vec(0_u64..1_000_000, 1..30), per_unit in 1_000_000_u64..10_000_000_000,
    ) {
        let mut desk = Desk::open(per_unit);
        let payer = account(1, TOKEN);
        desk.must(&deposit(payer, u64::MAX >> 8));
        for (request, cost) in (0..).zip(&costs) {
            desk.must(&reserve(request, payer, *cost));
            desk.must(&capture(request, *cost));
        }
        desk.must(&open(TOKEN, 2, per_unit));
        desk.close(TOKEN, 1);
        let total: u64 = costs.iter().sum();
        let shares: u64 = desk.book.shares().iter().map(|share| share.cumulative.get()).sum();
        prop_assert_eq!(units(shares), price(per_unit).units_for(usd(total)).unwrap());
        let held = desk.book.account(payer).held.get();
        prop_assert_eq!(held + shares, u64::MAX >> 8);
    }
}
