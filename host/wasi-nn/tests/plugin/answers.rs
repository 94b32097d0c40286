//! Text in, text out: blocking as the stock plugin, non-blocking as ours.

use serde_json::{Value, json};

use crate::wasmedge::{Guest, Start, with_each};

const BUSY: i64 = 4;
const UNSUPPORTED: i64 = 6;
const TOO_LARGE: i64 = 7;
const END_OF_SEQUENCE: i64 = 100;
const CONTEXT_FULL: i64 = 101;
const PROMPT_TOO_LONG: i64 = 102;

fn ask(question: &str) -> Value {
    json!(format!(
        "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    ))
}

const FRANCE: &str = "What is the capital of France?";
const PARIS: &str = "The capital of France is Paris.";

/// Steps a non-blocking context to its end: the text and the errno it ended with.
fn finish(guest: &mut Guest, context: u64) -> (String, i64) {
    let mut text = String::new();
    loop {
        match guest.on("step", context) {
            Ok(_) => text.push_str(&read(guest, context)),
            Err(BUSY) => {}
            Err(errno) => return (text + &read(guest, context), errno),
        }
    }
}

fn read(guest: &mut Guest, context: u64) -> String {
    let piece = guest.on("get-single", context).unwrap();
    piece.as_str().unwrap().to_owned()
}

#[test]
fn blocking() {
    with_each(|wasmedge| {
        let mut guest = Start::chat().run(wasmedge);
        guest.load("default").unwrap();
        let context = guest.context();
        guest
            .set(context, 1, json!({"temp": 0, "n-predict": 30}))
            .unwrap();
        guest.set(context, 0, ask(FRANCE)).unwrap();
        guest.on("compute", context).unwrap();
        assert_eq!(guest.get(context, 0, "text").unwrap(), PARIS);
        let metadata = guest.get(context, 1, "json").unwrap();
        assert_eq!(metadata["input_tokens"], 16);
        assert_eq!(metadata["output_tokens"], 7);
        assert_eq!(metadata["finish_reason"], "stop");
        assert!(metadata["llama_build_number"].is_u64() && metadata["llama_commit"].is_string());

        // The stock loop: one token a step, whatever was generated before.
        guest.set(context, 0, ask(FRANCE)).unwrap();
        let mut pieces = Vec::new();
        let errno = loop {
            match guest.on("step", context) {
                Ok(_) => pieces.push(read(&mut guest, context)),
                Err(errno) => break errno,
            }
        };
        assert_eq!((pieces.concat().as_str(), errno), (PARIS, END_OF_SEQUENCE));
        assert!(pieces.len() > 3);
        guest.on("fini", context).unwrap();
        guest.end();
    });
}

#[test]
fn non_blocking_contexts_run_together() {
    with_each(|wasmedge| {
        let mut guest = Start::chat().run(wasmedge);
        guest.load("default").unwrap();
        let contexts: Vec<u64> = (0..3).map(|_| guest.context()).collect();
        for (number, context) in contexts.iter().enumerate() {
            let word = format!("w{number}").repeat(10);
            let grammar = format!("root ::= \"{word}\"");
            guest
                .set(
                    *context,
                    1,
                    json!({"non-blocking": true, "grammar": grammar}),
                )
                .unwrap();
            guest.set(*context, 0, ask("Say the word.")).unwrap();
            guest.on("step", *context).unwrap_err();
        }
        for (number, context) in contexts.iter().enumerate() {
            let word = format!("w{number}").repeat(10);
            assert_eq!(finish(&mut guest, *context), (word, END_OF_SEQUENCE));
            // It stays at its end until it is told otherwise.
            assert_eq!(guest.on("step", *context), Err(END_OF_SEQUENCE));
        }
        guest.end();
    });
}

#[test]
fn a_finalised_context_frees_its_sequence() {
    with_each(|wasmedge| {
        let start = Start::chat().orders("GAIA_NN_DEFAULT", json!({"n-seq-max": 1}));
        let mut guest = start.run(wasmedge);
        guest.load("default").unwrap();
        let (endless, other) = (guest.context(), guest.context());
        for context in [endless, other] {
            guest
                .set(context, 1, json!({"non-blocking": true, "temp": 0}))
                .unwrap();
        }
        guest.set(endless, 1, json!({"ignore-eos": true})).unwrap();
        guest
            .set(endless, 0, ask("Tell a very long story."))
            .unwrap();
        while guest.on("step", endless) != Ok(Value::Null) {}
        guest.set(other, 0, ask(FRANCE)).unwrap();
        assert_eq!(guest.on("step", other), Err(BUSY));
        assert_eq!(guest.raw("finalize_execution_context", &[0]), 0);
        assert_eq!(guest.raw("finalize_execution_context", &[0]), 1);
        assert_eq!(
            finish(&mut guest, other),
            (PARIS.to_owned(), END_OF_SEQUENCE)
        );
        guest.end();
    });
}

#[test]
fn metadata_shapes_the_answer() {
    with_each(|wasmedge| {
        let mut guest = Start::chat()
            .orders("GAIA_NN_DEFAULT", json!({"ctx-size": 64}))
            .run(wasmedge);
        guest.load("default").unwrap();
        let context = guest.context();
        let answer = |guest: &mut Guest, metadata: Value, prompt: Value| {
            guest.set(context, 1, metadata).unwrap();
            guest.set(context, 0, prompt).unwrap();
            finish(guest, context)
        };
        let base = json!({"non-blocking": true, "temp": 0, "stop": ["Paris"]});
        let (text, errno) = answer(&mut guest, base, ask(FRANCE));
        assert_eq!(
            (text.as_str(), errno),
            ("The capital of France is ", END_OF_SEQUENCE)
        );
        assert_eq!(
            guest.get(context, 1, "json").unwrap()["stop_sequence"],
            "Paris"
        );

        let schema = json!({"stop": [], "json-schema": {"type": "boolean"}});
        let (text, _) = answer(&mut guest, schema, ask("Is the sky blue?"));
        assert!(["true", "false"].contains(&text.as_str()), "{text}");

        let short = json!({"grammar": "", "json-schema": null, "n-predict": 3, "logprobs": 2});
        answer(&mut guest, short, ask(FRANCE));
        assert_eq!(
            guest.get(context, 1, "json").unwrap()["finish_reason"],
            "length"
        );
        let events = guest.get(context, 5, "json").unwrap();
        assert_eq!(events.as_array().unwrap().len(), 3);
        assert_eq!(events[0]["text"], "The");
        assert_eq!(events[0]["top"].as_array().unwrap().len(), 2);
        assert!(events[0]["logprob"].as_f64().unwrap() <= 0.0);
        assert_eq!(guest.get(context, 5, "json").unwrap(), json!([]));

        let endless = json!({"n-predict": -1, "ignore-eos": true});
        let (_, errno) = answer(&mut guest, endless, ask("Tell a long story."));
        assert_eq!(errno, CONTEXT_FULL);
        let (_, errno) = answer(&mut guest, json!({}), json!("word ".repeat(100)));
        assert_eq!(errno, PROMPT_TOO_LONG);
        assert_eq!(
            guest.set(context, 1, json!({"mmproj": "eye.gguf"})),
            Err(UNSUPPORTED)
        );
        guest.end();
    });
}

#[test]
fn tokens_and_facts() {
    with_each(|wasmedge| {
        let mut guest = Start::chat().run(wasmedge);
        guest.load("default").unwrap();
        let context = guest.context();
        let facts = guest.get(context, 2, "json").unwrap();
        assert_eq!(facts["gaia-engine"], 1);
        assert_eq!(facts["n_vocab"], 49152);
        assert_eq!(facts["embedding"], false);
        assert!(
            facts["chat_template"]
                .as_str()
                .unwrap()
                .contains("im_start")
        );

        guest.set(context, 0, json!("Hello world")).unwrap();
        let ids = guest.get(context, 3, "i32").unwrap();
        assert_eq!(ids.as_array().unwrap().len(), 2);
        guest.set(context, 2, ids.clone()).unwrap();
        assert_eq!(guest.get(context, 8, "text").unwrap(), "Hello world");
        guest
            .set(context, 3, json!(["Hello world", ids, ""]))
            .unwrap();
        assert_eq!(guest.get(context, 7, "json").unwrap(), json!([2, 2, 0]));

        // Tokens are as good a prompt as text.
        guest
            .set(context, 1, json!({"temp": 0, "n-predict": 30}))
            .unwrap();
        guest.set(context, 0, ask(FRANCE)).unwrap();
        let ids = guest.get(context, 3, "i32").unwrap();
        guest.set(context, 2, ids).unwrap();
        guest.on("compute", context).unwrap();
        assert_eq!(guest.get(context, 0, "text").unwrap(), PARIS);

        // What does not fit is not lost.
        let small = json!({"call": "get", "context": context, "index": 0, "size": 5});
        assert_eq!(guest.call(small), Err(TOO_LARGE));
        assert_eq!(guest.get(context, 0, "text").unwrap(), PARIS);
        guest.end();
    });
}
