//! The turn itself.
//!
//! ```text
//! Start ─▶ Embed ─▶ Search ─▶ Count (passages) ─▶ Count (prompt) ─▶ Generate ─▶ Begin, Delta… ─▶ Finish
//!    └──────────┴───────┴── nothing to look up, or it failed ──▶┘
//! ```

use std::sync::Arc;

use gaia_openai::chat::TokenLogProb;
use gaia_openai::completion::Prompt;
use gaia_openai::{ApiError, ChatRequest, Citation, FinishReason, Usage};
use gaia_prompt::{RagPolicy, budget};
use gaia_rag::{Hit, Order};

use crate::generation::{self, Generation};
use crate::{Engine, Node, query_of, to_wire};

/// Tokens that putting a passage into a prompt costs besides its own.
const PASSAGE_TOKENS_EXTRA: u32 = 4;

/// Seconds after which a caller may ask again when retrieval failed.
const RETRY_AFTER_SECONDS: u32 = 5;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The turn may begin.
    Start,
    /// The query's embedding.
    Embedded(Vec<f32>),
    /// What the store found.
    Found(Vec<Hit>),
    /// The store has no knowledge base for this node yet: nothing to search, and nothing to warn of.
    NoKnowledge,
    /// Embedding or searching failed; `reason` is shown to the caller.
    RetrievalFailed {
        /// A short clause, such as "the knowledge store did not answer".
        reason: String,
    },
    /// Tokens of each of the texts asked for, in their order.
    Counted(Vec<u32>),
    /// New text, whole characters.
    Generated {
        /// Of which answer.
        choice: u32,
        /// The text; may be empty.
        text: String,
        /// Its tokens, where asked for.
        logprobs: Vec<TokenLogProb>,
    },
    /// The engine is done with an answer.
    Ended {
        /// With which.
        choice: u32,
        /// Why.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
    /// The engine says that the prompt does not fit.
    PromptTooLong,
    /// The engine failed.
    Failed(ApiError),
    /// The caller is gone.
    Cancelled,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Embed this text; answer with [`Event::Embedded`] or [`Event::RetrievalFailed`].
    Embed {
        /// The query.
        query: String,
    },
    /// Ask the store; answer with [`Event::Found`] or [`Event::RetrievalFailed`].
    Search {
        /// The query's embedding.
        vector: Vec<f32>,
        /// Most hits wanted.
        limit: usize,
        /// Least score wanted.
        score_threshold: f32,
    },
    /// Count the chat model's tokens in each text; answer with [`Event::Counted`]. The whole prompt
    /// is among the texts, so markers count as one token.
    Count {
        /// The texts.
        texts: Vec<String>,
    },
    /// The answer begins: what goes on the first chunk.
    Begin {
        /// The passages in the prompt; `None` where nothing was looked up.
        citations: Option<Vec<Citation>>,
        /// Why nothing was looked up although the node has a knowledge base.
        warning: Option<String>,
    },
    /// Generate as many answers as the request wants, [`Generation::choice`] each; answer with
    /// [`Event::Generated`] and one [`Event::Ended`] for each, or with a failure.
    Generate(Generation),
    /// Send text to the caller.
    Delta {
        /// Of which answer.
        choice: u32,
        /// The text.
        text: String,
        /// Its tokens, where asked for.
        logprobs: Vec<TokenLogProb>,
    },
    /// One answer is complete.
    End {
        /// Which.
        choice: u32,
        /// Why the text ended.
        reason: FinishReason,
    },
    /// All answers are complete.
    Finish {
        /// What they took.
        usage: Usage,
    },
    /// The turn failed: a reply with this error, or an event where the stream has begun.
    Fail(ApiError),
    /// Stop generating and free the sequence.
    Stop,
}

#[derive(Debug)]
enum State {
    New,
    Embedding,
    Searching,
    /// The texts being counted are the prompt without passages and each passage.
    CountingPassages(Vec<gaia_rag::Citation>),
    /// The text being counted is the prompt with these passages, best first.
    CountingPrompt(Option<Vec<gaia_rag::Citation>>, String),
    Generating(Generating),
    Over,
}

/// Answers on their way.
#[derive(Debug)]
struct Generating {
    prompt_tokens: u32,
    /// Those that have not ended.
    running: Vec<u32>,
    /// What those that have ended took.
    usage: Option<Usage>,
}

/// One turn of a conversation.
#[derive(Debug)]
pub struct Turn {
    node: Arc<Node>,
    request: ChatRequest,
    now_unix_seconds: i64,
    state: State,
    warning: Option<String>,
    /// Held back until the engine has said something, so that a failure before that is a status of
    /// its own and not the end of a stream.
    begin: Option<Effect>,
}

impl Turn {
    /// A turn for `request`, asked at `now_unix_seconds`.
    ///
    /// # Errors
    /// 400 where the request asks for what this model or engine cannot do.
    pub fn new(
        node: Arc<Node>,
        request: ChatRequest,
        now_unix_seconds: i64,
    ) -> Result<Self, ApiError> {
        generation::check_choices(request.choices, node.engine)?;
        generation::check(
            &request.sampling,
            request.logprobs,
            node.engine,
            node.vocabulary,
        )?;
        Ok(Self {
            node,
            request,
            now_unix_seconds,
            state: State::New,
            warning: None,
            begin: None,
        })
    }

