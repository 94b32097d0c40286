//! The only way out: HTTPS to places that the node's owner allows.
//!
//! A name is resolved once, all its addresses are judged, and the connection goes to one of those that
//! were judged: what the name says a moment later changes nothing. Redirections stay within the
//! origin. Bytes, time, calls at once and calls of a turn have an end, of streams too.
//!
//! It refuses on purpose to hear of proxies in the environment: a proxy resolves names by itself.
//!
//! Invariant: what a request says never widens where it goes, and a secret is in nothing that comes
//! back: no log, no error, no reply.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use gaia_egress::{Ask, Egress, HeaderText, Limits, Method};
//! use gaia_outbound::AllowList;
//!
//! let allow = AllowList::new(vec!["https://api.example.org".parse()?], vec![]);
//! let egress = Egress::new(allow, Limits::default());
//! let mut ask = Ask::new(Method::GET, "https://api.example.org/v1/now?city=Bonn".parse()?);
//! ask.header("authorization", HeaderText::plain("Bearer ").and_hidden("s3cret"));
//! let got = egress.fetch(&egress.turn(), ask).await?;
//! println!("{} in {:?}", got.status, got.took);
//! # Ok(())
//! # }
//! ```

mod ask;
mod connect;
mod fetch;
mod hidden;
mod limits;
mod refusal;
mod resolve;
mod stream;

pub use ask::{Ask, Got};
pub use fetch::Egress;
pub use hidden::HeaderText;
pub use hyper::Method;
pub use hyper::body::Bytes;
pub use limits::{Limits, Turn};
pub use refusal::Refusal;
pub use resolve::Resolve;
pub use stream::{Opened, StreamLimits};
pub use tokio_rustls::rustls::pki_types::CertificateDer;
