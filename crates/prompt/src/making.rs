//! Prompts that a program makes at run time, in steps.
//!
//! ```text
//! Start ─▶ Run ─▶ Ran ─▶ Call ─▶ Called ─▶ Run … ─▶ Made
//! ```
//!
//! The program is asked with the question, and answers with calls of the node's tools or with the prompt.
//! It is asked again with what came of the calls. Whoever drives this runs the program and calls the
//! tools; here is decided whether they are called at all.
//!
//! Invariant: the program is run at most [`MakingLimits::steps_max`] times and no tool is called that it
//! was not allowed, whatever it says. What it gives is bounded data.

mod wire;

use serde_json::Value;

pub use wire::{Asked, Call, CallMade, CallResult, Made, Report, Said, Source, Subject};

use wire::Answer;

/// How far a program may go for one prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MakingLimits {
    /// How often it is run.
    pub steps_max: u32,
    /// Calls that it may ask for in all its steps together.
    pub calls_max: usize,
    /// Bytes of the question that it is told, and of the conversation before that.
    pub conversation_bytes_max: usize,
    /// Bytes of all results together that it is told.
    pub results_bytes_max: usize,
    /// Sources that it may give.
    pub sources_max: usize,
    /// Bytes of the text of one source.
    pub source_bytes_max: usize,
    /// Bytes of what the model is told.
    pub system_bytes_max: usize,
}

impl Default for MakingLimits {
    fn default() -> Self {
        Self {
            steps_max: 4,
            calls_max: 8,
            conversation_bytes_max: 64 << 10,
            results_bytes_max: 256 << 10,
            sources_max: 16,
            source_bytes_max: 16 << 10,
            system_bytes_max: 64 << 10,
        }
    }
}

/// Why a program made no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakingError {
    /// It failed, or was ended.
    #[error("{0}")]
    Program(String),
    /// What it says is neither calls nor a prompt.
    #[error("it says neither `call` nor a prompt: {0}")]
    Answer(String),
    /// It asks for a tool that it may not use.
    #[error("it asks for the tool `{0}`, which its plugin.toml does not name")]
    Tool(String),
    /// It asks for too many calls.
    #[error("it asks for more than {0} calls")]
    Calls(usize),
    /// It goes on for too long.
    #[error("it has made no prompt in {0} steps")]
    Steps(u32),
    /// It was told what it had not asked for.
    #[error("it was driven out of order")]
    Order,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It may begin.
    Start,
    /// The program has ended: what it printed, or why it printed nothing.
    Ran(Result<String, String>),
    /// What came of the calls, in their order. Those that are missing were not made.
    Called(Vec<Result<String, String>>),
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Run the program on this input; answer with [`Event::Ran`].
    Run(String),
    /// Call these tools; answer with [`Event::Called`].
    Call(Vec<Call>),
    /// The prompt is made.
    Made(Made),
    /// There will be none.
    Fail(MakingError),
}

/// A prompt on its way.
#[derive(Debug)]
pub struct Making {
    asked: Asked,
    limits: MakingLimits,
    steps: u32,
    calls: usize,
    results_bytes: usize,
    /// What is being called.
    calling: Vec<Call>,
}

impl Making {
    /// A prompt for `subject`, by a program that may use `tools`.
    #[must_use]
    pub fn new(subject: Subject, tools: Vec<String>, limits: MakingLimits) -> Self {
        let subject = subject.bounded(&limits);
        Self {
            asked: Asked {
                question: subject.question,
                messages: subject.messages,
                variables: subject.variables,
                model: subject.model,
                tools,
                results: Vec::new(),
            },
            limits,
            steps: 0,
            calls: 0,
            results_bytes: 0,
            calling: Vec::new(),
        }
    }

    /// Takes what happened, gives what to do about it.
    pub fn step(&mut self, event: Event) -> Effect {
        let next = match event {
            Event::Start => self.run(),
            Event::Ran(Err(reason)) => Err(MakingError::Program(reason)),
            Event::Ran(Ok(output)) => self.ran(&output),
            Event::Called(results) => {
                self.called(results);
                self.run()
            }
        };
        next.unwrap_or_else(Effect::Fail)
    }

    fn run(&mut self) -> Result<Effect, MakingError> {
        if self.steps == self.limits.steps_max {
            return Err(MakingError::Steps(self.steps));
        }
        self.steps += 1;
        let input = serde_json::to_string(&self.asked);
        input.map(Effect::Run).map_err(|_| MakingError::Order)
    }

    fn ran(&mut self, output: &str) -> Result<Effect, MakingError> {
        let answer: Answer =
            serde_json::from_str(output).map_err(|error| MakingError::Answer(error.to_string()))?;
        match answer {
            Answer::Call { call } => self.call(call),
            Answer::Made(mut made) => {
                made.bound(&self.limits);
                Ok(Effect::Made(made))
            }
        }
    }

    fn call(&mut self, calls: Vec<Call>) -> Result<Effect, MakingError> {
        let is_refused = |call: &&Call| !self.asked.tools.contains(&call.tool);
        if let Some(call) = calls.iter().find(is_refused) {
            return Err(MakingError::Tool(call.tool.clone()));
        }
        self.calls += calls.len();
        if self.calls > self.limits.calls_max {
            return Err(MakingError::Calls(self.limits.calls_max));
        }
        self.calling.clone_from(&calls);
        Ok(Effect::Call(calls))
    }

    /// Adds what came of the calls to what the program is told.
    fn called(&mut self, results: Vec<Result<String, String>>) {
        let not_made = || Err("it was not called".to_owned());
        let results = results.into_iter().chain(std::iter::repeat_with(not_made));
        for (call, result) in std::mem::take(&mut self.calling).into_iter().zip(results) {
            let mut told = CallResult::of(call, result);
            let room = self.limits.results_bytes_max - self.results_bytes;
            self.results_bytes += told.cut(room);
            self.asked.results.push(told);
        }
    }
}

impl Call {
    /// What it is called with, as the text of a JSON object.
    pub fn arguments_text(&self) -> String {
        match &self.arguments {
            Value::Null => "{}".to_owned(),
            arguments => arguments.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
