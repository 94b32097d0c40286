//! What has been read is not read again, and nobody notices but for the time.

use std::time::Duration;

use gaia_engine::{FinishReason, Model};

use crate::models::{Answer, answer, ask, greedy, load_chat, run, run_together};
use crate::reference;

/// About 300 tokens that many questions have in common.
fn passage() -> String {
    "The lighthouse of Skagen was built in 1858 and is forty-six metres high. ".repeat(16)
}

fn about(passage: &str, question: &str) -> String {
    ask(&format!("{passage}\n\n{question}"))
}

fn model() -> Model {
    load_chat(|options| {
        options.context_size = Some(1500);
        options.cells = Some(6144);
        options.sequences_max = Some(4);
    })
}

/// Every token is llama.cpp's own choice or tied with it.
fn check_tokens(model: &Model, prompt: &str, answer: &Answer) {
    let prompt = model.tokenize_prompt(prompt).unwrap();
    let verdict = reference::judge(&prompt, &answer.tokens, answer.reason == FinishReason::Stop);
    assert!(verdict.lead_max <= 2.0 * verdict.noise, "{verdict:?}");
}

#[test]
fn a_repeated_beginning_is_read_once() {
    let model = model();
    let first = about(&passage(), "How high is it?");
    let second = about(&passage(), "When was it built?");
    let cold = run(&model, greedy(&first, 12));
    assert_eq!(cold.usage.cached, 0);
    let warm = run(&model, greedy(&second, 12));
    assert!(warm.usage.cached > 250, "{:?}", warm.usage);
    assert!(warm.usage.cached < warm.usage.prompt);
    check_tokens(&model, &second, &warm);
    // The whole prompt is known: all but its last token comes from there.
    let again = run(&model, greedy(&first, 12));
    assert_eq!(again.usage.cached, again.usage.prompt - 1);
    check_tokens(&model, &first, &again);
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let model = model();
    let prompt = ask("Name three fruits.");
    let first = run(&model, greedy(&prompt, 20));
    let next = format!(
        "{prompt}{}<|im_end|>\n<|im_start|>user\nAnd two more?",
        first.text
    );
    let answer = run(&model, greedy(&next, 5));
    // Its own answer is known too, up to its last token, whose cell was never computed.
    assert!(answer.usage.cached + 2 >= first.usage.prompt + first.usage.generated);
}

#[test]
fn without_the_cache_everything_is_read() {
    let model = model();
    let prompt = about(&passage(), "How high is it?");
    run(&model, greedy(&prompt, 1));
    let mut request = greedy(&prompt, 12);
    request.cache_prompt = false;
    let fresh = run(&model, request);
    assert_eq!(fresh.usage.cached, 0);
    check_tokens(&model, &prompt, &fresh);
}

/// Where nothing else runs, whatever was asked before. Which rows are computed together changes the rounding, so all
/// steps read the same number of them: one tile, however slow the machine just is.
#[test]
fn without_the_cache_the_same_question_has_the_same_answer_to_the_bit() {
    let model = load_chat(|options| {
        options.context_size = Some(1500);
        options.cells = Some(6144);
        options.sequences_max = Some(4);
        options.batch_size = Some(64);
        options.reading_time = Some(Duration::MAX);
    });
    let prompt = about(&passage(), "How high is it?");
    let bits = || -> Vec<(i32, u32)> {
        let mut request = greedy(&prompt, 16);
        request.cache_prompt = false;
        request.logprobs = Some(1);
        let (piece, _) = model.generate(request).unwrap().collect();
        let events = piece.events.iter();
        let bits = events.map(|event| (event.id, event.logprob.unwrap().to_bits()));
        bits.collect()
    };
    let first = bits();
    assert_eq!(first.len(), 16);
    for other in ["Name three fruits.", "How high is it?", "Count to ten."] {
        run(&model, greedy(&about(&passage(), other), 20));
        assert_eq!(bits(), first, "after {other}");
    }
}

