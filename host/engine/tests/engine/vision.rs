//! Images go all the way: through a projector of random numbers into the chat model.

use std::time::Duration;

use gaia_engine::{
    FinishReason, GenerateError, IMAGE_SIDE_MAX, IMAGES_BYTES_MAX, Image, LoadError, LoadOptions,
    LookError, Model, Prompt, Request, Speculation, TokenId,
};
use tempfile::NamedTempFile;

use crate::models::{
    Answer, answer, chat, chat_path, embedding_path, load_chat, run, run_together,
};
use crate::tiny_projector::{self, Kind};

const BEFORE: &str = "<|im_start|>user\nHere is an image: ";
const AFTER: &str = "\nWhat is to be seen?<|im_end|>\n<|im_start|>assistant\n";
const SIDE: u32 = 40;

fn projector(kind: Kind) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    tiny_projector::write(kind, chat().facts().n_embd.into(), &mut file);
    file
}

fn seeing(kind: Kind, change: impl FnOnce(&mut LoadOptions)) -> Model {
    let projector = projector(kind);
    load_chat(|options| {
        options.projector = Some(projector.path().to_owned());
        options.projector_checked = true;
        options.sequences_max = Some(4);
        change(options);
    })
}

/// Stripes, so many pixels wide.
fn stripes(width: u32) -> Vec<u8> {
    let pixel = |at: u32| match (at % SIDE) / width % 2 {
        0 => [250, 20, 20],
        _ => [10, 30, 240],
    };
    (0..SIDE * SIDE).flat_map(pixel).collect()
}

fn look(model: &Model, width: u32) -> Image {
    model.look(SIDE, SIDE, stripes(width)).unwrap()
}

fn tokens(model: &Model, images: &[&Image]) -> Vec<TokenId> {
    let mut tokens = model.tokenize_prompt(BEFORE).unwrap();
    for image in images {
        tokens.extend(image.tokens());
    }
    tokens.extend(model.tokenize(AFTER, false).unwrap());
    tokens
}

fn about(model: &Model, images: &[&Image]) -> Request {
    let mut request = Request::new(Prompt::Tokens(tokens(model, images)));
    request.sampling.temperature = 0.0;
    request.tokens_max = Some(8);
    request.ignore_eos = true;
    request
}

/// The log-probability of the first token, and which it is.
fn first(model: &Model, images: &[&Image], cached: bool) -> (TokenId, f32) {
    let mut request = about(model, images);
    request.logprobs = Some(1);
    request.tokens_max = Some(1);
    request.cache_prompt = cached;
    let (piece, _) = model.generate(request).unwrap().collect();
    (piece.events[0].id, piece.events[0].logprob.unwrap())
}

fn sees(kind: Kind) {
    let model = seeing(kind, |_| {});
    assert!(model.facts().vision && !chat().facts().vision);
    let image = look(&model, 4);
    let rows = image.tokens().iter().filter(|token| **token < 0).count();
    assert_eq!(rows, kind.rows());
    let cold = run(&model, about(&model, &[&image]));
    assert_eq!(cold.usage.cached, 0);
    assert_eq!(cold.usage.prompt, tokens(&model, &[&image]).len());
    // The same again, looked at anew: all but the last token is there.
    let again = run(&model, about(&model, &[&look(&model, 4)]));
    assert_eq!(again.usage.cached, again.usage.prompt - 1);
    assert_eq!(again.tokens[0], cold.tokens[0]);
    // Another image is another prompt from its first row on.
    let other = look(&model, 7);
    let start = tokens(&model, &[&image])
        .iter()
        .position(|token| *token < 0);
    let seen = run(&model, about(&model, &[&other]));
    assert_eq!(Some(seen.usage.cached), start);
    let [one, another] = [&image, &other].map(|image| first(&model, &[image], false));
    assert!(
        one.0 != another.0 || (one.1 - another.1).abs() > 1e-3,
        "{one:?}"
    );
    assert!((one.1 - first(&model, &[&image], true).1).abs() < 1e-2);
}

