//! `kill -9` of a gateway in the middle of its work: what clients have seen the end of is charged, once, and has a
//! receipt; what is charged was served; what stands aside comes back.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gaia_gateway::{Config, Gateway};
use gaia_ledger::Command as Booked;
use gaia_ledger_store::Ledger;
use gaia_registry::AccessToken;

use crate::client;
use crate::front::free_port;
use crate::node::{Node, Script};
use crate::scene::*;

const LEDGER: &str = "GAIA_TEST_GATEWAY_LEDGER";
const AT: &str = "GAIA_TEST_GATEWAY_AT";
const ROUNDS: u64 = 5;
const ASKING: usize = 16;

/// The gateway as a process of its own, with a node in it.
pub struct Process(Child);

impl Process {
    /// Starts it, and waits until it listens.
    pub fn start(books: &str, at: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["worker", "--exact", "--nocapture"])
            .env(LEDGER, books)
            .env(AT, at.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.find(|line| line.as_ref().unwrap().contains(LISTENS));
        said.expect("the gateway does not start").unwrap();
        Self(child)
    }

    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process says once it can be asked.
const LISTENS: &str = "it listens";

/// What the process does: serves until it is killed.
pub fn serve_if_asked() {
    let (Ok(books), Ok(at)) = (std::env::var(LEDGER), std::env::var(AT)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = Config {
            listen: at.parse().unwrap(),
            ..config(open(&books))
        };
        let gateway = Gateway::bind(config).await.unwrap();
        let node = Node::new(10, Script::Say(&["one"]));
        node.join(&[gateway.nodes()]).await;
        println!("{LISTENS}");
        gateway.serve(std::future::pending()).await;
    });
}

/// Asks again and again until the connection breaks; gives the ids of the answers that came to their end.
async fn ask_until_killed(at: SocketAddr, token: String, stream: bool) -> Vec<String> {
    let mut ended = Vec::new();
    loop {
        let asking = tokio::spawn({
            let token = token.clone();
            async move { client::ask(at, "POST", CHAT, &token, request(1, stream)).await }
        });
        // The client panics where the gateway is gone.
        let Ok(answer) = asking.await else {
            return ended;
        };
        assert_eq!(answer.status, 200, "{}", answer.text);
        if !answer.is_whole || (stream && !answer.text.contains("[DONE]")) {
            return ended;
        }
        ended.push(answer.id.unwrap());
    }
}

#[tokio::test]
async fn kill_9_loses_nothing_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = books(folder.path());
    let books = open(&path);
    open_epoch(&books).await;
    deposit(&books, 1, 1_000_000_000).await;
    let at = free_port();
    let token = AccessToken::new([7; 32]);
    let bearer = format!("Bearer {}", token.reveal());
    let mut ended = Vec::new();
    for round in 0..ROUNDS {
        let mut process = Process::start(&path, at);
        let granted = serde_json::to_vec(&sign(grant(1, &token, 1), 1)).unwrap();
        let granted = client::ask(at, "POST", "/gaia/v1/tokens", "", granted).await;
        assert_eq!(granted.status, if round == 0 { 201 } else { 409 });
        let asking = (0..ASKING)
            .map(|number| tokio::spawn(ask_until_killed(at, bearer.clone(), number % 2 == 0)));
        let asking: Vec<_> = asking.collect();
        tokio::time::sleep(Duration::from_millis(300 + 37 * round)).await;
        process.kill();
        for asking in asking {
            ended.extend(asking.await.unwrap());
        }
    }
    assert!(!ended.is_empty());
    check_books(&books, &ended, ROUNDS as usize * ASKING).await;
}

/// Whoever saw the end has paid for it, once, and has a receipt; nobody is charged for what cannot have been served: at
/// most `broken` answers that were on their way.
pub async fn check_books(books: &Ledger, ended: &[String], broken: usize) {
    for id in ended {
        let receipt = books.receipt(id.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(receipt.receipt.cost.get(), WORD);
    }
    let (mut captured, mut from) = (0, 0);
    loop {
        let entries = books.entries(from).await.unwrap();
        let Some(last) = entries.last() else { break };
        from = last.number + 1;
        let captures = entries
            .iter()
            .filter(|it| matches!(it.command, Booked::Capture { .. }));
        captured += captures.count();
    }
    let row = books.account(account(1)).await.unwrap();
    assert_eq!(row.charged.get(), captured as u64 * WORD);
    assert!(captured >= ended.len());
    assert!(captured <= ended.len() + broken);
    books.audit().await.unwrap();
}
