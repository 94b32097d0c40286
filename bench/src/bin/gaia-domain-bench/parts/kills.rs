//! Requests by the hundred thousand while the gateway is killed again and again: the ledger stays exact to the unit.
//!
//! After each kill the books are read as the next gateway finds them: what a client saw the end of is charged once and
//! has its receipt, and what all entries since the last look add up to is what the account says.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use anyhow::{Context as _, ensure};
use gaia_bench::report::{Bar, Section};
use gaia_bench::statistics::Random;
use gaia_ledger::Command;
use gaia_ledger_store::{Ledger, Location};

use super::{Behind, Paid, Stage};
use crate::domain;
use crate::load;
use crate::peers::chat;

const CONNECTIONS: usize = 64;
const PIECES: u64 = 8;

/// How long a gateway lives, at least and at most.
const LIFE_MS_MIN: u64 = 200;
const LIFE_MS_MAX: u64 = 3_000;

const SEED: u64 = 5;

/// What was seen so far.
#[derive(Default)]
struct Books {
    /// The next entry that was not read.
    from: u64,
    captured: BTreeSet<B256>,
    costs: u64,
    /// Differences from what should be.
    wrong: u64,
}

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let behind = Behind::start(1, &[])?;
    let options = stage.options("kills", &behind.tunnels);
    domain::fund(options.ledger.as_ref()).await?;
    let mut random = Random::new(SEED);
    let mut books = Books::default();
    let (mut kills, mut ended_all) = (0_u32, 0_u64);
    let begun = Instant::now();
    while ended_all < stage.plan.requests {
        let gateway = Paid::start(&options).await?;
        let life = LIFE_MS_MIN + random.draw() % (LIFE_MS_MAX - LIFE_MS_MIN);
        let ended = until_killed(gateway, Duration::from_millis(life), kills % 2 == 0).await?;
        kills += 1;
        ended_all += ended.len() as u64;
        let ledger = Ledger::open(Location::parse(&options.ledger))?;
        books.check(&ledger, &ended).await?;
        if kills % 16 == 0 {
            eprintln!(
                "bench: {kills} kills, {ended_all} requests, {} wrong",
                books.wrong
            );
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let ledger = Ledger::open(Location::parse(&options.ledger))?;
    let audited = ledger.audit().await;
    if let Err(error) = &audited {
        eprintln!("bench: the audit: {error}");
        books.wrong += 1;
    }
    let mut section = Section::default();
    section.hold(
        "kill -9 at random points: differences in the ledger, in units",
        "",
        &[books.wrong as f64],
        Bar::AtMost(0.0),
    );
    section.note(
        "kill -9: requests that clients saw the end of",
        "gateway",
        "",
        &[ended_all as f64],
    );
    section.note(
        "kill -9: requests charged",
        "ledger",
        "",
        &[books.captured.len() as f64],
    );
    section.note("kill -9: how often", "gateway", "", &[f64::from(kills)]);
    section.note(
        "kill -9: entries that the audit decided again",
        "ledger",
        "",
        &[audited.map_or(f64::NAN, |audit| audit.entries as f64)],
    );
    section.note("kill -9: it took", "", "s", &[seconds]);
    Ok(section)
}

/// Asks until the gateway is killed; the requests whose end was seen.
async fn until_killed(gateway: Paid, life: Duration, stream: bool) -> anyhow::Result<Vec<String>> {
    let ended = Rc::new(RefCell::new(Vec::new()));
    let is_killed = Rc::new(Cell::new(false));
    let question = chat(&gateway.token, PIECES, stream.then_some(0));
    let note = {
        let (ended, is_killed) = (Rc::clone(&ended), Rc::clone(&is_killed));
        move |answer: anyhow::Result<crate::http::Answer>| {
            let Ok(answer) = answer else { return false };
            let is_over = match stream {
                true => answer.is_stream_of(PIECES),
                false => answer.is_served(),
            };
            if is_over {
                ended.borrow_mut().extend(answer.id);
            } else if !is_killed.get() {
                eprintln!("bench: an answer that is none: {answer:?}");
            }
            is_over
        }
    };
    let at = gateway.at;
    let load = load::each(at, &question, CONNECTIONS, Rc::new(note));
    let kill = async {
        tokio::time::sleep(life).await;
        is_killed.set(true);
        // Dropping kills it by SIGKILL.
        drop(gateway);
    };
    let (load, ()) = tokio::join!(load, kill);
    load?;
    Ok(ended.take())
}

impl Books {
    async fn check(&mut self, ledger: &Ledger, ended: &[String]) -> anyhow::Result<()> {
        loop {
            let entries = ledger.entries(self.from).await?;
            let Some(last) = entries.last() else { break };
            self.from = last.number + 1;
            for entry in &entries {
                if let Command::Capture {
                    reservation, cost, ..
                } = &entry.command
                {
                    self.captured(ledger, *reservation, cost.get()).await?;
                }
            }
        }
        let row = ledger.account(domain::account()?).await?;
        self.hold(
            row.charged.get(),
            self.costs,
            "what the account was charged",
        );
        for id in ended {
            let id: B256 = id.parse().context("the id of a request")?;
            if !self.captured.contains(&id) {
                self.hold(0, 1, "a request that was answered");
            }
        }
        Ok(())
    }

    async fn captured(&mut self, ledger: &Ledger, id: B256, cost: u64) -> anyhow::Result<()> {
        if !self.captured.insert(id) {
            self.hold(2, 1, "a request that was charged");
        }
        self.costs += cost;
        ensure!(cost > 0, "a request that cost nothing");
        match ledger.receipt(id).await? {
            Some(stored) => {
                self.hold(stored.receipt.cost.get(), cost, "a receipt");
                self.hold(
                    stored.receipt.account_cumulative.get(),
                    self.costs,
                    "a receipt's sum",
                );
            }
            None => self.hold(0, cost, "a receipt"),
        }
        Ok(())
    }

    fn hold(&mut self, found: u64, expected: u64, what: &str) {
        if found != expected {
            eprintln!("bench: {what}: {found} instead of {expected}");
            self.wrong += found.abs_diff(expected);
        }
    }
}
