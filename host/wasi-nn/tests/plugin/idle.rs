//! Models that leave the memory when nobody uses them, and come back when they are asked for.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use crate::wasmedge::{Guest, Start, chat_model, embedding_model, with_each};

const BUSY: i64 = 4;
const RUNTIME_ERROR: i64 = 5;
const END_OF_SEQUENCE: i64 = 100;
const TEXT: u64 = 0;
const FACTS: u64 = 2;
const TOKENS: u64 = 3;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn is_loaded(guest: &mut Guest, context: u64) -> bool {
    guest.get(context, FACTS, "json").unwrap()["loaded"] == true
}

fn wait_until_unloaded(guest: &mut Guest, context: u64) {
    let started = Instant::now();
    while is_loaded(guest, context) {
        assert!(started.elapsed() < PATIENCE, "the model stays");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A context with a question.
fn question(guest: &mut Guest) -> u64 {
    let context = guest.context();
    // Forced, because free text may differ where two tokens are almost equally likely.
    let settings = json!({"temp": 0, "n-predict": 30, "grammar": "root ::= \"there was a crab\""});
    guest.set(context, 1, settings).unwrap();
    guest.set(context, 0, json!("Once upon a time")).unwrap();
    context
}

fn answer(guest: &mut Guest, context: u64) -> Result<String, i64> {
    guest.on("compute", context)?;
    let text = guest.get(context, TEXT, "text")?;
    Ok(text.as_str().unwrap().to_owned())
}

#[test]
fn an_idle_model_goes_and_comes_back_with_the_same_answer() {
    with_each(|wasmedge| {
        let mut guest = Start::chat()
            .orders("GAIA_NN_DEFAULT", json!({"idle-unload-seconds": 1}))
            .preload("embedding", &embedding_model())
            .orders("GAIA_NN_EMBEDDING", json!({"idle-unload-seconds": 0}))
            .run(wasmedge);
        guest.load("default").unwrap();
        guest.load("embedding").unwrap();
        let context = question(&mut guest);
        let first = answer(&mut guest, context).unwrap();
        let tokens = guest.get(context, TOKENS, "i32").unwrap();
        let other = guest
            .call(json!({"call": "context", "graph": 1}))
            .unwrap()
            .as_u64()
            .unwrap();
        assert!(is_loaded(&mut guest, other));
        wait_until_unloaded(&mut guest, context);
        assert!(is_loaded(&mut guest, other));
        // Counting needs no weights.
        assert_eq!(guest.get(context, TOKENS, "i32"), Ok(tokens));
        assert!(!is_loaded(&mut guest, context));
        assert_eq!(answer(&mut guest, context), Ok(first.clone()));
        // And again, for two that must not wait.
        wait_until_unloaded(&mut guest, context);
        let both = [context, question(&mut guest)];
        for context in both {
            guest
                .set(context, 1, json!({"non-blocking": true}))
                .unwrap();
            guest.on("fini", context).unwrap();
            assert_eq!(guest.on("step", context), Err(BUSY));
        }
        for context in both {
            let started = Instant::now();
            while guest.on("step", context) != Err(END_OF_SEQUENCE) {
                assert!(started.elapsed() < PATIENCE, "no answer");
                std::thread::sleep(Duration::from_millis(2));
            }
            assert_eq!(guest.get(context, TEXT, "text").unwrap(), first);
        }
        guest.end();
    });
}

#[test]
fn a_model_that_cannot_come_back_is_tried_again_for_the_next() {
    let folder = tempdir().unwrap();
    let link = folder.path().join("model.gguf");
    with_each(|wasmedge| {
        symlink(chat_model(), &link).unwrap();
        let mut guest = Start::default()
            .preload("default", &link)
            .orders("GAIA_NN_DEFAULT", json!({"idle-unload-seconds": 1}))
            .run(wasmedge);
        guest.load("default").unwrap();
        let context = question(&mut guest);
        let first = answer(&mut guest, context).unwrap();
        wait_until_unloaded(&mut guest, context);
        std::fs::remove_file(&link).unwrap();
        for _ in 0..2 {
            assert_eq!(answer(&mut guest, context), Err(RUNTIME_ERROR));
        }
        symlink(embedding_model(), &link).unwrap();
        assert_eq!(answer(&mut guest, context), Err(RUNTIME_ERROR));
        std::fs::remove_file(&link).unwrap();
        symlink(chat_model(), &link).unwrap();
        assert_eq!(answer(&mut guest, context), Ok(first));
        guest.end();
        std::fs::remove_file(&link).unwrap();
    });
}

#[test]
fn a_model_comes_back_without_the_one_that_guesses_when_that_is_gone() {
    let folder = tempdir().unwrap();
    let draft = folder.path().join("draft.gguf");
    with_each(|wasmedge| {
        symlink(chat_model(), &draft).unwrap();
        let orders =
            json!({"idle-unload-seconds": 1, "draft-model": draft, "speculation": "always"});
        let mut guest = Start::chat()
            .orders("GAIA_NN_DEFAULT", orders)
            .run(wasmedge);
        guest.load("default").unwrap();
        let context = question(&mut guest);
        let first = answer(&mut guest, context).unwrap();
        for other in [None, Some(embedding_model())] {
            wait_until_unloaded(&mut guest, context);
            std::fs::remove_file(&draft).unwrap();
            if let Some(other) = other {
                symlink(other, &draft).unwrap();
            }
            assert_eq!(answer(&mut guest, context), Ok(first.clone()));
            assert!(is_loaded(&mut guest, context));
            // It leaves again, too, whatever has become of that file.
            wait_until_unloaded(&mut guest, context);
            let _none = std::fs::remove_file(&draft);
            symlink(chat_model(), &draft).unwrap();
            assert_eq!(answer(&mut guest, context), Ok(first.clone()));
        }
        guest.end();
        std::fs::remove_file(&draft).unwrap();
    });
}
