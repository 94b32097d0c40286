//! A node, a domain's gateway, and an agent between them. The gateway is no more than its end of the tunnel.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use gaia_member::{Agent, Config, Joined, Joins, NodeKey, NodeNow};
use gaia_registry::{NodeConfig, Place};
use gaia_statements::{Signature, SigningDomain};
use gaia_tunnel::messages::{DomainFacts, Offer, Service};
use gaia_tunnel::{Body, Channel, read_proof, switching};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// How long a test waits for what must come, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PLACE: Place = Place {
    signing: SigningDomain {
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(0xc0),
    },
    domain_id: B256::repeat_byte(0xd0),
};

pub fn key(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[number; 32]).unwrap()
}

pub fn signed(key: &PrivateKeySigner, digest: &B256) -> Signature {
    Signature::from_bytes(&key.sign_hash_sync(digest).unwrap().as_bytes()).unwrap()
}

pub fn full(text: impl Into<Bytes>) -> Body {
    let body = Full::new(text.into()).map_err(|never| match never {});
    body.boxed()
}

/// Serves HTTP/1.1 until it is dropped.
pub struct Server {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start<F, R>(address: SocketAddr, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let answer = answer(request);
                    async move { Ok::<_, std::io::Error>(answer.await) }
                });
                let io = TokioIo::new(stream);
                connections.spawn(async move {
                    let connection = http1::Builder::new().serve_connection(io, service);
                    let _ = connection.with_upgrades().await;
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A node that says what it was asked, and takes what it says from the test.
pub struct Node {
    pub server: Server,
    pub asked: Arc<Mutex<Vec<String>>>,
    /// The pieces of each streamed answer.
    pub pipes: mpsc::UnboundedReceiver<mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>>,
}

impl Node {
    pub async fn start() -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (hand, pipes) = mpsc::unbounded_channel();
        let heard = Arc::clone(&asked);
        let answer = move |request: Request<Incoming>| {
            let (heard, hand) = (Arc::clone(&heard), hand.clone());
            async move { node_answer(request, &heard, &hand).await }
        };
        let server = Server::start(loopback(), answer).await;
        Self {
            server,
            asked,
            pipes,
        }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub fn now(&self) -> NodeNow {
        NodeNow {
            address: self.server.address,
            key: NodeKey::new("node-secret".to_owned()),
            metrics: None,
            config: NodeConfig {
                model: B256::repeat_byte(1),
                knowledge: B256::ZERO,
                prompts: B256::ZERO,
                engine: "test".to_owned(),
            },
            offer: Offer {
                services: vec![Service {
                    model: "tiny".to_owned(),
                    knowledge: None,
                }],
                sequences: 4,
                reading: None,
            },
        }
    }
}

async fn node_answer(
    request: Request<Incoming>,
    heard: &Mutex<Vec<String>>,
    hand: &mpsc::UnboundedSender<mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>>,
) -> Response<Body> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map_or("-".to_owned(), |value| value.to_str().unwrap().to_owned())
    };
    let head = format!(
        "{} {} {} {} {}",
        request.method(),
        request.uri(),
        header("authorization"),
        header("cookie"),
        header("gaia-request"),
    );
    heard.lock().unwrap().push(head);
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if body["stream"] == true {
        let (send, pieces) = mpsc::channel(1);
        hand.send(send).unwrap();
        let stream = futures::stream::unfold(pieces, |mut pieces| async move {
            Some((pieces.recv().await?, pieces))
        });
        let mut response = Response::new(BodyExt::boxed(StreamBody::new(stream)));
        let kind = "text/event-stream".parse().unwrap();
        response.headers_mut().insert("content-type", kind);
        return response;
    }
    let answer = json!({
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
    });
    let mut response = Response::new(full(answer.to_string()));
    let kind = "application/json".parse().unwrap();
    response.headers_mut().insert("content-type", kind);
    response
}

/// A gateway: says what the domain is, takes joins down and tunnels.
pub struct Gateway {
    pub server: Server,
    pub channels: mpsc::Receiver<Channel>,
    pub joins: Arc<Mutex<Vec<serde_json::Value>>>,
}

/// What a gateway answers.
#[derive(Clone)]
pub struct Says {
    pub facts: Arc<Mutex<DomainFacts>>,
    /// The answer to who asks for a tunnel, where it is no.
    pub refuses: Arc<Mutex<Option<(u16, &'static str)>>>,
}

impl Says {
    pub fn new() -> Self {
        let facts = DomainFacts {
            domain_id: PLACE.domain_id,
            signing: PLACE.signing,
            name: "test".to_owned(),
            gateways: Vec::new(),
            gateway_key: key(99).address(),
            genesis: 1_700_000_000,
            epoch_seconds: 3_600,
            policy: Vec::new(),
        };
        Self {
            facts: Arc::new(Mutex::new(facts)),
            refuses: Arc::default(),
        }
    }
}

impl Gateway {
    pub async fn start(says: &Says) -> Self {
        Self::start_at(says, loopback()).await
    }