#[test]
fn an_image_is_read_once_and_another_is_another() {
    sees(Kind::Janus);
}

#[test]
fn rows_that_look_at_each_other_are_read_together() {
    sees(Kind::Gemma);
}

/// Which token stands where, in both prompts and at the same time, is each request's own.
#[test]
fn images_of_requests_at_a_time_do_not_mix() {
    for kind in [Kind::Janus, Kind::Gemma] {
        let model = seeing(kind, |options| options.host_cache_bytes = Some(0));
        let images = [2, 5, 9].map(|width| look(&model, width));
        let request = |image: &Image| {
            let mut request = about(&model, &[image]);
            request.cache_prompt = false;
            request.logprobs = Some(0);
            request
        };
        let alone: Vec<_> = images
            .iter()
            .map(|image| run(&model, request(image)))
            .collect();
        let together = run_together(&model, images.iter().map(request).collect());
        let firsts = |answers: &[Answer]| -> Vec<_> {
            answers.iter().map(|answer| answer.tokens[0]).collect()
        };
        assert_eq!(firsts(&alone), firsts(&together), "{kind:?}");
    }
}

#[test]
fn several_images_stand_in_their_order() {
    let model = seeing(Kind::Janus, |options| options.batch_size = Some(8));
    let (one, other) = (look(&model, 3), look(&model, 8));
    let there = first(&model, &[&one, &other], false);
    let back = first(&model, &[&other, &one], false);
    assert!(there.0 != back.0 || (there.1 - back.1).abs() > 1e-4);
    // After the first image, which is known, the second is read.
    let [known, new] = [4, 6].map(|width| look(&model, width));
    run(&model, about(&model, &[&known]));
    let both = run(&model, about(&model, &[&known, &new]));
    let before = model.tokenize_prompt(BEFORE).unwrap().len();
    assert_eq!(both.usage.cached, before + Kind::Janus.rows());
}

/// What has left the KV cache comes back from host memory, images and all.
#[test]
fn images_come_back_from_host_memory() {
    let model = seeing(Kind::Gemma, |options| options.sequences_max = Some(1));
    let images: Vec<_> = (1..=16).map(|width| look(&model, width)).collect();
    let first = |image| first(&model, &[image], true);
    let cold: Vec<_> = images.iter().map(first).collect();
    for (image, cold) in images.iter().zip(cold) {
        let warm = first(image);
        // Up to what rounding does where two tokens are as likely.
        let same = warm.0 == cold.0 || (warm.1 - cold.1).abs() < 0.05;
        assert!(same && (warm.1 - cold.1).abs() < 0.1, "{warm:?} {cold:?}");
        let again = run(&model, about(&model, &[image]));
        assert_eq!(again.usage.cached, again.usage.prompt - 1);
    }
}

/// A prompt that ends in the middle of what another has read of an image begins before the image.
#[test]
fn nothing_is_shared_from_within_an_image() {
    let model = seeing(Kind::Gemma, |_| {});
    let image = look(&model, 4);
    run(&model, about(&model, &[&image]));
    let mut tokens = tokens(&model, &[&image]);
    let end = tokens.iter().rposition(|token| *token < 0).unwrap();
    tokens.truncate(end + 1);
    let mut request = Request::new(Prompt::Tokens(tokens.clone()));
    request.tokens_max = Some(2);
    request.ignore_eos = true;
    let answer = run(&model, request);
    assert_eq!(answer.usage.cached, tokens.len() - Kind::Gemma.rows());
    assert_eq!(answer.usage.generated, 2);
}

/// What stands twice in a text is guessed, and images are no text.
#[test]
fn guesses_come_from_words_only() {
    let model = seeing(Kind::Janus, |options| {
        options.speculation = Speculation::Always
    });
    let image = look(&model, 4);
    let mut request = about(&model, &[&image, &image]);
    request.tokens_max = Some(40);
    let answer = run(&model, request);
    assert_eq!(answer.reason, FinishReason::Length);
    assert!(answer.tokens.iter().all(|token| *token >= 0));
}

