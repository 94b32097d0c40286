//! All servers of a node.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use gaia_egress::{Egress, Turn};
use gaia_outbound::ARGUMENTS_BYTES_MAX;
use serde_json::Value;
use tokio::time::timeout;

use crate::slot::Slot;
use crate::tool::Judged;
use crate::{Answer, CallError, LeftOut, Limits, LostError, Server, Tool, name};

/// The servers whose tools can be called.
#[derive(Debug)]
pub struct Servers {
    egress: Arc<Egress>,
    slots: Vec<Arc<Slot>>,
}

/// What is known of one server.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Its name.
    pub server: String,
    /// Its tools, as far as they can be offered: as it said last, if it is not there now.
    pub tools: Vec<Tool>,
    /// Those that cannot.
    pub left_out: Vec<LeftOut>,
    /// Why it cannot be reached.
    pub problem: Option<LostError>,
}

impl Servers {
    /// Asks nothing of anybody yet.
    pub fn new(egress: Arc<Egress>, servers: Vec<Server>, limits: &Limits) -> Self {
        let slot = |server| Arc::new(Slot::new(server, Arc::clone(&egress), limits.clone()));
        Self {
            slots: servers.into_iter().map(slot).collect(),
            egress,
        }
    }

    /// Whether `name` would be a tool of one of the servers.
    pub fn has(&self, name: &str) -> bool {
        self.slot_of(name).is_some()
    }

    /// All tools as the servers last listed them. Lists are made anew in the background; only a server
    /// that never listed any is waited for, and for `patience` at most.
    pub async fn offered(&self, patience: Duration) -> Vec<Tool> {
        let new = self.slots.iter().filter_map(|slot| {
            let refreshing = Arc::clone(slot);
            match slot.listed() {
                Some(_) => {
                    tokio::spawn(async move { refreshing.refresh().await });
                    None
                }
                None => Some(tokio::spawn(
                    async move { refreshing.reach().await.map(drop) },
                )),
            }
        });
        join_all(new.map(|reaching| timeout(patience, reaching))).await;
        let listed = self.slots.iter().filter_map(|slot| slot.listed());
        listed.flat_map(|judged| judged.tools.clone()).collect()
    }

    /// What the server called `name` offers; none is called so. One that needs longer than `patience`
    /// goes on in the background, and may be there the next time.
    pub async fn listing(&self, name: &str, patience: Duration) -> Option<Listing> {
        let slot = self.slots.iter().find(|slot| slot.server.name == name)?;
        let reaching = Arc::clone(slot);
        let reaching = tokio::spawn(async move { reaching.reach().await.map(drop) });
        let problem = match timeout(patience, reaching).await {
            Ok(Ok(reached)) => reached.err(),
            Ok(Err(_)) => Some(LostError::Failed("it was given up".to_owned())),
            Err(_) => Some(LostError::TooSlow(patience)),
        };
        Some(listing(slot, problem))
    }

    /// Calls the tool that the model calls `name`, as a call of `turn`.
    ///
    /// # Errors
    /// See [`CallError`]; a tool that says itself that it failed is no error.
    pub async fn call(
        &self,
        turn: &Turn,
        name: &str,
        arguments: &Value,
    ) -> Result<Answer, CallError> {
        let unknown = || CallError::Unknown(name.to_owned());
        let slot = self.slot_of(name).ok_or_else(unknown)?;
        let arguments = check(arguments)?;
        self.egress.count(turn)?;
        let lost = |why| CallError::Lost {
            server: slot.server.name.clone(),
            why,
        };
        let (connection, judged) = slot.reach().await.map_err(lost)?;
        let tool = judged.tools.iter().find(|tool| tool.name == name);
        let tool = tool.ok_or_else(unknown)?;
        let called = connection
            .call(&slot.server, &tool.own_name, arguments)
            .await;
        if matches!(called, Err(CallError::NoAnswer(_))) {
            slot.forget(&connection).await;
        }
        called
    }

    fn slot_of(&self, name: &str) -> Option<&Arc<Slot>> {
        let server = name::server_of(name)?;
        self.slots.iter().find(|slot| slot.server.name == server)
    }
}

fn listing(slot: &Slot, problem: Option<LostError>) -> Listing {
    let none = Arc::<Judged>::default();
    let judged = slot.listed().unwrap_or(none);
    Listing {
        server: slot.server.name.clone(),
        tools: judged.tools.clone(),
        left_out: judged.left_out.clone(),
        problem,
    }
}

fn check(arguments: &Value) -> Result<serde_json::Map<String, Value>, CallError> {
    let object = arguments.as_object().ok_or(CallError::NotObject)?;
    match arguments.to_string().len() > ARGUMENTS_BYTES_MAX {
        true => Err(CallError::ArgumentsTooLong {
            max: ARGUMENTS_BYTES_MAX,
        }),
        false => Ok(object.clone()),
    }
}
