//! What the gateway tells the balancer, and what it is asked to do.

use std::time::Duration;

use crate::{Beginning, KeyId, NodeId, RequestId};

/// Services of one node; what it offers beyond is not seen.
pub const SERVICES_PER_NODE_MAX: usize = 64;

/// What a request asks for: a model, and perhaps a knowledge base to answer from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// The model's name.
    pub model: String,
    /// The digest or name of the knowledge base; `None` is served by every node with the model that offers it so.
    pub knowledge: Option<String>,
}

/// What a node brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// All that it may be asked for, at most [`SERVICES_PER_NODE_MAX`]: for a model with a knowledge base usually
    /// both the model alone and the two together.
    pub services: Vec<Service>,
    /// How many requests it works on at a time.
    pub sequences: u32,
    /// Tokens of prompts that it reads a second, as it says; measured from the first answers on.
    pub reading: Option<f64>,
}

/// What a node says of itself now.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Requests that it works on or has waiting, of all gateways.
    pub requests: u32,
    /// Tokens of their prompts that it has yet to read.
    pub unread: u64,
    /// Tokens of prompts that it reads a second.
    pub reading: Option<f64>,
}

/// What is known of a request before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// What it asks for.
    pub service: Service,
    /// Whose it is.
    pub key: KeyId,
    /// The key's share of the domain against other keys; 0 counts as 1.
    pub weight: u16,
    /// How long its prompt is.
    pub tokens: u32,
    /// What its prompt begins with.
    pub beginning: Beginning,
}

/// How an attempt ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The node said that it has no room: no fault of its own.
    Busy,
    /// The node answered with an error of its own (5xx), or with what is no answer.
    Error,
    /// Its stream broke.
    Broken,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A node was admitted, and is connected. One that is known already takes the new offer.
    Joined(NodeId, Offer),
    /// The node gets no more requests; those that it has go on.
    Draining(NodeId),
    /// The node is no member any more.
    Left(NodeId),
    /// Its connection is there again.
    Connected(NodeId),
    /// Its connection is gone, and all streams in it.
    ConnectionLost(NodeId),
    /// It is there; and perhaps how it is.
    Heartbeat(NodeId, Option<Report>),
    /// A real request of the gateway's own was answered, or not.
    Probed {
        /// Which node.
        node: NodeId,
        /// Whether the answer was right.
        ok: bool,
    },
    /// A client asks.
    Arrived(RequestId, Ask),
    /// The node's first token is here. Not to be told where it cannot be seen: times are measured by it.
    FirstByte(RequestId, NodeId),
    /// The node has answered, be it with an error of the client's (4xx).
    Finished(RequestId, NodeId),
    /// The node has not.
    Failed(RequestId, NodeId, Failure),
    /// The client went away, wherever its request is.
    Gone(RequestId),
    /// Time went by.
    Tick,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send the request to the node. It may have been sent to others before.
    Send(RequestId, NodeId),
    /// End this attempt: another node has the request, or nobody wants it. No event is to follow for it.
    Cancel(RequestId, NodeId),
    /// Tell the client no.
    Refuse(RequestId, Refusal),
    /// The node is lost and the client has read some of its answer: end its stream with an error.
    Break(RequestId, NodeId),
    /// Ask the node something real, and tell what came of it.
    Probe(NodeId),
    /// A node that was draining has nothing left to do.
    Drained(NodeId),
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// For 404.
    #[error(
        "no node of this domain serves this model with this knowledge; GET /v1/models lists what is served"
    )]
    NotServed,
    /// For 503.
    #[error("the nodes that serve this are out of reach; try again in {}", seconds(.retry_after))]
    NoneHealthy {
        /// When the next of them may be back.
        retry_after: Duration,
    },
    /// For 429.
    #[error("all nodes that serve this are busy; try again in {}", seconds(.retry_after))]
    Busy {
        /// When its turn would have come.
        retry_after: Duration,
    },
    /// For 502.
    #[error(
        "{attempts} nodes failed on this request; try again, and tell the domain's operator if it goes on"
    )]
    Failed {
        /// How often it was sent.
        attempts: usize,
    },
}

fn seconds(span: &Duration) -> String {
    match span.as_secs() {
        0 | 1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let check = |refusal: Refusal, expected: &str| assert_eq!(refusal.to_string(), expected);
        let retry_after = Duration::from_secs(3);
        check(
            Refusal::Busy { retry_after },
            "all nodes that serve this are busy; try again in 3 seconds",
        );
        let retry_after = Duration::from_millis(1);
        check(
            Refusal::NoneHealthy { retry_after },
            "the nodes that serve this are out of reach; try again in 1 second",
        );
    }
}
