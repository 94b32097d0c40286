//! One server: its connection, opened when needed, and the list of its tools.
//!
//! Invariant: one task at a time speaks to a server to open a connection or to list its tools, and a
//! server that could not be reached is left alone for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gaia_egress::Egress;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::tool::Judged;
use crate::{Limits, LostError, Server};

/// A server and what is known of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) server: Server,
    egress: Arc<Egress>,
    limits: Limits,
    state: tokio::sync::Mutex<State>,
    listed: Mutex<Option<Arc<Judged>>>,
}

/// Where the connection stands.
#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// How often in a row it went wrong, when it may be tried again, and what went wrong.
    failures: u32,
    pause: Option<(Instant, LostError)>,
}

#[derive(Debug)]
struct Open {
    connection: Arc<Connection>,
    listed_at: Option<Instant>,
}

/// A connection and the tools that came by it.
pub(crate) type Reached = (Arc<Connection>, Arc<Judged>);

impl Slot {
    pub(crate) fn new(server: Server, egress: Arc<Egress>, limits: Limits) -> Self {
        Self {
            server,
            egress,
            limits,
            state: tokio::sync::Mutex::default(),
            listed: Mutex::default(),
        }
    }

    /// The tools as they were last listed, if ever.
    pub(crate) fn listed(&self) -> Option<Arc<Judged>> {
        let listed = self.listed.lock();
        listed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection, opened if need be, and the tools, listed again if need be.
    pub(crate) async fn reach(&self) -> Result<Reached, LostError> {
        self.reach_by(&mut *self.state.lock().await).await
    }

    /// Does the same for later, unless somebody is at it.
    pub(crate) async fn refresh(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            // What went wrong was logged, and is told to who needs it.
            let _ = self.reach_by(&mut state).await;
        }
    }

    /// Opens another connection the next time, with what is to be sent along then: `connection` gave no
    /// answer.
    pub(crate) async fn forget(&self, connection: &Arc<Connection>) {
        let mut state = self.state.lock().await;
        let is_it = |open: &mut Open| Arc::ptr_eq(&open.connection, connection);
        state.open.take_if(is_it);
    }

    async fn reach_by(&self, state: &mut State) -> Result<Reached, LostError> {
        let now = Instant::now();
        if state
            .open
            .as_ref()
            .is_some_and(|open| open.connection.is_lost())
        {
            tracing::info!(server = self.server.name, "lost a server of tools");
            state.open = None;
        }
        if state.open.is_none()
            && let Some((until, why)) = &state.pause
            && *until > now
        {
            return Err(LostError::Pausing {
                why: Box::new(why.clone()),
                again_in: Duration::from_secs((*until - now).as_secs() + 1),
            });
        }
        match self.bring_up(state, now).await {
            Ok(reached) => {
                state.failures = 0;
                state.pause = None;
                Ok(reached)
            }
            Err(why) => {
                state.open = None;
                let pause = self.pause_after(state.failures);
                state.failures = state.failures.saturating_add(1);
                state.pause = Some((Instant::now() + pause, why.clone()));
                tracing::warn!(server = self.server.name, error = %why, "a server of tools cannot be reached");
                Err(why)
            }
        }
    }

    async fn bring_up(&self, state: &mut State, now: Instant) -> Result<Reached, LostError> {
        let open = match &mut state.open {
            Some(open) => open,
            None => {
                let opened = Connection::open(&self.server, &self.egress, &self.limits).await?;
                state.open.insert(Open {
                    connection: Arc::new(opened),
                    listed_at: None,
                })
            }
        };
        let connection = Arc::clone(&open.connection);
        if let (false, Some(judged)) = (self.is_stale(open, now), self.listed()) {
            return Ok((connection, judged));
        }
        // Before it is asked for: what changes while it answers counts as changed.
        connection.take_changed();
        let tools = connection.list(&self.limits).await?;
        let judged = Arc::new(Judged::of(&self.server, &self.limits, &tools));
        open.listed_at = Some(Instant::now());
        tracing::info!(
            server = self.server.name,
            tools = judged.tools.len(),
            left_out = judged.left_out.len(),
            "listed the tools of a server"
        );
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        *listed = Some(Arc::clone(&judged));
        Ok((connection, judged))
    }

    fn is_stale(&self, open: &Open, now: Instant) -> bool {
        let Some(listed_at) = open.listed_at else {
            return true;
        };
        let age = now.saturating_duration_since(listed_at);
        let changed = open.connection.has_changed() && age >= self.limits.list_pause_min;
        changed || age >= self.limits.list_age_max
    }

    fn pause_after(&self, failures: u32) -> Duration {
        let limits = &self.limits;
        let pause = limits.pause_min.saturating_mul(1 << failures.min(16));
        pause.min(limits.pause_max)
    }
}
