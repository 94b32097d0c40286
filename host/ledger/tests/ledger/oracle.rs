//! The database against the book in memory, command by command.

use crate::places::Place;
use crate::scene::*;
use alloy_primitives::Address;
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::{Book, Command, NanoUnits, Refusal};
use gaia_ledger_store::{ExecuteError, Order};
use std::pin::Pin;

const STEPS: u64 = 1500;

pub fn decides_as_the_book_does(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let mut ledger = place.open();
        let mut book = Book::default();
        let mut seed = Seed(0x9a1a);
        let (mut carried_out, mut refused) = (0, 0);
        for step in 0..STEPS {
            let order = Order {
                key: key(format!("step:{}", seed.below(STEPS))),
                command: any(&mut seed, &book),
                now: Timestamp(NOW.0 + step),
                receipt: None,
            };
            let expected = book.execute(&order.key, &order.command, order.now);
            match (ledger.execute(order.clone()).await, expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found, expected, "step {step}: {order:?}");
                    carried_out += 1;
                }
                (Err(ExecuteError::Refused(found)), Err(expected)) => {
                    assert_eq!(found, expected, "step {step}: {order:?}");
                    refused += 1;
                }
                (found, expected) => panic!("step {step}: {found:?}, the book says {expected:?}"),
            }
            if step % 400 == 0 {
                drop(ledger);
                ledger = place.open();
            }
        }
        assert!(
            carried_out > 300 && refused > 100,
            "{carried_out} {refused}"
        );
        let mut journal = Vec::new();
        loop {
            let page = ledger.entries(journal.len() as u64).await.unwrap();
            if page.is_empty() {
                break;
            }
            journal.extend(page);
        }
        assert_eq!(journal, book.journal());
        assert_eq!(ledger.shares().await.unwrap(), book.shares());
        assert!(
            book.journal()
                .iter()
                .any(|entry| matches!(entry.command, Command::CloseEpoch { .. }))
        );
        assert_eq!(book.nodes().count(), 6);
        let audit = ledger.audit().await.unwrap();
        assert_eq!(audit.entries, book.journal().len() as u64);
    })
}

/// A command that may make sense, on a few payers and many requests.
fn any(seed: &mut Seed, book: &Book) -> Command {
    let payer = 1 + seed.below(4) as u8;
    let request = seed.below(300);
    let current = book
        .journal()
        .iter()
        .rev()
        .find_map(|entry| match entry.command {
            Command::OpenEpoch { epoch, .. } => Some(epoch.0),
            _ => None,
        });
    let closing = current.unwrap_or_default().saturating_sub(1);
    match seed.below(24) {
        0..3 => deposit(payer, 1 + seed.below(50)),
        3..10 => reserve(request, payer, 1 + seed.below(20)),
        10..16 => Command::Capture {
            reservation: id(request),
            node: Address::repeat_byte(0xe1 + (request % 3) as u8),
            cost: usd(seed.below(22)),
            split: split(OPERATOR + (request % 2) as u8),
        },
        16..18 => Command::Release {
            reservation: id(request),
        },
        18 => Command::Expire {
            reservation: id(request),
        },
        19 => open_epoch(current.map_or(1, |epoch| epoch + 1)),
        20 => match book.owing(STABLE, EpochNumber(closing)).first() {
            Some(account) => Command::CloseAccount {
                account: *account,
                epoch: EpochNumber(closing),
            },
            None => Command::CloseEpoch {
                asset: STABLE,
                epoch: EpochNumber(closing),
            },
        },
        21 => match standing(book, closing) {
            Some(reservation) => Command::Release { reservation },
            None => Command::CloseEpoch {
                asset: STABLE,
                epoch: EpochNumber(closing),
            },
        },
        22 => Command::RequestRefund {
            account: account(payer),
            units: NanoUnits::new(seed.below(9)).unwrap(),
        },
        _ => match book.shares().first() {
            Some(share) => Command::Claim {
                party: share.account,
                asset: STABLE,
                units: NanoUnits::new(1 + seed.below(3)).unwrap(),
            },
            None => Command::PayRefund {
                account: account(payer),
                units: NanoUnits::new(1 + seed.below(5)).unwrap(),
            },
        },
    }
}

/// A reservation of the epoch that stands.
fn standing(book: &Book, epoch: u64) -> Option<gaia_ledger::account::ReservationId> {
    (0..300).map(id).find(|request| {
        book.reservation(*request).is_some_and(|row| {
            row.epoch.0 == epoch && row.state == gaia_ledger::rows::ReservationState::Held
        })
    })
}

pub fn a_retry_gets_the_first_answer(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        let first = must(&ledger, "in", deposit(1, 5)).await;
        drop(ledger);
        let ledger = place.open();
        assert_eq!(must(&ledger, "in", deposit(1, 5)).await, first);
        let other = ask(&ledger, "in", deposit(1, 6)).await.unwrap_err();
        assert!(
            matches!(other, ExecuteError::Refused(Refusal::KeyReused(_))),
            "{other}"
        );
        assert_eq!(ledger.account(account(1)).await.unwrap().held.get(), 5);
        assert_eq!(ledger.entries(0).await.unwrap().len(), 1);
    })
}
