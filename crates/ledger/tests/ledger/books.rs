//! Each command, what it does, and each reason for which it is refused.

use crate::scene::*;
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::amount::AMOUNT_MAX;
use gaia_ledger::book::Charge;
use gaia_ledger::command::{IDEMPOTENCY_KEY_LEN_MAX, LIFETIME_SECONDS_MAX};
use gaia_ledger::rows::ReservationState;
use gaia_ledger::{Book, Command, Entry, IdempotencyKey, Outcome, Refusal, ReplayError, Role};

fn rich(asset: alloy_primitives::Address) -> Desk {
    let mut desk = Desk::open(ONE);
    desk.must(&deposit(account(1, asset), 1_000));
    desk
}

#[test]
fn reserve_capture_and_release_keep_count() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    let reserved = desk.must(&reserve(1, payer, 300));
    assert_eq!(
        reserved,
        Outcome::Reserved {
            epoch: EpochNumber(1),
            available: usd(700),
            expires_at: Timestamp(NOW.0 + 600)
        }
    );
    let captured = desk.must(&capture(1, 120));
    assert_eq!(
        captured,
        Outcome::Captured {
            epoch: EpochNumber(1),
            released: usd(180),
            key_cumulative: usd(120),
            account_cumulative: usd(120),
            operator: party(Role::NodeOperator, 0xd1).address,
            node_cumulative: units(84)
        }
    );
    assert_eq!(desk.available(payer), 880);
    desk.must(&reserve(2, payer, 880));
    assert_eq!(desk.available(payer), 0);
    desk.must(&Command::Release { reservation: id(2) });
    assert_eq!(desk.available(payer), 880);
    let state = desk.book.reservation(id(1)).unwrap().state;
    assert_eq!(state, ReservationState::Captured);
}

#[test]
fn nothing_is_reserved_that_is_not_there() {
    let mut desk = rich(STABLE);
    let refusal = desk.refused(&reserve(1, account(1, STABLE), 1_001));
    assert_eq!(
        refusal,
        Refusal::InsufficientFunds {
            available: usd(1_000),
            needed: usd(1_001)
        }
    );
    desk.must(&reserve(1, account(1, STABLE), 1_000));
    desk.refused(&reserve(2, account(1, STABLE), 1));
    desk.refused(&reserve(2, account(1, TOKEN), 1));
    desk.refused(&reserve(2, account(2, STABLE), 1));
    desk.must(&reserve(2, account(2, STABLE), 0));
}

#[test]
fn a_reservation_is_taken_once() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    desk.must(&reserve(1, payer, 10));
    assert_eq!(
        desk.refused(&reserve(1, payer, 10)),
        Refusal::ReservationTaken(id(1))
    );
    assert_eq!(
        desk.refused(&capture(1, 11)),
        Refusal::ExceedsReserved {
            reserved: usd(10),
            cost: usd(11)
        }
    );
    desk.must(&capture(1, 10));
    let over = |state| Refusal::ReservationOver { id: id(1), state };
    let release = Command::Release { reservation: id(1) };
    let captured = over(ReservationState::Captured);
    assert_eq!(desk.refused(&capture(1, 10)), captured);
    assert_eq!(desk.refused(&release), captured);
    assert_eq!(desk.refused(&capture(2, 1)), Refusal::NoReservation(id(2)));
}

#[test]
fn a_reservation_expires_when_its_time_is_over_and_not_before() {
    let mut desk = rich(STABLE);
    let expire = Command::Expire { reservation: id(1) };
    desk.must(&reserve(1, account(1, STABLE), 10));
    desk.now.0 += 599;
    assert_eq!(desk.book.overdue(desk.now).count(), 0);
    let expires_at = Timestamp(NOW.0 + 600);
    assert_eq!(desk.refused(&expire), Refusal::NotExpired { expires_at });
    desk.now.0 += 1;
    assert_eq!(desk.book.overdue(desk.now).collect::<Vec<_>>(), [id(1)]);
    desk.must(&expire);
    assert_eq!(desk.available(account(1, STABLE)), 1_000);
    assert!(matches!(
        desk.refused(&capture(1, 1)),
        Refusal::ReservationOver {
            state: ReservationState::Expired,
            ..
        }
    ));
}