/// Four that come at once: the first reads what they have in common.
#[test]
fn those_who_come_together_read_together() {
    let model = model();
    let questions = ["How high?", "How old?", "Where is it?", "What is it?"];
    let prompts: Vec<_> = questions.iter().map(|one| about(&passage(), one)).collect();
    let requests = prompts.iter().map(|prompt| greedy(prompt, 12)).collect();
    let answers = run_together(&model, requests);
    let cached: Vec<_> = answers.iter().map(|answer| answer.usage.cached).collect();
    assert_eq!(cached[0], 0);
    assert!(cached[1..].iter().all(|cached| *cached > 250), "{cached:?}");
    for (prompt, answer) in prompts.iter().zip(&answers) {
        check_tokens(&model, prompt, answer);
    }
}

/// The one that reads for the others goes away in the middle.
#[test]
fn those_who_wait_go_on_when_the_reader_leaves() {
    let model = model();
    let reader = model
        .generate(greedy(&about(&passage(), "How high?"), 5))
        .unwrap();
    let waiting = model
        .generate(greedy(&about(&passage(), "How old?"), 5))
        .unwrap();
    drop(reader);
    let answer = answer(waiting);
    assert_eq!(answer.reason, FinishReason::Length);
    assert_eq!(answer.tokens.len(), 5);
}

/// Many different prompts through a small cache: the oldest goes, and nobody runs out of room.
#[test]
fn what_is_kept_gives_way() {
    let model = load_chat(|options| {
        options.context_size = Some(512);
        options.cells = Some(512);
        options.sequences_max = Some(2);
    });
    for round in 0..40 {
        let prompt = ask(&format!(
            "{round} {}",
            "The sea is blue. ".repeat(40 + round % 7)
        ));
        let answer = run(&model, greedy(&prompt, 3));
        assert!(
            matches!(answer.reason, FinishReason::Length | FinishReason::Stop),
            "{round}: {:?}",
            answer.reason
        );
    }
}

/// About 120 tokens.
fn short_passage() -> String {
    "The lighthouse of Skagen was built in 1858 and is forty-six metres high. ".repeat(6)
}

/// Reads five documents, of which two stay in the KV cache, with so much host memory, and the first
/// one again.
fn read_five_and_the_first_again(host_cache_bytes: u64) -> Answer {
    let model = load_chat(|options| {
        options.context_size = Some(512);
        options.cells = Some(512);
        options.sequences_max = Some(2);
        options.host_cache_bytes = Some(host_cache_bytes);
    });
    let document = |number: usize| format!("Document {number}. {}", short_passage());
    for number in 0..5 {
        run(
            &model,
            greedy(&about(&document(number), "How high is it?"), 3),
        );
    }
    let prompt = about(&document(0), "When was it built?");
    let answer = run(&model, greedy(&prompt, 12));
    check_tokens(&model, &prompt, &answer);
    answer
}

#[test]
fn what_left_the_cache_comes_back_from_host_memory() {
    let answer = read_five_and_the_first_again(256 << 20);
    assert!(answer.usage.cached > 100, "{:?}", answer.usage);
}

#[test]
fn without_host_memory_it_is_read_again() {
    let answer = read_five_and_the_first_again(0);
    assert!(answer.usage.cached < 50, "{:?}", answer.usage);
}

/// Host memory for one document: the copies go as they came, and what is left of them is right.
#[test]
fn full_host_memory_gives_way() {
    let answer = read_five_and_the_first_again(4 << 20);
    assert!(answer.usage.cached < 50, "{:?}", answer.usage);
}

/// Conversations that take turns: each goes on from its own copies, and from the head they share.
#[test]
fn conversations_that_take_turns_keep_their_place() {
    let model = load_chat(|options| {
        options.context_size = Some(1024);
        options.cells = Some(1024);
        options.sequences_max = Some(2);
        options.host_cache_bytes = Some(256 << 20);
    });
    let questions = [
        "How high is it?",
        "When was it built?",
        "Where does it stand?",
    ];
    let mut talks: Vec<_> = questions.map(|one| about(&short_passage(), one)).into();
    for turn in 0..3 {
        for talk in &mut talks {
            let answer = run(&model, greedy(talk, 24));
            check_tokens(&model, talk, &answer);
            if turn > 0 {
                let new = answer.usage.prompt - answer.usage.cached;
                assert!(new < 30, "{turn}: {:?}", answer.usage);
            }
            let next =
                "<|im_end|>\n<|im_start|>user\nTell me more.<|im_end|>\n<|im_start|>assistant\n";
            *talk = format!("{talk}{}{next}", answer.text);
        }
    }
}
