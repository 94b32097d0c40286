//! The node's own tools: the host says what there is, and calls what the model asks for.
//!
//! Without a host (the application alone under WasmEdge) there are none. A host that does not answer is as good as
//! none for a new answer; for a call it is a failure, which the model is told.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use gaia_chat::{Outcome, OwnTools, RoundLimits};
use gaia_openai::Tool;
use gaia_openai::chat::ToolCall;
use gaia_trace::{TraceParent, What};
use serde_json::{Value, json};

use crate::app::App;
use crate::back::{Back, BackError, Question};
use crate::log;
use crate::meter::Meter;
use crate::options::Options;

/// How old the list of tools may be: so long after `gaia tools add` a tool may be unknown.
const LIST_AGE_MAX: Duration = Duration::from_secs(1);
/// The list is asked for before each answer, so a host that hangs must not hold it up for long.
const LIST_TIME_MAX: Duration = Duration::from_secs(2);
const LIST_BYTES_MAX: usize = 4 << 20;
/// The host ends a call before this.
const CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// A tool's longest reply, escaped.
const CALL_BYTES_MAX: usize = 8 << 20;
/// The most bytes that the model reads of one result, however large its context is.
const RESULT_BYTES_MAX: usize = 16 << 10;

/// The tools of this node.
pub(crate) struct NodeTools {
    back: Option<Back>,
    rounds_max: u32,
    known: Mutex<Known>,
}

/// The list, and when it was asked for.
#[derive(Default)]
struct Known {
    at: Option<Instant>,
    tools: Vec<Tool>,
}

impl NodeTools {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            back: Back::of(options),
            rounds_max: options.tool_rounds_max,
            known: Mutex::default(),
        }
    }

    /// What a model with a context of so many tokens may be offered now.
    pub(crate) async fn offered(&self, context_tokens: u32) -> OwnTools {
        let tools = match (&self.back, self.rounds_max) {
            (None, _) | (_, 0) => Vec::new(),
            (Some(back), _) => self.list(back).await,
        };
        OwnTools {
            tools,
            limits: RoundLimits {
                rounds_max: self.rounds_max,
                result_bytes_max: result_bytes_max(context_tokens),
                ..RoundLimits::default()
            },
        }
    }

    /// The host, if there is one.
    pub(crate) fn back(&self) -> Option<&Back> {
        self.back.as_ref()
    }

    async fn list(&self, back: &Back) -> Vec<Tool> {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.at.is_some_and(|at| at.elapsed() < LIST_AGE_MAX) {
                return known.tools.clone();
            }
            // One question is enough: others take the old list meanwhile, if there is one.
            known.at = known.at.map(|_| Instant::now());
        }
        let asked = back.ask(Question {
            method: "GET",
            path: "/tools",
            body: String::new(),
            reply_bytes_max: LIST_BYTES_MAX,
            time_max: LIST_TIME_MAX,
        });
        let tools = match asked.await {
            Ok(reply) => read_list(&reply),
            Err(error) => {
                log::warn(format_args!("no tools: {error}"));
                Vec::new()
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Known {
            at: Some(Instant::now()),
            tools: tools.clone(),
        };
        tools
    }

    async fn call(&self, turn: &str, call: &ToolCall, trace: Option<TraceParent>) -> Outcome {
        let started = Instant::now();
        let asked = match &self.back {
            Some(back) => back.ask_within(question(turn, call), trace).await,
            None => Err(BackError::Unreachable("there is none".to_owned())),
        };
        match asked {
            Ok(reply) => read_outcome(&call.id, &reply),
            Err(error) => Outcome {
                id: call.id.clone(),
                result: Err(error.to_string()),
                ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                bytes: 0,
            },
        }
    }
}

/// A byte a token: a quarter of the context in common languages, for one of several results.
fn result_bytes_max(context_tokens: u32) -> usize {
    usize::try_from(context_tokens).map_or(RESULT_BYTES_MAX, |tokens| tokens.min(RESULT_BYTES_MAX))
}

