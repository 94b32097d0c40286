//! The checks behind `gaia doctor`. Each looks and never changes anything.

mod confinement;
mod keys;
mod memory;
mod models;
mod prompts;
mod tls;
mod worker;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use gaia_gguf::Available;
use gaia_models::available_memory;
use serde::Serialize;

use crate::config::{Config, ConfigFile};
use crate::environment::Environment;
use crate::home::Home;
use crate::supervisor::state::{Service, State};
use crate::supervisor::{aot, lock, port_owner, probe, state, wasmedge};
use crate::terminal::bytes;

/// Below this much free disk space a check fails.
const DISK_BYTES_MIN: u64 = 200 * 1000 * 1000;
/// Below this much free disk space a check warns.
const DISK_BYTES_WARN: u64 = 2 * 1000 * 1000 * 1000;
/// Below this much available memory a check fails: the smallest models need as much.
const MEMORY_BYTES_MIN: u64 = 400 * 1000 * 1000;
/// Below this much available memory a check warns.
const MEMORY_BYTES_WARN: u64 = 1000 * 1000 * 1000;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Ok,
            found: found.into(),
            mend: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Warn,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            check,
            verdict: Verdict::Fail,
            found: found.into(),
            mend: Some(mend.into()),
        }
    }
}

/// All checks.
pub fn examine(home: &Home, environment: &Environment) -> Vec<Finding> {
    let running = state::running(home);
    let (config_finding, config) = configuration(home);
    let mut findings = vec![config_finding, key(home), keys::examine(home, &config)];
    findings.extend(tls::examine(&config));
    let outside = worker::outside(&config, running.as_ref());
    match &outside {
        None => findings.extend(parts(environment)),
        Some(url) => findings.extend([store_program(environment), worker::examine(home, url)]),
    }
    findings.push(confinement::examine(
        &config,
        environment,
        outside.is_some(),
    ));
    findings.extend(models::examine(&config, home, environment));
    findings.extend(prompts::examine(home, &config));
    findings.push(port(&config, running.as_ref()));
    findings.push(store(home, &config, running.as_ref()));
    let available = available_memory();
    // A running node has its models in memory already, and somebody else's worker has them there.
    let is_taken = running.is_some() || outside.is_some();
    findings.push(memory(available, is_taken));
    let available = available.filter(|_| !is_taken);
    findings.extend(memory_plans(home, environment, &config, available));
    findings.push(disk("disk (home)", home.root()));
    findings.push(disk("disk (cache)", &environment.cache));
    findings.push(node(home, running.as_ref()));
    findings
}

/// What the models that are here will take of the memory that is free now.
pub fn plan_memory(home: &Home, environment: &Environment, config: &Config) -> Vec<Finding> {
    memory_plans(home, environment, config, available_memory())
}

fn memory_plans(
    home: &Home,
    environment: &Environment,
    config: &Config,
    available: Option<Available>,
) -> Vec<Finding> {
    let files = models::files(config, home, environment);
    memory::examine(config, &files, available.map(|available| available.bytes))
}

fn configuration(home: &Home) -> (Finding, Config) {
    let path = home.config();
    let read = ConfigFile::read(&path).and_then(|file| file.config());
    match read {
        Ok(config) if path.exists() => (
            Finding::ok("configuration", path.display().to_string()),
            config,
        ),
        Ok(config) => {
            let mend = "`gaia init` writes a commented one";
            (
                Finding::warn("configuration", "none yet; defaults hold", mend),
                config,
            )
        }
        Err(error) => {
            let found = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {}", source.to_string().replace('\n', "; ")),
                None => error.to_string(),
            };
            (
                Finding::fail("configuration", found, "correct it there"),
                Config::default(),
            )
        }
    }
}

fn key(home: &Home) -> Finding {
    let path = home.keystore();
    if !path.exists() {
        return Finding::warn("key", "none yet", "`gaia init` makes one");
    }
    match gaia_keystore::read_address(&path) {
        Ok(address) if is_private(&path) => Finding::ok("key", address.to_string()),
        Ok(address) => {
            let mend = format!("chmod 600 {}", path.display());
            Finding::warn("key", format!("{address}, readable by others"), mend)
        }
        Err(error) => Finding::fail("key", error.to_string(), "put a copy of the keystore back"),
    }
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 == 0)
}

