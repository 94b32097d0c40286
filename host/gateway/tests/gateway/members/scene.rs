//! A gateway with members, and nodes that join it by what they sign.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use gaia_gateway::{Config, Gateway, Members, MembersConfig, MembersLimits, Nodes, Notices};
use gaia_ledger_store::Ledger;
use gaia_outbound::Origin;
use gaia_registry::canary::{Expectation, Interval};
use gaia_registry::{
    Canary, Heartbeat, NodeConfig, NodeJoin, NodeLeave, OperatorConsent, Policy, Rules, Signed,
    Status,
};
use gaia_tunnel::messages::{
    JOIN_PATH, Join, LEAVE_PATH, Offer, REPORT_LINE_BYTES_MAX, Report, ReportLine, Service,
};
use gaia_tunnel::{Body, DialError, Dialled, Link, PATH, Trust, dial};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::client::{self, Answer};
use crate::node::MODEL;
use crate::scene::{self, PLACE, now, sign};

/// How long a test waits for what must come, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes count from 1, operators from 101.
pub fn address(number: u8) -> Address {
    scene::key(number).address()
}

/// Ascending, over all tests.
pub fn number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1);
    now() * 1_000 + LAST.fetch_add(1, Ordering::SeqCst)
}

pub fn node_config() -> NodeConfig {
    NodeConfig {
        model: B256::repeat_byte(1),
        knowledge: B256::repeat_byte(2),
        prompts: B256::repeat_byte(3),
        engine: "gaia 0.1.0".to_owned(),
    }
}

pub fn join_of(node: u8, operator: u8) -> NodeJoin {
    NodeJoin {
        domain_id: PLACE.domain_id,
        node: address(node),
        operator: address(operator),
        config_hash: node_config().hash(),
        endpoint: String::new(),
        nonce: number(),
        expiry: now() + 600,
    }
}

pub fn consent_of(node: u8, operator: u8) -> OperatorConsent {
    OperatorConsent {
        domain_id: PLACE.domain_id,
        node: address(node),
        operator: address(operator),
        nonce: number(),
        expiry: now() + 600,
    }
}

/// By the node, with its operator's consent.
pub fn request(node: u8, operator: u8) -> Join {
    Join {
        join: sign(join_of(node, operator), node),
        consent: Some(sign(consent_of(node, operator), operator)),
        config: node_config(),
    }
}

pub fn leave_of(node: u8) -> Signed<NodeLeave> {
    let leave = NodeLeave {
        domain_id: PLACE.domain_id,
        node: address(node),
        nonce: number(),
        expiry: now() + 600,
    };
    sign(leave, node)
}

pub fn beat(node: u8, state_hash: B256) -> Signed<Heartbeat> {
    let beat = Heartbeat {
        domain_id: PLACE.domain_id,
        node: address(node),
        sequence: number(),
        time: now(),
        state_hash,
    };
    sign(beat, node)
}

pub fn canary() -> Canary {
    Canary {
        id: "capital".to_owned(),
        prompt: "The capital of France?".to_owned(),
        expected: Expectation::Contains(vec!["Paris".to_owned()]),
        duration_ms_max: 60_000,
    }
}

pub fn members_config(ledger: Ledger) -> MembersConfig {
    MembersConfig {
        place: PLACE,
        key: scene::gateway_key(),
        ledger,
        policy: Policy::parse("admission = \"open\"").unwrap().into(),
        policy_file: None,
        rules: Rules {
            // Canaries come one after another in tests.
            canary_pause_seconds: 3_600,
            ..Rules::default()
        },
        knowledge: std::collections::BTreeMap::new(),
        canaries: vec![canary()],
        canary_interval: Interval {
            seconds_min: 0,
            seconds_max: 0,
        },
        stakes: None,
        stakes_interval: Duration::from_millis(100),
        trust: Trust::public(),
        dials_private: true,
        notices: Notices::default(),
        limits: MembersLimits::default(),
    }
}

/// A gateway with members on a ledger.
pub struct Domain {
    pub at: SocketAddr,
    pub members: Members,
    pub nodes: Nodes,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    keeping: JoinHandle<()>,
}

impl Domain {
    pub async fn on(ledger: Ledger) -> Self {
        Self::changed(ledger, |_| {}, |_| {}).await
    }