#[test]
fn a_cancelled_request_leaves_its_image_behind() {
    let model = seeing(Kind::Janus, |_| {});
    let image = look(&model, 4);
    for wait in [0, 1, 3, 10] {
        let running = model.generate(about(&model, &[&image])).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        drop(running);
    }
    let answer = answer(model.generate(about(&model, &[&image])).unwrap());
    assert_eq!(answer.usage.generated, 8);
}

#[test]
fn numbers_of_images_are_refused_where_they_stand_for_none() {
    let model = seeing(Kind::Janus, |_| {});
    let image = look(&model, 4);
    let id = *image.tokens().iter().find(|token| **token < 0).unwrap();
    let refused = |tokens: Vec<TokenId>| {
        matches!(
            model.generate(Request::new(Prompt::Tokens(tokens))),
            Err(GenerateError::Image { .. })
        )
    };
    assert!(refused(vec![1, -1, 1]));
    assert!(refused(vec![1, id - 1, 1]));
    assert!(refused(vec![1, id, 1]));
    assert!(refused(vec![1, TokenId::MIN, 1]));
    drop(image);
    assert!(refused(vec![id; Kind::Janus.rows()]));
    let blind = chat().generate(Request::new(Prompt::Tokens(vec![1, id])));
    assert!(matches!(blind, Err(GenerateError::Token { .. })));
}

#[test]
fn sizes_that_are_not_taken_are_refused() {
    let model = seeing(Kind::Janus, |_| {});
    let refused = |width: u32, height: u32, bytes: usize| {
        matches!(
            model.look(width, height, vec![0; bytes]),
            Err(LookError::Size { .. })
        )
    };
    assert!(refused(0, 5, 0));
    assert!(refused(5, 5, 74));
    assert!(refused(
        IMAGE_SIDE_MAX + 1,
        100,
        (IMAGE_SIDE_MAX as usize + 1) * 300
    ));
    assert!(refused(1, 100, 300));
    for (width, height) in [(1, 1), (1, 64), (64, 1), (4096, 64), (3, 2)] {
        let image = model.look(width, height, vec![9; (width * height * 3) as usize]);
        run(&model, about(&model, &[&image.unwrap()]));
    }
    assert!(matches!(
        chat().look(1, 1, vec![0; 3]),
        Err(LookError::Blind { .. })
    ));
}

#[test]
fn all_images_together_have_a_limit() {
    let model = seeing(Kind::Janus, |_| {});
    let (width, height) = (2048, 2048);
    let bytes = (width * height * 3) as usize;
    let look = |fill: u8| model.look(width, height, vec![fill; bytes]);
    let mut held = Vec::new();
    for fill in 0..(IMAGES_BYTES_MAX / bytes) as u8 {
        held.push(look(fill).unwrap());
    }
    assert!(matches!(look(255), Err(LookError::Full)));
    held.pop();
    assert!(look(255).is_ok());
}

#[test]
fn projectors_that_do_not_belong_are_refused_by_name() {
    let load = |path: &std::path::Path, embedding: bool| {
        let options = LoadOptions {
            projector: Some(path.to_owned()),
            context_size: Some(256),
            threads: Some(1),
            ..LoadOptions::default()
        };
        let model = if embedding {
            embedding_path()
        } else {
            chat_path()
        };
        Model::load(model, &options)
    };
    let check = |loaded: Result<Model, LoadError>, part: &str| {
        let text = loaded
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(text.contains(part), "{text}");
    };
    let good = projector(Kind::Janus);
    assert!(load(good.path(), false).is_ok());
    check(
        load(good.path(), true),
        "mmproj needs a model that writes text",
    );
    check(load(&chat_path(), false), "is no projector for images");
    let mut other = NamedTempFile::new().unwrap();
    tiny_projector::write(Kind::Janus, 2048, &mut other);
    check(load(other.path(), false), "mismatch");
}