#[test]
fn a_late_capture_counts_while_nobody_has_expired_it() {
    let mut desk = rich(STABLE);
    desk.must(&reserve(1, account(1, STABLE), 10));
    desk.now.0 += 10_000;
    desk.must(&capture(1, 10));
}

#[test]
fn a_reservation_stands_an_hour_at_most() {
    let mut desk = rich(STABLE);
    let Command::Reserve(mut ask) = reserve(1, account(1, STABLE), 10) else {
        unreachable!()
    };
    ask.lifetime_seconds = LIFETIME_SECONDS_MAX + 1;
    let refusal = desk.refused(&Command::Reserve(ask.clone()));
    assert_eq!(refusal, Refusal::LifetimeTooLong(3601));
    ask.lifetime_seconds = LIFETIME_SECONDS_MAX;
    desk.must(&Command::Reserve(ask));
}

#[test]
fn an_access_token_stops_at_its_limit_reserved_and_charged_together() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    let ask = |request, amount| reserve_with(request, payer, id(7), amount, Some(100));
    desk.must(&ask(1, 60));
    let refusal = desk.refused(&ask(2, 41));
    assert_eq!(
        refusal,
        Refusal::KeyLimit {
            left: usd(40),
            needed: usd(41)
        }
    );
    desk.must(&capture(1, 50));
    desk.must(&ask(2, 50));
    desk.refused(&ask(3, 1));
    // Another token of the same account has its own limit, and its own sum.
    desk.must(&reserve_with(4, payer, id(8), 100, Some(100)));
    let captured = desk.must(&capture(4, 100));
    assert!(matches!(
        captured,
        Outcome::Captured { key_cumulative, account_cumulative, .. }
            if key_cumulative == usd(100) && account_cumulative == usd(150)
    ));
}

#[test]
fn what_was_asked_back_pays_for_nothing_new() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    desk.must(&reserve(1, payer, 300));
    desk.must(&Command::RequestRefund {
        account: payer,
        units: units(900),
    });
    assert_eq!(desk.available(payer), 0);
    desk.refused(&reserve(2, payer, 1));
    desk.must(&capture(1, 100));
    assert_eq!(desk.available(payer), 0);
    desk.must(&Command::RequestRefund {
        account: payer,
        units: units(0),
    });
    assert_eq!(desk.available(payer), 900);
    let refusal = desk.refused(&Command::PayRefund {
        account: payer,
        units: units(1_001),
    });
    assert_eq!(
        refusal,
        Refusal::ExceedsHeld {
            held: units(1_000),
            paid: units(1_001)
        }
    );
    desk.must(&Command::PayRefund {
        account: payer,
        units: units(900),
    });
    assert_eq!(desk.available(payer), 0);
    desk.must(&open(STABLE, 2, ONE));
    desk.close(STABLE, 1);
    assert_eq!(desk.book.account(payer).held, units(0));
}

#[test]
fn what_the_chain_paid_back_too_early_is_short_by_name_and_nobody_goes_below_zero() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    desk.must(&reserve(1, payer, 300));
    desk.must(&capture(1, 300));
    desk.must(&Command::PayRefund {
        account: payer,
        units: units(800),
    });
    desk.must(&open(STABLE, 2, ONE));
    let closed = desk.must(&close_account(payer, 1));
    assert_eq!(
        closed,
        Outcome::AccountClosed {
            cost: usd(200),
            units: units(200),
            short: usd(100)
        }
    );
    desk.must(&close_epoch(STABLE, 1));
    let shares: u64 = desk.book.shares().iter().map(|s| s.cumulative.get()).sum();
    assert_eq!(shares, 200);
    // 210 of the 300 are the operator's, who gets all that is there.
    let operator = party(Role::NodeOperator, 0xd1).address;
    assert_eq!(desk.book.share(operator, STABLE).cumulative, units(200));
}