    pub async fn changed(
        ledger: Ledger,
        members: impl FnOnce(&mut MembersConfig),
        gateway: impl FnOnce(&mut Config),
    ) -> Self {
        let mut members_config = members_config(ledger.clone());
        members(&mut members_config);
        let (policy, notices) = (
            members_config.policy.clone(),
            members_config.notices.clone(),
        );
        let members = Members::open(members_config).await.unwrap();
        let mut config = scene::config(ledger);
        config.prober = Arc::new(members.clone());
        config.info.policy = policy;
        config.notices = notices;
        config.balancer = gaia_balancer::Config {
            slow_start: Duration::ZERO,
            ..gaia_balancer::Config::default()
        };
        gateway(&mut config);
        let mut gateway = Gateway::bind(config).await.unwrap();
        let (at, nodes) = (gateway.local_addr(), gateway.nodes());
        members.attach(nodes.clone());
        for path in [JOIN_PATH, PATH] {
            gateway.mount(path, Arc::new(members.clone()));
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(gateway.serve(async {
            let _ = stopped.await;
        }));
        let keeper = members.clone();
        let keeping = tokio::spawn(async move { keeper.run().await });
        Self {
            at,
            members,
            nodes,
            stop: Some(stop),
            serving: Some(serving),
            keeping,
        }
    }

    pub fn origin(&self) -> Origin {
        format!("http://{}", self.at).parse().unwrap()
    }

    pub async fn post(&self, path: &str, message: &impl serde::Serialize) -> Answer {
        let body = serde_json::to_vec(message).unwrap();
        client::ask(self.at, "POST", path, "", body).await
    }

    pub async fn join(&self, join: &Join) -> Answer {
        self.post(JOIN_PATH, join).await
    }

    pub async fn leave(&self, leave: &Signed<NodeLeave>) -> Answer {
        self.post(LEAVE_PATH, leave).await
    }

    pub async fn dial(&self, proof: &Signed<Heartbeat>) -> Result<Dialled, DialError> {
        dial(&self.origin(), &Trust::public(), |_| true, proof).await
    }

    /// The status and the reason with which a tunnel is refused.
    pub async fn refused(&self, proof: &Signed<Heartbeat>) -> (u16, String) {
        match self.dial(proof).await.unwrap_err() {
            DialError::Refused { status, reason, .. } => (status.as_u16(), reason),
            other => panic!("{other}"),
        }
    }

    pub async fn status(&self, node: u8) -> Option<Status> {
        self.members.status(address(node)).await
    }

    pub async fn until_status(&self, node: u8, is_so: impl Fn(&Status) -> bool) {
        until("the status", async || {
            self.status(node).await.is_some_and(|status| is_so(&status))
        })
        .await;
    }

    pub async fn until_serving(&self, node: u8) {
        self.until_status(node, |status| *status == Status::Serving)
            .await;
        let connected = || self.nodes.channel(address(node)).is_some();
        until("the node", async || connected()).await;
    }

    /// Ends the gateway as a process would: nothing of it is left.
    pub async fn stop(mut self) {
        self.keeping.abort();
        self.members.close();
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        self.stop.take();
        self.keeping.abort();
    }
}

/// A ledger in a folder of its own.
pub fn books() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = scene::ledger(folder.path());
    (folder, ledger)
}

pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{what} never came"));
}

/// What a node of these tests does.
#[derive(Clone)]
pub struct Script {
    /// The node it says to be, with whose key it signs.
    pub number: u8,
    /// Who signs the answer to the challenge.
    pub proves_as: u8,
    /// What it answers; none: 500.
    pub says: Option<&'static str>,
    /// Whether it signs the challenge that it was given.
    pub hears_challenge: bool,
    /// Whether its report is a line without end.
    pub floods: bool,
}

impl Script {
    pub fn of(number: u8) -> Self {
        Self {
            number,
            proves_as: number,
            says: Some("It is Paris."),
            hears_challenge: true,
            floods: false,
        }
    }
}

/// A node in its tunnel.
pub struct Tunnel {
    pub questions: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// Dials and answers by the script.
    pub async fn open(domain: &Domain, script: Script) -> Self {
        let dialled = domain.dial(&beat(script.number, B256::ZERO)).await;
        Self::serve(dialled.unwrap().into_link(), script)
    }

    pub fn serve(link: Link, script: Script) -> Self {
        let (tell, questions) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let answer = move |request| answer(request, script.clone(), tell.clone());
            link.serve(answer, std::future::pending(), Duration::ZERO)
                .await;
        });
        Self { questions, task }
    }

    /// Ready when the gateway has ended it.
    pub async fn ended(mut self) {
        let ended = tokio::time::timeout(PATIENCE, &mut self.task).await;
        ended.expect("the gateway never ended the tunnel").unwrap();
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn full(text: String) -> Body {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    body.boxed()
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    tell: mpsc::UnboundedSender<String>,
) -> Response<Body> {
    if request.uri().path() == "/gaia/v1/report" {
        let challenge = request.uri().query().unwrap().split_once('=').unwrap().1;
        let challenge = match script.hears_challenge {
            true => challenge.parse().unwrap(),
            false => B256::ZERO,
        };
        return Response::new(match script.floods {
            true => full("x".repeat(REPORT_LINE_BYTES_MAX + 2)),
            false => report(beat(script.proves_as, challenge)),
        });
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let _ = tell.send(String::from_utf8(body.to_vec()).unwrap());
    let Some(says) = script.says else {
        let mut response = Response::new(full("{}".to_owned()));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    let message = json!({"role": "assistant", "content": says});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Response::new(full(json!({ "choices": [choice] }).to_string()))
}

/// Lines without end, the first with a heartbeat and an offer.
fn report(first: Signed<Heartbeat>) -> Body {
    let lines = futures::stream::unfold(Some(first), |mut first| async move {
        if first.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let is_first = first.is_some();
        let service = Service {
            model: MODEL.to_owned(),
            knowledge: None,
        };
        let line = ReportLine {
            report: Report::default(),
            offer: is_first.then(|| Offer {
                services: vec![service],
                sequences: 8,
                reading: None,
            }),
            heartbeat: first.take(),
            draining: false,
        };
        let mut text = serde_json::to_vec(&line).unwrap();
        text.push(b'\n');
        Some((
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(text))),
            first,
        ))
    });
    BodyExt::boxed(StreamBody::new(lines))
}
