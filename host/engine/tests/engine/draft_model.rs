//! A second model that guesses changes when an answer comes, and not what it is.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use gaia_engine::{FinishReason, LoadError, LoadOptions, MemoryPlan, Model, Speculation};
use tempfile::{NamedTempFile, tempdir};

use crate::models::{
    Answer, ask, chat, chat_path, drawn_by_seed, embedding_path, greedy, load_chat, run,
    run_together,
};
use crate::reference;

const QUESTIONS: [&str; 4] = [
    "Write a short poem about the sea.",
    "Explain how a bicycle stays upright.",
    "Who wrote Romeo and Juliet?",
    "Give three tips for sleeping well.",
];

/// The chat model with `draft` to guess for it, wherever it can.
fn with_draft(draft: &Path) -> Model {
    load_chat(|options| {
        options.sequences_max = Some(4);
        options.speculation = Speculation::Always;
        options.draft_model = Some(draft.to_owned());
        options.draft_checked = true;
    })
}

/// The chat model turned against itself: what it finds least likely comes first.
fn contrary() -> NamedTempFile {
    let mut bytes = fs::read(chat_path()).unwrap();
    let header = gaia_gguf::Header::read(&mut Cursor::new(&bytes)).unwrap();
    let mut tensors = header.tensors().iter();
    let norm = tensors.find(|tensor| tensor.name == "output_norm.weight");
    let start = norm.unwrap().offset as usize;
    let end = start + norm.unwrap().bytes as usize;
    for number in bytes[start..end].chunks_exact_mut(4) {
        // The sign of a float of 32 bits.
        number[3] ^= 0x80;
    }
    written(&bytes)
}

fn written(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    file
}

/// What the model says at temperature 0, up to ties.
fn check(prompt: &str, answer: &Answer) {
    let tokens = chat().tokenize_prompt(prompt).unwrap();
    let ended = answer.reason == FinishReason::Stop;
    let verdict = reference::judge(&tokens, &answer.tokens, ended);
    assert_eq!(verdict.same + verdict.ties, answer.tokens.len());
    assert!(verdict.lead_max <= 2.0 * verdict.noise, "{verdict:?}");
}

fn share(answers: &[Answer]) -> f64 {
    let sum = |of: fn(&Answer) -> usize| answers.iter().map(of).sum::<usize>() as f64;
    sum(|answer| answer.usage.accepted) / sum(|answer| answer.usage.drafted)
}

#[test]
fn a_model_that_guesses_for_itself_is_nearly_always_right() {
    let model = with_draft(&chat_path());
    let alone = QUESTIONS.map(|question| run(&model, greedy(&ask(question), 32)));
    let together = QUESTIONS.map(|question| greedy(&ask(question), 32));
    let together = run_together(&model, together.into());
    for answers in [alone.as_slice(), &together] {
        for (question, answer) in QUESTIONS.iter().zip(answers) {
            check(&ask(question), answer);
        }
        // Of the model's own guesses nearly all are right; of words that stand earlier, fewer.
        assert!(share(answers) > 0.8, "{}", share(answers));
    }
}

#[test]
fn a_model_that_guesses_wrong_changes_nothing() {
    let contrary = contrary();
    let model = with_draft(contrary.path());
    let prompts = QUESTIONS.map(ask);
    let requests = prompts.iter().map(|prompt| greedy(prompt, 40)).collect();
    let mut answers = run_together(&model, requests);
    answers.push(run(&model, greedy(&prompts[0], 40)));
    for (answer, prompt) in answers.iter().zip(prompts.iter().cycle()) {
        check(prompt, answer);
        assert!(answer.usage.drafted > 40);
    }
    assert!(share(&answers) < 0.2, "{}", share(&answers));
}

#[test]
fn what_a_seed_draws_stays_the_same() {
    let prompt = ask("Hello");
    let own = run(chat(), drawn_by_seed(&prompt, 40, 7));
    let contrary = contrary();
    for draft in [contrary.path(), &chat_path()] {
        let model = with_draft(draft);
        let drafted = run(&model, drawn_by_seed(&prompt, 40, 7));
        assert_eq!(drafted.tokens, own.tokens);
        assert!(drafted.usage.drafted > 0);
    }
}

/// One of several goes in the middle, and another comes in its place.
#[test]
fn those_who_go_leave_nothing_behind() {
    let model = with_draft(&chat_path());
    for round in 0..3 {
        let mut requests = QUESTIONS
            .map(|question| greedy(&ask(question), 300))
            .to_vec();
        requests[round].ignore_eos = true;
        let mut running: Vec<_> = requests
            .into_iter()
            .map(|request| model.generate(request).unwrap())
            .collect();
        running[round].wait();
        drop(running.remove(round));
        let prompt = ask("What is the capital of France?");
        let newcomer = run(&model, greedy(&prompt, 20));
        check(&prompt, &newcomer);
        drop(running);
    }
    let prompt = ask(QUESTIONS[1]);
    let answer = run(&model, greedy(&prompt, 40));
    check(&prompt, &answer);
    assert!(answer.usage.accepted > 20, "{:?}", answer.usage);
}