fn parts(environment: &Environment) -> Vec<Finding> {
    let runtime = wasmedge::find_wasmedge(environment);
    let api_server = wasmedge::find_api_server(environment);
    let mut findings = vec![match &runtime {
        Ok(found) => Finding::ok(
            "wasmedge",
            format!("{} at {}", found.version, found.command.display()),
        ),
        Err(error) => Finding::fail("wasmedge", error.to_string(), "make setup"),
    }];
    findings.push(match wasmedge::find_plugin(environment) {
        Ok(path) => Finding::ok("plugin", path.display().to_string()),
        Err(error) => Finding::fail("plugin", error.to_string(), "make build"),
    });
    findings.push(match &api_server {
        Ok(path) => Finding::ok("application", path.display().to_string()),
        Err(error) => Finding::fail("application", error.to_string(), "make build"),
    });
    findings.push(store_program(environment));
    if let (Ok(runtime), Ok(api_server)) = (runtime, api_server) {
        let compiled = aot::compiled_path(&environment.cache.join("aot"), &api_server, &runtime);
        findings.push(match compiled {
            Ok(path) if path.is_file() => Finding::ok("compiled", path.display().to_string()),
            Ok(_) => Finding::warn("compiled", "not yet", "the next `gaia start` compiles it"),
            Err(error) => Finding::fail("compiled", error.to_string(), "make build"),
        });
    }
    findings
}

fn store_program(environment: &Environment) -> Finding {
    match wasmedge::find_store(environment) {
        Ok(path) => Finding::ok("store program", path.display().to_string()),
        Err(error) => Finding::fail("store program", error.to_string(), "make build"),
    }
}

fn port(config: &Config, running: Option<&State>) -> Finding {
    if let Some(state) = running {
        return Finding::ok("port", format!("this node has it: {}", state.url));
    }
    match TcpListener::bind((config.host, config.port)) {
        Ok(_) => Finding::ok("port", format!("{}:{} is free", config.host, config.port)),
        Err(error) => {
            let owner = match port_owner::find(config.port) {
                Some(owner) => format!("taken by `{}` (process {})", owner.name, owner.pid),
                None => error.to_string(),
            };
            let found = format!("{}:{}: {owner}", config.host, config.port);
            Finding::fail("port", found, "stop that, or `gaia config set port PORT`")
        }
    }
}

fn store(home: &Home, config: &Config, running: Option<&State>) -> Finding {
    if let Some(state) = running {
        return match &state.store {
            Some(store) => running_store(store),
            None => no_store("does not run"),
        };
    }
    if !config.store_url.is_empty() {
        let key = config.store_key.reveal();
        let url = format!("{}/collections", config.store_url);
        return match probe::ask_blocking(&url, key, ASK_LIMIT) {
            probe::Answer::Yes => Finding::ok("store", format!("{} answers", config.store_url)),
            probe::Answer::No(401 | 403) => Finding::fail(
                "store",
                format!("{} refuses the key", config.store_url),
                "gaia config set store_key KEY",
            ),
            _ => Finding::fail(
                "store",
                format!("{} does not answer", config.store_url),
                "start it, or `gaia config set store_url \"\"` for the node's own",
            ),
        };
    }
    if config.embedding_model.is_empty() {
        return no_store("will not run");
    }
    let folder = home.store();
    if folder.is_dir() {
        Finding::ok("store", format!("the node's own, in {}", folder.display()))
    } else {
        Finding::ok("store", "the node's own, made at the first start")
    }
}

fn running_store(store: &Service) -> Finding {
    let url = format!("{}/collections", store.url);
    match probe::ask_blocking(&url, &store.key, ASK_LIMIT) {
        probe::Answer::Yes => Finding::ok("store", format!("answers at {}", store.url)),
        other => Finding::fail(
            "store",
            format!("{} does not answer as it should ({other:?})", store.url),
            "gaia restart, and see `gaia logs`",
        ),
    }
}

/// As the owner wants it, so nothing is wrong.
fn no_store(how: &str) -> Finding {
    let found = format!(
        "{how}: no embedding model is configured, so there is no knowledge; \
         `gaia config set embedding_model NAME` and `gaia restart` give the node one"
    );
    Finding::ok("store", found)
}

/// How long a question to a service waits.
const ASK_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);

fn memory(available: Option<Available>, is_running: bool) -> Finding {
    let Some(Available {
        bytes: free,
        is_limit,
    }) = available
    else {
        return Finding::warn(
            "memory",
            "the system does not say how much there is",
            "none",
        );
    };
    let (place, mend) = match is_limit {
        true => (
            " under the limit of this container or service",
            "raise that limit",
        ),
        false => ("", "end other programs"),
    };
    let found = format!("{} available{place}", bytes(free));
    // A running node has what it needs already.
    match free {
        _ if is_running => Finding::ok("memory", found),
        0..MEMORY_BYTES_MIN => Finding::fail("memory", found, mend),
        MEMORY_BYTES_MIN..MEMORY_BYTES_WARN => Finding::warn(
            "memory",
            found,
            format!("only the smallest models fit; {mend}"),
        ),
        _ => Finding::ok("memory", found),
    }
}

