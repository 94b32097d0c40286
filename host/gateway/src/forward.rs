//! One request's way behind its door: set aside, sent, passed on, counted, captured.
//!
//! It runs as a task of its own, which outlives a client that goes away: what was served is captured all the same.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use alloy_primitives::B256;
use gaia_balancer::{Failure, Refusal};
use gaia_metering::Metered;
use gaia_openai::ApiError;
use hyper::Response;
use hyper::header::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::access::{Access, Place};
use crate::attempt::{Attempt, Ended, Rest, Served};
use crate::client::Client;
use crate::count::Tally;
use crate::money::{self, Bill, Wanted};
use crate::nodes::{NodeInfo, Ticket, Word};
use crate::reply::{self, Reply};
use crate::request::Asked;
use crate::shared::{self, Shared};

/// A request that may be made, and its places among those that run.
pub(crate) struct Job {
    pub shared: Arc<Shared>,
    pub access: Access,
    pub asked: Asked,
    pub path: &'static str,
    pub arrived: Instant,
    #[expect(dead_code, reason = "they are free again when the request is over")]
    pub places: (OwnedSemaphorePermit, Place),
}

/// What is known of a request beside the request.
struct Run {
    job: Job,
    id: B256,
    header: HeaderValue,
    client: Client,
    begun: Option<Instant>,
}

/// How the sending of a request ended, wherever it was sent.
enum Sent {
    Answered(NodeInfo, Served, Rest),
    Broken(NodeInfo, Served),
    Left(Option<(NodeInfo, Served)>),
    Late(Option<(NodeInfo, Served)>),
    Said(Response<Reply>),
    Refused(Refusal),
}

/// Takes a request over, and gives the head of its answer.
pub(crate) async fn answer(job: Job) -> Response<Reply> {
    let failed = |_| reply::error(&ApiError::internal("The request was lost on its way."));
    match take_over(job) {
        Ok(answered) => answered.await.unwrap_or_else(failed),
        Err(error) => reply::error(&error),
    }
}

/// Begins the request's task, which is no part of what the connection keeps.
fn take_over(job: Job) -> Result<oneshot::Receiver<Response<Reply>>, ApiError> {
    let internal = |message: &str| ApiError::internal(message);
    let id = shared::request_id().map_err(|_| internal("The system gives no random numbers."))?;
    let header = HeaderValue::from_str(&id.to_string())
        .map_err(|_| internal("The request could not be named."))?;
    let (head, answered) = oneshot::channel();
    let client = Client::new(
        head,
        header.clone(),
        job.shared.config.limits.client_silence_max,
    );
    let run = Run {
        job,
        id,
        header,
        client,
        begun: None,
    };
    tokio::spawn(run.through());
    Ok(answered)
}

impl Run {
    async fn through(mut self) {
        let shared = Arc::clone(&self.job.shared);
        let counts = &shared.counts;
        let sent = self.sent_on_credit().await;
        match sent {
            // A stream runs long, and shall not hold the room for its end meanwhile.
            Ok(sent) => Box::pin(self.settle(sent)).await,
            Err(error) => {
                counts.refused(error.status);
                return self.client.fail(&error).await;
            }
        }
        counts.over(self.job.arrived, self.begun);
    }

    /// Sends the request once its money is set aside; or while it is, where the payer has plenty.
    ///
    /// # Errors
    /// Nothing was set aside, so nothing may be charged.
    async fn sent_on_credit(&mut self) -> Result<Sent, ApiError> {
        let shared = Arc::clone(&self.job.shared);
        let wanted = Wanted::of(&self.job, self.id);
        let mut unconfirmed = wanted.is_ample();
        let mut reserving = Box::pin(wanted.reserve());
        if unconfirmed.is_none() {
            reserving.as_mut().await?;
        }
        let mut ticket = shared.nodes.arrive(self.job.asked.ask.clone());
        let mut sending = pin!(self.sent(&mut ticket));
        if unconfirmed.is_some() {
            let sent = tokio::select! {
                biased;
                reserved = reserving.as_mut() => {
                    reserved?;
                    None
                }
                sent = sending.as_mut() => Some(sent),
            };
            if let Some(sent) = sent {
                return reserving.await.map(|()| sent);
            }
            drop((unconfirmed.take(), reserving));
        }
        Ok(sending.await)
    }