/// The context ends in the middle of a guess, and a prompt is longer than what the second model reads.
#[test]
fn a_full_context_is_full() {
    let model = load_chat(|options| {
        options.context_size = Some(600);
        options.sequences_max = Some(2);
        options.speculation = Speculation::Always;
        options.draft_model = Some(chat_path());
    });
    let prompt = ask(&"The sea is deep and blue. ".repeat(70));
    let len = model.tokenize_prompt(&prompt).unwrap().len();
    assert!((400..560).contains(&len), "{len}");
    let mut requests = vec![greedy(&prompt, 1000), greedy(&prompt, 30)];
    requests[0].ignore_eos = true;
    let answers = run_together(&model, requests);
    assert_eq!(answers[0].reason, FinishReason::ContextFull);
    assert_eq!(answers[0].tokens.len(), 600 - len + 1);
    for answer in &answers {
        assert!(answer.usage.accepted > 0 && answer.usage.accepted <= answer.usage.drafted);
    }
}

fn refused(draft: &Path, change: impl FnOnce(&mut LoadOptions)) -> LoadError {
    let mut options = LoadOptions {
        checked: true,
        draft_checked: true,
        draft_model: Some(draft.to_owned()),
        ..LoadOptions::default()
    };
    change(&mut options);
    Model::load(chat_path(), &options).map(drop).unwrap_err()
}

#[test]
fn what_cannot_guess_is_refused() {
    let check = |draft: &Path, parts: &[&str]| {
        let text = refused(draft, |_| {}).to_string();
        let path = draft.to_str().unwrap();
        for part in parts.iter().chain(&[path]) {
            assert!(text.contains(part), "{text}");
        }
    };
    check(&embedding_path(), &["embeddings", "same family"]);
    check(Path::new("/nonexistent/d.gguf"), &["failed to open"]);
    check(tempdir().unwrap().path(), &["is not a file"]);
    check(written(b"GGUF").path(), &["damaged"]);
    let whole = fs::read(chat_path()).unwrap();
    let other = |from: &[u8], to: &[u8]| {
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).position(|part| part == from);
        bytes[at.unwrap()..][..from.len()].copy_from_slice(to);
        written(&bytes)
    };
    // The text of one token, and which of them ends a text.
    let word = other(
        "Ġpoetry".as_bytes(),
        "Ġpottery".replace("tt", "t").as_bytes(),
    );
    check(word.path(), &[" potery", " poetry", "must be the same"]);
    let key = b"tokenizer.ggml.eos_token_id\x04\0\0\0";
    let end = other(
        &[key.as_slice(), &[2]].concat(),
        &[key.as_slice(), &[3]].concat(),
    );
    check(end.path(), &["ends a text", "the model has 2"]);
}

#[test]
fn an_embedding_model_has_nothing_to_guess() {
    let options = LoadOptions {
        draft_model: Some(chat_path()),
        ..LoadOptions::default()
    };
    let error = Model::load(embedding_path(), &options)
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, LoadError::Contradiction { .. }), "{error}");
}

/// A damaged one is tried in a process of its own, too.
#[test]
fn a_draft_that_would_end_the_process_is_refused() {
    let mut bytes = fs::read(chat_path()).unwrap();
    let key = b"llama.block_count";
    let at = bytes
        .windows(key.len())
        .position(|part| part == key)
        .unwrap()
        + key.len()
        + 4;
    bytes[at..at + 4].copy_from_slice(&0u32.to_le_bytes());
    let draft = written(&bytes);
    let error = refused(draft.path(), |options| options.draft_checked = false).to_string();
    assert!(
        error.contains("crashed") && error.contains(draft.path().to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn what_both_take_must_fit() {
    let weights = fs::metadata(chat_path()).unwrap().len();
    let both = |mib: u64| Some(weights + (mib << 20));
    let error = refused(&chat_path(), |options| options.memory_bytes_max = both(300));
    let LoadError::Memory { plan, .. } = &error else {
        panic!("{error}");
    };
    let MemoryPlan { draft, .. } = **plan;
    assert!(draft.is_some_and(|draft| draft.weights_bytes > weights / 2 && draft.kv_bytes > 0));
    for part in ["draft model: weights", "draft_model"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let options = LoadOptions {
        checked: true,
        memory_bytes_max: both(300),
        ..LoadOptions::default()
    };
    Model::load(chat_path(), &options).unwrap();
}