/// What 300 nano-dollars came to when refunds had left so much of it: the operator, stakers, and the domain, which is
/// the author, too.
fn shares_of_300(left: u64) -> [u64; 3] {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    desk.must(&reserve(1, payer, 300));
    desk.must(&capture(1, 300));
    if left < 1_000 {
        desk.must(&Command::PayRefund {
            account: payer,
            units: units(1_000 - left),
        });
    }
    desk.must(&open(STABLE, 2, ONE));
    desk.close(STABLE, 1);
    [0xd1, 0xd2, 0xd0].map(|address| {
        let address = party(Role::Domain, address).address;
        desk.book.share(address, STABLE).cumulative.get()
    })
}

#[test]
fn what_is_missing_is_the_domains_loss_first_and_the_operators_last() {
    assert_eq!(shares_of_300(1_000), [210, 40, 50]);
    assert_eq!(shares_of_300(300), [210, 40, 50]);
    assert_eq!(shares_of_300(290), [210, 40, 40]);
    assert_eq!(shares_of_300(270), [210, 40, 20]);
    assert_eq!(shares_of_300(240), [210, 20, 10]);
    assert_eq!(shares_of_300(210), [210, 0, 0]);
    assert_eq!(shares_of_300(100), [100, 0, 0]);
}

#[test]
fn nothing_is_booked_for_nothing() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    assert_eq!(desk.refused_silently(&deposit(payer, 0)), Refusal::Nothing);
    let refund = Command::PayRefund {
        account: payer,
        units: units(0),
    };
    assert_eq!(desk.refused_silently(&refund), Refusal::Nothing);
}

impl Desk {
    fn refused_silently(&mut self, command: &Command) -> Refusal {
        self.ask(command).unwrap_err()
    }
}

#[test]
fn there_is_no_service_without_a_price() {
    let mut desk = Desk::default();
    desk.must(&deposit(account(1, STABLE), 1_000));
    assert_eq!(desk.available(account(1, STABLE)), 0);
    let refusal = desk.refused(&reserve(1, account(1, STABLE), 0));
    assert_eq!(refusal, Refusal::NoEpoch(STABLE));
}

#[test]
fn the_largest_deposit_fits_and_one_more_does_not() {
    let mut desk = Desk::open(ONE);
    let payer = account(1, STABLE);
    desk.must(&deposit(payer, AMOUNT_MAX));
    assert!(matches!(
        desk.refused(&deposit(payer, 1)),
        Refusal::Amount(_)
    ));
    desk.must(&reserve(1, payer, AMOUNT_MAX));
    desk.must(&capture(1, AMOUNT_MAX));
    desk.must(&open(STABLE, 2, ONE));
    desk.close(STABLE, 1);
    let shares: u64 = desk.book.shares().iter().map(|s| s.cumulative.get()).sum();
    assert_eq!(shares, AMOUNT_MAX);
}

/// The litepaper's own example.
fn hundred_dollars_at(price_at_use: u64, buys: u64) {
    let mut desk = Desk::open(ONE);
    let payer = account(1, TOKEN);
    desk.must(&deposit(payer, 100 * ONE));
    assert_eq!(desk.available(payer), 100 * ONE);
    desk.must(&open(TOKEN, 2, price_at_use));
    assert_eq!(desk.available(payer), buys);
    desk.refused(&reserve(1, payer, buys + 1));
    desk.must(&reserve(1, payer, buys));
    desk.must(&capture(1, buys));
    desk.must(&close_epoch(TOKEN, 1));
    desk.must(&open(TOKEN, 3, 7 * ONE));
    let closed = desk.must(&close_account(payer, 2));
    assert_eq!(
        closed,
        Outcome::AccountClosed {
            cost: usd(buys),
            units: units(100 * ONE),
            short: usd(0)
        }
    );
}

