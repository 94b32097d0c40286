//! Whole turns, driven by hand.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

use std::sync::Arc;

use gaia_chat::{Effect, Ending, Engine, Event, Given, Node, Part, Retrieval, Turn};
use gaia_openai::completion::Prompt;
use gaia_openai::{ApiError, ChatRequest, Constraint, FinishReason, Limits, Usage};
use gaia_prompt::{ChatTemplate, RagPolicy, RagPrompt, SpecialTokens, named_template};
use gaia_rag::{Hit, Payload, SelectLimits};
use proptest::prelude::*;

fn node() -> Node {
    node_of(named_template("chatml").unwrap())
}

fn node_of(template: &str) -> Node {
    let template = ChatTemplate::new(template, SpecialTokens::default()).unwrap();
    Node {
        template,
        engine: Engine::Gaia,
        context_tokens: 1000,
        vocabulary: Some(100),
        completion_tokens_max: Some(300),
        opening: Some("Be kind.".to_owned()).into(),
        temperature: Some(0.25),
        thinking: None,
        rag_prompt: RagPrompt {
            text: "Read:".to_owned(),
            no_hit: "Nothing found.".to_owned(),
            policy: RagPolicy::SystemMessage,
        },
        retrieval: Some(Retrieval {
            context_window: 1,
            select: SelectLimits {
                score_threshold: 0.5,
                limit: 3,
            },
            tokens_max: 100,
            required: false,
        }),
    }
}

