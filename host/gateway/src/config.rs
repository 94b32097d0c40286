//! What a gateway is told at its start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use gaia_ingress::TlsFiles;
use gaia_keystore::NodeKey;
use gaia_ledger::split::{SplitError, SplitRule};
use gaia_ledger::{ModelPrice, PriceTable};
use gaia_ledger_store::Ledger;
use gaia_metering::ModelLimits;
use gaia_registry::Place;

use crate::count::CountTokens;
use crate::nodes::Prober;
use crate::notices::Notices;
use crate::policy::CurrentPolicy;

/// All that a gateway needs. It reads nothing else.
#[derive(Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// For HTTPS; without it plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The domain's books, and its records.
    pub ledger: Ledger,
    /// The domain, as statements name it.
    pub place: Place,
    /// What else is told about it.
    pub info: DomainInfo,
    /// The domain's gateway key. Does not show itself.
    pub key: NodeKey,
    /// What tokens cost.
    pub prices: PriceTable,
    /// The models that are offered; each has a row in the prices.
    pub models: Vec<Model>,
    /// Who earns what.
    pub split: SplitRule,
    /// SHA-256 of the text of the operator's token, which opens the status and the metrics; without it nobody may
    /// read them.
    pub operator_token: Option<B256>,
    /// Asks nodes whether they are well.
    pub prober: Arc<dyn Prober>,
    /// How nodes are chosen.
    pub balancer: gaia_balancer::Config,
    /// What is wrong while it runs, for the status.
    pub notices: Notices,
    /// Maxima of size, number and time.
    pub limits: Limits,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("place", &self.place)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What a domain tells of itself at `GET /gaia/v1/domain`, besides what a gateway knows anyway.
#[derive(Debug, Clone, Default)]
pub struct DomainInfo {
    /// What people call it.
    pub name: String,
    /// Origins of its gateways.
    pub gateways: Vec<String>,
    /// When epoch 0 began, in seconds since 1970.
    pub genesis: u64,
    /// How long an epoch is.
    pub epoch_seconds: u64,
    /// Whom it admits.
    pub policy: CurrentPolicy,
    /// Addresses of its contracts, and whatever else clients may want.
    pub contracts: serde_json::Map<String, serde_json::Value>,
}

/// A model that is offered.
#[derive(Clone)]
pub struct Model {
    /// What requests call it.
    pub name: String,
    /// The most that a request to it can take.
    pub limits: ModelLimits,
    /// Counts its tokens. Without it the node's claim is taken, within what was set aside.
    pub counter: Option<Arc<dyn CountTokens>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .field("counts", &self.counter.is_some())
            .finish()
    }
}

/// Maxima of size, number and time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; who comes then waits to be accepted.
    pub connections_max: usize,
    /// Requests to models at a time; who comes then is told to come later.
    pub requests_running_max: usize,
    /// The same of one access token.
    pub key_running_max: u32,
    /// Requests of one access token in a minute.
    pub key_requests_per_minute_max: u32,
    /// The longest head of a request, in bytes.
    pub head_bytes_max: usize,
    /// The longest body, in bytes.
    pub body_bytes_max: usize,
    /// How long a head may take.
    pub head_time_max: Duration,
    /// How long a body may take.
    pub body_time_max: Duration,
    /// How long a request may take from its reservation to its end. The reservation stands a minute longer.
    pub request_time_max: Duration,
    /// How long a node may say nothing in the middle of an answer.
    pub node_silence_max: Duration,
    /// How long a client may take nothing of its answer.
    pub client_silence_max: Duration,
    /// How long a token that was looked up is believed: so late another gateway hears of a revocation.
    pub token_age_max: Duration,
    /// How often reservations are looked for whose time is over.
    pub expire_interval: Duration,
    /// How often receipts are looked for that lack their node's signature, a thousand at a time.
    pub receipts_interval: Duration,
    /// How long running requests may take once the gateway is told to stop.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            requests_running_max: 1024,
            key_running_max: 256,
            key_requests_per_minute_max: 6000,
            head_bytes_max: 16 << 10,
            body_bytes_max: 10 << 20,
            head_time_max: Duration::from_secs(10),
            body_time_max: Duration::from_secs(30),
            request_time_max: Duration::from_secs(600),
            node_silence_max: Duration::from_secs(120),
            client_silence_max: Duration::from_secs(60),
            token_age_max: Duration::from_secs(2),
            expire_interval: Duration::from_secs(10),
            receipts_interval: Duration::from_secs(20),
            drain_time_max: Duration::from_secs(30),
        }
    }
}

/// A reservation stands so much longer than its request may run: time to count and to capture.
pub(crate) const CAPTURE_SECONDS_MAX: u32 = 60;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A model without a price.
    #[error("the model `{0}` has no row in the price table: add one, or do not offer it")]
    NoPrice(String),
    /// A model twice.
    #[error("the model `{0}` is offered twice")]
    Twice(String),
    /// A request that would outlive every reservation.
    #[error("a request may take {0} s, reservations stand an hour at most: allow less")]
    TooLong(u64),
    /// Parts that do not add up.
    #[error("the split cannot be used")]
    Split(#[source] SplitError),
}

/// Any operator will do to try the split with.
const SOMEBODY: Address = Address::repeat_byte(0xee);

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut seen = std::collections::BTreeSet::new();
        for model in &self.models {
            if !seen.insert(&model.name) {
                return Err(ConfigError::Twice(model.name.clone()));
            }
            self.price(&model.name)
                .ok_or_else(|| ConfigError::NoPrice(model.name.clone()))?;
        }
        self.split.of(SOMEBODY).map_err(ConfigError::Split)?;
        let seconds = self.limits.request_time_max.as_secs();
        let most = gaia_ledger::command::LIFETIME_SECONDS_MAX - CAPTURE_SECONDS_MAX;
        if seconds > u64::from(most) {
            return Err(ConfigError::TooLong(seconds));
        }
        Ok(())
    }

    pub(crate) fn price(&self, model: &str) -> Option<&ModelPrice> {
        let id = gaia_ledger::price::ModelId::of(model);
        self.prices.price(id).ok()
    }

    /// How long a reservation stands.
    pub(crate) fn lifetime_seconds(&self) -> u32 {
        let seconds = u32::try_from(self.limits.request_time_max.as_secs()).unwrap_or(u32::MAX);
        seconds.saturating_add(CAPTURE_SECONDS_MAX)
    }
}