fn disk(check: &'static str, path: &Path) -> Finding {
    let Some(free) = free_space(path) else {
        let found = format!("cannot look at `{}`", path.display());
        return Finding::warn(
            check,
            found,
            "choose another place with --home or GAIA_CACHE",
        );
    };
    let found = format!("{} free at {}", bytes(free), path.display());
    match free {
        0..DISK_BYTES_MIN => Finding::fail(check, found, "free some space"),
        DISK_BYTES_MIN..DISK_BYTES_WARN => {
            Finding::warn(check, found, "free some space for models and documents")
        }
        _ => Finding::ok(check, found),
    }
}

/// Free bytes where `path` is, or would be.
fn free_space(path: &Path) -> Option<u64> {
    let existing = path.ancestors().find(|folder| folder.is_dir())?;
    let facts = rustix::fs::statvfs(existing).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

fn node(home: &Home, running: Option<&State>) -> Finding {
    use state::Phase;
    match running {
        None if lock::holder(&home.lock()).is_some() => Finding::ok("node", "starting"),
        None => Finding::ok("node", "not running"),
        Some(state) if state.phase == Phase::CrashLoop => Finding::fail(
            "node",
            "its worker fails again and again",
            "see `gaia logs --worker`",
        ),
        Some(state) if state.phase == Phase::Waiting => Finding::fail(
            "node",
            state.last_failure.clone().unwrap_or_default(),
            "start the worker where it is kept",
        ),
        Some(state) if state.restarts > 0 && state.worker_url.is_some() => Finding::warn(
            "node",
            format!(
                "{}, its worker went away {} times",
                state.phase.as_str(),
                state.restarts
            ),
            "see `gaia logs`, and the worker's own",
        ),
        Some(state) if state.restarts > 0 => Finding::warn(
            "node",
            format!(
                "{}, its worker was started again {} times",
                state.phase.as_str(),
                state.restarts
            ),
            "see `gaia logs`",
        ),
        Some(state) => Finding::ok("node", state.phase.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_says_what_makes_it_little() {
        let check = |bytes, is_limit, verdict, part: &str, mend: Option<&str>| {
            let finding = memory(Some(Available { bytes, is_limit }), false);
            assert_eq!(finding.verdict, verdict, "{}", finding.found);
            assert!(finding.found.contains(part), "{}", finding.found);
            assert_eq!(finding.mend.as_deref(), mend);
        };
        let limit = "under the limit of this container";
        let (small, enough) = (MEMORY_BYTES_MIN - 1, MEMORY_BYTES_WARN);
        check(
            small,
            false,
            Verdict::Fail,
            "available",
            Some("end other programs"),
        );
        check(small, true, Verdict::Fail, limit, Some("raise that limit"));
        let mend = "only the smallest models fit; raise that limit";
        check(MEMORY_BYTES_MIN, true, Verdict::Warn, limit, Some(mend));
        check(enough, true, Verdict::Ok, limit, None);
        assert_eq!(memory(None, false).verdict, Verdict::Warn);
        let few = Available {
            bytes: 1,
            is_limit: true,
        };
        assert_eq!(memory(Some(few), true).verdict, Verdict::Ok);
    }

    #[test]
    fn free_space_of_a_place_that_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_space(&folder.path().join("a/b/c")).is_some());
    }

    #[test]
    fn a_taken_port_names_its_owner() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port_number = listener.local_addr().unwrap().port();
        let config = Config {
            port: port_number,
            ..Config::default()
        };
        let finding = port(&config, None);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(
            finding.found.contains(&std::process::id().to_string()),
            "{}",
            finding.found
        );
        drop(listener);
        assert_eq!(port(&config, None).verdict, Verdict::Ok);
    }

    #[test]
    fn an_empty_home_is_told_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        let findings = examine(&home, &Environment::default());
        let find = |check| {
            findings
                .iter()
                .find(|finding| finding.check == check)
                .unwrap()
        };
        assert_eq!(find("wasmedge").verdict, Verdict::Fail);
        assert_eq!(find("key").mend.as_deref(), Some("`gaia init` makes one"));
        assert_eq!(find("node").found, "not running");
    }
}
