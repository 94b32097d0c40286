//! `gaia status`: what the node is and does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use clap::Args;
use gaia_member::Standings;
use gaia_registry::Status;
use serde_json::json;
use tokio::task::JoinSet;

use super::join::{origin_of, trust_of};
use super::{Context, runtime};
use crate::exit::{Exit, failure};
use crate::membership;
use crate::supervisor::lock;
use crate::supervisor::state::{self, Phase, State};
use crate::terminal::{Terminal, Tint, span};

/// How long a domain may take to say where the node stands there.
const DOMAIN_WAIT: Duration = Duration::from_secs(3);

/// What domains say of the node, by their ids.
type Memberships = BTreeMap<B256, String>;

/// Arguments of `gaia status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gaia status\n  gaia --json status | jq .phase\n\nExits with 3 when no node is running, 8 when its worker keeps failing."
)]
pub struct Arguments {}

/// Runs `gaia status`.
pub fn run(context: &Context, _arguments: &Arguments) -> anyhow::Result<()> {
    let Some(state) = state::running(&context.home) else {
        return match lock::holder(&context.home.lock()) {
            Some(pid) => {
                context.terminal.answer(
                    || json!({"phase": "starting", "pid": pid}),
                    |_| format!("Starting (process {pid})"),
                );
                Ok(())
            }
            None => Err(failure(Exit::NotRunning, "no node is running in this home")),
        };
    };
    let up_seconds = seconds_since(state.started_at);
    let domains = Standings::read(&context.home.standings()).unwrap_or_default();
    let members = memberships(context, &domains);
    context.terminal.answer(
        || to_json(&state, &domains, &members, up_seconds),
        |terminal| to_text(terminal, &state, &domains, &members, up_seconds),
    );
    match state.phase {
        Phase::CrashLoop => {
            let message = format!(
                "the worker fails again and again; its last lines:\n{}",
                state.last_failure.unwrap_or_default()
            );
            Err(failure(Exit::Unhealthy, message))
        }
        _ => Ok(()),
    }
}

/// Where the node stands in its domains, as these say; those that do not answer in time are left out.
fn memberships(context: &Context, domains: &Standings) -> Memberships {
    let node = gaia_keystore::read_address(&context.home.keystore());
    let joined = membership::joins(&context.home).list();
    let (Ok(node), Ok(joined), Ok(runtime)) = (node, joined, runtime()) else {
        return Memberships::new();
    };
    let joined = joined.into_iter();
    let joined = joined.filter(|one| domains.0.contains_key(&one.place.domain_id));
    runtime.block_on(async {
        let mut asked = JoinSet::new();
        for one in joined {
            asked.spawn(async move {
                let trust = trust_of(one.authorities.as_deref()).ok()?;
                let origin = origin_of(&one.url).ok()?;
                let said = gaia_member::standing(&origin, &trust, node);
                let said = tokio::time::timeout(DOMAIN_WAIT, said).await.ok()?.ok()?;
                let said =
                    said.map_or_else(|| "not known there".to_owned(), |one| words(&one.status));
                Some((one.place.domain_id, said))
            });
        }
        asked.join_all().await.into_iter().flatten().collect()
    })
}

/// Where a node stands, in words: with what its owner can do about it.
fn words(status: &Status) -> String {
    match status {
        Status::Probation => "on probation until it has answered the domain's questions".to_owned(),
        Status::Serving => "serving".to_owned(),
        Status::Suspended { reason, .. } => format!("suspended ({reason})"),
        Status::Left { .. } => "not a member any more".to_owned(),
    }
}

fn seconds_since(start: u64) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_secs().saturating_sub(start)
}

const NO_EMBEDDING: &str =
    "embedding  none, so no knowledge; `gaia config set embedding_model NAME` and `gaia restart`";

/// Without the keys that the state holds.
fn to_json(
    state: &State,
    domains: &Standings,
    members: &Memberships,
    up_seconds: u64,
) -> serde_json::Value {
    json!({
        "phase": state.phase,
        "url": state.url,
        "admin_url": state.admin_url,
        "pid": state.pid,
        "version": state.version,
        "node_id": state.node_id,
        "up_seconds": up_seconds,
        "chat_model": state.chat,
        "embedding_model": state.embedding,
        "reranking_model": state.reranking,
        "worker": state.worker.as_ref().map(|worker| json!({
            "pid": worker.pid, "url": worker.service.url,
        })),
        "worker_url": state.worker_url,
        "store": state.store.as_ref().map(|store| &store.url),
        "domains": domains,
        "memberships": members,
        "restarts": state.restarts,
        "last_failure": state.last_failure,
    })
}

fn to_text(
    terminal: &Terminal,
    state: &State,
    domains: &Standings,
    members: &Memberships,
    up_seconds: u64,
) -> String {
    let tint = match state.phase {
        Phase::Ready => Tint::Green,
        Phase::CrashLoop => Tint::Red,
        _ => Tint::Yellow,
    };
    let mut lines = vec![
        format!(
            "{} at {}",
            terminal.out(tint, state.phase.as_str()),
            state.url
        ),
        format!("node id    {}", state.node_id),
        format!("chat       {} ({})", state.chat.name, state.chat.reason),
    ];
    match &state.embedding {
        Some(model) => lines.push(format!("embedding  {} ({})", model.name, model.reason)),
        None => lines.push(NO_EMBEDDING.to_owned()),
    }
    if let Some(model) = &state.reranking {
        lines.push(format!("reranking  {} ({})", model.name, model.reason));
    }
    lines.push(format!("worker     {}", worker_line(state)));
    if state.phase == Phase::Waiting {
        let seen = state.last_failure.iter();
        lines.extend(seen.map(|seen| format!("           {seen}")));
    }
    lines.push(format!("metrics    {}/metrics", state.admin_url));
    lines.extend(domain_lines(domains, members));
    lines.push(format!(
        "up         {} (process {})",
        span(up_seconds),
        state.pid
    ));
    lines.join("\n")
}

fn worker_line(state: &State) -> String {
    let process = match &state.worker {
        Some(worker) => worker.pid.map(|pid| format!("process {pid}")),
        None => Some("none at the moment".to_owned()),
    };
    let ours = process.clone().unwrap_or_default();
    match &state.worker_url {
        None => format!("{ours}, started again {} times", state.restarts),
        Some(url) => format!(
            "kept by somebody else at {url}{}, went away {} times",
            process.map_or_else(String::new, |process| format!(" ({process})")),
            state.restarts
        ),
    }
}

/// A line for each domain, and one for each of its gateways without a tunnel.
fn domain_lines(domains: &Standings, members: &Memberships) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, domain) in &domains.0 {
        let open = domain.gateways.values().filter(|gateway| gateway.connected);
        let (open, all) = (open.count(), domain.gateways.len());
        lines.push(format!(
            "domain     {} at {}, connected to {open} of {all} gateways, earns for {}",
            domain.name, domain.url, domain.operator
        ));
        lines.extend(members.get(id).map(|said| format!("           {said}")));
        lines.extend(
            domain
                .reason
                .iter()
                .map(|reason| format!("           {reason}")),
        );
        for (url, gateway) in &domain.gateways {
            if let Some(reason) = &gateway.reason {
                lines.push(format!("           {url}: {reason}"));
            }
        }
    }
    lines
}