#[test]
fn a_hundred_dollars_in_tokens_worth_110_buy_110_and_worth_90_buy_90() {
    hundred_dollars_at(1_100_000_000, 110 * ONE);
    hundred_dollars_at(900_000_000, 90 * ONE);
}

#[test]
fn what_was_reserved_before_the_price_fell_is_paid_at_the_price_before() {
    let mut desk = Desk::open(10 * ONE);
    let payer = account(1, TOKEN);
    desk.must(&deposit(payer, 100));
    desk.must(&reserve(1, payer, 900));
    desk.must(&open(TOKEN, 2, ONE));
    // 900 nano-USD at 10 USD take 90 of the 100; ten are left, worth ten.
    assert_eq!(desk.available(payer), 10);
    desk.must(&reserve(2, payer, 10));
    desk.must(&capture(1, 895));
    assert_eq!(desk.available(payer), 0);
    desk.close(TOKEN, 1);
    assert_eq!(desk.book.account(payer).held, units(10));
    desk.must(&capture(2, 10));
    desk.must(&open(TOKEN, 3, ONE));
    desk.close(TOKEN, 2);
    assert_eq!(desk.book.account(payer).held, units(0));
}

#[test]
fn an_epoch_closes_in_order_and_once() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    let one = EpochNumber(1);
    let early = desk.refused(&close_account(payer, 1));
    assert_eq!(early, Refusal::NotClosing(one));
    desk.must(&reserve(1, payer, 10));
    desk.must(&reserve(2, payer, 10));
    desk.must(&open(STABLE, 2, ONE));
    assert!(matches!(
        desk.refused(&open(STABLE, 3, ONE)),
        Refusal::EpochClosing(closing) if closing == one
    ));
    assert_eq!(
        desk.refused(&close_account(payer, 1)),
        Refusal::StillReserved(usd(20))
    );
    desk.must(&capture(1, 10));
    assert_eq!(
        desk.refused(&close_epoch(STABLE, 1)),
        Refusal::ReservationsOpen(1)
    );
    desk.must(&capture(2, 3));
    assert_eq!(
        desk.refused(&close_epoch(STABLE, 1)),
        Refusal::AccountsOpen {
            earned: usd(13),
            collected: usd(0)
        }
    );
    desk.must(&close_account(payer, 1));
    assert_eq!(
        desk.refused(&close_account(payer, 1)),
        Refusal::NothingOwed(one)
    );
    desk.must(&close_epoch(STABLE, 1));
    assert_eq!(
        desk.refused(&close_epoch(STABLE, 1)),
        Refusal::NotClosing(one)
    );
    assert!(matches!(
        desk.refused(&open(STABLE, 2, ONE)),
        Refusal::EpochNotNext { .. }
    ));
    let charge = Charge {
        account: payer,
        cost: usd(13),
    };
    assert_eq!(desk.book.charges(STABLE, one), [charge]);
}

#[test]
fn shares_are_cumulative_over_epochs_and_roles() {
    let mut desk = rich(STABLE);
    let payer = account(1, STABLE);
    for (epoch, cost) in [(1, 100), (2, 101), (3, 7)] {
        desk.must(&reserve(epoch, payer, cost));
        desk.must(&capture(epoch, cost));
        desk.must(&open(STABLE, epoch + 1, ONE));
        desk.close(STABLE, epoch);
    }
    let shares = desk.book.shares();
    let of = |address: u8| {
        let wanted = party(Role::Domain, address).address;
        let share = shares.iter().find(|share| share.account == wanted);
        share.unwrap().cumulative.get()
    };
    // 10 + 10.1 + 0.7 as the domain and 6.67 + 6.74 + 0.47 as the author, in whole nanos each time.
    assert_eq!((of(0xd0), of(0xd1), of(0xd2)), (35, 146, 27));
    assert_eq!(shares.len(), 3);
    assert_eq!(of(0xd0) + of(0xd1) + of(0xd2), 208);
}

