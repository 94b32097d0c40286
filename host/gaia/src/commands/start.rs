//! `gaia start`: prepares what is missing, then runs the node, in the background or here.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Context, chain, init, runtime, with_mend};
use crate::config::{Config, LogFormat};
use crate::doctor::{self, Finding};
use crate::exit::{Exit, failure};
use crate::logging;
use crate::membership;
use crate::password::password_in;
use crate::supervisor::daemon::{self, DaemonError};
use crate::supervisor::front::{self, ListenError, check_free};
use crate::supervisor::lock::{self, LockError};
use crate::supervisor::node::{self, NodeError, NodePlan};
use crate::supervisor::prepare::{PrepareError, Prepared, prepare};
use crate::supervisor::state::{self, State};
use crate::terminal::{Terminal, Tint};

/// How long a node that is just ending gets to let go of its home: a killed process holds its lock
/// until its last thread is gone.
const ENDING_MAX: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  gaia start                  in the background; prints the address when it answers
  gaia start --foreground     here, until ctrl-C
  gaia start --worker http://127.0.0.1:9080
                              serve by a worker that somebody else starts, as `gaia worker` says";

/// Arguments of `gaia start`.
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Stay in this terminal (or under this service manager) until told to stop
    #[arg(long)]
    foreground: bool,
    /// Serve by the worker that somebody else keeps there, instead of `worker_url`
    #[arg(long, value_name = "URL")]
    worker: Option<String>,
    /// The password of the node's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Arguments {
    /// In the background, with the password in this file.
    pub fn in_background(password_file: Option<&Path>) -> Self {
        Self {
            password_file: password_file.map(Path::to_owned),
            ..Self::default()
        }
    }
}

/// Runs `gaia start`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let context = &with_password(context, arguments.password_file.as_deref())?;
    match context.config() {
        Ok(config) if arguments.foreground && config.log_format == LogFormat::Json => {
            logging::start(context.environment.log.as_deref(), LogFormat::Json);
            begin(&silent(context), arguments)
        }
        // What is wrong with it is told in its turn.
        _ => begin(context, arguments),
    }
}

/// The same, with the password that a file holds. One that does not open the key is found before anything starts: the
/// node would come up, and serve no domain.
pub fn with_password(context: &Context, file: Option<&Path>) -> anyhow::Result<Context> {
    let mut environment = context.environment.clone();
    if let Some(file) = file {
        if context.home.keystore().exists() {
            membership::open_key(&context.home, &environment, Some(file), false)?;
        }
        environment.password = Some(password_in(file)?);
    }
    Ok(Context {
        home: context.home.clone(),
        environment,
        terminal: context.terminal,
    })
}

/// The same, without words for people.
fn silent(context: &Context) -> Context {
    Context {
        home: context.home.clone(),
        environment: context.environment.clone(),
        terminal: Terminal::new(true, true),
    }
}

fn begin(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    refuse_second(context)?;
    let done = init::initialise(context, &init::Arguments::default(), false)?;
    if done.is_new {
        let home = context.home.root().display();
        context.terminal.note(&format!(
            "A new node in {home}, with the address {}",
            done.address
        ));
    }
    let config = with_worker(context.config()?, arguments.worker.as_deref())?;
    let prepared = look(context, &config, &[])?;
    show_memory(context, &config);
    if arguments.foreground {
        foreground(context, &config, &prepared, &done.address)
    } else {
        let password_file = arguments.password_file.as_deref();
        background(context, &config, &prepared, password_file)
    }
}

/// `config` with the worker at `url`, if there is one.
pub fn with_worker(config: Config, url: Option<&str>) -> anyhow::Result<Config> {
    let Some(url) = url else {
        return Ok(config);
    };
    let config = Config {
        worker_url: url.to_owned(),
        ..config
    };
    match config.check_worker() {
        Ok(()) => Ok(config),
        Err(message) => Err(failure(Exit::Usage, format!("`{url}`: {message}"))),
    }
}

/// Everything that a start refuses by what is configured, refused; and what it needs, fetched. A node
/// that runs meanwhile notices nothing. `own_ports`: those that this home's node has, and gives back
/// before the next one listens.
pub fn look(context: &Context, config: &Config, own_ports: &[u16]) -> anyhow::Result<Prepared> {
    check_free(config, own_ports).map_err(listen_failure)?;
    front::check(config, &context.home).map_err(listen_failure)?;
    node::check(&context.home, config).map_err(node_failure)?;
    prepare_parts(context, config)
}

/// Starts a node in the background from what [`look`] has found good.
pub fn launch(
    context: &Context,
    config: &Config,
    prepared: &Prepared,
    password_file: Option<&Path>,
) -> anyhow::Result<()> {
    refuse_second(context)?;
    init::initialise(context, &init::Arguments::default(), false)?;
    show_memory(context, config);
    background(context, config, prepared, password_file)
}

/// What the models are going to take here, where the node's own worker takes it.
fn show_memory(context: &Context, config: &Config) {
    if config.outside_ports().is_some() {
        context.terminal.note(&outside(config));
        return;
    }
    for plan in &doctor::plan_memory(&context.home, &context.environment, config) {
        context.terminal.note(&memory(&context.terminal, plan));
    }
}

