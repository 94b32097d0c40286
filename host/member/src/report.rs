//! How the node is, told without end: a line of JSON every [`REPORT_INTERVAL`].

use std::io;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use gaia_registry::Place;
use gaia_tunnel::Body;
use gaia_tunnel::messages::{Offer, Report, ReportLine};
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::load::Load;
use crate::node::NodeNow;
use crate::session::told;
use crate::sign;

/// How often a line is sent: more than three times in the silence after which a balancer leaves a node out.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// How often a line bears a signed heartbeat.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);

/// What reports are made of.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) key: PrivateKeySigner,
    pub(crate) place: Place,
    pub(crate) node: watch::Receiver<Option<NodeNow>>,
    pub(crate) load: Arc<Load>,
    pub(crate) draining: watch::Receiver<bool>,
}

/// The state of one stream of lines.
struct Lines {
    reporter: Reporter,
    challenge: Option<B256>,
    offered: Option<Offer>,
    signed_at: Option<Instant>,
    said_goodbye: bool,
    ticks: Interval,
}

impl Reporter {
    /// The stream for a gateway that has sent this `challenge`.
    pub(crate) fn stream(&self, challenge: B256) -> Response<Body> {
        let mut ticks = interval(REPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lines = Lines {
            reporter: self.clone(),
            challenge: Some(challenge),
            offered: None,
            signed_at: None,
            said_goodbye: false,
            ticks,
        };
        let stream = futures::stream::unfold(lines, |mut lines| async move {
            let line = lines.next().await?;
            Some((line.map(Frame::data), lines))
        });
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream)));
        let kind = HeaderValue::from_static("application/x-ndjson");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

impl Lines {
    /// The next line; none when the node goes, has said so, and has nothing left to do.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.said_goodbye && self.reporter.load.running() == 0 {
            return None;
        }
        tokio::select! {
            _ = self.ticks.tick() => {}
            () = told(&mut self.reporter.draining), if !self.said_goodbye => {}
        }
        Some(self.line().and_then(|line| self.written(&line)))
    }

    fn written(&mut self, line: &ReportLine) -> io::Result<Bytes> {
        self.said_goodbye = line.draining;
        let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
        bytes.push(b'\n');
        Ok(bytes.into())
    }

    fn line(&mut self) -> io::Result<ReportLine> {
        let report = self.reporter.load.report();
        let offer = self.reporter.offer();
        let is_new = self.offered.as_ref() != Some(&offer);
        if is_new {
            self.offered = Some(offer.clone());
        }
        let is_due = self
            .signed_at
            .is_none_or(|at| at.elapsed() >= HEARTBEAT_INTERVAL);
        let heartbeat = if is_due {
            self.signed_at = Some(Instant::now());
            let state = self.challenge.take().unwrap_or_else(|| hash(&report));
            let signed = sign::heartbeat(&self.reporter.key, &self.reporter.place, state);
            Some(signed.map_err(io::Error::other)?)
        } else {
            None
        };
        Ok(ReportLine {
            report,
            offer: is_new.then_some(offer),
            heartbeat,
            draining: *self.reporter.draining.borrow(),
        })
    }
}

impl Reporter {
    /// What the node brings now; nothing while it starts.
    fn offer(&self) -> Offer {
        let node = self.node.borrow();
        node.as_ref()
            .map(|node| node.offer.clone())
            .unwrap_or_default()
    }
}

/// SHA-256 of a report as JSON.
fn hash(report: &Report) -> B256 {
    let json = serde_json::to_vec(report).unwrap_or_default();
    B256::from(<[u8; 32]>::from(Sha256::digest(json)))
}