#[test]
fn a_claim_is_never_more_than_what_was_earned() {
    let mut desk = rich(STABLE);
    desk.must(&reserve(1, account(1, STABLE), 100));
    desk.must(&capture(1, 100));
    desk.must(&open(STABLE, 2, ONE));
    desk.close(STABLE, 1);
    let claim = |nano| Command::Claim {
        party: party(Role::NodeOperator, 0xd1).address,
        asset: STABLE,
        units: units(nano),
    };
    desk.must(&claim(50));
    let refusal = desk.refused(&claim(21));
    assert_eq!(
        refusal,
        Refusal::ExceedsShare {
            left: units(20),
            claimed: units(21)
        }
    );
    assert_eq!(desk.must(&claim(20)), Outcome::Claimed { left: units(0) });
    desk.refused(&claim(1));
}

#[test]
fn an_idempotency_key_answers_once_and_for_all() {
    let mut book = Book::default();
    let name = key("deposit:31337:0xab:3");
    let first = deposit(account(1, STABLE), 10);
    let outcome = book.execute(&name, &first, NOW).unwrap();
    let later = Timestamp(NOW.0 + 1_000);
    assert_eq!(book.execute(&name, &first, later), Ok(outcome));
    assert_eq!(book.journal().len(), 1);
    let another = book.execute(&name, &deposit(account(1, STABLE), 11), later);
    assert_eq!(another, Err(Refusal::KeyReused(name)));
    assert_eq!(book.journal().len(), 1);
    let fingerprints = [&first, &deposit(account(1, STABLE), 11)].map(Command::fingerprint);
    assert_ne!(fingerprints[0], fingerprints[1]);
}

#[test]
fn a_refused_command_leaves_its_key_free() {
    let mut book = Book::default();
    let ask = reserve(1, account(1, STABLE), 10);
    assert!(book.execute(&key("reserve:1"), &ask, NOW).is_err());
    book.execute(&key("open"), &open(STABLE, 1, ONE), NOW)
        .unwrap();
    let deposit = deposit(account(1, STABLE), 10);
    book.execute(&key("deposit"), &deposit, NOW).unwrap();
    assert!(book.execute(&key("reserve:1"), &ask, NOW).is_ok());
}

#[test]
fn an_idempotency_key_is_short_and_visible() {
    assert!(IdempotencyKey::new("a".repeat(IDEMPOTENCY_KEY_LEN_MAX)).is_ok());
    for wrong in ["", "a b", "é", "a\n", &"a".repeat(129)] {
        assert!(IdempotencyKey::new(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_journal_that_was_altered_is_not_replayed() {
    let mut desk = rich(STABLE);
    desk.must(&reserve(1, account(1, STABLE), 10));
    desk.must(&capture(1, 10));
    let journal = desk.book.journal().to_vec();
    assert_eq!(Book::replay(journal.clone()), Ok(desk.book));
    let json = serde_json::to_string(&journal).unwrap();
    let read: Vec<Entry> = serde_json::from_str(&json).unwrap();
    assert_eq!(read, journal);

    let mut more = journal.clone();
    more[2].command = deposit(account(1, STABLE), 2_000);
    assert_eq!(Book::replay(more), Err(ReplayError::Altered(2)));
    let mut gap = journal.clone();
    gap.remove(3);
    assert!(matches!(
        Book::replay(gap),
        Err(ReplayError::Gap {
            expected: 3,
            found: 4
        })
    ));
    let mut without = journal.clone();
    without.remove(2);
    for (number, entry) in (0..).zip(&mut without) {
        entry.number = number;
    }
    assert!(matches!(
        Book::replay(without),
        Err(ReplayError::Refused { number: 2, .. })
    ));
    let mut twice = journal;
    twice[4].key = twice[3].key.clone();
    assert_eq!(Book::replay(twice), Err(ReplayError::Altered(4)));
}
