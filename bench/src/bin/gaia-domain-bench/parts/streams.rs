//! A thousand streams at a time: every piece arrives, and memory stays where it was.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use gaia_bench::memory::{peak_mib, resident_mib};
use gaia_bench::report::{Bar, Section};

use super::{Behind, Stage};
use crate::load;
use crate::peers::chat;

const STREAMS: usize = 1000;

/// Nodes that have room for them, and for an uneven hand.
const NODES: usize = 5;

const PIECES: u64 = 100;
const PACE_MS: u64 = 100;

/// The bar of memory, in MiB.
const MEMORY: Bar = Bar::AtMost(40.0);

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let behind = Behind::start(NODES, &[])?;
    let gateway = stage
        .gateway(&stage.options("streams", &behind.tunnels))
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pid = gateway.own.held.pid();
    let at_rest = resident_mib(pid);
    let whole = Rc::new(Cell::new(0));
    let note = {
        let whole = Rc::clone(&whole);
        move |answer: anyhow::Result<crate::http::Answer>| {
            match answer {
                Ok(answer) if answer.is_stream_of(PIECES) => whole.set(whole.get() + 1),
                Ok(answer) => eprintln!(
                    "bench: a stream has {} of {PIECES} pieces, status {}",
                    answer.numbers().len(),
                    answer.status
                ),
                Err(error) => eprintln!("bench: a stream: {error:#}"),
            }
            false
        }
    };
    let question = chat(&gateway.token, PIECES, Some(PACE_MS));
    let streams = load::each(gateway.at, &question, STREAMS, Rc::new(note));
    let watched = async {
        // In the middle of them all.
        tokio::time::sleep(Duration::from_millis(PIECES * PACE_MS / 2)).await;
        resident_mib(pid)
    };
    let (done, streaming) = tokio::join!(streams, watched);
    done?;
    let mut section = Section::default();
    section.hold(
        "1,000 open streams, not whole",
        "",
        &[(STREAMS - whole.get()) as f64],
        Bar::AtMost(0.0),
    );
    section.hold("memory of the gateway at rest", "MiB", &[at_rest], MEMORY);
    section.hold(
        "memory of the gateway, 1,000 open streams",
        "MiB",
        &[streaming],
        MEMORY,
    );
    section.note(
        "memory of the gateway at its peak",
        "gateway",
        "MiB",
        &[peak_mib(pid)],
    );
    Ok(section)
}
