//! A node is killed under load: whoever had not begun does not notice, and it is out at once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gaia_bench::report::{Bar, Section};
use serde_json::Value;

use super::{Behind, Paid, Stage};
use crate::domain::{self, OPERATOR_TOKEN};
use crate::http::{Answer, Connection, Question};
use crate::load;
use crate::peers::chat;

const NODES: usize = 4;
const CONNECTIONS: usize = 64;
const PIECES: u64 = 20;
const PACE_MS: u64 = 10;

/// Load before the node is killed, and after.
const BEFORE: Duration = Duration::from_secs(2);
const AFTER: Duration = Duration::from_secs(3);

/// How often it is looked whether the node is out.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Seen {
    served: Cell<usize>,
    /// Had not begun, and failed.
    failed: Cell<usize>,
    /// Had begun, and were told.
    told: Cell<usize>,
    /// Had begun, and were not.
    silent: Cell<usize>,
}

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let mut section = Section {
        rounds: stage.plan.rounds,
        ..Section::default()
    };
    let (mut failed, mut silent, mut out, mut told, mut served) =
        (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..stage.plan.rounds {
        let mut behind = Behind::start(NODES, &[])?;
        let gateway = stage
            .gateway(&stage.options(&format!("death-{round}"), &behind.tunnels))
            .await?;
        let seen = Rc::new(Seen::default());
        let question = chat(&gateway.token, PIECES, Some(PACE_MS));
        let begun = Instant::now();
        let note = {
            let seen = Rc::clone(&seen);
            move |answer| {
                seen.note(answer);
                begun.elapsed() < BEFORE + AFTER
            }
        };
        let load = load::each(gateway.at, &question, CONNECTIONS, Rc::new(note));
        let killed = async {
            tokio::time::sleep(BEFORE).await;
            let node = behind.nodes.swap_remove(1);
            let killed = Instant::now();
            drop(node);
            until_out(&gateway).await?;
            anyhow::Ok(killed.elapsed())
        };
        let (load, after) = tokio::join!(load, killed);
        load?;
        out.push(after?.as_secs_f64() * 1e3);
        failed.push(seen.failed.get() as f64);
        silent.push(seen.silent.get() as f64);
        told.push(seen.told.get() as f64);
        served.push(seen.served.get() as f64);
    }
    section.hold(
        "a node dies: requests that had not begun and failed",
        "",
        &failed,
        Bar::AtMost(0.0),
    );
    section.hold(
        "a node dies: streams that broke off without a word",
        "",
        &silent,
        Bar::AtMost(0.0),
    );
    section.hold(
        "a node dies: it is out after",
        "ms",
        &out,
        Bar::AtMost(1000.0),
    );
    section.note(
        "a node dies: streams that were told of it",
        "gateway",
        "",
        &told,
    );
    section.note(
        "a node dies: requests served meanwhile",
        "gateway",
        "",
        &served,
    );
    Ok(section)
}

/// Waits until the gateway's status says that the second node gets nothing any more.
async fn until_out(gateway: &Paid) -> anyhow::Result<()> {
    let node = domain::node_key(2)?.address().to_string().to_lowercase();
    let question = Question::new(
        "GET",
        "/gaia/v1/status",
        &format!("Bearer {OPERATOR_TOKEN}"),
        String::new(),
    );
    let mut connection = Connection::open(gateway.at).await?;
    loop {
        let answer = connection.ask(&question).await?;
        let status: Value = serde_json::from_str(&answer.text).context("the status")?;
        let mut nodes = status["nodes"].as_array().into_iter().flatten();
        let is_node = |shown: &&Value| {
            shown["node"]
                .as_str()
                .is_some_and(|shown| shown.to_lowercase() == node)
        };
        let shown = nodes.find(is_node);
        if shown.is_none_or(|node| node["connected"] == false || node["health"] == "open") {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Seen {
    fn note(&self, answer: anyhow::Result<Answer>) {
        let counter = match answer {
            Ok(answer) if answer.is_stream_of(PIECES) => &self.served,
            Ok(answer) if answer.first.is_some() && answer.status == 200 => {
                match answer.text.contains("\"error\"") {
                    true => &self.told,
                    false => &self.silent,
                }
            }
            _ => &self.failed,
        };
        counter.set(counter.get() + 1);
    }
}
