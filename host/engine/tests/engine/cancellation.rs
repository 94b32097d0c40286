//! A dropped handle frees its sequence at once.

use std::time::{Duration, Instant};

use gaia_engine::{FinishReason, Model, Progress};

use crate::models::{ask, greedy, load_chat, run};

/// One sequence and one cell pool: whoever holds it keeps everybody else out.
fn narrow() -> Model {
    load_chat(|options| {
        options.context_size = Some(4000);
        options.sequences_max = Some(1);
        options.batch_size = Some(2048);
    })
}

fn long_prompt(model: &Model) -> String {
    let prompt = ask(&"The sea is deep and blue. ".repeat(330));
    let len = model.tokenize_prompt(&prompt).unwrap().len();
    assert!((2000..4000).contains(&len), "{len}");
    prompt
}

#[test]
fn while_its_prompt_is_being_read() {
    let model = narrow();
    let prompt = long_prompt(&model);
    let started = Instant::now();
    run(&model, greedy(&prompt, 1));
    let whole = started.elapsed();

    let generation = model.generate(greedy(&prompt, 1)).unwrap();
    std::thread::sleep(whole / 10);
    drop(generation);
    let dropped = Instant::now();
    let answer = run(&model, greedy(&ask("What is the capital of France?"), 20));
    let free_after = dropped.elapsed();
    assert_eq!(answer.text, "The capital of France is Paris.");
    assert!(
        free_after < whole / 4,
        "{free_after:?} of {whole:?} for a whole prompt"
    );
}

/// Counted in a neighbour's tokens, not in seconds: had the dropped request kept its place, the next
/// one would have had to wait for all of its three thousand.
#[test]
fn while_it_writes() {
    let model = load_chat(|options| {
        options.context_size = Some(4000);
        options.cells = Some(8192);
        options.sequences_max = Some(2);
    });
    let story = || {
        let mut request = greedy(&ask("Tell a long story."), 3000);
        request.ignore_eos = true;
        model.generate(request).unwrap()
    };
    let mut dropped = story();
    let neighbour = story();
    assert!(matches!(dropped.wait(), Progress::Piece(_)));
    drop(dropped);
    run(&model, greedy(&ask("Hello"), 1));
    let meanwhile = neighbour.usage().generated;
    assert!(meanwhile < 300, "{meanwhile} tokens");
}

#[test]
fn while_it_waits() {
    let model = load_chat(|options| {
        options.sequences_max = Some(1);
        options.queue_len_max = Some(1);
    });
    let mut first = greedy(&ask("Tell a long story."), 60);
    first.ignore_eos = true;
    let mut running = model.generate(first).unwrap();
    running.wait();
    drop(model.generate(greedy(&ask("Hello"), 1)).unwrap());
    // Its place in the queue is free again after the current step.
    running.wait();
    running.wait();
    model.generate(greedy(&ask("Hello"), 1)).unwrap();
}

/// Another request whose prompt was being read in the interrupted step still gets its own answer.
#[test]
fn without_harm_to_a_neighbour_in_the_same_step() {
    let model = load_chat(|options| {
        options.context_size = Some(4000);
        options.cells = Some(8192);
        options.sequences_max = Some(2);
        options.batch_size = Some(4096);
    });
    let question = ask("What is the capital of France?");
    let doomed = model.generate(greedy(&long_prompt(&model), 1)).unwrap();
    let neighbour = model.generate(greedy(&question, 20)).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    drop(doomed);
    let (piece, finish) = neighbour.collect();
    assert_eq!(piece.text, "The capital of France is Paris.");
    assert_eq!(finish.reason, FinishReason::Stop);
}

#[test]
fn when_the_model_is_unloaded() {
    let model = narrow();
    let generation = model.generate(greedy(&long_prompt(&model), 10)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    drop(model);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(generation.collect().1.reason, FinishReason::Aborted);
}
