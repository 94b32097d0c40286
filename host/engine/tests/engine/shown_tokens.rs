//! Control tokens that a request wants to see are text, to its reader and to its grammar.

use gaia_engine::{FinishReason, Grammar, Request, TokenId};

use crate::models::{ask, chat, greedy, run};

const SEPARATOR: &str = "<file_sep>";
const END: &str = "<|im_end|>";

fn token(name: &str) -> TokenId {
    let tokens = chat().tokenize(name, false).unwrap();
    let [token] = tokens[..] else {
        panic!("{name} is no token of the test model: {tokens:?}")
    };
    token
}

/// A request that prefers the separator to every other token.
fn separated(shown: &[&str]) -> Request {
    let mut request = greedy(&ask("Say hello."), 3);
    request.sampling.logit_bias = vec![(token(SEPARATOR), 100.0)];
    request.shown_tokens = shown.iter().map(|name| (*name).to_owned()).collect();
    request
}

#[test]
fn only_those_asked_for_are_text() {
    let check = |shown: &[&str], expected: &str| {
        let answer = run(chat(), separated(shown));
        assert_eq!(answer.tokens, [token(SEPARATOR); 3]);
        assert_eq!(answer.text, expected, "{shown:?}");
    };
    check(&[], "");
    check(&[SEPARATOR], "<file_sep><file_sep><file_sep>");
    check(&["<filename>"], "");
    check(
        &["[TOOL_CALLS]", "", "hello", "two words", SEPARATOR],
        "<file_sep><file_sep><file_sep>",
    );
}

#[test]
fn what_ends_the_answer_ends_it_unseen() {
    let mut request = separated(&[END]);
    request.sampling.logit_bias = vec![(token(END), 100.0)];
    let answer = run(chat(), request);
    assert_eq!(answer.reason, FinishReason::Stop);
    assert_eq!(answer.text, "");
}

#[test]
fn a_grammar_takes_them_by_their_names() {
    let mut request = separated(&[SEPARATOR]);
    request.grammar = Some(Grammar::Gbnf(
        r#"root ::= "yes <file_sep>" [0-9]"#.to_owned(),
    ));
    request.tokens_max = Some(20);
    let answer = run(chat(), request);
    assert_eq!(answer.reason, FinishReason::Stop);
    assert!(answer.text.starts_with("yes <file_sep>"), "{}", answer.text);
    assert!(answer.tokens.contains(&token(SEPARATOR)));
}

#[test]
fn a_stop_string_may_be_one() {
    let mut request = separated(&[SEPARATOR]);
    request.stop = vec![SEPARATOR.to_owned()];
    let answer = run(chat(), request);
    assert_eq!(
        answer.reason,
        FinishReason::StopString(SEPARATOR.to_owned())
    );
}
