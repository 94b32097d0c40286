//! Two gateways on one PostgreSQL, with HAProxy before them: all tests of one gateway hold for them, and for the one
//! that is left when the other was killed.

use std::net::SocketAddr;
use std::ops::Deref;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gaia_gateway::{Config, Gateway, Nodes};
use gaia_registry::AccessToken;
use tokio::runtime::Runtime;

use crate::client;
use crate::front::{Front, free_port};
use crate::kills::{self, Process};
use crate::scene::*;
use crate::server::{Postgres, new_database};

/// How the gateways of a test stand; nothing: there is one.
const ARRANGEMENT: &str = "GAIA_TEST_GATEWAYS";
/// The PostgreSQL on which tests keep their books; nothing: files.
pub const SERVER: &str = "GAIA_TEST_POSTGRES";

const TWO: &str = "two";
const ONE_OF_TWO: &str = "one of two";

/// What one gateway knows alone and the other does not; the same tests hold for the one that is left.
const OF_ONE_GATEWAY: &[&str] = &[
    // What these ask has no HAProxy before it.
    "maxima::",
    // Requests are counted where they come in: two gateways let twice as many through.
    "so_many_requests_run_at_a_time",
    "so_many_requests_come_in_a_minute",
    // A revocation is heard of by the other gateway within `token_age_max`, and here at once.
    "a_revoked_token_opens_nothing",
    // Figures are of one gateway; whoever draws them adds them up.
    "an_operator_sees_nodes_income_and_refusals",
    "an_operator_sees_what_each_node_has_served",
    "what_an_operator_has_earned_is_told_by_node",
];

/// What asks gateways of its own without HAProxy, and so is the same with both and with one that is left.
const OF_THE_LEDGER: &[&str] = &["members::", "maxima::"];

/// How the gateways of a test stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    One,
    Two,
    /// There were two, and HAProxy still believes it.
    OneOfTwo,
}

impl Arrangement {
    pub fn of_this_run() -> Self {
        match std::env::var(ARRANGEMENT).as_deref() {
            Ok(TWO) => Self::Two,
            Ok(ONE_OF_TWO) => Self::OneOfTwo,
            _ => Self::One,
        }
    }
}

/// The tables of all gateways.
pub struct Tables(pub Vec<Nodes>);

impl Tables {
    pub fn connection_lost(&self, node: alloy_primitives::Address) {
        self.0.iter().for_each(|nodes| nodes.connection_lost(node));
    }

    pub fn left(&self, node: alloy_primitives::Address) {
        self.0.iter().for_each(|nodes| nodes.left(node));
    }
}

impl Deref for Tables {
    type Target = [Nodes];

    fn deref(&self) -> &[Nodes] {
        &self.0
    }
}

/// A gateway with threads of its own, all of which end with this value, and its connections with them.
pub struct Running {
    pub at: SocketAddr,
    pub nodes: Nodes,
    runtime: Option<Runtime>,
}

