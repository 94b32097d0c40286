//! The parts of the measurement; each can be run alone.

mod cost;
mod death;
mod kills;
mod latency;
mod nodes;
mod prefixes;
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Command;

use gaia_bench::report::Section;
use tempfile::TempDir;

use crate::domain::{self, Own};
use crate::gateway::{GatewayOptions, SEQUENCES};

/// What is measured how.
pub struct Plan {
    /// How often each contender is measured.
    pub rounds: usize,
    /// Seconds of load in a round.
    pub seconds: u64,
    /// HAProxy's program.
    pub haproxy: PathBuf,
    /// LiteLLM's; without it the table has no row of it.
    pub litellm: Option<PathBuf>,
    /// Whose tokenizer counts.
    pub model: PathBuf,
    /// Requests of the part that kills.
    pub requests: u64,
}

/// What all parts need.
pub struct Stage {
    /// What is measured how.
    pub plan: Plan,
    folder: TempDir,
}

/// A part, on its way.
pub type Measuring<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Section>> + 'a>>;

/// A part: its name on the command line, and how it is run.
pub type Part = (&'static str, fn(&Stage) -> Measuring<'_>);

/// All parts, in the order of the table.
pub const PARTS: &[Part] = &[
    ("cost", |stage| Box::pin(cost::measure(stage))),
    ("latency", |stage| Box::pin(latency::measure(stage))),
    ("streams", |stage| Box::pin(streams::measure(stage))),
    ("prefixes", |stage| Box::pin(prefixes::measure(stage))),
    ("nodes", |stage| Box::pin(nodes::measure(stage))),
    ("death", |stage| Box::pin(death::measure(stage))),
    ("kills", |stage| Box::pin(kills::measure(stage))),
];

impl Stage {
    /// Writes the tokenizer down.
    ///
    /// # Errors
    /// The model has none.
    pub fn new(plan: Plan) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        gaia_models::write_vocabulary(&plan.model, &folder.path().join("vocabulary.gguf"))?;
        Ok(Self { plan, folder })
    }

    /// Whom is measured against.
    pub fn peers(&self) -> String {
        let said = |program: &PathBuf, argument| {
            let output = Command::new(program)
                .arg(argument)
                .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
                .output();
            let text =
                output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
            text.unwrap_or_default()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let haproxy = said(&self.plan.haproxy, "-v");
        let haproxy = haproxy.split(" - ").next().unwrap_or_default().to_owned();
        match &self.plan.litellm {
            Some(program) => format!("{haproxy}, {}", said(program, "--version")),
            None => haproxy,
        }
    }

    /// Where a ledger of this name is.
    pub fn ledger(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.db"))
    }

    /// How a gateway before these nodes is started, with a ledger of this name.
    pub fn options(&self, name: &str, nodes: &[SocketAddr]) -> GatewayOptions {
        GatewayOptions {
            ledger: self.ledger(name).display().to_string(),
            vocabulary: self.folder.path().join("vocabulary.gguf"),
            nodes: nodes.to_vec(),
            sequences: SEQUENCES,
            reading: 1000.0,
            members: false,
        }
    }

    /// A gateway with a new ledger, and the token that pays.
    ///
    /// # Errors
    /// It does not start.
    pub async fn gateway(&self, options: &GatewayOptions) -> anyhow::Result<Paid> {
        domain::fund(options.ledger.as_ref()).await?;
        Paid::start(options).await
    }
}

/// A gateway, and the token that pays.
pub struct Paid {
    /// The process.
    pub own: Own,
    /// Where it listens.
    pub at: SocketAddr,
    /// What stands behind `Authorization:`.
    pub token: String,
}

impl Paid {
    /// Starts one on a ledger that is there.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(options: &GatewayOptions) -> anyhow::Result<Self> {
        let own = Own::gateway(options)?;
        let at = own.address("at")?;
        let token = domain::grant(at).await?;
        Ok(Self { own, at, token })
    }
}

/// Nodes, and where they are: over HTTP, and for a tunnel.
pub struct Behind {
    /// The processes.
    pub nodes: Vec<Own>,
    /// Over HTTP/1.1.
    pub http: Vec<SocketAddr>,
    /// For a tunnel.
    pub tunnels: Vec<SocketAddr>,
}

impl Behind {
    /// Starts so many.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(count: usize, more: &[&str]) -> anyhow::Result<Self> {
        let mut behind = Self {
            nodes: Vec::new(),
            http: Vec::new(),
            tunnels: Vec::new(),
        };
        for number in 1..=count {
            let node = Own::node(number, more)?;
            behind.http.push(node.address("http")?);
            behind.tunnels.push(node.address("tunnel")?);
            behind.nodes.push(node);
        }
        Ok(behind)
    }
}
