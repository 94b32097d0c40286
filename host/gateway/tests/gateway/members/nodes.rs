//! Real agents of nodes: their tunnels, and users' requests through them.

use std::net::SocketAddr;

use alloy_primitives::B256;
use gaia_member::{Agent, Joined, Joins, NodeKey, NodeNow, Wish, join};
use gaia_tunnel::Trust;
use gaia_tunnel::messages::{Offer, Service};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::scene::{Domain, address, books, node_config, until};
use crate::client;
use crate::front::free_port;
use crate::node::MODEL;
use crate::scene::{CHAT, PLACE, deposit, grant, key, open_epoch, sign};

/// What a node answers on loopback: always the same, in words that are counted.
async fn node() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: Request<Incoming>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let said = body["messages"][0]["content"].as_str().unwrap();
                let message = json!({"role": "assistant", "content": "It is Paris"});
                let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
                let usage = json!({
                    "prompt_tokens": said.split_whitespace().count(),
                    "completion_tokens": 3,
                });
                let answer =
                    json!({"object": "chat.completion", "choices": [choice], "usage": usage});
                let response = Response::builder().header("content-type", "application/json");
                response.body(Full::new(Bytes::from(answer.to_string())))
            });
            connections
                .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (at, task)
}

/// A node whose agent runs.
struct Running {
    _home: tempfile::TempDir,
    tell: watch::Sender<Option<NodeNow>>,
    agent: JoinHandle<()>,
    node: JoinHandle<()>,
}

/// What a node at this address serves, that answers from a knowledge base.
fn serving(at: SocketAddr, knowledge: B256) -> NodeNow {
    let service = |knowledge: Option<B256>| Service {
        model: MODEL.to_owned(),
        knowledge: knowledge.map(|digest| digest.to_string()),
    };
    NodeNow {
        address: at,
        key: NodeKey::new(String::new()),
        metrics: None,
        config: gaia_registry::NodeConfig {
            knowledge,
            ..node_config()
        },
        offer: Offer {
            services: vec![service(None), service(Some(knowledge))],
            sequences: 8,
            reading: None,
        },
    }
}

impl Running {
    /// Joins at the first gateway, and serves all that the domain lists.
    async fn start(domain: &Domain, number: u8) -> Self {
        Self::knowing(domain, number, node_config().knowledge).await
    }

    /// The same, with a knowledge base.
    async fn knowing(domain: &Domain, number: u8, knowledge: B256) -> Self {
        Self::joined(domain, number, knowledge, String::new(), None).await
    }

    /// The same, at an address where it listens.
    async fn reached(
        domain: &Domain,
        number: u8,
        endpoint: String,
        listen: Option<SocketAddr>,
    ) -> Self {
        let knowledge = node_config().knowledge;
        Self::joined(domain, number, knowledge, endpoint, listen).await
    }

    async fn joined(
        domain: &Domain,
        number: u8,
        knowledge: B256,
        endpoint: String,
        listen: Option<SocketAddr>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (at, node) = node().await;
        let signer = key(number).signer().clone();
        let wish = Wish {
            operator: signer.address(),
            consent: None,
            endpoint: endpoint.clone(),
        };
        let now = serving(at, knowledge);
        let (origin, config) = (domain.origin(), now.config.clone());
        join(&origin, &Trust::public(), &signer, &PLACE, &wish, &config)
            .await
            .unwrap();
        let joins = Joins::new(home.path().join("domains"));
        joins
            .put(&Joined {
                url: origin.to_string(),
                place: PLACE,
                name: String::new(),
                operator: signer.address(),
                endpoint,
                listen,
                config_hash: config.hash(),
                authorities: None,
            })
            .unwrap();
        let (tell, watched) = watch::channel(Some(now));
        let config = gaia_member::Config {
            key: signer,
            joins,
            standings: home.path().join("standings.json"),
            node: watched,
        };
        let agent = tokio::spawn(Agent::run(config, std::future::pending()));
        Self {
            _home: home,
            tell,
            agent,
            node,
        }
    }
}

