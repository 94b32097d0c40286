//! Streams never mix, and what they give is text.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gaia_engine::{FinishReason, Grammar, Progress};

use crate::models::{ask, chat, drawn, drawn_by_seed, greedy, load_chat, run, run_together};

/// Each stream can only say its own word; the words share no letter.
#[test]
fn eight_streams_each_say_their_own_word() {
    let words: Vec<String> = (b'a'..b'i')
        .map(|letter| {
            let letter = char::from(letter);
            format!(
                "{letter}{}{letter}",
                letter.to_ascii_uppercase().to_string().repeat(40)
            )
        })
        .collect();
    let requests = words.iter().enumerate().map(|(seed, word)| {
        let mut request = drawn(&ask("Say the word."), 200, Some(seed as u32));
        request.grammar = Some(Grammar::Gbnf(format!("root ::= \"{word}\"")));
        request
    });
    let answers = run_together(chat(), requests.collect());
    for (word, answer) in words.iter().zip(answers) {
        assert_eq!(&answer.text, word);
        assert_eq!(answer.reason, FinishReason::Stop);
    }
}

#[test]
fn the_same_request_gives_the_same_text_whatever_its_neighbours_ask() {
    let prompt = ask("Tell me about whales.");
    let alone = run(chat(), drawn_by_seed(&prompt, 30, 7));
    let mut wild = drawn_by_seed(&prompt, 30, 8);
    wild.sampling.repeat_penalty = 1.8;
    wild.sampling
        .logit_bias
        .extend((0..500).map(|token| (token, 1e7)));
    let together = run_together(chat(), vec![wild, drawn_by_seed(&prompt, 30, 7)]);
    assert_eq!(together[1].tokens, alone.tokens);
    assert_ne!(together[0].tokens, alone.tokens);
}

#[test]
fn usage_counts_what_was_generated() {
    let answer = run(
        chat(),
        greedy(&ask("Count from one to twenty in words."), 12),
    );
    assert_eq!(answer.reason, FinishReason::Length);
    assert_eq!(answer.usage.generated, 12);
    assert_eq!(answer.tokens.len(), 12);
    let prompt = ask("Count from one to twenty in words.");
    assert_eq!(
        answer.usage.prompt,
        chat().tokenize_prompt(&prompt).unwrap().len()
    );
}

#[test]
fn emoji_leave_whole_and_nothing_is_lost() {
    let mut request = greedy(&ask("Answer with emoji."), 60);
    request.grammar = Some(Grammar::Gbnf("root ::= \"🦀🌍 é 漢字 👩‍👩‍👧\"".to_owned()));
    let mut generation = chat().generate(request).unwrap();
    let mut text = String::new();
    loop {
        match generation.wait() {
            Progress::Piece(piece) => {
                assert!(!piece.text.contains('\u{fffd}'));
                text.push_str(&piece.text);
            }
            Progress::Finished(_) => break,
            Progress::Busy => unreachable!("it waits"),
        }
    }
    assert_eq!(text, "🦀🌍 é 漢字 👩‍👩‍👧");
}

#[test]
fn polling_never_waits() {
    let mut generation = chat().generate(greedy(&ask("Hello"), 5)).unwrap();
    let mut busy = 0;
    while generation.poll() == Progress::Busy {
        busy += 1;
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(busy > 0);
    assert!(generation.wait_within(Duration::from_secs(60)) != Progress::Busy);
}

#[test]
fn stop_strings_end_the_text_before_them() {
    let plain = run(chat(), greedy(&ask("What is the capital of France?"), 20)).text;
    assert_eq!(plain, "The capital of France is Paris.");
    for (stop, text) in [
        ("Paris", "The capital of France is "),
        ("l of Fr", "The capita"),
        ("is Par", "The capital of France "),
        ("The", ""),
    ] {
        let mut request = greedy(&ask("What is the capital of France?"), 20);
        request.stop = vec!["never said".to_owned(), stop.to_owned()];
        let answer = run(chat(), request);
        assert_eq!(answer.text, text);
        assert_eq!(answer.reason, FinishReason::StopString(stop.to_owned()));
    }
}

#[test]
fn the_bell_rings_for_what_is_new() {
    let model = load_chat(|_| {});
    let rings = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&rings);
    model.set_bell(Some(Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    })));
    let generation = model.generate(greedy("One, two,", 8)).unwrap();
    let (piece, _) = generation.collect();
    assert!(!piece.events.is_empty());
    // The step that ended the answer rings after its reader could have seen it.
    let before = rings.load(Ordering::SeqCst);
    assert!(before >= piece.events.len() - 1, "{before} rings");
    model.set_bell(None);
    model.generate(greedy("One, two,", 8)).unwrap().collect();
    assert!(rings.load(Ordering::SeqCst) <= before + 1);
}
