//! Processes that are killed in the middle of their work, and a database server, too.

use crate::places::Place;
use crate::receipts::served;
use crate::scene::*;
use crate::server::Postgres;
use gaia_ledger::account::ReservationId;
use gaia_ledger::{Command as Asked, Outcome};
use gaia_ledger_store::{ExecuteError, Ledger, Order};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Names the ledger to a process of [`work_if_asked`].
const PLACE: &str = "GAIA_LEDGER_TEST_PLACE";
/// How often a process is killed.
const KILLS: u64 = 8;
/// Requests of all processes together, each tried until it was answered.
const REQUESTS: u64 = 4000;
/// Requests that a process has under way at once.
const AT_ONCE: u64 = 16;

pub fn what_was_answered_survives_kill_9(place: Place) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let ledger = place.open();
        must(&ledger, "open", open_epoch(1)).await;
        must(&ledger, "in", deposit(1, 1_000_000)).await;
        drop(ledger);
        let mut answered = BTreeSet::new();
        let mut seed = Seed(0x9a1a);
        for _ in 0..KILLS {
            work_until(&place, Some(20 + seed.below(300)), &mut answered);
        }
        assert!(
            answered.len() < REQUESTS as usize,
            "the processes were done before they were killed"
        );
        work_until(&place, None, &mut answered);
        assert_eq!(answered.len(), REQUESTS as usize);
        check(&place.open(), &answered).await;
    })
}

/// Nothing that a process was told is missing, and nothing happened twice.
async fn check(ledger: &Ledger, answered: &BTreeSet<u64>) {
    let mut captured = BTreeSet::new();
    let mut from = 0;
    loop {
        let page = ledger.entries(from).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.number + 1;
        for entry in &page {
            if let Asked::Capture { reservation, .. } = &entry.command {
                assert!(
                    captured.insert(*reservation),
                    "{reservation} was captured twice"
                );
            }
        }
    }
    let all: BTreeSet<ReservationId> = answered.iter().map(|request| id(*request)).collect();
    assert_eq!(captured, all);
    // Each request has raised what the node is promised, and none has twice.
    let mut promised = BTreeSet::new();
    for request in answered {
        let stored = ledger.receipt(id(*request)).await.unwrap().unwrap();
        promised.insert(stored.receipt.node_cumulative.get());
    }
    assert_eq!(promised, (1..=answered.len() as u64).collect());
    let row = ledger.account(account(1)).await.unwrap();
    assert_eq!(row.charged.get(), answered.len() as u64);
    assert_eq!(
        ledger.audit().await.unwrap().entries,
        2 + 2 * answered.len() as u64
    );
}

/// Takes one nano-dollar, which is the node's operator's by the largest remainder, and leaves a receipt.
fn captured(request: u64) -> Order {
    Order {
        receipt: Some(served(request, 1)),
        ..order(format!("capture:{request}"), capture(request, 1))
    }
}

/// Runs a process on the requests that have no answer, and kills it after so many answers.
fn work_until(place: &Place, answers: Option<u64>, answered: &mut BTreeSet<u64>) {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "worker", "--nocapture", "--test-threads=1"]);
    process
        .env(PLACE, place.text())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut process = process.spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines {
        let Ok(request) = line.unwrap().parse::<u64>() else {
            continue;
        };
        answered.insert(request);
        seen += 1;
        if Some(seen) == answers {
            // What it was told and has not printed yet is carried out and not known: as with any crash.
            process.kill().unwrap();
        }
    }
    let ended = process.wait().unwrap();
    assert!(answers.is_some() || ended.success());
}

/// In the process that was started for it: serves all requests, a few at a time, and prints each that is answered.
pub fn work_if_asked() {
    let Ok(place) = std::env::var(PLACE) else {
        return;
    };
    // The harness has begun a line.
    println!();
    let location = gaia_ledger_store::Location::parse(&place);
    crate::runtime().block_on(async {
        let ledger = Ledger::open(location).unwrap();
        let lanes = (0..AT_ONCE).map(|lane| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                for request in (lane..REQUESTS).step_by(AT_ONCE as usize) {
                    must(
                        &ledger,
                        format!("reserve:{request}"),
                        reserve(request, 1, 3),
                    )
                    .await;
                    ledger.execute(captured(request)).await.unwrap();
                    println!("{request}");
                }
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            lane.await.unwrap();
        }
    });
}

/// The server dies under a gateway: what was answered is there after, and what was not is sent again.
pub async fn a_server_that_is_killed(server: &mut Postgres, place: Place) {
    let ledger = place.open();
    must(&ledger, "open", open_epoch(1)).await;
    must(&ledger, "in", deposit(1, 1000)).await;
    let working = {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let mut unknown = 0;
            for request in 0..300 {
                let reserved = order(format!("reserve:{request}"), reserve(request, 1, 3));
                for order in [reserved, captured(request)] {
                    while let Err(error) = ledger.execute(order.clone()).await {
                        assert!(matches!(error, ExecuteError::Unknown(_)), "{error}");
                        unknown += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            unknown
        })
    };
    tokio::time::sleep(Duration::from_millis(150)).await;
    tokio::task::block_in_place(|| server.kill_and_start());
    let unknown = working.await.unwrap();
    assert!(unknown > 0, "the server was killed after the work was done");
    check(&ledger, &(0..300).collect()).await;
    let outcome = ask(&ledger, "capture:7", capture(7, 1)).await.unwrap();
    assert!(matches!(outcome, Outcome::Captured { .. }), "{outcome:?}");
}