    /// Sends the request wherever the balancer says, until it is answered, or nobody will.
    async fn sent(&mut self, ticket: &mut Ticket) -> Sent {
        let limits = &self.job.shared.config.limits;
        let silence_max = limits.node_silence_max;
        let deadline = tokio::time::Instant::now() + limits.request_time_max;
        loop {
            let word = tokio::select! {
                biased;
                word = ticket.word() => word,
                () = self.client.gone() => return Sent::Left(None),
            };
            let node = match word {
                Word::Refuse(refusal) => return Sent::Refused(refusal),
                Word::Send(node) => node,
                // Of an attempt that is over.
                Word::Cancel(_) | Word::Break(_) => continue,
            };
            let nodes = &self.job.shared.nodes;
            let Some((info, channel)) = nodes.of(node) else {
                ticket.failed(node, Failure::Broken);
                continue;
            };
            let attempt = Attempt {
                asked: &self.job.asked,
                path: self.job.path,
                id: &self.header,
                node,
                silence_max,
                deadline,
                client: &mut self.client,
                ticket,
                begun: &mut self.begun,
            };
            match attempt.run(&channel).await {
                Ended::Answered(served, rest) => {
                    match served.metered.error {
                        None => ticket.finished(node),
                        Some(_) => ticket.failed(node, Failure::Error),
                    }
                    return Sent::Answered(info, served, rest);
                }
                Ended::Refused(response) => {
                    ticket.finished(node);
                    return Sent::Said(response);
                }
                Ended::Failed(failure) => {
                    self.job.shared.counts.failed_at_node();
                    ticket.failed(node, failure);
                }
                Ended::Called => {}
                Ended::Broken(served, failure) => {
                    self.job.shared.counts.failed_at_node();
                    ticket.failed(node, failure);
                    return Sent::Broken(info, served);
                }
                Ended::Gone(served) => return Sent::Left(served.map(|served| (info, served))),
                Ended::Late(served) => return Sent::Late(served.map(|served| (info, served))),
            }
        }
    }

    async fn settle(&mut self, sent: Sent) {
        match sent {
            Sent::Answered(node, served, rest) => self.pay_and_end(&node, served, rest).await,
            Sent::Broken(node, served) => {
                let error = "The node stopped in the middle of the answer; what came is charged.";
                self.break_off(&node, served, error).await;
            }
            Sent::Late(Some((node, served))) => {
                let error = "The answer took longer than it may; what came is charged.";
                self.break_off(&node, served, error).await;
            }
            Sent::Late(None) => {
                let error =
                    ApiError::bad_gateway("No node answered in the time that a request may take.");
                self.give_up(&error).await;
            }
            // Nobody is there to be told.
            Sent::Left(Some((node, served))) => drop(self.pay_for_part(&node, served).await),
            Sent::Left(None) => money::release(&self.job.shared, self.id).await,
            Sent::Said(response) => {
                money::release(&self.job.shared, self.id).await;
                self.job.shared.counts.refused(response.status().as_u16());
                self.client.whole(response);
            }
            Sent::Refused(refusal) => self.give_up(&refused(&refusal)).await,
        }
    }

    /// Captures what the answer cost, and only then lets its end go.
    async fn pay_and_end(&mut self, node: &NodeInfo, served: Served, rest: Rest) {
        if let Err(error) = self.pay(node, served.metered).await {
            return self.client.fail(&error).await;
        }
        match rest.head {
            Some(head) => {
                let body = Reply::whole(rest.bytes);
                self.client.whole(Response::from_parts(head, body));
            }
            // The last piece: who is gone by now has paid for it.
            None => drop(self.client.send(rest.bytes).await),
        }
    }

    /// Ends an answer in the middle.
    async fn break_off(&mut self, node: &NodeInfo, served: Served, error: &str) {
        let paid = self.pay_for_part(node, served).await;
        let error = paid.err().unwrap_or_else(|| ApiError::bad_gateway(error));
        self.client.fail(&error).await;
    }

    /// Of a stream what came is charged; half a reply of another kind is worth nothing.
    async fn pay_for_part(&mut self, node: &NodeInfo, served: Served) -> Result<(), ApiError> {
        match served.is_events {
            true => self.pay(node, served.metered).await,
            false => {
                money::release(&self.job.shared, self.id).await;
                Ok(())
            }
        }
    }

    async fn pay(&mut self, node: &NodeInfo, metered: Metered) -> Result<(), ApiError> {
        let shared = &self.job.shared;
        let asked = &self.job.asked;
        let model = shared.config.models.get(asked.model);
        let tally = Tally {
            kind: asked.kind,
            counter: model.and_then(|model| model.counter.clone()),
            request: asked.body.clone(),
            ceiling: asked.ceiling,
            answer: metered,
        };
        let taken = tally.count().await;
        if let Some(claimed) = taken.disputed {
            let prober = shared.nodes.prober();
            prober.counted(node.address, taken.tokens, claimed);
        }
        let bill = Bill {
            id: self.id,
            node,
            tokens: taken.tokens,
            basis: taken.basis,
        };
        money::capture(&self.job, &bill).await
    }

    /// Nothing was served.
    async fn give_up(&mut self, error: &ApiError) {
        money::release(&self.job.shared, self.id).await;
        self.job.shared.counts.refused(error.status);
        self.client.fail(error).await;
    }
}

fn refused(refusal: &Refusal) -> ApiError {
    let message = refusal.to_string();
    let seconds = |span: &std::time::Duration| u32::try_from(span.as_secs()).unwrap_or(60).max(1);
    match refusal {
        Refusal::NotServed => ApiError {
            message,
            ..ApiError::model_not_found("")
        },
        Refusal::NoneHealthy { retry_after } => {
            ApiError::unavailable(message, seconds(retry_after))
        }
        Refusal::Busy { retry_after } => ApiError {
            message,
            ..ApiError::too_many_requests(seconds(retry_after))
        },
        Refusal::Failed { .. } => ApiError::bad_gateway(message),
    }
}