    /// The request as it came in.
    pub fn request(&self) -> &ChatRequest {
        &self.request
    }

    /// Whether the turn has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes what happened, gives what to do about it.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let next = match (state, event) {
            (State::Over, _) => Ok((State::Over, Vec::new())),
            (State::Generating(_), Event::Cancelled) => Ok((State::Over, vec![Effect::Stop])),
            (_, Event::Cancelled) => Ok((State::Over, Vec::new())),
            (State::Generating(_), Event::Failed(error)) => {
                Ok((State::Over, vec![Effect::Stop, Effect::Fail(error)]))
            }
            (_, Event::Failed(error)) => Err(error),
            (State::New, Event::Start) => self.start(),
            (State::Embedding, Event::Embedded(vector)) => self.search(vector),
            (State::Searching, Event::Found(hits)) => self.found(hits),
            (State::Searching, Event::NoKnowledge) => self.count_prompt(None),
            (State::Embedding | State::Searching, Event::RetrievalFailed { reason }) => {
                self.without_retrieval(&reason)
            }
            (State::CountingPassages(citations), Event::Counted(tokens)) => {
                self.fit(citations, &tokens)
            }
            (State::CountingPrompt(citations, prompt), Event::Counted(tokens)) => {
                self.generate(citations, prompt, tokens.first().copied())
            }
            (
                State::Generating(now),
                Event::Generated {
                    choice,
                    text,
                    logprobs,
                },
            ) if now.running.contains(&choice) => {
                let delta = self.delta(choice, text, logprobs);
                Ok((State::Generating(now), delta))
            }
            (
                State::Generating(now),
                Event::Ended {
                    choice,
                    reason,
                    usage,
                },
            ) if now.running.contains(&choice) => Ok(self.end(now, choice, reason, usage)),
            (State::Generating(now), Event::PromptTooLong) => Err(self.too_long(now.prompt_tokens)),
            (state, event) => Err(out_of_order(&state, &event)),
        };
        match next {
            Ok((state, effects)) => {
                self.state = state;
                effects
            }
            Err(error) => vec![Effect::Fail(error)],
        }
    }

    fn start(&mut self) -> Step {
        let window = self
            .node
            .retrieval
            .as_ref()
            .map(|retrieval| retrieval.context_window);
        match window.and_then(|window| query_of(&self.request.messages, window)) {
            Some(query) => Ok((State::Embedding, vec![Effect::Embed { query }])),
            None => self.count_prompt(None),
        }
    }

    fn search(&self, vector: Vec<f32>) -> Step {
        let select = self
            .node
            .retrieval
            .as_ref()
            .map(|retrieval| retrieval.select);
        let Some(select) = select else {
            return self.count_prompt(None);
        };
        let search = Effect::Search {
            vector,
            limit: select.limit,
            score_threshold: select.score_threshold,
        };
        Ok((State::Searching, vec![search]))
    }

    fn found(&self, hits: Vec<Hit>) -> Step {
        let citations = match &self.node.retrieval {
            Some(retrieval) => gaia_rag::select(hits, retrieval.select),
            None => Vec::new(),
        };
        if citations.is_empty() {
            return self.count_prompt(Some(citations));
        }
        let mut texts = vec![self.prompt(Some(&[]))?];
        texts.extend(citations.iter().map(|citation| citation.text.clone()));
        Ok((
            State::CountingPassages(citations),
            vec![Effect::Count { texts }],
        ))
    }

    fn without_retrieval(&mut self, reason: &str) -> Step {
        if self
            .node
            .retrieval
            .as_ref()
            .is_some_and(|retrieval| retrieval.required)
        {
            let message = format!("This node answers only with its knowledge base, and {reason}.");
            return Err(ApiError::retrieval_unavailable(
                message,
                RETRY_AFTER_SECONDS,
            ));
        }
        self.warning = Some(format!("Answered without the knowledge base: {reason}."));
        self.count_prompt(None)
    }

    fn fit(&self, citations: Vec<gaia_rag::Citation>, tokens: &[u32]) -> Step {
        let (prompt, passages) = tokens.split_first().unwrap_or((&0, &[]));
        let tokens_max = self
            .node
            .retrieval
            .as_ref()
            .map_or(0, |retrieval| retrieval.tokens_max);
        let wanted = self.request.sampling.tokens_max;
        let room = budget::retrieval_tokens(self.node.context_tokens, *prompt, wanted, tokens_max);
        let costs: Vec<usize> = passages
            .iter()
            .map(|tokens| tokens.saturating_add(PASSAGE_TOKENS_EXTRA) as usize)
            .collect();
        self.count_prompt(Some(gaia_rag::fit(citations, &costs, room as usize)))
    }

    fn count_prompt(&self, citations: Option<Vec<gaia_rag::Citation>>) -> Step {
        let prompt = self.prompt(citations.as_deref())?;
        let count = Effect::Count {
            texts: vec![prompt.clone()],
        };
        Ok((State::CountingPrompt(citations, prompt), vec![count]))
    }

    fn generate(
        &mut self,
        citations: Option<Vec<gaia_rag::Citation>>,
        prompt: String,
        prompt_tokens: Option<u32>,
    ) -> Step {
        let Some(prompt_tokens) = prompt_tokens else {
            return Err(ApiError::internal("The engine counted no tokens."));
        };
        let context = self.node.context_tokens;
        let wanted = self.request.sampling.tokens_max;
        let cap = self.node.completion_tokens_max;
        let tokens_max = match budget::completion_tokens(context, prompt_tokens, wanted, cap) {
            Ok(tokens_max) => tokens_max,
            // Passages never cost somebody the answer: the worst goes, and it is counted again.
            Err(_)
                if citations
                    .as_ref()
                    .is_some_and(|citations| !citations.is_empty()) =>
            {
                let mut citations = citations.unwrap_or_default();
                citations.pop();
                return self.count_prompt(Some(citations));
            }
            // An estimate is no reason to refuse: the engine itself will say.
            Err(_) if self.node.engine == Engine::Stock => wanted.or(cap).unwrap_or(context),
            Err(_) => return Err(self.too_long(prompt_tokens)),
        };
        self.begin = Some(Effect::Begin {
            citations: citations.map(|citations| citations.iter().map(to_wire).collect()),
            warning: self.warning.take(),
        });
        let generation = Generation {
            prompt: Prompt::Text(prompt),
            tokens_max,
            sampling: self.node.sampling(&self.request.sampling),
            logprobs: self.request.logprobs,
        };
        let state = State::Generating(Generating {
            prompt_tokens,
            running: (0..self.request.choices).collect(),
            usage: None,
        });
        Ok((state, vec![Effect::Generate(generation)]))
    }

    fn end(
        &mut self,
        mut now: Generating,
        choice: u32,
        reason: FinishReason,
        usage: Usage,
    ) -> (State, Vec<Effect>) {
        now.running.retain(|running| *running != choice);
        let usage = now.usage.map_or(usage, |sum| sum.and_choice(usage));
        now.usage = Some(usage);
        let mut effects: Vec<Effect> = self.begin.take().into_iter().collect();
        effects.push(Effect::End { choice, reason });
        if now.running.is_empty() {
            effects.push(Effect::Finish { usage });
            return (State::Over, effects);
        }
        (State::Generating(now), effects)
    }

    fn delta(&mut self, choice: u32, text: String, logprobs: Vec<TokenLogProb>) -> Vec<Effect> {
        if text.is_empty() && logprobs.is_empty() {
            return Vec::new();
        }
        let begin = self.begin.take().into_iter();
        let delta = Effect::Delta {
            choice,
            text,
            logprobs,
        };
        begin.chain([delta]).collect()
    }

    /// The prompt; `None` = without a word about a knowledge base.
    fn prompt(&self, citations: Option<&[gaia_rag::Citation]>) -> Result<String, ApiError> {
        let mut messages = self.node.messages(&self.request.messages);
        if let Some(citations) = citations {
            let markers = self.node.template.markers();
            let (citations, order) = self.shown(citations);
            let passages: Vec<_> = gaia_rag::citation::passages(&citations, order)
                .into_iter()
                .map(|passage| markers.neutralise(passage.trim()))
                .collect();
            let passages: Vec<&str> = passages.iter().map(AsRef::as_ref).collect();
            messages = self.node.rag_prompt.insert(messages, &passages);
        }
        self.node.render(&messages, self.now_unix_seconds)
    }

    /// The citations as the prompt shows them. Before the conversation they stand in an order of their
    /// own: the next turn, or somebody else's question, then begins with the same text and is read from
    /// the cache, although the scores are others. Beside the question the best one is nearest to it, for
    /// small models look there; nothing that could be shared follows.
    fn shown(&self, citations: &[gaia_rag::Citation]) -> (Vec<gaia_rag::Citation>, Order) {
        let mut citations = citations.to_vec();
        match self.node.rag_prompt.policy {
            RagPolicy::LastUserMessage => (citations, Order::BestLast),
            RagPolicy::SystemMessage => {
                let place = |citation: &gaia_rag::Citation| {
                    (citation.document.clone(), citation.chunk, citation.start)
                };
                citations.sort_by_cached_key(place);
                (citations, Order::BestFirst)
            }
        }
    }

    fn too_long(&self, prompt_tokens: u32) -> ApiError {
        ApiError::context_length_exceeded(
            "messages",
            self.node.context_tokens,
            prompt_tokens,
            self.request.sampling.tokens_max.unwrap_or(1),
        )
    }
}

type Step = Result<(State, Vec<Effect>), ApiError>;

fn out_of_order(state: &State, event: &Event) -> ApiError {
    debug_assert!(false, "{event:?} in {state:?}");
    ApiError::internal("The turn was driven out of order.")
}
