//! The turns of one question: between them the node calls its own tools.
//!
//! ```text
//! Start ─▶ a turn ─▶ Call (own tools) ─▶ Called ─▶ the next turn ─▶ … ─▶ Finish
//! ```
//!
//! A turn that ends with calls of the node's tools is not the end: what came of them goes into the
//! conversation, and another turn goes on from there. Calls of the caller's tools are the caller's to
//! make and end the rounds; the node's calls beside them are not made, since what came of them would
//! be lost on the way through the caller.
//!
//! Invariant: the node's tools are called in at most [`RoundLimits::rounds_max`] rounds, whatever the
//! model or a tool says: the turn after the last is not offered them. What a tool says is data; it
//! changes neither the tools nor the limits, and does not end the answer by being long: a prompt that
//! has no room for it is tried again with half of it.

use std::sync::Arc;

use gaia_openai::chat::ToolCall;
use gaia_openai::{ApiError, ChatRequest, FinishReason, Message, Role, Tool, ToolChoice, Usage};

use crate::turn::{Effect, Event, Outcome, Part};
use crate::{Engine, Given, Node, Turn};

/// Results of calls are not shortened below so many bytes: what is left would say nothing.
const RESULT_BYTES_MIN: usize = 128;

/// What stands at the end of a result that was shortened.
const CUT: &str = "… (the rest is left out)";

/// How far the node goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundLimits {
    /// Rounds of calls for one question.
    pub rounds_max: u32,
    /// Calls in one round; those beyond are answered with a refusal.
    pub calls_per_round_max: usize,
    /// Bytes that the model reads of what one call gave.
    pub result_bytes_max: usize,
}

impl Default for RoundLimits {
    fn default() -> Self {
        Self {
            rounds_max: 4,
            calls_per_round_max: 8,
            result_bytes_max: 16 << 10,
        }
    }
}

/// The tools that the node itself calls.
#[derive(Debug, Clone, Default)]
pub struct OwnTools {
    /// What the model is told of them.
    pub tools: Vec<Tool>,
    /// How often they are called.
    pub limits: RoundLimits,
}

/// The turns of one question. Driven as a [`Turn`] is, with [`Effect::Call`] and [`Event::Called`] beside.
#[derive(Debug)]
pub struct Rounds {
    node: Arc<Node>,
    limits: RoundLimits,
    /// The names of the node's tools that are offered.
    own: Vec<String>,
    given: Given,
    turn: Turn,
    rounds: u32,
    begun: bool,
    /// Whether what was said before the calls is to be set apart from what comes now.
    apart: bool,
    heard: Heard,
    /// The calls that are being made.
    calling: Option<Vec<ToolCall>>,
    used: Option<Usage>,
}

/// What the model said in this round.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    reasoning: String,
    /// Calls of the node's tools.
    own: Vec<ToolCall>,
    /// How many calls of the caller's tools.
    callers: u32,
    /// Whether the call that is being written is one of the node's.
    writes_own: bool,
}

impl Rounds {
    /// The rounds for `request`. A tool of the caller's hides one of the node's that is called the same.
    ///
    /// # Errors
    /// As [`Turn::new`].
    pub fn new(
        node: Arc<Node>,
        own: &OwnTools,
        mut request: ChatRequest,
        given: Given,
    ) -> Result<Self, ApiError> {
        let own_names = match may_use(own, &request, &node) {
            true => offer(own, &mut request),
            false => Vec::new(),
        };
        Ok(Self {
            turn: Turn::new(Arc::clone(&node), request, given)?,
            node,
            limits: own.limits,
            own: own_names,
            given,
            rounds: 0,
            begun: false,
            apart: false,
            heard: Heard::default(),
            calling: None,
            used: None,
        })
    }

    /// The request, with the node's tools in it and what was called so far.
    pub fn request(&self) -> &ChatRequest {
        self.turn.request()
    }

    /// Whether all is said.
    pub fn is_over(&self) -> bool {
        self.turn.is_over() && self.calling.is_none()
    }

