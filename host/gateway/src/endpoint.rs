//! Paths that other parts answer: members of the domain, shares of the chain.

use std::pin::Pin;

use hyper::body::Incoming;
use hyper::{Request, Response};

use crate::reply::Reply;

/// Answers requests that no user pays for, at paths below one that it is mounted at by
/// [`Gateway::mount`](crate::Gateway::mount).
///
/// It bounds what it reads by itself, and asks for its own proofs of who asks.
pub trait Endpoint: Send + Sync {
    /// The answer. A `101` upgrades the connection.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Reply>> + Send + '_>>;
}
