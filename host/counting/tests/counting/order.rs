//! Prompts with passages are rendered as nodes render them: a node's own turn is driven beside.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use gaia_chat::{Effect, Engine, Event, Given, Node, Retrieval, Turn};
use gaia_counting::NodeTexts;
use gaia_gguf::Header;
use gaia_metering::{Cited, Kind, Metered};
use gaia_openai::{ChatRequest, Limits};
use gaia_prompt::making::Source;
use gaia_prompt::prompt::Opening;
use gaia_prompt::{ChatTemplate, RagPolicy, RagPrompt, SpecialTokens};
use gaia_rag::{Hit, Payload, SelectLimits};

use crate::models;

fn template() -> ChatTemplate {
    let mut file = BufReader::new(File::open(models::chat_path()).unwrap());
    let source = Header::read(&mut file)
        .unwrap()
        .facts()
        .chat_template
        .unwrap();
    let tokens = SpecialTokens {
        bos: "<|im_start|>".to_owned(),
        eos: "<|im_end|>".to_owned(),
    };
    ChatTemplate::new(&source, tokens).unwrap()
}

fn node(rag_prompt: RagPrompt, sources: Vec<Source>) -> Node {
    Node {
        template: template(),
        engine: Engine::Gaia,
        context_tokens: 4096,
        vocabulary: None,
        completion_tokens_max: None,
        opening: Opening {
            system: Some(models::SYSTEM.to_owned()),
            sources,
            ..Opening::default()
        },
        temperature: None,
        thinking: None,
        rag_prompt,
        retrieval: Some(Retrieval {
            context_window: 1,
            select: SelectLimits {
                score_threshold: 0.0,
                limit: 10,
            },
            tokens_max: 2000,
            required: false,
        }),
    }
}

fn hit(document: &str, chunk: u32, score: f32, text: &str) -> Hit {
    let payload = Payload {
        source: text.to_owned(),
        document: document.to_owned(),
        chunk,
        start: chunk as usize * 10,
        ..Payload::default()
    };
    Hit { score, payload }
}

/// The prompt that a node makes of what was found, and what it tells its client of that.
fn by_node(node: Node, request: &[u8], hits: Vec<Hit>) -> (String, Vec<Cited>) {
    let request = ChatRequest::parse(request, &Limits::default()).unwrap();
    let given = Given {
        now_unix_seconds: 1_700_000_000,
        nonce: 1,
    };
    let mut turn = Turn::new(Arc::new(node), request, given).unwrap();
    let mut effects = turn.step(Event::Start);
    let (mut prompt, mut begun) = (String::new(), None);
    while let Some(effect) = effects.pop() {
        effects = match effect {
            Effect::Embed { .. } => turn.step(Event::Embedded(vec![1.0])),
            Effect::Search { .. } => turn.step(Event::Found(hits.clone())),
            Effect::Count { texts } => {
                prompt.clone_from(&texts[0]);
                turn.step(Event::Counted(vec![20; texts.len()]))
            }
            Effect::Generate(_) => turn.step(Event::Generated {
                choice: 0,
                text: "a".to_owned(),
                logprobs: Vec::new(),
            }),
            Effect::Begin { citations, .. } => {
                begun = citations;
                Vec::new()
            }
            _ => effects,
        };
    }
    let cited = begun.unwrap().into_iter().map(|told| Cited {
        text: told.text,
        document: told.document,
        chunk: told.chunk,
        start: told.start,
        is_given: told.score.is_none(),
    });
    (prompt, cited.collect())
}

#[track_caller]
fn check(rag: RagPrompt, sources: Vec<Source>, hits: Vec<Hit>) {
    let request = br#"{"messages": [{"role": "user", "content": "What <|im_end|> is it?"}]}"#;
    let cited_len = hits.len() + sources.len();
    let (prompt, cited) = by_node(node(rag.clone(), sources), request, hits);
    assert_eq!(cited.len(), cited_len);
    let texts = NodeTexts {
        system: Some(models::SYSTEM.to_owned()),
        passages: rag,
        ..NodeTexts::default()
    };
    let counter = models::chat().with_nodes(texts).unwrap();
    let metered = Metered {
        citations: Some(cited),
        created: Some(1_700_000_000),
        ..Metered::default()
    };
    let rendered = counter.prompt_text(request, &metered).unwrap();
    assert_eq!(rendered, prompt);
    let count = counter.count(Kind::Chat, request, &metered).unwrap();
    assert!(count.counted.0.prompt() > 30);
}

#[test]
fn passages_stand_where_and_in_the_order_in_which_nodes_put_them() {
    let hits = || {
        vec![
            hit("b.md", 2, 0.9, "the best, with <|im_start|> in it"),
            hit("a.md", 7, 0.8, " second\n"),
            hit("a.md", 3, 0.7, "<think>third"),
            hit("b.md", 1, 0.6, "last"),
        ]
    };
    for policy in [RagPolicy::SystemMessage, RagPolicy::LastUserMessage] {
        let rag = RagPrompt {
            policy,
            ..RagPrompt::default()
        };
        check(rag.clone(), Vec::new(), hits());
        check(rag.clone(), Vec::new(), Vec::new());
        let own_words = RagPrompt {
            text: "Read {context} twice.".to_owned(),
            ..rag.clone()
        };
        check(own_words, Vec::new(), hits());
        let source = |title: &str, text: &str| Source {
            title: title.to_owned(),
            url: format!("https://{title}"),
            text: text.to_owned(),
        };
        let sources = vec![source("z", "first given"), source("a", "second given")];
        check(rag, sources, hits());
    }
}
