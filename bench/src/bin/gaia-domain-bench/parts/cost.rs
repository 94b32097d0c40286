//! Processor time of a request: the gateway, HAProxy, LiteLLM, before the same node.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use gaia_bench::memory::{cpu_seconds, family};
use gaia_bench::report::{Bar, Section};

use super::{Behind, Stage};
use crate::http::Question;
use crate::load;
use crate::peers::{self, chat};

/// The bar: so many times HAProxy's.
const BAR: Bar = Bar::AtMost(6.0);

/// Connections that ask: as many as keep both cores busy.
const CONNECTIONS: usize = 64;

/// LiteLLM is slower: more would only wait.
const LITELLM_CONNECTIONS: usize = 8;

/// Pieces of an answer.
const PIECES: u64 = 64;

/// Between two pieces of a stream: 100 tokens a second.
const PACE_MS: u64 = 10;

/// What a contender does for the requests after they were answered counts, too: so long it is watched.
const AFTERWARDS: Duration = Duration::from_secs(2);

struct Contender {
    name: &'static str,
    at: SocketAddr,
    pid: u32,
    token: String,
    connections: usize,
}

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let behind = Behind::start(1, &[])?;
    let gateway = stage
        .gateway(&stage.options("cost", &behind.tunnels))
        .await?;
    let haproxy = peers::haproxy(&stage.plan.haproxy, &behind.http, "roundrobin").await?;
    let litellm = match (&stage.plan.litellm, behind.http.first()) {
        (Some(program), Some(node)) => Some(peers::litellm(program, *node).await?),
        _ => None,
    };
    let contender = |name, at, pid, token: &str, connections| Contender {
        name,
        at,
        pid,
        token: token.to_owned(),
        connections,
    };
    let mut contenders = vec![
        contender(
            "gateway",
            gateway.at,
            gateway.own.held.pid(),
            &gateway.token,
            CONNECTIONS,
        ),
        contender("HAProxy", haproxy.at, haproxy.held.pid(), "", CONNECTIONS),
    ];
    if let Some(litellm) = &litellm {
        contenders.push(contender(
            "LiteLLM",
            litellm.at,
            litellm.held.pid(),
            &litellm.token,
            LITELLM_CONNECTIONS,
        ));
    }
    let mut section = Section {
        rounds: stage.plan.rounds,
        ..Section::default()
    };
    for (shape, pace) in [
        ("a whole answer", None),
        ("a stream of 64 pieces", Some(PACE_MS)),
    ] {
        let mut micros = vec![Vec::new(); contenders.len()];
        for _ in 0..stage.plan.rounds {
            for (contender, found) in contenders.iter().zip(&mut micros) {
                found.push(round(stage, contender, pace).await?);
            }
        }
        let [ours, theirs, rest @ ..] = micros.as_slice() else {
            continue;
        };
        section.compare(
            &format!("CPU a request, {shape}, gateway : HAProxy"),
            ours,
            theirs,
            BAR,
        );
        for litellm in rest {
            section.show(
                &format!("CPU a request, {shape}, LiteLLM : HAProxy"),
                litellm,
                theirs,
            );
        }
        for (contender, found) in contenders.iter().zip(&micros) {
            section.note(
                &format!("CPU a request, {shape}"),
                contender.name,
                "µs",
                found,
            );
        }
    }
    if litellm.is_none() {
        section
            .absent
            .push("LiteLLM (it could not be had)".to_owned());
    }
    Ok(section)
}

/// Microseconds of processor time for each request.
async fn round(stage: &Stage, contender: &Contender, pace: Option<u64>) -> anyhow::Result<f64> {
    let question: Question = chat(&contender.token, PIECES, pace);
    let time = Duration::from_secs(stage.plan.seconds);
    let before = cpu(contender.pid);
    let found = load::closed(contender.at, &question, contender.connections, time).await?;
    tokio::time::sleep(AFTERWARDS).await;
    let after = cpu(contender.pid);
    let (name, failure) = (contender.name, &found.failure);
    ensure!(
        found.failed == 0,
        "{name}: {} failed, first {failure:?}",
        found.failed
    );
    eprintln!("bench: {name}: {:.0} requests a second", found.rate());
    Ok((after - before) * 1e6 / found.served as f64)
}

fn cpu(pid: u32) -> f64 {
    family(pid).into_iter().map(cpu_seconds).sum()
}