    pub async fn start_at(says: &Says, address: SocketAddr) -> Self {
        let (tell, channels) = mpsc::channel(16);
        let joins = Arc::<Mutex<Vec<serde_json::Value>>>::default();
        let (says, noted) = (says.clone(), Arc::clone(&joins));
        let answer = move |request: Request<Incoming>| {
            let (says, tell, noted) = (says.clone(), tell.clone(), Arc::clone(&noted));
            async move { gateway_answer(request, &says, tell, &noted).await }
        };
        let server = Server::start(address, answer).await;
        Self {
            server,
            channels,
            joins,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub async fn channel(&mut self) -> Channel {
        let channel = tokio::time::timeout(PATIENCE, self.channels.recv()).await;
        channel.unwrap().unwrap()
    }
}

async fn gateway_answer(
    mut request: Request<Incoming>,
    says: &Says,
    tell: mpsc::Sender<Channel>,
    noted: &Mutex<Vec<serde_json::Value>>,
) -> Response<Body> {
    match request.uri().path() {
        "/gaia/v1/domain" => {
            let facts = serde_json::to_vec(&*says.facts.lock().unwrap()).unwrap();
            Response::new(full(facts))
        }
        "/gaia/v1/nodes" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let join: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let standing =
                json!({"node": join["join"]["statement"]["node"], "status": "probation"});
            noted.lock().unwrap().push(join);
            Response::new(full(standing.to_string()))
        }
        _ => {
            if let Some((status, reason)) = *says.refuses.lock().unwrap() {
                let body = json!({"error": {"message": reason}}).to_string();
                let mut response = Response::new(full(body));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                return response;
            }
            let proof = read_proof(request.headers()).unwrap();
            PLACE.check(&proof).unwrap();
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let channel = Channel::over(upgrade.await.unwrap()).await.unwrap();
                let _ = tell.send(channel).await;
            });
            switching::<String>().map(full)
        }
    }
}

/// An agent of the node with key 1, whose operator is itself.
pub struct Running {
    pub joins: Joins,
    pub standings: PathBuf,
    pub node: watch::Sender<Option<NodeNow>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

pub fn joined(url: &str, node: &NodeNow) -> Joined {
    Joined {
        url: url.to_owned(),
        place: PLACE,
        name: "test".to_owned(),
        operator: key(1).address(),
        endpoint: String::new(),
        listen: None,
        config_hash: node.config.hash(),
        authorities: None,
    }
}

impl Running {
    pub fn start(home: &tempfile::TempDir, node: NodeNow) -> Self {
        let joins = Joins::new(home.path().join("domains"));
        let standings = home.path().join("standings.json");
        let (node, watched) = watch::channel(Some(node));
        let config = Config {
            key: key(1),
            joins: joins.clone(),
            standings: standings.clone(),
            node: watched,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(Agent::run(config, async {
            let _ = stopped.await;
        }));
        Self {
            joins,
            standings,
            node,
            stop: Some(stop),
            task,
        }
    }

    /// Stops the agent and waits until it has.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// A node, its agent, and a gateway with a tunnel to it.
pub struct Scene {
    pub home: tempfile::TempDir,
    pub says: Says,
    pub node: Node,
    pub gateway: Gateway,
    pub agent: Running,
    pub channel: Channel,
}

impl Scene {
    pub async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (says, node) = (Says::new(), Node::start().await);
        let mut gateway = Gateway::start(&says).await;
        let agent = Running::start(&home, node.now());
        agent
            .joins
            .put(&joined(&gateway.url(), &node.now()))
            .unwrap();
        let channel = gateway.channel().await;
        Self {
            home,
            says,
            node,
            gateway,
            agent,
            channel,
        }
    }

    /// Asks the node for an answer to the request with this number.
    pub async fn chat(&self, request: B256, stream: bool) -> Response<Incoming> {
        let body = json!({"messages": [], "stream": stream}).to_string();
        let request = Request::post("http://node/v1/chat/completions")
            .header("content-type", "application/json")
            .header("authorization", "Bearer somebody-elses")
            .header("cookie", "a=b")
            .header("gaia-request", request.to_string())
            .body(full(body))
            .unwrap();
        self.channel.send(request).await.unwrap()
    }
}

pub async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub async fn piece(response: &mut Response<Incoming>) -> Result<Bytes, hyper::Error> {
    let frame = tokio::time::timeout(PATIENCE, response.body_mut().frame()).await;
    frame
        .unwrap()
        .unwrap()
        .map(|frame| frame.into_data().unwrap())
}

/// Waits until `is_so`.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("{what} never came"));
}
