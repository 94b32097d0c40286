//! The only listener on the outside.
//!
//! Takes HTTP/1.1, and with a certificate TLS and HTTP/2, checks what comes in, and forwards it to the
//! worker on loopback. What it refuses: foreign hosts and origins, wrong keys, bodies that are too
//! large or too slow, more requests than may run. It knows nothing of what the requests mean.
//!
//! Invariant: a request that was read gets an answer, and a stream of events that cannot go on says
//! so before it ends.
//!
//! ```no_run
//! # async fn example(config: gaia_ingress::Config) -> Result<(), gaia_ingress::StartError> {
//! let (worker, watched) = tokio::sync::watch::channel(None);
//! let ingress = gaia_ingress::Ingress::bind(config, watched).await?;
//! println!("listening on {}", ingress.local_addr());
//! worker.send_replace(Some(gaia_ingress::Worker {
//!     address: ([127, 0, 0, 1], 9068).into(),
//!     key: gaia_ingress::ApiKey::new("the worker's own key"),
//! }));
//! ingress.serve(async { /* ends when the node shall stop */ }).await;
//! # Ok(())
//! # }
//! ```

mod access;
mod admin;
mod body;
mod charge;
mod config;
mod connection;
mod counts;
mod event;
mod forward;
mod gate;
mod handler;
mod key;
pub mod keys;
mod metrics;
mod places;
mod processes;
mod refused;
mod routes;
mod server;
mod tls;
mod traces;

pub use admin::Admin;
pub use config::{Config, ConfigError, KEY_BYTES_MIN, Limits, TlsFiles, Worker};
pub use key::ApiKey;
pub use processes::Processes;
pub use server::{Ingress, StartError};
pub use tls::{Certificate, TlsError};
pub use traces::{QUEUE_LEN_MAX, TraceCounts, Traces};