impl Running {
    pub async fn start(config: Config) -> Self {
        let runtime = Runtime::new().unwrap();
        let bound = runtime.spawn(Gateway::bind(config)).await.unwrap();
        let gateway = bound.unwrap();
        let (at, nodes) = (gateway.local_addr(), gateway.nodes());
        runtime.spawn(gateway.serve(std::future::pending()));
        Self {
            at,
            nodes,
            runtime: Some(runtime),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn run_all(arrangement: &str, server: &Postgres, skipped: &[&str]) {
    println!("{arrangement}");
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.env(ARRANGEMENT, arrangement);
    tests.env(SERVER, server.url("postgres"));
    tests.args(["--test-threads", "1", "--skip", "pair::"]);
    for test in skipped {
        tests.args(["--skip", test]);
    }
    let status = tests.status().unwrap();
    assert!(status.success(), "with `{arrangement}`");
}

#[test]
fn the_same_tests_hold_for_two_gateways_on_one_postgresql() {
    run_all(TWO, &Postgres::start(), OF_ONE_GATEWAY);
}

#[test]
fn the_same_tests_hold_for_the_one_that_is_left_of_two() {
    run_all(ONE_OF_TWO, &Postgres::start(), OF_THE_LEDGER);
}

const KILLS: usize = 6;
const ASKING: usize = 16;

/// What a client saw.
#[derive(Default)]
struct Seen {
    ended: Vec<String>,
    failed: usize,
}

async fn ask_until(told: Arc<AtomicBool>, at: SocketAddr, token: String, stream: bool) -> Seen {
    let mut seen = Seen::default();
    while !told.load(Ordering::SeqCst) {
        let answer = client::ask(at, "POST", CHAT, &token, request(1, stream)).await;
        let is_whole = answer.is_whole && (!stream || answer.text.contains("[DONE]"));
        match answer.status {
            200 if is_whole => seen.ended.push(answer.id.unwrap()),
            // HAProxy's word for a gateway that is gone, or a stream that breaks off.
            200 | 502 => seen.failed += 1,
            status => panic!("{status}: {}", answer.text),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_one_is_killed_and_only_what_it_was_doing_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let server = tokio::task::block_in_place(Postgres::start);
    let books = tokio::task::block_in_place(|| new_database(&server.url("postgres"), "pair"));
    let ledger = open(&books);
    open_epoch(&ledger).await;
    deposit(&ledger, 1, 1_000_000_000).await;
    let places = [free_port(), free_port()];
    let mut gateways = places.map(|at| Process::start(&books, at));
    let front = Front::start(folder.path(), &places);
    let token = AccessToken::new([7; 32]);
    let granted = serde_json::to_vec(&sign(grant(1, &token, 1), 1)).unwrap();
    let granted = client::ask(front.at, "POST", "/gaia/v1/tokens", "", granted).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    let bearer = format!("Bearer {}", token.reveal());
    let told = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..ASKING)
        .map(|number| {
            let asking = ask_until(told.clone(), front.at, bearer.clone(), number % 2 == 0);
            tokio::spawn(asking)
        })
        .collect();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(400 + 37 * kill as u64)).await;
        let which = kill % 2;
        tokio::task::block_in_place(|| {
            gateways[which].kill();
            gateways[which] = Process::start(&books, places[which]);
        });
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    told.store(true, Ordering::SeqCst);
    let (mut ended, mut failed) = (Vec::new(), 0);
    for asking in asking {
        let seen = asking.await.unwrap();
        // A client has one request at a time. With each kill that one can break, and one more that the system still
        // takes for a process that is dying; what is asked after it is answered.
        assert!(seen.failed <= 2 * KILLS, "{} failed", seen.failed);
        assert!(!seen.ended.is_empty());
        ended.extend(seen.ended);
        failed += seen.failed;
    }
    kills::check_books(&ledger, &ended, failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_stops_the_domain_until_it_is_back_and_costs_nobody() {
    let mut server = tokio::task::block_in_place(Postgres::start);
    let books = tokio::task::block_in_place(|| new_database(&server.url("postgres"), "pair"));
    let ledger = open(&books);
    open_epoch(&ledger).await;
    deposit(&ledger, 1, 1_000_000).await;
    let mut both = Vec::new();
    for _ in 0..2 {
        both.push(Running::start(config(open(&books))).await);
    }
    let node = crate::node::Node::new(10, crate::node::Script::Say(&["one"]));
    let tables: Vec<Nodes> = both.iter().map(|gateway| gateway.nodes.clone()).collect();
    node.join(&tables).await;
    let token = AccessToken::new([7; 32]);
    let granted = serde_json::to_vec(&sign(grant(1, &token, 1), 1)).unwrap();
    let granted = client::ask(both[0].at, "POST", "/gaia/v1/tokens", "", granted).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    let bearer = format!("Bearer {}", token.reveal());
    let ask = async |at| client::ask(at, "POST", CHAT, &bearer, request(1, false)).await;
    for gateway in &both {
        assert_eq!(ask(gateway.at).await.status, 200);
    }
    tokio::task::block_in_place(|| server.kill_and_start());
    // The first question finds the old connection broken, at most; nothing is charged for it.
    for gateway in &both {
        until(async || ask(gateway.at).await.status == 200).await;
    }
    // Ours was broken, too.
    let ledger = open(&books);
    let row = ledger.account(account(1)).await.unwrap();
    assert_eq!(row.charged.get(), node.requests() as u64 * WORD);
    ledger.audit().await.unwrap();
}
