//! The command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use crate::commands::{self, Context};
use crate::environment::Environment;
use crate::exit::{EXIT_HELP, Exit, failure};
use crate::home::Home;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  gaia start                        run a node in the background and print its address
  gaia ask \"How do I add files?\"    one question, one answer with its sources
  gaia knowledge add ./handbook     teach it your documents
  gaia --home ~/second start        another node on the same machine
  gaia doctor                       what is wrong and how to mend it
";

/// Runs an AI agent with its own knowledge on this machine.
#[derive(Debug, Parser)]
#[command(name = "gaia", version, after_help = format!("{EXAMPLES}\n{EXIT_HELP}"))]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub struct Global {
    /// The node's folder [default: ~/.gaia]
    #[arg(
        long,
        global = true,
        env = "GAIA_HOME",
        value_name = "FOLDER",
        hide_env_values = true
    )]
    pub home: Option<PathBuf>,
    /// Answer in JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours, even on a terminal
    #[arg(long, global = true)]
    pub no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a node: its folder, configuration and key
    Init(commands::init::Arguments),
    /// Start the node (and make it first if there is none)
    Start(commands::start::Arguments),
    /// Stop the node; running answers may finish
    Stop(commands::stop::Arguments),
    /// Stop and start again
    Restart(commands::restart::Arguments),
    /// How somebody else starts this node's worker: a pod, a unit, another terminal
    Worker(commands::worker::Arguments),
    /// What the node is and does
    Status(commands::status::Arguments),
    /// The node at work, live: requests, speed, times, memory
    Top(commands::top::Arguments),
    /// What the node wrote
    Logs(commands::logs::Arguments),
    /// Talk with the node
    Chat(commands::chat::Arguments),
    /// Ask one question
    Ask(commands::ask::Arguments),
    /// Read and change the configuration
    Config(commands::config::Arguments),
    /// The node's documents
    Knowledge(commands::knowledge::Arguments),
    /// The node's named prompts: look at them, try them, compare them
    Prompt(commands::prompt::Arguments),
    /// Measure how well the node finds the right passage
    Eval(commands::eval::Arguments),
    /// The models this machine has or could have
    Model(commands::model::Arguments),
    /// One address for many nodes: make and run a domain
    Domain(commands::domain::Arguments),
    /// Serve a domain with this node
    Join(commands::join::Arguments),
    /// Leave a domain
    Leave(commands::leave::Arguments),
    /// The key that pays domains, and draws what was earned
    Wallet(commands::wallet::Arguments),
    /// Deposit money for a domain's service
    Deposit(commands::deposit::Arguments),
    /// Access tokens of a domain
    Token(commands::token::Arguments),
    /// Ask money back from a domain
    Refund(commands::refund::Arguments),
    /// Draw what was earned in a domain
    Claim(commands::claim::Arguments),
    /// Check what a request cost
    Receipt(commands::receipt::Arguments),
    /// Settle what is due of this home's domain
    Settle(commands::settle::Arguments),
    /// Endpoints that the model may call
    Tools(commands::tools::Arguments),
    /// The node's key, and the keys of its API
    Key(commands::key::Arguments),
    /// Check everything a node needs, and say how to mend what is wrong
    Doctor(commands::doctor::Arguments),
    /// Give up rights and become another program
    #[command(hide = true)]
    Confine(commands::confine::Arguments),
    /// Completions for a shell
    Completions(commands::completions::Arguments),
}

impl Cli {
    /// Runs the verb.
    pub fn run(self) -> anyhow::Result<()> {
        let context = context(&self.global)?;
        match self.verb {
            Verb::Init(arguments) => commands::init::run(&context, &arguments),
            Verb::Start(arguments) => commands::start::run(&context, &arguments),
            Verb::Stop(arguments) => commands::stop::run(&context, &arguments),
            Verb::Restart(arguments) => commands::restart::run(&context, &arguments),
            Verb::Worker(arguments) => commands::worker::run(&context, &arguments),
            Verb::Status(arguments) => commands::status::run(&context, &arguments),
            Verb::Top(arguments) => commands::top::run(&context, &arguments),
            Verb::Logs(arguments) => commands::logs::run(&context, &arguments),
            Verb::Chat(arguments) => commands::chat::run(&context, &arguments),
            Verb::Ask(arguments) => commands::ask::run(&context, &arguments),
            Verb::Config(arguments) => commands::config::run(&context, &arguments),
            Verb::Knowledge(arguments) => commands::knowledge::run(&context, &arguments),
            Verb::Prompt(arguments) => commands::prompt::run(&context, &arguments),
            Verb::Eval(arguments) => commands::eval::run(&context, &arguments),
            Verb::Model(arguments) => commands::model::run(&context, &arguments),
            Verb::Domain(arguments) => commands::domain::run(&context, &arguments),
            Verb::Join(arguments) => commands::join::run(&context, &arguments),
            Verb::Leave(arguments) => commands::leave::run(&context, &arguments),
            Verb::Wallet(arguments) => commands::wallet::run(&context, &arguments),
            Verb::Deposit(arguments) => commands::deposit::run(&context, &arguments),
            Verb::Token(arguments) => commands::token::run(&context, &arguments),
            Verb::Refund(arguments) => commands::refund::run(&context, &arguments),
            Verb::Claim(arguments) => commands::claim::run(&context, &arguments),
            Verb::Receipt(arguments) => commands::receipt::run(&context, &arguments),
            Verb::Settle(arguments) => commands::settle::run(&context, &arguments),
            Verb::Tools(arguments) => commands::tools::run(&context, &arguments),
            Verb::Key(arguments) => commands::key::run(&context, &arguments),
            Verb::Doctor(arguments) => commands::doctor::run(&context, &arguments),
            Verb::Completions(arguments) => commands::completions::run(&arguments),
            Verb::Confine(arguments) => {
                commands::confine::run(&arguments).map(|never| match never {})
            }
        }
    }
}

fn context(global: &Global) -> anyhow::Result<Context> {
    let environment = Environment::read();
    let root = match (&global.home, &environment.user_home) {
        (Some(root), _) => root.clone(),
        (None, Some(user_home)) => user_home.join(".gaia"),
        (None, None) => {
            return Err(failure(
                Exit::Usage,
                "neither --home nor HOME says where the node is",
            ));
        }
    };
    let terminal = Terminal::new(global.json, global.no_color || environment.plain);
    let home = Home::new(&root).with_context(|| format!("no such place: `{}`", root.display()))?;
    Ok(Context {
        home,
        environment,
        terminal,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
