//! At temperature 0 the engine's tokens are those of llama.cpp's simple loop, alone and in company.
//!
//! A batch of one and a batch of many add up in different orders, so two tokens that are almost
//! equally likely may change places. Therefore two statements are tested: every token is the loop's
//! own choice at that place or tied with it (see `reference::noise`), and a text without a tie is
//! the loop's text.

use gaia_engine::FinishReason;

use crate::models::{ask, chat, greedy, run, run_together};
use crate::reference;

const QUESTIONS: [&str; 9] = [
    "What is the capital of France?",
    "Write a short poem about the sea.",
    "Explain how a bicycle stays upright.",
    "List five fruits and their colours.",
    "Who wrote Romeo and Juliet?",
    "What is 12 times 12?",
    "Tell me a story about a fox and a crow.",
    "Give three tips for sleeping well.",
    "Translate 'good morning' into Spanish, French and German.",
];

const TOKENS: u32 = 60;
const LONG_TOKENS: u32 = 20;

/// One token in so many may be tied. How prompts are cut depends on the clock, and with it which
/// ties turn out how; on this model 0 to 5 of 60 tokens were seen.
const TIES_SHARE: usize = 8;

fn check(prompt: &str, answer: &crate::models::Answer, tokens_max: u32) {
    let model = chat();
    let prompt = model.tokenize_prompt(prompt).unwrap();
    let ended = answer.reason == FinishReason::Stop;
    let verdict = reference::judge(&prompt, &answer.tokens, ended);
    println!("{} tokens, {verdict:?}", answer.tokens.len());
    assert_eq!(verdict.same + verdict.ties, answer.tokens.len());
    assert!(verdict.lead_max <= 2.0 * verdict.noise);
    assert!(
        verdict.ties * TIES_SHARE <= answer.tokens.len() + 20,
        "too many to be ties: {verdict:?}"
    );
    if verdict.ties == 0 {
        let own = reference::generate(&prompt, tokens_max as usize);
        assert_eq!(answer.tokens, own);
    }
}

#[test]
fn alone() {
    for question in &QUESTIONS[..3] {
        let prompt = ask(question);
        check(&prompt, &run(chat(), greedy(&prompt, TOKENS)), TOKENS);
    }
}

#[test]
fn with_eight_neighbours() {
    let prompts: Vec<String> = QUESTIONS.iter().map(|question| ask(question)).collect();
    let requests = prompts
        .iter()
        .map(|prompt| greedy(prompt, TOKENS))
        .collect();
    let answers = run_together(chat(), requests);
    for (prompt, answer) in prompts.iter().zip(&answers) {
        check(prompt, answer, TOKENS);
    }
}

/// A prompt longer than the pieces in which prompts are read while others write.
#[test]
fn a_long_prompt_in_pieces_between_others() {
    let long = ask(&format!(
        "{} What is this about?",
        "The sea is deep and blue. ".repeat(60)
    ));
    let others = QUESTIONS[..4]
        .iter()
        .map(|question| greedy(&ask(question), TOKENS));
    let requests = others.chain([greedy(&long, LONG_TOKENS)]).collect();
    let answers = run_together(chat(), requests);
    check(&long, &answers[4], LONG_TOKENS);
}