/// Makes all of `calls` at once, for the answer called `turn`.
pub(crate) async fn call_all(app: Arc<App>, turn: String, calls: Vec<ToolCall>) -> Vec<Outcome> {
    let mut running: Vec<Calling<'_>> = calls
        .iter()
        .map(|call| -> Calling<'_> { Box::pin(call_one(&app, &turn, call)) })
        .collect();
    let mut outcomes = Vec::with_capacity(running.len());
    poll_fn(|cx| {
        running.retain_mut(|calling| match calling.as_mut().poll(cx) {
            Poll::Ready(outcome) => {
                outcomes.push(outcome);
                false
            }
            Poll::Pending => true,
        });
        match running.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outcomes
}

type Calling<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

async fn call_one(app: &App, turn: &str, call: &ToolCall) -> Outcome {
    let (meter, started) = (Meter::current(), Instant::now());
    let traced = meter.as_ref().and_then(|meter| meter.begin());
    let (span, parent) = traced.unzip();
    let outcome = app.tools.call(turn, call, parent).await;
    let took = Duration::from_millis(outcome.ms);
    if let Some(meter) = meter {
        let what = What::Tool {
            name: call.name.clone(),
            call: call.id.clone(),
        };
        let failed = outcome.result.is_err().then_some("tool_error");
        meter.phase(started, what, span, failed);
    }
    app.metrics
        .tools
        .called(&call.name, outcome.result.is_err(), took);
    outcome
}

fn question<'a>(turn: &str, call: &ToolCall) -> Question<'a> {
    let body = json!({"turn": turn, "name": call.name, "arguments": call.arguments});
    Question {
        method: "POST",
        path: "/call",
        body: body.to_string(),
        reply_bytes_max: CALL_BYTES_MAX,
        time_max: CALL_TIME_MAX,
    }
}

fn read_list(reply: &Value) -> Vec<Tool> {
    let tools = reply["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let tool = |tool: &Value| {
        Some(Tool {
            name: tool["name"].as_str()?.to_owned(),
            description: tool["description"]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            parameters: tool["parameters"].clone(),
            strict: false,
        })
    };
    tools.iter().filter_map(tool).collect()
}

fn read_outcome(id: &str, reply: &Value) -> Outcome {
    let failure = reply["failure"].as_str().map(str::to_owned);
    let answer = reply["answer"].as_str().map(str::to_owned);
    let said_nothing = || "the node's host says nothing of it".to_owned();
    Outcome {
        id: id.to_owned(),
        result: answer.ok_or_else(|| failure.unwrap_or_else(said_nothing)),
        ms: reply["ms"].as_u64().unwrap_or_default(),
        bytes: reply["bytes"].as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let parameters = json!({"type": "object", "properties": {}});
        let reply = json!({"tools": [
            {"name": "a", "description": "", "parameters": parameters},
            {"description": "nameless"},
            {"name": "b", "description": "what b does", "parameters": parameters},
        ]});
        let tools = read_list(&reply);
        assert_eq!(tools.len(), 2);
        assert_eq!(
            (tools[0].name.as_str(), &tools[0].description),
            ("a", &None)
        );
        assert_eq!(tools[1].description.as_deref(), Some("what b does"));
        assert_eq!(tools[1].parameters, parameters);
        assert!(read_list(&json!(7)).is_empty());
    }

    #[test]
    fn outcomes_are_read() {
        let check = |reply: Value, expected: Result<&str, &str>| {
            let outcome = read_outcome("c", &reply);
            assert_eq!(outcome.result.as_deref().map_err(String::as_str), expected);
        };
        check(json!({"answer": "Sunny", "ms": 1, "bytes": 2}), Ok("Sunny"));
        check(json!({"failure": "no reply"}), Err("no reply"));
        check(json!({}), Err("the node's host says nothing of it"));
    }

    #[test]
    fn results_leave_room_in_a_small_context() {
        assert_eq!(result_bytes_max(2048), 2048);
        assert_eq!(result_bytes_max(1 << 20), RESULT_BYTES_MAX);
    }

    #[test]
    fn without_a_host_there_are_no_tools() {
        gaia_wasi_rt::block_on(async {
            let tools = NodeTools::new(&Options::default());
            assert!(tools.offered(4096).await.tools.is_empty());
        });
    }
}
