//! Settings do what they say, for the request that has them.

use gaia_engine::{FinishReason, GenerateError, Grammar, Prompt, TokenId};
use serde_json::Value;

use crate::models::{ask, chat, drawn, drawn_by_seed, greedy, run};

#[test]
fn a_seed_makes_the_draw_repeatable() {
    let prompt = ask("Invent a name for a boat.");
    let seeded = |seed| run(chat(), drawn_by_seed(&prompt, 24, seed)).tokens;
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    let unseeded = || run(chat(), drawn(&prompt, 24, None)).tokens;
    assert_ne!(unseeded(), unseeded());
}

#[test]
fn biases_ban_and_force() {
    let plain = run(chat(), greedy(&ask("What is the capital of France?"), 20));
    let first = plain.tokens[0];
    let mut request = greedy(&ask("What is the capital of France?"), 20);
    request.sampling.logit_bias = vec![(first, f32::NEG_INFINITY)];
    assert!(!run(chat(), request).tokens.contains(&first));
    let mut request = greedy(&ask("What is the capital of France?"), 4);
    request.sampling.logit_bias = vec![(first, 100.0)];
    assert_eq!(run(chat(), request).tokens, [first; 4]);
}

#[test]
fn penalties_push_both_ways() {
    let text = |presence: f32, frequency: f32| {
        let mut request = greedy(&ask("Say hello many times."), 40);
        request.sampling.presence_penalty = presence;
        request.sampling.frequency_penalty = frequency;
        run(chat(), request).tokens
    };
    let distinct = |tokens: &[i32]| {
        let set: std::collections::BTreeSet<_> = tokens.iter().collect();
        set.len() as f32 / tokens.len() as f32
    };
    let (repeating, varied) = (text(-2.0, -2.0), text(2.0, 2.0));
    assert!(distinct(&repeating) < 0.5, "{repeating:?}");
    assert!(distinct(&varied) > 0.8, "{varied:?}");
}

#[test]
fn a_schema_shapes_the_answer() {
    let schema = r#"{"type":"object","properties":{"city":{"type":"string","maxLength":20},
        "inhabitants":{"type":"integer"}},"required":["city","inhabitants"]}"#;
    let mut request = drawn(&ask("Describe a city as JSON."), 120, Some(3));
    request.grammar = Some(Grammar::JsonSchema(schema.to_owned()));
    let answer = run(chat(), request);
    assert_eq!(answer.reason, FinishReason::Stop);
    let value: Value = serde_json::from_str(&answer.text).unwrap();
    assert!(value["city"].is_string() && value["inhabitants"].is_i64());
}

#[test]
fn bad_grammars_are_refused() {
    for grammar in [
        Grammar::Gbnf("root ::= ".to_owned() + &"(".repeat(100_000)),
        Grammar::Gbnf("root ::= \"unclosed".to_owned()),
        Grammar::Gbnf("root ::= missing".to_owned()),
        Grammar::Gbnf("leaf ::= \"a\"".to_owned()),
        Grammar::Gbnf("root ::= root \"a\"".to_owned()),
        Grammar::Gbnf("root ::= \"a\"{100000000,}".to_owned()),
        Grammar::Gbnf("root ::= \"a\"{5,2}".to_owned()),
        // A chain of 5,000 rules that comes back to its start.
        Grammar::Gbnf(
            (0..5000)
                .map(|n| format!("r{n} ::= r{}\n", n + 1))
                .collect::<String>()
                + "r5000 ::= r0\nroot ::= r0",
        ),
        Grammar::Gbnf("x".repeat(1 << 20)),
        Grammar::JsonSchema("{\"type\": \"nothing\"}".to_owned()),
        Grammar::JsonSchema("{\"$ref\": \"https://example.org/\"}".to_owned()),
        Grammar::JsonSchema("[".repeat(50_000)),
    ] {
        let mut request = greedy("x", 5);
        let start: String = format!("{grammar:?}").chars().take(60).collect();
        request.grammar = Some(grammar);
        let refused = chat().generate(request).map(drop);
        assert!(
            matches!(refused, Err(GenerateError::Grammar(_))),
            "{start}: {refused:?}"
        );
    }
}

#[test]
fn log_probabilities_are_the_models_own() {
    let mut request = greedy(&ask("What is the capital of France?"), 5);
    request.logprobs = Some(3);
    let (piece, _) = chat().generate(request).unwrap().collect();
    assert_eq!(piece.events.len(), 5);
    for event in piece.events {
        let logprob = event.logprob.unwrap();
        assert!(logprob <= 0.0 && event.top.len() == 3);
        assert_eq!((event.top[0].id, event.top[0].logprob), (event.id, logprob));
        let total: f32 = event.top.iter().map(|top| top.logprob.exp()).sum();
        assert!(total <= 1.0001);
    }
}

#[test]
fn a_given_text_is_scored_as_it_would_be_written() {
    let prompt = chat()
        .vocabulary()
        .tokenize_prompt(&ask("What is the capital of France?"));
    let prompt = prompt.unwrap();
    let request = |tokens: &[TokenId], count: u32| {
        let mut request = greedy("", count);
        request.prompt = Prompt::Tokens(tokens.to_vec());
        request.logprobs = Some(2);
        request
    };
    let (written, _) = chat().generate(request(&prompt, 6)).unwrap().collect();
    let answer: Vec<_> = written.events.iter().map(|event| event.id).collect();
    let all = [&prompt[..], &answer[..4]].concat();
    let mut scored = request(&all, 2);
    scored.score_prompt = true;
    let (scored, finish) = chat().generate(scored).unwrap().collect();
    // The given tokens but the first, and then the same two that come after them.
    let ids: Vec<_> = scored.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, [&all[1..], &answer[4..]].concat());
    assert_eq!(
        (finish.usage.prompt, finish.usage.generated),
        (all.len(), 2)
    );
    assert_eq!(finish.reason, FinishReason::Length);
    let (_, own) = scored.events.split_at(prompt.len() - 1);
    for (given, own) in own.iter().zip(&written.events) {
        let (given, own) = (given.logprob.unwrap(), own.logprob.unwrap());
        assert!((given - own).abs() < 0.05, "{given} {own}");
    }
    let ended: String = written.events[4..]
        .iter()
        .map(|event| String::from_utf8_lossy(&event.bytes).into_owned())
        .collect();
    assert_eq!(scored.text, ended);
}

#[test]
fn the_end_can_be_ignored() {
    let mut request = greedy(&ask("What is the capital of France?"), 30);
    request.ignore_eos = true;
    let answer = run(chat(), request);
    assert_eq!(answer.reason, FinishReason::Length);
    assert_eq!(answer.tokens.len(), 30);
}