/// What a model is going to take, before it does.
fn memory(terminal: &Terminal, plan: &Finding) -> String {
    let (check, found) = (plan.check, &plan.found);
    match &plan.mend {
        None => terminal.err(Tint::Dim, &format!("{check}: {found}")),
        Some(mend) => {
            let check = terminal.err(Tint::Yellow, check);
            format!("{check}: {found}\n  to mend: {mend}")
        }
    }
}

/// What is different with a worker that somebody else keeps.
fn outside(config: &Config) -> String {
    format!(
        "The worker at {} is kept by somebody else (`gaia worker` says how it is started): the node waits {} s for \
         it, and does not start, confine or restart it; models and settings that change count for it when it is \
         started again.",
        config.worker_url,
        node::COME_LIMIT.as_secs(),
    )
}

fn refuse_second(context: &Context) -> anyhow::Result<()> {
    if lock::wait_free(&context.home.lock(), ENDING_MAX) {
        return Ok(());
    }
    let Some(pid) = lock::holder(&context.home.lock()) else {
        return Ok(());
    };
    let place = match state::running(&context.home) {
        Some(state) => format!(" at {}", state.url),
        None => String::new(),
    };
    let message = format!("a node is running in this home already{place} (process {pid})");
    Err(failure(Exit::AlreadyRunning, message))
}

pub fn prepare_parts(context: &Context, config: &Config) -> anyhow::Result<Prepared> {
    let terminal = context.terminal;
    prepare(config, &context.home, &context.environment, &|line| {
        terminal.note(line)
    })
    .map_err(|error| prepare_failure(&error))
}

/// Why there is not everything that a node needs.
pub fn prepare_failure(error: &PrepareError) -> anyhow::Error {
    let mend = match error {
        PrepareError::Model(error) => error.mend(),
        PrepareError::Part(_) | PrepareError::Compile(_) => None,
    };
    let message = with_mend(chain(error), mend);
    match error {
        PrepareError::Compile(_) => failure(Exit::Failure, message),
        PrepareError::Part(_) | PrepareError::Model(_) => failure(Exit::Missing, message),
    }
}

fn foreground(
    context: &Context,
    config: &Config,
    prepared: &Prepared,
    node_id: &str,
) -> anyhow::Result<()> {
    let in_json = config.log_format == LogFormat::Json;
    if !in_json {
        logging::start(context.environment.log.as_deref(), LogFormat::Text);
    }
    let plan = NodePlan {
        home: &context.home,
        config,
        environment: &context.environment,
        prepared,
        node_id,
    };
    let terminal = context.terminal;
    let on_ready = |state: &State| {
        if !in_json {
            show_ready(&terminal, state);
        }
    };
    // On the main thread: the worker dies with the thread that started it.
    runtime()?
        .block_on(node::run(&plan, on_ready))
        .map_err(node_failure)
}

fn background(
    context: &Context,
    config: &Config,
    prepared: &Prepared,
    password_file: Option<&Path>,
) -> anyhow::Result<()> {
    let spinner = spinner(&context.terminal);
    let outside = config.outside_ports().map(|_| config.worker_url.as_str());
    spinner.set_message(match outside {
        Some(url) => format!("waiting for the worker at {url}"),
        None => format!("loading {}", prepared.models.chat.name),
    });
    let started = Instant::now();
    let outcome = daemon::start(&context.home, outside, password_file, &mut |_| {
        spinner.tick();
    });
    spinner.finish_and_clear();
    let state = outcome.map_err(|error| match error {
        DaemonError::Ended { reason, status } => {
            let exit = Exit::from_status(status.code());
            failure(exit, reason)
        }
        other => failure(Exit::Failure, chain(&other)),
    })?;
    context.terminal.note(&format!(
        "Ready after {:.1} s.",
        started.elapsed().as_secs_f32()
    ));
    show_ready(&context.terminal, &state);
    Ok(())
}

/// A spinner on a terminal, nothing elsewhere.
fn spinner(terminal: &Terminal) -> ProgressBar {
    if terminal.json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let spinner = ProgressBar::new_spinner();
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn show_ready(terminal: &Terminal, state: &State) {
    terminal.answer(
        || {
            json!({
                "url": state.url,
                "pid": state.pid,
                "node_id": state.node_id,
                "chat_model": state.chat,
                "embedding_model": state.embedding,
                "reranking_model": state.reranking,
            })
        },
        |terminal| {
            format!(
                "{} answers with {} ({})\nPage and API: {}\nTry: gaia ask \"How do I add documents?\"",
                terminal.out(Tint::Green, "The node"),
                state.chat.name,
                state.chat.reason,
                terminal.out(Tint::Bold, &state.url),
            )
        },
    );
}

pub fn node_failure(error: NodeError) -> anyhow::Error {
    let exit = match error {
        NodeError::Listen(error) => return listen_failure(error),
        NodeError::Lock(LockError::Held { .. }) => Exit::AlreadyRunning,
        NodeError::NeverReady { .. } | NodeError::NeverCame { .. } => Exit::Unhealthy,
        _ => Exit::Failure,
    };
    failure(exit, chain(&error))
}

fn listen_failure(error: ListenError) -> anyhow::Error {
    let exit = match &error {
        ListenError::Taken { .. } => Exit::PortTaken,
        ListenError::Refused(_) => Exit::Failure,
    };
    failure(exit, chain(&error))
}
