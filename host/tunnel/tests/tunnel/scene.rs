//! A gateway that takes tunnels, and proofs to open them with.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use gaia_outbound::Origin;
use gaia_registry::{Heartbeat, Signed};
use gaia_statements::{Signature, SigningDomain};
use gaia_tunnel::{Body, Channel, Link, Trust, dial, read_proof, switching};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use k256::ecdsa::SigningKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub const DOMAIN: SigningDomain = SigningDomain {
    chain_id: 31337,
    verifying_contract: Address::repeat_byte(0xc0),
};

/// A heartbeat of the node with key 1.
pub fn proof() -> Signed<Heartbeat> {
    let key = SigningKey::from_slice(&[1; 32]).unwrap();
    let statement = Heartbeat {
        domain_id: B256::repeat_byte(0xd0),
        node: Address::from_public_key(key.verifying_key()),
        sequence: 7,
        time: 8,
        state_hash: B256::ZERO,
    };
    let digest = gaia_registry::Statement::digest(&statement, &DOMAIN);
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let mut bytes = signature.to_vec();
    bytes.push(27 + recovery.to_byte());
    Signed {
        domain: DOMAIN,
        statement,
        signature: Signature::from_bytes(&bytes).unwrap(),
    }
}

pub fn full(text: impl Into<Bytes>) -> Body {
    let body = Full::new(text.into()).map_err(|never| match never {});
    body.boxed()
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://node{path}"))
        .body(full(""))
        .unwrap()
}

pub async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A listener that makes a channel of every tunnel that is asked for with a proof.
pub struct Gateway {
    pub address: SocketAddr,
    pub channels: mpsc::Receiver<Channel>,
    task: JoinHandle<()>,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, channels) = mpsc::channel(8);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, tell.clone()));
            }
        });
        Self {
            address,
            channels,
            task,
        }
    }

    pub fn origin(&self) -> Origin {
        format!("http://{}", self.address).parse().unwrap()
    }

    pub async fn dialled(&self) -> Link {
        let dialled = dial(&self.origin(), &Trust::public(), |_| true, &proof()).await;
        dialled.unwrap().into_link()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, tell: mpsc::Sender<Channel>) {
    let service = service_fn(move |request| {
        let tell = tell.clone();
        async move { Ok::<_, io::Error>(answer(request, tell)) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
}

fn answer(mut request: Request<Incoming>, tell: mpsc::Sender<Channel>) -> Response<Full<Bytes>> {
    match read_proof(request.headers()) {
        Ok(found) if found == proof() => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let channel = Channel::over(upgrade.await.unwrap()).await.unwrap();
                tell.send(channel).await.unwrap();
            });
            switching()
        }
        Ok(_) => refused("another"),
        Err(error) => refused(&error.to_string()),
    }
}

fn refused(reason: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(reason.to_owned()));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// A tunnel whose node answers by `answer`, and the gateway it leads to.
pub async fn tunnel<F, R>(answer: F) -> (Gateway, Channel, JoinHandle<()>)
where
    F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let mut gateway = Gateway::start().await;
    let link = gateway.dialled().await;
    let node = tokio::spawn(async move {
        let never = std::future::pending();
        link.serve(answer, never, std::time::Duration::ZERO).await;
    });
    let channel = gateway.channels.recv().await.unwrap();
    (gateway, channel, node)
}

/// What counts calls in flight.
pub type Count = Arc<std::sync::atomic::AtomicUsize>;
