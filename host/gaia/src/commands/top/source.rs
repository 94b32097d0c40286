//! Looks at a node from its own machine: its files, its admin port, and its worker past the door.
//!
//! It asks for no answer and changes nothing. A node that is slow or gone gives a sighting all the same.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gaia_ingress::keys::{Instant as Day, parse_usage, read_keys};
use serde_json::Value;
use ureq::Agent;

use super::exposition::Exposition;
use super::sighting::{KeyUse, Knowledge, Model, Node, Running, Sighting};
use crate::home::Home;
use crate::supervisor::lock;
use crate::supervisor::state::{self, State};

/// How long an answer may take; the models may be computing a step.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
/// The most of an answer that is read.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
/// What the node says of its models is asked once in so many looks: it changes seldom, and asks the store.
const LOOKS_PER_INFO: u32 = 10;
/// How much of the log's end is read.
const LOG_BYTES_MAX: u64 = 16 * 1024;
/// How many lines of it are kept at most; more than a screen is high.
const LOG_LINES_MAX: usize = 64;

/// A way to look at the node of one home.
#[derive(Debug)]
pub struct Source {
    home: Home,
    agent: Agent,
    began: Instant,
    looks: u32,
    /// What the node said of itself, and which worker that was.
    info: Option<((Option<u32>, u32), Value)>,
}

impl Source {
    /// To the node that runs in `home`, now or later.
    pub fn new(home: &Home) -> Self {
        let agent = Agent::config_builder()
            .proxy(None)
            .timeout_global(Some(ANSWER_TIME_MAX))
            .build()
            .into();
        Self {
            home: home.clone(),
            agent,
            began: Instant::now(),
            looks: 0,
            info: None,
        }
    }

    /// What there is to see now.
    pub fn look(&mut self) -> Sighting {
        let state = state::running(&self.home);
        let node = match &state {
            Some(state) => Node::Running(Box::new(self.node(state))),
            None if lock::holder(&self.home.lock()).is_some() => Node::Beginning,
            None => Node::Absent,
        };
        let counts = state.as_ref().and_then(|state| self.counts(state));
        self.looks = self.looks.wrapping_add(1);
        Sighting {
            // Taken behind the answer, as the numbers in it are.
            at: self.began.elapsed(),
            node,
            counts,
            keys: self.keys(),
            log: last_lines(&self.home.log()).unwrap_or_default(),
        }
    }

    fn counts(&self, state: &State) -> Option<Exposition> {
        let text = self.get(&format!("{}/metrics", state.admin_url), "")?;
        Some(Exposition::parse(&text))
    }

    fn node(&mut self, state: &State) -> Running {
        self.ask_for_info(state);
        let info = self.info.as_ref().map_or(&Value::Null, |(_, info)| info);
        let model = |role: &str, id: &str| Model {
            id: id.to_owned(),
            parameters: info["models"][role]["params"].as_u64(),
            context: info["models"][role]["context"].as_u64(),
            size_bytes: info["models"][role]["size_bytes"].as_u64(),
        };
        let embedding = state.embedding.as_ref();
        Running {
            phase: state.phase.as_str(),
            name: info["node_name"].as_str().map(str::to_owned),
            node_id: state.node_id.clone(),
            url: state.url.clone(),
            version: state.version.clone(),
            up_seconds: seconds_now().saturating_sub(state.started_at),
            restarts: state.restarts,
            worker_url: state.worker_url.clone(),
            last_failure: state.last_failure.clone(),
            chat: model("chat", &state.chat.name),
            embedding: embedding.map(|embedding| model("embedding", &embedding.name)),
            knowledge: info["knowledge"]["collection"]
                .as_str()
                .map(|name| Knowledge {
                    collection: name.to_owned(),
                    passages: info["knowledge"]["points"].as_u64(),
                }),
        }
    }

    /// Asked of the worker itself, so that it needs no key of the API and stands in no log.
    fn ask_for_info(&mut self, state: &State) {
        let Some(worker) = &state.worker else {
            self.info = None;
            return;
        };
        let is_of_this_worker = self
            .info
            .as_ref()
            .is_some_and(|(which, _)| *which == (worker.pid, state.restarts));
        if is_of_this_worker && !self.looks.is_multiple_of(LOOKS_PER_INFO) {
            return;
        }
        let text = self.get(
            &format!("{}/v1/info", worker.service.url),
            &worker.service.key,
        );
        let info = text.and_then(|text| serde_json::from_str(&text).ok());
        self.info = info.map(|info| ((worker.pid, state.restarts), info));
    }

    fn get(&self, url: &str, key: &str) -> Option<String> {
        let mut request = self.agent.get(url);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let mut reply = request.call().ok()?;
        let body = reply.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_to_string().ok()
    }

    /// What the keys took today, as the node noted it last; who took most comes first.
    fn keys(&self) -> Vec<KeyUse> {
        let keys = read_keys(&self.home.api_keys()).ok().flatten();
        let usage = fs::read_to_string(self.home.api_usage()).unwrap_or_default();
        let usage = parse_usage(&usage);
        let now = Day::from_unix_seconds(seconds_now());
        let mut uses: Vec<KeyUse> = keys
            .unwrap_or_default()
            .into_iter()
            .map(|key| {
                let used = usage.get(&key.id).copied().unwrap_or_default().today(now);
                KeyUse {
                    name: key.name,
                    tokens: used.tokens,
                    tokens_max: key.tokens_per_day,
                    requests: used.requests,
                }
            })
            .collect();
        uses.sort_by_key(|key| std::cmp::Reverse(key.tokens));
        uses
    }
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The whole lines at the end of the file at `path`.
fn last_lines(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let begun_before = usize::from(start > 0);
    let lines: Vec<&str> = text.lines().skip(begun_before).collect();
    let first = lines.len().saturating_sub(LOG_LINES_MAX);
    Ok(lines[first..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_read_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        assert!(last_lines(&path).is_err(), "not there yet");
        fs::write(&path, "one\ntwo").unwrap();
        assert_eq!(last_lines(&path).unwrap(), ["one", "two"]);
        let long: String = (0..200).map(|at| format!("{at}\n")).collect();
        fs::write(&path, &long).unwrap();
        let lines = last_lines(&path).unwrap();
        assert_eq!((lines.len(), lines[0].as_str()), (LOG_LINES_MAX, "136"));
    }

    #[test]
    fn a_line_longer_than_what_is_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let long = "x".repeat(LOG_BYTES_MAX as usize);
        fs::write(&path, format!("{long}\nshort\n")).unwrap();
        assert_eq!(last_lines(&path).unwrap(), ["short"]);
    }

    #[test]
    fn a_home_without_a_node_is_seen_as_that() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        let sighting = Source::new(&home).look();
        assert_eq!(sighting.node, Node::Absent);
        assert_eq!((sighting.counts, sighting.keys), (None, Vec::new()));
    }
}
