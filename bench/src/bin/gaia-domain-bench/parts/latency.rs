//! What the gateway adds to the time to the first byte at half of the load that it can take.

use std::time::Duration;

use anyhow::ensure;
use gaia_bench::report::{Bar, Section};
use gaia_bench::statistics::{median, percentile};

use super::{Behind, Stage};
use crate::load::{self, Found};
use crate::peers::chat;

/// The bar, in milliseconds over the node alone.
const BAR: Bar = Bar::AtMost(1.0);

/// Connections by which the greatest load is found.
const CONNECTIONS: usize = 64;

/// Pieces of a stream; what follows the first one does not wait for anything.
const PIECES: u64 = 16;

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let behind = Behind::start(1, &[])?;
    let gateway = stage
        .gateway(&stage.options("latency", &behind.tunnels))
        .await?;
    let node = behind.http[0];
    let (paid, free) = (
        chat(&gateway.token, PIECES, Some(0)),
        chat("", PIECES, Some(0)),
    );
    let time = Duration::from_secs(stage.plan.seconds);
    let most = load::closed(gateway.at, &paid, CONNECTIONS, time).await?;
    ensure!(most.failed == 0, "{:?}", most.failure);
    let half = most.rate() / 2.0;
    let mut section = Section {
        rounds: stage.plan.rounds,
        ..Section::default()
    };
    let (mut added, mut middle) = (Vec::new(), Vec::new());
    let mut both = [Vec::new(), Vec::new()];
    for _ in 0..stage.plan.rounds {
        let direct = load::open(node, std::slice::from_ref(&free), half, time).await?;
        let ours = load::open(gateway.at, std::slice::from_ref(&paid), half, time).await?;
        ensure!(ours.failed + direct.failed == 0, "{:?}", ours.failure);
        let p99 = |found: &Found| percentile(&found.first_ms, 0.99);
        added.push(p99(&ours) - p99(&direct));
        middle.push(median(&ours.first_ms) - median(&direct.first_ms));
        both[0].push(p99(&ours));
        both[1].push(p99(&direct));
    }
    section.hold(
        "time to first byte at half load, p99, above the node alone",
        "ms",
        &added,
        BAR,
    );
    section.note(
        "time to first byte at half load, median, above the node alone",
        "gateway",
        "ms",
        &middle,
    );
    for (who, found) in ["gateway", "the node alone"].iter().zip(&both) {
        section.note("time to first byte at half load, p99", who, "ms", found);
    }
    section.note(
        "the greatest load: requests a second",
        "gateway",
        "",
        &[most.rate()],
    );
    Ok(section)
}
