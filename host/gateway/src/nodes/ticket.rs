//! A request's place with the balancer, from its arrival to its end.

use std::time::Instant;

use gaia_balancer::{Event, Failure, NodeId, Refusal, RequestId};
use tokio::sync::mpsc;

use super::Nodes;

/// What the balancer can say to one request at most: each attempt is sent, cancelled or broken, and one refusal.
const WORDS_MAX: usize = 64;

/// What the balancer says to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Word {
    Send(NodeId),
    Cancel(NodeId),
    Break(NodeId),
    Refuse(Refusal),
}

pub(super) type Mailbox = mpsc::Sender<Word>;

pub(super) fn mailbox() -> (Mailbox, mpsc::Receiver<Word>) {
    mpsc::channel(WORDS_MAX)
}

/// A request's place. Dropped before its end, the request has gone away.
#[derive(Debug)]
pub(crate) struct Ticket {
    nodes: Nodes,
    request: RequestId,
    words: mpsc::Receiver<Word>,
    /// A word that was read too early.
    kept: Option<Word>,
    /// When the node was chosen that has yet to begin its answer.
    sent: Option<Instant>,
    is_over: bool,
}

impl Ticket {
    pub(super) fn new(nodes: Nodes, request: RequestId, words: mpsc::Receiver<Word>) -> Self {
        Self {
            nodes,
            request,
            words,
            kept: None,
            sent: None,
            is_over: false,
        }
    }

    /// The next word. Losing this future loses none.
    pub(crate) async fn word(&mut self) -> Word {
        let word = match self.kept.take() {
            Some(word) => word,
            None => match self.words.recv().await {
                Some(word) => word,
                // The mailbox is taken away with the ticket alone.
                None => std::future::pending().await,
            },
        };
        if matches!(word, Word::Send(_)) {
            self.sent = Some(Instant::now());
        }
        word
    }

    /// Takes a word back, for whoever asks next.
    pub(crate) fn keep(&mut self, word: Word) {
        self.kept = Some(word);
    }

    /// The node's first token is here.
    pub(crate) fn first_byte(&mut self, node: NodeId) {
        let sent = self.sent.take();
        let mut table = self.nodes.lock();
        table.began(node, sent);
        self.nodes
            .step(&mut table, Event::FirstByte(self.request, node));
    }

    /// The node has answered.
    pub(crate) fn finished(&mut self, node: NodeId) {
        let sent = self.sent.take();
        let mut table = self.nodes.lock();
        // What is no stream begins with its end.
        table.began(node, sent);
        self.nodes
            .step(&mut table, Event::Finished(self.request, node));
        self.is_over = true;
    }

    /// The node has not. What is to be done now comes as a word, where nothing had begun.
    pub(crate) fn failed(&self, node: NodeId, failure: Failure) {
        let mut table = self.nodes.lock();
        table.failed(node);
        self.nodes
            .step(&mut table, Event::Failed(self.request, node, failure));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.nodes.lock();
        table.mailboxes.remove(&self.request);
        if !self.is_over {
            self.nodes.step(&mut table, Event::Gone(self.request));
        }
    }
}
