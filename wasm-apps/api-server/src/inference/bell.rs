//! Tells when the plugin has something new, so that nobody has to look again and again.
//!
//! WASI has no pipes. So the bell is a socket: the plugin gets a port on loopback and a secret, connects, shows the
//! secret, and writes a byte after each step of the model that gave anybody something. WasmEdge's stock plugin does
//! not; then, and until the plugin has connected, those who wait take naps between looks.
//!
//! Invariant: who remembers [`Bell::rings`] from before a look misses nothing that came after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gaia_wasi_rt::timeout;
use tokio::sync::Notify;

/// Naps without a bell: short right after a piece, longer while a prompt is read.
const NAP_MIN: Duration = Duration::from_micros(500);
const NAP_MAX: Duration = Duration::from_millis(8);

/// With a bell there is nothing to look for before it rings. This is for the case that it broke.
const SILENCE_MAX: Duration = Duration::from_millis(100);

/// One model's bell.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    address: Option<Address>,
    shared: Arc<Shared>,
}

/// What the plugin is told.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) port: u16,
    pub(crate) secret: String,
}

#[derive(Debug, Default)]
struct Shared {
    connected: AtomicBool,
    rings: AtomicU64,
    news: Notify,
}

/// Someone who looks, waits, and looks again.
#[derive(Debug)]
pub(crate) struct Watcher {
    bell: Arc<Bell>,
    /// How often it had rung before the last look.
    seen: u64,
    nap: Duration,
}

impl Bell {
    /// Where the plugin shall connect; `None` where that cannot be.
    pub(crate) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }
}

impl Watcher {
    /// To be made before the first look.
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        let seen = bell.shared.rings();
        let nap = NAP_MIN;
        Self { bell, seen, nap }
    }

    /// The last look found something: the next find is near.
    pub(crate) fn found(&mut self) {
        self.nap = NAP_MIN;
    }

    /// Waits until another look may find something. May be dropped while it waits.
    pub(crate) async fn wait(&mut self) {
        let shared = &self.bell.shared;
        let news = shared.news.notified();
        if shared.rings() == self.seen {
            let pause = match shared.connected.load(Ordering::Acquire) {
                true => SILENCE_MAX,
                false => self.nap,
            };
            let _rung_or_not = timeout(pause, news).await;
            self.nap = (self.nap * 3 / 2).min(NAP_MAX);
        }
        self.seen = shared.rings();
    }
}

impl Shared {
    fn rings(&self) -> u64 {
        self.rings.load(Ordering::Acquire)
    }

    fn ring(&self) {
        self.rings.fetch_add(1, Ordering::AcqRel);
        self.news.notify_waiters();
    }
}

#[cfg(target_os = "wasi")]
mod wire {
    use std::net::{Ipv4Addr, SocketAddr};

    use gaia_wasi_rt::{TcpListener, TcpStream, spawn};
    use subtle::ConstantTimeEq;

    use super::*;

    /// The plugin connects while it opens the model, before it does anything else.
    const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
    /// A stranger may connect too, and need not say anything.
    const SECRET_TIME_MAX: Duration = Duration::from_secs(1);

    impl Bell {
        /// A bell that waits for the plugin at `port`, or at any that is free where that is taken.
        pub(crate) fn hang(port: u16) -> Self {
            let shared = Arc::<Shared>::default();
            let address = listen(port, &shared).inspect_err(|error| {
                crate::log::warn(format_args!("no bell, looking for tokens instead: {error}"));
            });
            Self {
                address: address.ok(),
                shared,
            }
        }
    }

    fn listen(port: u16, shared: &Arc<Shared>) -> std::io::Result<Address> {
        let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = bind(port).or_else(|_| bind(0))?;
        let port = listener.local_addr()?.port();
        let secret = crate::random::id("");
        spawn(attend(listener, secret.clone(), Arc::clone(shared)));
        Ok(Address { port, secret })
    }

    async fn attend(listener: TcpListener, secret: String, shared: Arc<Shared>) {
        let Ok(mut stream) = timeout(CONNECT_TIME_MAX, plugin(&listener, &secret)).await else {
            return;
        };
        drop(listener);
        shared.connected.store(true, Ordering::Release);
        let mut bytes = [0; 64];
        while let Ok(1..) = stream.read(&mut bytes).await {
            shared.ring();
        }
        shared.connected.store(false, Ordering::Release);
        shared.ring();
    }

    async fn plugin(listener: &TcpListener, secret: &str) -> TcpStream {
        loop {
            let mut stream = listener.accept().await;
            let shown = timeout(SECRET_TIME_MAX, shows(&mut stream, secret)).await;
            if shown == Ok(true) {
                return stream;
            }
        }
    }

    async fn shows(stream: &mut TcpStream, secret: &str) -> bool {
        let mut shown = vec![0; secret.len()];
        let mut len = 0;
        while len < shown.len() {
            match stream.read(&mut shown[len..]).await {
                Ok(count @ 1..) => len += count,
                Ok(0) | Err(_) => return false,
            }
        }
        shown.ct_eq(secret.as_bytes()).into()
    }
}

#[cfg(not(target_os = "wasi"))]
impl Bell {
    /// A bell that nobody rings.
    pub(crate) fn hang(_port: u16) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};
    use std::time::Instant;

    use gaia_wasi_rt::{block_on, sleep, spawn};

    use super::*;

    fn connected() -> Arc<Bell> {
        let bell = Arc::new(Bell::default());
        bell.shared.connected.store(true, Ordering::Release);
        bell
    }

    #[test]
    fn a_ring_before_the_wait_counts() {
        let bell = connected();
        let mut watcher = Watcher::new(Arc::clone(&bell));
        bell.shared.ring();
        let waited = pin!(watcher.wait()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(waited.is_ready());
    }

    #[test]
    fn one_ring_wakes_all_who_wait() {
        let bell = connected();
        let woken = Arc::new(AtomicU64::new(0));
        for _ in 0..3 {
            let mut watcher = Watcher::new(Arc::clone(&bell));
            let woken = Arc::clone(&woken);
            spawn(async move {
                watcher.wait().await;
                woken.fetch_add(1, Ordering::Relaxed);
            });
        }
        let shared = Arc::clone(&bell.shared);
        block_on(async move {
            sleep(Duration::from_millis(1)).await;
            shared.ring();
            sleep(Duration::from_millis(10)).await;
        });
        assert_eq!(woken.load(Ordering::Relaxed), 3);
    }

    /// That it delays is what keeps it from spinning: a lower bound, which no busy machine can break.
    #[test]
    fn a_broken_bell_delays_and_loses_nothing() {
        let mut watcher = Watcher::new(connected());
        let started = Instant::now();
        block_on(async move { watcher.wait().await });
        assert!(started.elapsed() >= SILENCE_MAX);
    }
}