impl Running {
    /// From now on it answers from something else.
    fn learn(&self, knowledge: B256) {
        self.tell.send_modify(|now| {
            let at = now.as_ref().unwrap().address;
            *now = Some(serving(at, knowledge));
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.agent.abort();
        self.node.abort();
    }
}

async fn token(domain: &Domain) -> String {
    let token = gaia_registry::AccessToken::new([7; 32]);
    let granted = sign(grant(1, &token, 1), 1);
    let body = serde_json::to_vec(&granted).unwrap();
    let granted = client::ask(domain.at, "POST", "/gaia/v1/tokens", "", body).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    format!("Bearer {}", token.reveal())
}

async fn chat(domain: &Domain, token: &str) -> client::Answer {
    chat_with(domain, token, MODEL).await
}

async fn chat_with(domain: &Domain, token: &str, model: &str) -> client::Answer {
    let body = json!({
        "model": model,
        "messages": [{"role": "user", "content": "one two"}],
        "max_tokens": 10,
    });
    client::ask(domain.at, "POST", CHAT, token, body.to_string()).await
}

#[tokio::test]
async fn a_users_request_reaches_a_node_behind_its_router_and_its_receipt_is_signed_by_it() {
    let (_folder, ledger) = books();
    open_epoch(&ledger).await;
    deposit(&ledger, 1, 1_000_000).await;
    let facts = |config: &mut gaia_gateway::Config| {
        config.info.gateways.clear();
        config.info.genesis = crate::scene::now() - 5_400;
        config.info.epoch_seconds = 3_600;
    };
    let domain = Domain::changed(ledger, |_| {}, facts).await;
    let _node = Running::start(&domain, 1).await;
    domain.until_serving(1).await;
    let token = token(&domain).await;
    let answer = chat(&domain, &token).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("Paris"), "{}", answer.text);
    let path = format!("/gaia/v1/receipts/{}", answer.id.unwrap());
    until("the node's signature", async || {
        let receipt = client::ask(domain.at, "GET", &path, "", "").await;
        receipt.status == 200 && receipt.json()["nodeSignature"].is_string()
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_restarts_has_its_nodes_back() {
    let (_folder, ledger) = books();
    let domain = Domain::changed(
        ledger.clone(),
        |_| {},
        |config| config.info.gateways.clear(),
    )
    .await;
    let at = domain.at;
    let _node = Running::start(&domain, 1).await;
    domain.until_serving(1).await;
    domain.stop().await;
    let again = |config: &mut gaia_gateway::Config| {
        config.info.gateways.clear();
        config.listen = at;
    };
    let domain = Domain::changed(ledger, |_| {}, again).await;
    // It served before: no second probation.
    assert_eq!(domain.status(1).await, Some(gaia_registry::Status::Serving));
    domain.until_serving(1).await;
}

#[tokio::test]
async fn one_node_serves_two_gateways_of_a_domain() {
    let (_folder, ledger) = books();
    // The second is bound first, so that the first can list it.
    let second = Domain::changed(
        ledger.clone(),
        |_| {},
        |config| config.info.gateways.clear(),
    )
    .await;
    let listed = format!("http://{}", second.at);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = port.local_addr().unwrap();
    drop(port);
    let facts = |config: &mut gaia_gateway::Config| {
        config.listen = own;
        config.info.gateways = vec![format!("http://{own}"), listed];
    };
    let first = Domain::changed(ledger, |_| {}, facts).await;
    let _node = Running::start(&first, 1).await;
    first.until_serving(1).await;
    second.until_serving(1).await;
}

/// Ends TLS, and passes on to `inside`.
async fn tls_before(inside: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_file_iter(format!("{TLS}/certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/key.pem")).unwrap();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else {
                    return;
                };
                if let Ok(mut inside) = tokio::net::TcpStream::connect(inside).await {
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    });
    (at, task)
}

/// A certificate for localhost.
const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ingress/tests/tls");

#[tokio::test]
async fn a_node_with_an_address_is_dialled_and_proves_itself_there() {
    let (_folder, ledger) = books();
    let certificate = format!("{TLS}/certificate.pem");
    let trust = Trust::with_authorities(certificate.as_ref()).unwrap();
    let members = |config: &mut gaia_gateway::MembersConfig| config.trust = trust;
    let domain = Domain::changed(ledger, members, |config| config.info.gateways.clear()).await;
    let listen = free_port();
    let (at, tls) = tls_before(listen).await;
    let endpoint = format!("https://localhost:{}", at.port());
    let _node = Running::reached(&domain, 1, endpoint, Some(listen)).await;
    domain.until_serving(1).await;
    tls.abort();
}

#[tokio::test]
async fn addresses_that_are_not_public_are_dialled_only_where_the_operator_says_so() {
    let (_folder, ledger) = books();
    let members = |config: &mut gaia_gateway::MembersConfig| config.dials_private = false;
    let domain = Domain::changed(ledger, members, |config| config.info.gateways.clear()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let _node = Running::reached(&domain, 1, endpoint, Some(free_port())).await;
    let dialled = tokio::time::timeout(std::time::Duration::from_secs(5), listener.accept()).await;
    assert!(dialled.is_err(), "nobody may be dialled here");
}

/// The node that answered, as its receipt says.
async fn answered_by(domain: &Domain, answer: &client::Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let path = format!("/gaia/v1/receipts/{}", answer.id.as_ref().unwrap());
    let receipt = client::ask(domain.at, "GET", &path, "", "").await;
    let node = &receipt.json()["receipt"]["node"];
    node.as_str().unwrap().to_lowercase()
}

async fn models(domain: &Domain, token: &str) -> Vec<String> {
    let listed = client::ask(domain.at, "GET", "/v1/models", token, "").await;
    let listed = listed.json();
    let models = listed["data"].as_array().unwrap().iter();
    let names = models.map(|model| model["id"].as_str().unwrap().to_owned());
    names.collect()
}

#[tokio::test]
async fn a_knowledge_base_is_asked_for_by_name_or_digest_and_follows_its_node() {
    let (_folder, ledger) = books();
    open_epoch(&ledger).await;
    deposit(&ledger, 1, 1_000_000_000).await;
    let (docs, other) = (B256::repeat_byte(0xa), B256::repeat_byte(0xb));
    let named = |config: &mut gaia_gateway::MembersConfig| {
        config.knowledge = [("docs".to_owned(), docs)].into();
    };
    let domain = Domain::changed(ledger, named, |config| config.info.gateways.clear()).await;
    let _first = Running::knowing(&domain, 1, docs).await;
    let second = Running::knowing(&domain, 2, other).await;
    domain.until_serving(1).await;
    domain.until_serving(2).await;
    let token = token(&domain).await;
    let [by_name, by_digest, by_other] = ["docs".to_owned(), docs.to_string(), other.to_string()]
        .map(|knowledge| format!("{MODEL}@{knowledge}"));
    let listed = models(&domain, &token).await;
    for name in [MODEL, &by_name, &by_digest, &by_other] {
        assert!(
            listed.iter().any(|listed| listed == name),
            "{name}: {listed:?}"
        );
    }
    assert_eq!(listed.len(), 4);
    let address = |number| format!("{:#x}", address(number));
    for _ in 0..3 {
        for (model, number) in [(&by_name, 1), (&by_digest, 1), (&by_other, 2)] {
            let answer = chat_with(&domain, &token, model).await;
            assert_eq!(
                answered_by(&domain, &answer).await,
                address(number),
                "{model}"
            );
        }
    }
    let unknown = chat_with(&domain, &token, &format!("{MODEL}@nothing")).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    // It joins again by itself, and proves itself again, for what it answers from now.
    second.learn(docs);
    until("the new join", async || {
        !models(&domain, &token).await.contains(&by_other)
    })
    .await;
    domain.until_serving(2).await;
    let listed = client::ask(domain.at, "GET", "/gaia/v1/nodes", "", "").await;
    for node in listed.json()["nodes"].as_array().unwrap() {
        assert_eq!(node["knowledge"], json!(docs), "{node}");
    }
    assert_eq!(chat_with(&domain, &token, &by_other).await.status, 404);
}
