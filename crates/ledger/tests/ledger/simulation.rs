//! A process that dies at every step, and callers who retry until they have a reply.
//!
//! A seed drives everything; a failure prints it.

use crate::scene::*;
use gaia_ledger::account::Timestamp;
use gaia_ledger::{Book, Command, Entry, Outcome, Refusal};

/// SplitMix64.
struct Seed(u64);

impl Seed {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// A ledger whose journal is on the disk and whose rows are in a process that can die.
struct Ledger {
    disk: Vec<Entry>,
    process: Book,
    crashes: u64,
}

#[derive(Debug, Clone, Copy)]
enum Dies {
    BeforeDeciding,
    BeforeWriting,
    BeforeApplying,
    BeforeReplying,
    Not,
}

impl Ledger {
    /// `None`: no reply, because the process died.
    fn call(
        &mut self,
        key: &str,
        command: &Command,
        now: Timestamp,
        dies: Dies,
    ) -> Option<Result<Outcome, Refusal>> {
        let key = crate::scene::key(key);
        match dies {
            Dies::BeforeDeciding => {}
            Dies::BeforeWriting => drop(self.process.prepare(&key, command, now)),
            Dies::BeforeApplying => {
                let known = self.disk.iter().any(|entry| entry.key == key);
                if let (false, Ok((entry, _))) = (known, self.process.prepare(&key, command, now)) {
                    self.disk.push(entry);
                }
            }
            Dies::BeforeReplying | Dies::Not => {
                let result = self.process.execute(&key, command, now);
                self.disk
                    .extend(self.process.journal()[self.disk.len()..].iter().cloned());
                if matches!(dies, Dies::Not) {
                    return Some(result);
                }
            }
        }
        self.crashes += 1;
        self.process = Book::replay(self.disk.clone()).unwrap();
        None
    }
}

fn dies(seed: &mut Seed, one_in: usize) -> Dies {
    match seed.below(4 * one_in) {
        0 => Dies::BeforeDeciding,
        1 => Dies::BeforeWriting,
        2 => Dies::BeforeApplying,
        3 => Dies::BeforeReplying,
        _ => Dies::Not,
    }
}

/// A client with one request: reserves, is served, captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Asks,
    Served,
    Paid,
    Refused,
}

/// Serves `clients` who each ask for something that costs one, and returns how many were served.
fn serve(seed: u64, clients: usize, credit: u64, crash_one_in: usize) -> (Ledger, usize) {
    let mut seed = Seed(seed);
    let mut ledger = Ledger {
        disk: Vec::new(),
        process: Book::default(),
        crashes: 0,
    };
    let payer = account(1, STABLE);
    for (key, command) in [
        ("open", open(STABLE, 1, ONE)),
        ("in", deposit(payer, credit)),
    ] {
        while ledger
            .call(key, &command, NOW, dies(&mut seed, crash_one_in))
            .is_none()
        {}
    }
    let mut states = vec![Client::Asks; clients];
    let mut running: Vec<usize> = (0..clients).collect();
    let mut served = 0;
    while !running.is_empty() {
        let place = seed.below(running.len());
        let client = running[place];
        let dies = dies(&mut seed, crash_one_in);
        let request = client as u64;
        let now = Timestamp(NOW.0 + seed.below(600) as u64);
        let (key, command) = match states[client] {
            Client::Asks => (format!("reserve:{request}"), reserve(request, payer, 1)),
            _ => (format!("capture:{request}"), capture(request, 1)),
        };
        let Some(reply) = ledger.call(&key, &command, now, dies) else {
            continue;
        };
        states[client] = match (states[client], reply) {
            (Client::Asks, Ok(_)) => Client::Served,
            (Client::Asks, Err(Refusal::InsufficientFunds { .. })) => Client::Refused,
            (Client::Served, Ok(_)) => Client::Paid,
            (state, reply) => panic!("{state:?}: {reply:?}"),
        };
        match states[client] {
            Client::Served => served += 1,
            _ => drop(running.swap_remove(place)),
        }
    }
    (ledger, served)
}

fn check_exact(seed: u64, clients: usize, credit: u64, crash_one_in: usize) {
    let (ledger, served) = serve(seed, clients, credit, crash_one_in);
    assert_eq!(served as u64, credit, "seed {seed}");
    assert!(ledger.crashes > 0, "seed {seed}: nothing crashed");
    check(&ledger.process);
    assert_eq!(captured(&ledger.process), credit, "seed {seed}");
    let account = account(1, STABLE);
    assert_eq!(ledger.process.available(account), Ok(usd(0)), "seed {seed}");
    assert_eq!(ledger.process.account(account).charged, usd(credit));
    assert_eq!(Book::replay(ledger.disk), Ok(ledger.process));
}

#[test]
fn a_thousand_requests_on_credit_for_ten_serve_exactly_ten() {
    for seed in 0..20 {
        check_exact(seed, 1_000, 10, 20);
    }
}

#[test]
fn crashes_at_every_other_step_lose_nothing_and_double_nothing() {
    for seed in 100..200 {
        check_exact(seed, 60, 40, 2);
    }
}

/// One command after the other, and before each every way to die.
#[test]
fn each_command_survives_each_death() {
    let payer = account(1, TOKEN);
    let refund = Command::PayRefund {
        account: payer,
        units: units(100),
    };
    let story = [
        open(TOKEN, 1, 2 * ONE),
        deposit(payer, 1_000),
        reserve(1, payer, 500),
        reserve(2, payer, 300),
        capture(1, 333),
        Command::Release { reservation: id(2) },
        reserve(3, payer, 50),
        Command::Expire { reservation: id(3) },
        Command::RequestRefund {
            account: payer,
            units: units(100),
        },
        refund,
        open(TOKEN, 2, 3 * ONE),
        close_account(payer, 1),
        close_epoch(TOKEN, 1),
        Command::Claim {
            party: party(gaia_ledger::Role::NodeOperator, 0xd1).address,
            asset: TOKEN,
            units: units(100),
        },
    ];
    let tell = |deaths: &[Dies]| {
        let mut ledger = Ledger {
            disk: Vec::new(),
            process: Book::default(),
            crashes: 0,
        };
        for (number, command) in story.iter().enumerate() {
            let now = Timestamp(NOW.0 + 1_000 * number as u64);
            for death in deaths {
                assert!(
                    ledger
                        .call(&format!("{number}"), command, now, *death)
                        .is_none()
                );
            }
            let reply = ledger.call(&format!("{number}"), command, now, Dies::Not);
            assert!(reply.unwrap().is_ok(), "{command:?}");
            check(&ledger.process);
        }
        ledger.process
    };
    let undisturbed = tell(&[]);
    let deaths = [
        Dies::BeforeDeciding,
        Dies::BeforeWriting,
        Dies::BeforeApplying,
        Dies::BeforeReplying,
    ];
    assert_eq!(tell(&deaths), undisturbed);
    for death in deaths {
        assert_eq!(tell(&[death, death]), undisturbed, "{death:?}");
    }
    assert_eq!(undisturbed.journal().len(), story.len());
}