fn request(fields: &str) -> ChatRequest {
    let body = format!(r#"{{"messages":[{{"role":"user","content":"why?"}}]{fields}}}"#);
    ChatRequest::parse(body.as_bytes(), &Limits::default()).unwrap()
}

fn turn(node: Node) -> Turn {
    Turn::new(Arc::new(node), request(""), Given::default()).unwrap()
}

fn hit(text: &str, score: f32) -> Hit {
    let payload = Payload {
        source: text.to_owned(),
        document: format!("{text}.md"),
        ..Payload::default()
    };
    Hit { score, payload }
}

/// The one effect of a step.
#[track_caller]
fn one(turn: &mut Turn, event: Event) -> Effect {
    let mut effects = turn.step(event);
    assert_eq!(effects.len(), 1, "{effects:?}");
    effects.remove(0)
}

/// Takes a turn from its start up to the question how long the prompt is.
#[track_caller]
fn retrieve(turn: &mut Turn, hits: Vec<Hit>) -> Effect {
    let embed = one(turn, Event::Start);
    assert_eq!(
        embed,
        Effect::Embed {
            query: "why?".to_owned()
        }
    );
    let search = one(turn, Event::Embedded(vec![1.0]));
    assert_eq!(
        search,
        Effect::Search {
            vector: vec![1.0],
            limit: 3,
            score_threshold: 0.5
        }
    );
    one(turn, Event::Found(hits))
}

#[track_caller]
fn counted_texts(effect: Effect) -> Vec<String> {
    match effect {
        Effect::Count { texts } => texts,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn prompt_of(effect: Effect) -> (String, u32) {
    match effect {
        Effect::Generate(generation) => match generation.prompt {
            Prompt::Text(text) => (text, generation.tokens_max),
            Prompt::Tokens(tokens) => panic!("{tokens:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn ended() -> Event {
    ended_choice(0)
}

fn ended_choice(choice: u32) -> Event {
    Event::Ended {
        choice,
        reason: FinishReason::Stop,
        usage: Usage::new(50, 2, 0),
    }
}

fn piece(text: &str) -> Event {
    Event::Generated {
        choice: 0,
        text: text.to_owned(),
        logprobs: Vec::new(),
    }
}

#[test]
fn a_node_that_was_taught_nothing_neither_warns_nor_mentions_it() {
    let mut turn = turn(node());
    let _ = one(&mut turn, Event::Start);
    let _ = one(&mut turn, Event::Embedded(vec![1.0]));
    let texts = counted_texts(one(&mut turn, Event::NoKnowledge));
    assert!(!texts[0].contains("Nothing found."), "{texts:?}");
    let _ = one(&mut turn, Event::Counted(vec![50]));
    let begin = turn.step(piece("Hi")).remove(0);
    let expected = Effect::Begin {
        citations: None,
        warning: None,
    };
    assert_eq!(begin, expected);
}

#[test]
fn the_owners_temperature_holds_where_the_request_names_none() {
    let check = |fields: &str, expected: f32| {
        let sampling = node().sampling(&request(fields).sampling);
        assert_eq!(sampling.temperature, Some(expected));
    };
    check("", 0.25);
    check(r#","temperature":1.5"#, 1.5);
    check(r#","temperature":0"#, 0.0);
}

#[test]
fn the_owner_says_whether_it_thinks_where_the_request_does_not() {
    const OPENING: &str = "{{ messages[0].content }}{% if add_generation_prompt %}|{{ enable_thinking | default('?') | string | lower }}{% endif %}";
    let check = |owner: Option<bool>, fields: &str, expected: &str| {
        let node = Node {
            thinking: owner,
            opening: None.into(),
            ..node_of(OPENING)
        };
        assert_eq!(node.prompt(&request(fields), 0).unwrap(), expected);
        assert_eq!(node.history(&request(fields), 0).unwrap(), "why?");
    };
    check(None, "", "why?|?");
    check(Some(true), "", "why?|true");
    check(Some(false), "", "why?|false");
    check(Some(true), r#","reasoning_effort":"none""#, "why?|false");
    check(Some(false), r#","reasoning_effort":"low""#, "why?|true");
    let kwargs = r#","chat_template_kwargs":{"enable_thinking":false}"#;
    check(Some(true), kwargs, "why?|false");
}

#[test]
fn an_answer_from_the_knowledge_base() {
    let mut turn = turn(node());
    let texts = counted_texts(retrieve(
        &mut turn,
        vec![hit("good", 0.7), hit("best", 0.9), hit("bad", 0.2)],
    ));
    assert_eq!(texts[1..], ["best", "good"]);
    let texts = counted_texts(one(&mut turn, Event::Counted(vec![30, 10, 10])));
    assert_eq!(texts.len(), 1);
    let (prompt, tokens_max) = prompt_of(one(&mut turn, Event::Counted(vec![50])));
    assert_eq!(
        prompt,
        "<|im_start|>system\nBe kind.\n\nRead:\n\nbest\n\ngood<|im_end|>\n<|im_start|>user\nwhy?<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(tokens_max, 300);
    let effects = turn.step(piece("Be"));
    let [
        Effect::Begin {
            citations: Some(citations),
            warning: None,
        },
        Effect::Part {
            part: Part::Text(text),
            ..
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(citations[0].text, "best");
    assert_eq!((citations.len(), text.as_str()), (2, "Be"));
    assert!(turn.step(piece("")).is_empty());
    assert_eq!(turn.step(piece("cause")).len(), 1);
    assert_eq!(
        turn.step(ended()),
        [
            Effect::End {
                choice: 0,
                reason: FinishReason::Stop
            },
            Effect::Finish {
                usage: Usage::new(50, 2, 0)
            }
        ]
    );
    assert!(turn.is_over());
}

#[test]
fn several_answers_end_one_by_one_and_the_turn_with_the_last() {
    let node = Node {
        retrieval: None,
        ..node()
    };
    let mut turn = Turn::new(Arc::new(node), request(r#","n":2"#), Given::default()).unwrap();
    one(&mut turn, Event::Start);
    one(&mut turn, Event::Counted(vec![50]));
    assert_eq!(turn.step(piece("a")).len(), 2);
    let end = |choice| Effect::End {
        choice,
        reason: FinishReason::Stop,
    };
    assert_eq!(turn.step(ended_choice(1)), [end(1)]);
    assert_eq!(turn.step(piece("b")).len(), 1);
    let usage = Usage::new(50, 4, 0);
    assert_eq!(
        turn.step(ended_choice(0)),
        [end(0), Effect::Finish { usage }]
    );
    assert!(turn.is_over());
}

/// The prompt for a conversation when the store finds `hits`.
fn prompt_for(policy: RagPolicy, messages: &str, hits: Vec<Hit>) -> String {
    let mut node = node();
    node.rag_prompt.policy = policy;
    let body = format!(r#"{{"messages":[{messages}]}}"#);
    let request = ChatRequest::parse(body.as_bytes(), &Limits::default()).unwrap();
    let mut turn = Turn::new(Arc::new(node), request, Given::default()).unwrap();
    one(&mut turn, Event::Start);
    one(&mut turn, Event::Embedded(vec![1.0]));
    let count = hits.len() + 1;
    let mut effect = one(&mut turn, Event::Found(hits));
    if count > 1 {
        effect = one(&mut turn, Event::Counted(vec![10; count]));
    }
    counted_texts(effect).remove(0)
}

const ASKED: &str = r#"{"role":"user","content":"why?"}"#;
const ASKED_AGAIN: &str = r#"{"role":"user","content":"why?"},{"role":"assistant","content":"So."},{"role":"user","content":"and then?"}"#;

fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let equal = |(a, b): &(char, char)| a == b;
    let chars = one.chars().zip(other.chars()).take_while(equal);
    &one[..chars.map(|(char, _)| char.len_utf8()).sum()]
}

#[test]
fn prompts_of_a_node_begin_alike() {
    for policy in [RagPolicy::SystemMessage, RagPolicy::LastUserMessage] {
        let first = prompt_for(policy, ASKED, vec![hit("alpha", 0.9)]);
        let other = prompt_for(policy, ASKED, vec![hit("beta", 0.9)]);
        let shared = common(&first, &other);
        assert!(shared.contains("Be kind."), "{shared}");
        assert!(shared.ends_with("Read:\n\n"), "{shared}");
        // What both found comes before what only one found.
        let more = vec![hit("alpha", 0.6), hit("gamma", 0.9)];
        let more = prompt_for(policy, ASKED, more);
        if policy == RagPolicy::SystemMessage {
            assert!(common(&first, &more).ends_with("alpha"), "{more}");
        }
    }
}

#[test]
fn the_next_turn_begins_with_the_turn_before() {
    let policy = RagPolicy::SystemMessage;
    let first = prompt_for(policy, ASKED, vec![hit("alpha", 0.9), hit("beta", 0.6)]);
    // The same passages, but the other one is nearer to the new question.
    let next = prompt_for(
        policy,
        ASKED_AGAIN,
        vec![hit("beta", 0.8), hit("alpha", 0.7)],
    );
    assert_eq!(common(&first, &next), first);
}

#[test]
fn nothing_found_is_said_in_the_prompt() {
    let mut turn = turn(node());
    let texts = counted_texts(retrieve(&mut turn, vec![hit("bad", 0.2)]));
    assert!(texts[0].contains("Nothing found."), "{texts:?}");
    one(&mut turn, Event::Counted(vec![20]));
    let effects = turn.step(ended());
    assert!(
        matches!(&effects[0], Effect::Begin { citations: Some(none), warning: None } if none.is_empty())
    );
}

#[test]
fn without_a_knowledge_base_nothing_is_looked_up() {
    let mut turn = turn(Node {
        retrieval: None,
        ..node()
    });
    let texts = counted_texts(one(&mut turn, Event::Start));
    assert!(texts[0].contains("Be kind.<|im_end|>"), "{texts:?}");
    one(&mut turn, Event::Counted(vec![20]));
    let effects = turn.step(piece("x"));
    assert!(matches!(
        &effects[0],
        Effect::Begin {
            citations: None,
            warning: None
        }
    ));
}

#[test]
fn failed_retrieval_is_a_warning() {
    let failed = || Event::RetrievalFailed {
        reason: "the store is down".to_owned(),
    };
    for early in [true, false] {
        let mut turn = turn(node());
        one(&mut turn, Event::Start);
        if !early {
            one(&mut turn, Event::Embedded(vec![1.0]));
        }
        let texts = counted_texts(one(&mut turn, failed()));
        assert!(!texts[0].contains("Nothing found."), "{texts:?}");
        one(&mut turn, Event::Counted(vec![20]));
        let effects = turn.step(piece("x"));
        let Effect::Begin {
            citations: None,
            warning: Some(warning),
        } = &effects[0]
        else {
            panic!("{effects:?}");
        };
        assert!(warning.contains("the store is down"), "{warning}");
    }
}

#[test]
fn failed_retrieval_is_503_where_it_is_required() {
    let mut node = node();
    node.retrieval.as_mut().unwrap().required = true;
    let mut turn = turn(node);
    one(&mut turn, Event::Start);
    let effect = one(
        &mut turn,
        Event::RetrievalFailed {
            reason: "the store is down".to_owned(),
        },
    );
    assert!(
        matches!(effect, Effect::Fail(error) if error.status == 503 && error.retry_after_seconds.is_some())
    );
    assert!(turn.step(piece("x")).is_empty());
}

#[test]
fn passages_that_do_not_fit_stay_out() {
    let mut turn = turn(node());
    retrieve(
        &mut turn,
        vec![hit("best", 0.9), hit("long", 0.8), hit("short", 0.7)],
    );
    let texts = counted_texts(one(&mut turn, Event::Counted(vec![30, 40, 80, 30])));
    assert!(texts[0].contains("best\n\nshort"), "{texts:?}");
    assert!(!texts[0].contains("long"), "{texts:?}");
}

/// Counting apart is not the same as counting together; the last word has the whole prompt.
#[test]
fn passages_give_way_when_the_whole_is_too_long() {
    let mut turn = turn(node());
    retrieve(&mut turn, vec![hit("best", 0.9), hit("good", 0.8)]);
    one(&mut turn, Event::Counted(vec![30, 10, 10]));
    let texts = counted_texts(one(&mut turn, Event::Counted(vec![1200])));
    assert!(
        texts[0].contains("best") && !texts[0].contains("good"),
        "{texts:?}"
    );
    let texts = counted_texts(one(&mut turn, Event::Counted(vec![1100])));
    assert!(texts[0].contains("Nothing found."), "{texts:?}");
    let effect = one(&mut turn, Event::Counted(vec![1050]));
    let Effect::Fail(error) = effect else {
        panic!("{effect:?}")
    };
    assert_eq!(error.code.as_deref(), Some("context_length_exceeded"));
    assert!(
        error.message.contains("1000") && error.message.contains("1050"),
        "{}",
        error.message
    );
}

#[test]
fn the_answer_is_no_longer_than_context_and_node_allow() {
    for (fields, prompt_tokens, expected) in [
        ("", 100, 300),
        (r#","max_tokens":20"#, 100, 20),
        (r#","max_completion_tokens":5000"#, 100, 300),
        ("", 900, 100),
    ] {
        let node = Node {
            retrieval: None,
            ..node()
        };
        let mut turn = Turn::new(Arc::new(node), request(fields), Given::default()).unwrap();
        one(&mut turn, Event::Start);
        let (_, tokens_max) = prompt_of(one(&mut turn, Event::Counted(vec![prompt_tokens])));
        assert_eq!(tokens_max, expected, "{fields}");
    }
}

#[test]
fn a_failure_before_the_first_word_is_no_stream() {
    let mut turn = turn(Node {
        retrieval: None,
        ..node()
    });
    one(&mut turn, Event::Start);
    one(&mut turn, Event::Counted(vec![20]));
    let busy = ApiError::too_many_requests(1);
    assert_eq!(
        turn.step(Event::Failed(busy.clone())),
        [Effect::Stop, Effect::Fail(busy)]
    );
}

#[test]
fn whoever_leaves_frees_the_sequence() {
    let mut generating = turn(Node {
        retrieval: None,
        ..node()
    });
    one(&mut generating, Event::Start);
    one(&mut generating, Event::Counted(vec![20]));
    assert_eq!(generating.step(Event::Cancelled), [Effect::Stop]);
    assert!(generating.step(piece("x")).is_empty());
    let mut early = turn(node());
    one(&mut early, Event::Start);
    assert!(early.step(Event::Cancelled).is_empty() && early.is_over());
}

#[test]
fn tokens_that_do_not_exist_are_refused() {
    let biased = request(r#","logit_bias":{"100":1}"#);
    let error = Turn::new(Arc::new(node()), biased, Given::default()).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("logit_bias"));
}

#[test]
fn roles_the_template_refuses_are_the_callers_affair() {
    let source = "{{ raise_exception('No.') }}";
    let template = ChatTemplate::new(source, SpecialTokens::default()).unwrap();
    let mut turn = turn(Node {
        template,
        retrieval: None,
        ..node()
    });
    let effect = one(&mut turn, Event::Start);
    assert!(
        matches!(effect, Effect::Fail(error) if error.status == 400 && error.message.contains("No."))
    );
}

/// Answers an effect in one of the ways the world may answer it.
fn answer(effect: &Effect, choice: u8, number: u32) -> Option<Event> {
    let failed = || Event::RetrievalFailed {
        reason: "it is down".to_owned(),
    };
    Some(match (effect, choice % 4) {
        (_, 3) => Event::Cancelled,
        (Effect::Embed { .. } | Effect::Search { .. }, 0) => failed(),
        (Effect::Embed { .. }, _) => Event::Embedded(vec![0.0]),
        (Effect::Search { .. }, 1) => Event::Found(Vec::new()),
        (Effect::Search { .. }, _) => Event::Found(vec![hit("a", 0.9), hit("b", 0.8)]),
        (Effect::Count { .. }, 0) => Event::Failed(ApiError::internal("broken")),
        (Effect::Count { texts }, _) => Event::Counted(vec![number % 2000; texts.len()]),
        (Effect::Generate(_), 0) => Event::Failed(ApiError::internal("broken")),
        (Effect::Generate(_), 1) => Event::PromptTooLong,
        (Effect::Generate(_), _) => ended(),
        _ => return None,
    })
}

proptest! {
    /// However the world answers, a turn ends once, within a bounded number of steps, and what it
    /// generates fits the context.
    #[test]
    fn a_turn_always_ends_once(choices in prop::collection::vec((any::<u8>(), any::<u32>()), 20)) {
        let mut turn = turn(node());
        let mut ends = 0;
        let mut cancelled = false;
        let mut event = Event::Start;
        for (choice, number) in choices {
            cancelled |= event == Event::Cancelled;
            let effects = turn.step(event.clone());
            ends += effects.iter().filter(|effect| matches!(effect, Effect::Finish { .. } | Effect::Fail(_))).count();
            if let Some(Effect::Generate(generation)) = effects.last() {
                prop_assert!(generation.tokens_max >= 1 && generation.tokens_max <= 300);
            }
            event = effects.last().and_then(|effect| answer(effect, choice, number)).unwrap_or(Event::Cancelled);
        }
        prop_assert!(turn.is_over());
        prop_assert!(ends <= 1);
        prop_assert!(ends == 1 || cancelled);
    }
}

const TOOLS: &str = r#","tools":[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]"#;

/// As far as the engine: what it is to generate.
fn generating(node: Node, fields: &str) -> (Turn, gaia_chat::Generation) {
    let node = Node {
        retrieval: None,
        ..node
    };
    let given = Given {
        nonce: 0xabc,
        ..Given::default()
    };
    let mut turn = Turn::new(Arc::new(node), request(fields), given).unwrap();
    one(&mut turn, Event::Start);
    match one(&mut turn, Event::Counted(vec![50])) {
        Effect::Generate(generation) => (turn, generation),
        other => panic!("{other:?}"),
    }
}

fn grammar_of(generation: &gaia_chat::Generation) -> Option<&str> {
    match &generation.sampling.constraint {
        Some(Constraint::Grammar(grammar)) => Some(grammar),
        _ => None,
    }
}

fn parts(effects: Vec<Effect>) -> Vec<Part> {
    let part = |effect| match effect {
        Effect::Part { part, .. } => Some(part),
        _ => None,
    };
    effects.into_iter().filter_map(part).collect()
}

const HERMES: &str = include_str!("../../prompt/tests/models/qwen3.jinja");

#[test]
fn a_model_thinks_before_it_answers_in_json() {
    let json = r#","response_format":{"type":"json_object"}"#;
    let (mut turn, generation) = generating(node_of(HERMES), json);
    let accepts = |text: &str| match &generation.sampling.constraint {
        Some(Constraint::Schema(schema)) => schema.grammar.accepts(text),
        other => panic!("{other:?}"),
    };
    assert!(accepts("{\"a\":1}") && accepts("<think>Hm.</think>\n\n{\"a\":1}"));
    assert!(!accepts("Hm. {}"));
    assert!(generation.shown_tokens.contains(&"</think>"));
    let mut ending = Ending::new(&generation.sampling, 1);
    assert_eq!(ending.push(0, "<think>Hm".to_owned()), "<think>Hm");
    assert!(
        ending.close(0).starts_with("</think>{"),
        "cut while it thinks"
    );
    let mut seen = parts(turn.step(piece("<think>Hm.</think>\n\n{\"a\"")));
    seen.extend(parts(turn.step(piece(":\"<tool_call>\"}"))));
    seen.extend(parts(turn.step(ended())));
    let mut said = (String::new(), String::new());
    for part in seen {
        match part {
            Part::Reasoning(text) => said.0.push_str(&text),
            Part::Text(text) => said.1.push_str(&text),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said.0.trim(), "Hm.");
    assert_eq!(said.1, "{\"a\":\"<tool_call>\"}");
}

#[test]
fn a_call_comes_in_pieces_and_ends_the_answer() {
    let (mut turn, generation) = generating(node_of(HERMES), TOOLS);
    assert!(grammar_of(&generation).is_some_and(|text| text.contains("root")));
    let mut seen = parts(turn.step(piece("Let me see.\n<tool_")));
    seen.extend(parts(turn.step(piece(
        "call>\n{\"name\": \"weather\", \"arguments\": {\"city\"",
    ))));
    seen.extend(parts(turn.step(piece(": \"Rome\"}}\n</tool_call>"))));
    let end = turn.step(ended());
    assert!(end.contains(&Effect::End {
        choice: 0,
        reason: FinishReason::ToolCalls
    }));
    seen.extend(parts(end));
    let mut text = String::new();
    let mut arguments = Vec::new();
    let mut begun = Vec::new();
    for part in seen {
        match part {
            Part::Text(piece) => text.push_str(&piece),
            Part::CallBegins { index, id, name } => begun.push((index, id, name)),
            Part::Arguments { index: 0, piece } => arguments.push(piece),
            Part::CallEnds { index: 0 } => {}
            other => panic!("{other:?}"),
        }
    }
    let id = "call_00000000000000000abc0000".to_owned();
    assert_eq!(begun, [(0, id, "weather".to_owned())]);
    assert_eq!(text.trim(), "Let me see.");
    assert!(arguments.len() > 1, "{arguments:?}");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&arguments.concat()).unwrap(),
        serde_json::json!({"city": "Rome"})
    );
}

#[test]
fn what_the_model_thinks_is_no_text() {
    let (mut turn, generation) = generating(node_of(HERMES), "");
    assert_eq!(generation.sampling.constraint, None);
    let mut seen = parts(turn.step(piece("<think>\nHm.\n</think>\n\nYes.")));
    let end = turn.step(ended());
    assert!(end.contains(&Effect::End {
        choice: 0,
        reason: FinishReason::Stop
    }));
    seen.extend(parts(end));
    let text = |wanted: fn(&Part) -> Option<&String>| -> String {
        seen.iter().filter_map(wanted).cloned().collect()
    };
    let reasoning = text(|part| match part {
        Part::Reasoning(text) => Some(text),
        _ => None,
    });
    let said = text(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    });
    assert_eq!((reasoning.trim(), said.trim()), ("Hm.", "Yes."));
}

#[test]
fn tools_are_shown_unless_they_are_not_to_be_called() {
    for template in [HERMES, named_template("chatml").unwrap()] {
        let prompt = |fields: &str| {
            let (_, generation) = generating(node_of(template), fields);
            let grammar = grammar_of(&generation).is_some();
            (prompt_of(Effect::Generate(generation)).0, grammar)
        };
        let (shown, held) = prompt(TOOLS);
        assert!(shown.contains("weather") && held, "{shown}");
        let none = format!(r#"{TOOLS},"tool_choice":"none""#);
        let (hidden, held) = prompt(&none);
        assert!(!hidden.contains("weather") && !held, "{hidden}");
        assert_eq!(hidden, prompt("").0);
    }
}

#[test]
fn a_stop_sequence_does_not_cut_a_call_that_must_be() {
    let stops = |choice: &str| {
        let fields = format!(r#"{TOOLS},"stop":"}}","tool_choice":"{choice}""#);
        generating(node(), &fields).1.sampling.stop.len()
    };
    assert_eq!((stops("auto"), stops("required")), (1, 0));
}

#[test]
fn a_strict_tool_that_cannot_be_held_to_is_refused() {
    let tools = r#","tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","not":{}}}}]"#;
    let node = Node {
        retrieval: None,
        ..node()
    };
    let mut turn = Turn::new(Arc::new(node), request(tools), Given::default()).unwrap();
    one(&mut turn, Event::Start);
    let Effect::Fail(error) = one(&mut turn, Event::Counted(vec![50])) else {
        panic!("no refusal");
    };
    assert_eq!(
        (error.status, error.param.as_deref()),
        (400, Some("tools[0].function.parameters"))
    );
}

#[test]
fn an_answer_is_valid_json_or_calls_where_both_are_asked_for() {
    const SCHEMA: &str = r#","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"sky":{"type":"string"}},"required":["sky"],"additionalProperties":false}}}"#;
    let call =
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    let accepts = |fields: &str, text: &str| {
        let (_, generation) = generating(node_of(HERMES), &format!("{TOOLS}{fields}"));
        match &generation.sampling.constraint {
            Some(Constraint::Schema(schema)) => {
                let either = schema.or_calls.as_ref().unwrap();
                assert_eq!(Constraint::Schema(Arc::clone(schema)).gbnf(), either.gbnf());
                either.accepts(text)
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(accepts(SCHEMA, "{\"sky\":\"blue\"}"));
    assert!(accepts(SCHEMA, "<think>Hm.</think>{\"sky\":\"blue\"}"));
    assert!(accepts(SCHEMA, call));
    assert!(!accepts(SCHEMA, "It is blue."));
    assert!(!accepts(SCHEMA, "{\"sea\":\"blue\"}"));
    // Who insists on a call gets one and no JSON.
    let required = format!(r#"{TOOLS}{SCHEMA},"tool_choice":"required""#);
    let (_, generation) = generating(node_of(HERMES), &required);
    assert!(grammar_of(&generation).is_some());
    // An answer that is cut off is ended; a call is left as it is.
    let (_, generation) = generating(node_of(HERMES), &format!("{TOOLS}{SCHEMA}"));
    let closed = |text: &str| {
        let mut ending = Ending::new(&generation.sampling, 1);
        ending.push(0, text.to_owned());
        (ending.close(0), ending.warning(0).is_some())
    };
    assert_eq!(closed("{\"sky\":\"bl"), ("\"}".to_owned(), true));
    assert_eq!(closed(&call[..40]), (String::new(), false));
    assert_eq!(closed(call), (String::new(), false));
}

#[test]
fn a_named_function_is_called_once() {
    let named = r#","tool_choice":{"type":"function","function":{"name":"weather"}}"#;
    let calls = |fields: &str| {
        let (_, generation) = generating(node_of(HERMES), &format!("{TOOLS}{fields}"));
        grammar_of(&generation).unwrap().to_owned()
    };
    let once = r#","parallel_tool_calls":false"#;
    assert_eq!(calls(named), calls(&format!("{named}{once}")));
    let required = r#","tool_choice":"required""#;
    assert_ne!(calls(required), calls(&format!("{required}{once}")));
}

#[test]
fn what_is_left_of_a_call_that_must_be_is_no_text() {
    let required = format!(r#"{TOOLS},"tool_choice":"required""#);
    let (mut turn, _) = generating(node_of(HERMES), &required);
    let mut seen = parts(turn.step(piece("<tool_")));
    seen.extend(parts(turn.step(ended())));
    assert_eq!(seen, []);
}

#[test]
fn what_tools_cannot_be_had_with_is_refused() {
    let refused = |node: Node, fields: &str| {
        let fields = format!("{TOOLS}{fields}");
        let turn = Turn::new(Arc::new(node), request(&fields), Given::default());
        turn.unwrap_err().param.unwrap()
    };
    let stock = || Node {
        engine: Engine::Stock,
        ..node()
    };
    assert_eq!(refused(stock(), ""), "tools");
    let none = format!(r#"{TOOLS},"tool_choice":"none""#);
    assert!(Turn::new(Arc::new(stock()), request(&none), Given::default()).is_ok());
    assert_eq!(refused(node(), r#","grammar":"root ::= \"a\"""#), "grammar");
}