    /// Takes what happened, gives what to do about it.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        match (self.calling.take(), event) {
            (None, event) => {
                let effects = self.turn.step(event);
                effects
                    .into_iter()
                    .flat_map(|effect| self.pass_or_shorten(effect))
                    .collect()
            }
            (Some(calls), Event::Called(outcomes)) => self.go_on(calls, outcomes),
            (Some(_), Event::Cancelled) => Vec::new(),
            (Some(_), Event::Failed(error)) => vec![Effect::Fail(error)],
            (Some(_), event) => {
                debug_assert!(false, "{event:?} while tools are called");
                vec![Effect::Fail(ApiError::internal(
                    "The turn was driven out of order.",
                ))]
            }
        }
    }

    /// A prompt that grew too long by what was called is tried again with shorter results.
    fn pass_or_shorten(&mut self, effect: Effect) -> Vec<Effect> {
        let shorter = match &effect {
            Effect::Fail(error) if error.is_context_length_exceeded() => self.shortened(),
            _ => None,
        };
        match shorter {
            Some(request) => self.begin(request),
            None => self.pass(effect).into_iter().collect(),
        }
    }

    /// The request with half of each of the last results; `None` where nothing can go.
    fn shortened(&self) -> Option<ChatRequest> {
        if self.rounds == 0 {
            return None;
        }
        let mut request = self.turn.request().clone();
        let mut shorter = false;
        let last = request.messages.iter_mut().rev();
        for message in last.take_while(|message| message.role == Role::Tool) {
            let content = message.content.strip_suffix(CUT);
            let content = content.unwrap_or(&message.content);
            if content.len() > RESULT_BYTES_MIN {
                message.content = cut(content, (content.len() / 2).max(RESULT_BYTES_MIN));
                shorter = true;
            }
        }
        shorter.then_some(request)
    }

    /// What of a turn's effects is the caller's to see. The rest is kept for the next turn.
    fn pass(&mut self, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Begin { .. } => {
                let first = !self.begun;
                self.begun = true;
                first.then_some(effect)
            }
            Effect::Part {
                choice,
                part,
                logprobs,
            } => {
                let part = self.heard.hear(part, &self.own)?;
                let part = self.set_apart(part);
                Some(Effect::Part {
                    choice,
                    part,
                    logprobs,
                })
            }
            Effect::End { reason, .. } if self.heard.goes_on(reason) => {
                self.calling = Some(std::mem::take(&mut self.heard.own));
                None
            }
            Effect::Finish { usage } => {
                let used = self.used.map_or(usage, |used| used.and_prompt(usage));
                self.used = Some(used);
                match &self.calling {
                    Some(calls) => Some(Effect::Call(self.allowed(calls).to_vec())),
                    None => Some(Effect::Finish { usage: used }),
                }
            }
            effect => Some(effect),
        }
    }

    /// The texts of two turns are two paragraphs.
    fn set_apart(&mut self, part: Part) -> Part {
        match part {
            Part::Text(text) if self.apart => match text.trim_start() {
                "" => Part::Text(String::new()),
                text => {
                    self.apart = false;
                    Part::Text(format!("\n\n{text}"))
                }
            },
            part => part,
        }
    }

    fn allowed<'a>(&self, calls: &'a [ToolCall]) -> &'a [ToolCall] {
        &calls[..calls.len().min(self.limits.calls_per_round_max)]
    }

    /// Puts what came of the calls into the conversation and begins the next turn.
    fn go_on(&mut self, calls: Vec<ToolCall>, outcomes: Vec<Outcome>) -> Vec<Effect> {
        self.rounds += 1;
        let mut told = Vec::new();
        let mut results = Vec::new();
        for call in &calls {
            let outcome = outcomes.iter().find(|outcome| outcome.id == call.id);
            told.extend(outcome.map(|outcome| outcome.of(call)));
            results.push(self.result(call, outcome));
        }
        let heard = std::mem::take(&mut self.heard);
        self.apart |= !heard.text.trim().is_empty();
        let mut request = self.turn.request().clone();
        request.messages.push(heard.into_message(calls));
        request.messages.extend(results);
        self.prepare(&mut request);
        let mut effects = vec![Effect::Called(told)];
        effects.extend(self.begin(request));
        effects
    }

    /// Begins the next turn.
    fn begin(&mut self, request: ChatRequest) -> Vec<Effect> {
        let given = Given {
            nonce: self.given.nonce.wrapping_add(u128::from(self.rounds)),
            ..self.given
        };
        match Turn::new(Arc::clone(&self.node), request, given) {
            Err(error) => vec![Effect::Fail(error)],
            Ok(turn) => {
                self.turn = turn;
                self.step(Event::Start)
            }
        }
    }

    /// The message with what came of a call.
    fn result(&self, call: &ToolCall, outcome: Option<&Outcome>) -> Message {
        let content = match outcome.map(|outcome| &outcome.result) {
            Some(Ok(text)) => cut(text, self.limits.result_bytes_max),
            Some(Err(text)) => format!("Error: {}", cut(text, self.limits.result_bytes_max)),
            None => {
                let max = self.limits.calls_per_round_max;
                format!("Error: not called; at most {max} calls are made at a time.")
            }
        };
        Message {
            tool_call_id: Some(call.id.clone()),
            ..Message::new(Role::Tool, content)
        }
    }

    /// The next turn decides freely, has the tokens that are left, and after the last round only the
    /// caller's tools.
    fn prepare(&mut self, request: &mut ChatRequest) {
        let used = self.used.map_or(0, |used| used.completion_tokens);
        let left = |max: u32| max.saturating_sub(used).max(1);
        request.sampling.tokens_max = request.sampling.tokens_max.map(left);
        let tooling = &mut request.tooling;
        tooling.choice = ToolChoice::Auto;
        if self.rounds >= self.limits.rounds_max {
            tooling.tools.retain(|tool| !self.own.contains(&tool.name));
            self.own.clear();
        }
        if tooling.tools.is_empty() {
            tooling.choice = ToolChoice::None;
        }
    }
}

