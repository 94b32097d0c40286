//! Every limit is reached once, and says so.

use gaia_engine::{
    EmbedError, FinishReason, GenerateError, Input, Model, Prompt, Request, TEXT_BYTES_MAX,
    TokenizeError,
};

use crate::models::{ask, chat, embedding, greedy, load_chat, run, run_together};

#[test]
fn the_queue() {
    let model = load_chat(|options| {
        options.sequences_max = Some(1);
        options.queue_len_max = Some(2);
    });
    let mut first = greedy(&ask("Tell a long story."), 300);
    first.ignore_eos = true;
    let mut running = model.generate(first).unwrap();
    running.wait();
    let waiting: Vec<_> = (0..2)
        .map(|_| model.generate(greedy("a", 1)).unwrap())
        .collect();
    let refused = model.generate(greedy("a", 1)).map(drop);
    assert!(
        matches!(refused, Err(GenerateError::QueueFull { max: 2 })),
        "{refused:?}"
    );
    drop(running);
    for generation in waiting {
        assert_eq!(generation.collect().1.reason, FinishReason::Length);
    }
}

#[test]
fn the_context() {
    let model = load_chat(|options| options.context_size = Some(64));
    let mut request = greedy(&ask("Tell a long story."), 1000);
    request.ignore_eos = true;
    let answer = run(&model, request);
    assert_eq!(answer.reason, FinishReason::ContextFull);
    // The last token sampled has no place of its own any more.
    assert_eq!(answer.usage.prompt + answer.usage.generated, 65);

    let refused = model.generate(greedy(&"word ".repeat(64), 1)).map(drop);
    assert!(
        matches!(refused, Err(GenerateError::PromptTooLong { max: 63, .. })),
        "{refused:?}"
    );
    let full = Request::new(Prompt::Tokens(vec![504; 63]));
    assert!(model.generate(full).unwrap().collect().1.usage.generated <= 2);
}

/// More requests than the cells can hold at once: they take turns, and none fails.
#[test]
fn the_cells() {
    let model = load_chat(|options| {
        options.context_size = Some(256);
        options.cells = Some(256);
        options.sequences_max = Some(8);
    });
    let requests = (0..8).map(|_| {
        let mut request = greedy(&ask("Tell a long story."), 100);
        request.ignore_eos = true;
        request
    });
    for answer in run_together(&model, requests.collect()) {
        assert_eq!(answer.reason, FinishReason::Length);
        assert_eq!(answer.usage.generated, 100);
    }
}

#[test]
fn prompts() {
    let refuse = |prompt: Prompt| chat().generate(Request::new(prompt)).map(drop).unwrap_err();
    let empty = refuse(Prompt::Tokens(Vec::new()));
    assert!(matches!(empty, GenerateError::PromptEmpty));
    for token in [-1, 49152, i32::MAX, i32::MIN] {
        let error = refuse(Prompt::Tokens(vec![1, token]));
        assert!(matches!(error, GenerateError::Token { .. }), "{error}");
    }
    let huge = "x".repeat(TEXT_BYTES_MAX + 1);
    assert!(matches!(
        refuse(Prompt::Text(huge)),
        GenerateError::Tokenize(_)
    ));
    let detokenized = chat().detokenize(&[1, 99_999_999]);
    assert!(matches!(
        detokenized,
        Err(TokenizeError::Token { token: 99_999_999 })
    ));
}

#[test]
fn the_kind_of_model() {
    let refused = embedding().generate(greedy("Hello", 1)).map(drop);
    assert!(
        matches!(refused, Err(GenerateError::WrongKind { .. })),
        "{refused:?}"
    );
    let refused = chat()
        .embed(vec![Input::Text("Hello".to_owned())])
        .map(drop);
    assert!(
        matches!(refused, Err(EmbedError::WrongKind { .. })),
        "{refused:?}"
    );
}

#[test]
fn embeddings() {
    let model = embedding();
    let embed = |inputs: Vec<Input>| model.embed(inputs).map(drop).unwrap_err();
    assert!(matches!(
        embed(Vec::new()),
        EmbedError::InputCount { found: 0, .. }
    ));
    let many = vec![Input::Text("a".to_owned()); 1025];
    assert!(matches!(
        embed(many),
        EmbedError::InputCount {
            found: 1025,
            max: 1024
        }
    ));
    let long = vec![
        Input::Text("a".to_owned()),
        Input::Text("word ".repeat(600)),
    ];
    let error = embed(long);
    assert!(
        matches!(
            error,
            EmbedError::InputLength {
                index: 1,
                max: 512,
                ..
            }
        ),
        "{error}"
    );
    let none = vec![Input::Tokens(Vec::new())];
    assert!(matches!(
        embed(none),
        EmbedError::InputLength { tokens: 0, .. }
    ));
    let outside = vec![Input::Tokens(vec![30522])];
    assert!(matches!(
        embed(outside),
        EmbedError::Token { token: 30522, .. }
    ));
}

#[test]
fn a_clone_keeps_the_model() {
    let model: Model = load_chat(|options| options.context_size = Some(256));
    let clone = model.clone();
    drop(model);
    let mut request = greedy(&ask("Hello"), 3);
    request.ignore_eos = true;
    assert_eq!(run(&clone, request).usage.generated, 3);
}
