//! Guessed tokens change when an answer comes, and not what it is.

use gaia_engine::{FinishReason, Model, Speculation};

use crate::models::{ask, greedy, load_chat, run, run_together};
use crate::reference;

fn model() -> Model {
    load_chat(|options| {
        options.context_size = Some(1024);
        options.sequences_max = Some(4);
        options.speculation = Speculation::Always;
    })
}

/// A question whose answer stands in it.
fn quoting(number: usize) -> String {
    let text = "The lighthouse of Skagen was built in 1858 and is forty-six metres high. \
        It stands on a dune that moves, and the sea comes nearer each winter. ";
    ask(&format!(
        "{number}. Repeat this text word for word:\n{}",
        text.repeat(3)
    ))
}

#[test]
fn guesses_are_checked_and_the_answer_is_the_models_own() {
    let model = model();
    let mut accepted = 0;
    for number in 0..3 {
        let prompt = quoting(number);
        let answer = run(&model, greedy(&prompt, 80));
        let tokens = model.tokenize_prompt(&prompt).unwrap();
        let ended = answer.reason == FinishReason::Stop;
        let verdict = reference::judge(&tokens, &answer.tokens, ended);
        assert!(verdict.lead_max <= 2.0 * verdict.noise, "{verdict:?}");
        assert!(answer.usage.accepted <= answer.usage.drafted);
        assert!(answer.usage.generated <= 80);
        accepted += answer.usage.accepted;
    }
    assert!(accepted > 0);
}

/// What a wrong guess left in the cache is gone: the next turn reads on from what was answered.
#[test]
fn what_was_guessed_wrong_leaves_nothing() {
    let model = model();
    let prompts: Vec<_> = (0..4).map(quoting).collect();
    let requests = prompts.iter().map(|prompt| greedy(prompt, 48)).collect();
    let answers = run_together(&model, requests);
    for (prompt, first) in prompts.iter().zip(answers) {
        let next = format!(
            "{prompt}{}<|im_end|>\n<|im_start|>user\nAnd once more.<|im_end|>\n<|im_start|>assistant\n",
            first.text
        );
        let second = run(&model, greedy(&next, 24));
        assert!(second.usage.cached + 2 >= first.usage.prompt + first.usage.generated);
        let tokens = model.tokenize_prompt(&next).unwrap();
        let ended = second.reason == FinishReason::Stop;
        let verdict = reference::judge(&tokens, &second.tokens, ended);
        assert!(verdict.lead_max <= 2.0 * verdict.noise, "{verdict:?}");
    }
}

/// A limit in the middle of a guess is a limit.
#[test]
fn no_answer_is_longer_than_allowed() {
    let model = model();
    for tokens_max in 1..12 {
        let answer = run(&model, greedy(&quoting(9), tokens_max));
        assert!(answer.tokens.len() <= tokens_max as usize);
    }
}