/// Where calls cannot be had, or would have to be kept apart for several answers, the node's tools are
/// left out; nobody asked for them.
fn may_use(own: &OwnTools, request: &ChatRequest, node: &Node) -> bool {
    !own.tools.is_empty()
        && own.limits.rounds_max > 0
        && node.engine == Engine::Gaia
        && request.choices == 1
        && request.sampling.constraint.is_none()
        && match &request.tooling.choice {
            ToolChoice::None => false,
            ToolChoice::Auto => true,
            // Who brings tools and insists on a call waits for one of his own.
            ToolChoice::Required => request.tooling.tools.is_empty(),
            ToolChoice::Named(name) => !request.tooling.tools.iter().any(|tool| tool.name == *name),
        }
}

/// The request with the node's tools in it, where they are offered: what the first turn says to the model.
pub fn with_own_tools(node: &Node, own: &OwnTools, mut request: ChatRequest) -> ChatRequest {
    if may_use(own, &request, node) {
        offer(own, &mut request);
    }
    request
}

/// Adds the node's tools to the request; gives their names.
fn offer(own: &OwnTools, request: &mut ChatRequest) -> Vec<String> {
    let tooling = &mut request.tooling;
    let mut names = Vec::new();
    for tool in &own.tools {
        if !tooling.tools.iter().any(|known| known.name == tool.name) {
            names.push(tool.name.clone());
            tooling.tools.push(tool.clone());
        }
    }
    names
}

impl Heard {
    /// Keeps a part; gives what the caller sees of it.
    fn hear(&mut self, part: Part, own: &[String]) -> Option<Part> {
        match &part {
            Part::Text(text) => self.text.push_str(text),
            Part::Reasoning(text) => self.reasoning.push_str(text),
            Part::CallBegins { id, name, .. } => {
                self.writes_own = own.contains(name);
                if self.writes_own {
                    self.own.push(ToolCall {
                        id: id.clone(),
                        name: name.clone(),
                        arguments: String::new(),
                    });
                } else {
                    self.callers += 1;
                }
            }
            Part::Arguments { piece, .. } => {
                if let (true, Some(call)) = (self.writes_own, self.own.last_mut()) {
                    call.arguments.push_str(piece);
                }
            }
            Part::CallEnds { .. } => {}
        }
        self.as_callers(part)
    }

    /// Of calls, the caller sees its own, counted from 0.
    fn as_callers(&self, part: Part) -> Option<Part> {
        let index = self.callers.saturating_sub(1);
        match part {
            Part::CallBegins { .. } | Part::Arguments { .. } | Part::CallEnds { .. }
                if self.writes_own =>
            {
                None
            }
            Part::CallBegins { id, name, .. } => Some(Part::CallBegins { index, id, name }),
            Part::Arguments { piece, .. } => Some(Part::Arguments { index, piece }),
            Part::CallEnds { .. } => Some(Part::CallEnds { index }),
            other => Some(other),
        }
    }

    /// Whether the node has something to do before the answer goes on.
    fn goes_on(&self, reason: FinishReason) -> bool {
        reason == FinishReason::ToolCalls && self.callers == 0 && !self.own.is_empty()
    }

    fn into_message(self, calls: Vec<ToolCall>) -> Message {
        Message {
            tool_calls: calls,
            reasoning_content: (!self.reasoning.is_empty()).then_some(self.reasoning),
            ..Message::new(Role::Assistant, self.text)
        }
    }
}

/// The beginning of `text`, and a word about the rest.
fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max);
    format!("{}{CUT}", &text[..end])
}
