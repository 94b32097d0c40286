//! The steps driven by hand, and each bound reached.

use serde_json::json;

use super::*;

fn subject() -> Subject {
    Subject {
        question: "Who?".to_owned(),
        model: "m".to_owned(),
        ..Subject::default()
    }
}

fn making(limits: MakingLimits) -> Making {
    Making::new(subject(), vec!["search".to_owned()], limits)
}

fn ran(value: &Value) -> Event {
    Event::Ran(Ok(value.to_string()))
}

fn search(count: usize) -> Event {
    let call = json!({"tool": "search", "arguments": {"q": "x"}});
    ran(&json!({"call": vec![call; count]}))
}

/// What the program is told next.
fn told(effect: Effect) -> Value {
    match effect {
        Effect::Run(input) => serde_json::from_str(&input).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn made(limits: MakingLimits, value: &Value) -> Made {
    let mut making = making(limits);
    told(making.step(Event::Start));
    match making.step(ran(value)) {
        Effect::Made(made) => made,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_prompt_is_made_of_what_a_tool_said() {
    let mut making = making(MakingLimits::default());
    let first = told(making.step(Event::Start));
    assert_eq!(first["question"], "Who?");
    assert_eq!(
        (&first["tools"][0], &first["results"]),
        (&json!("search"), &json!([]))
    );
    let Effect::Call(calls) = making.step(search(2)) else {
        panic!("it calls");
    };
    assert_eq!(calls[0].arguments_text(), r#"{"q":"x"}"#);
    let second = told(making.step(Event::Called(vec![Ok("found".to_owned())])));
    assert_eq!(second["results"][0]["text"], "found");
    assert_eq!(second["results"][1]["error"], "it was not called");
    let source = json!({"title": "T", "url": "https://u", "text": "words"});
    let Effect::Made(made) = making.step(ran(&json!({"system": "s", "context": [source]}))) else {
        panic!("it is made");
    };
    assert_eq!(made.system.as_deref(), Some("s"));
    assert_eq!(made.context[0].passage(1), "[1] T\nhttps://u\nwords");
    let bare = Source {
        text: "w".to_owned(),
        ..Source::default()
    };
    assert_eq!(bare.passage(2), "[2] w");
}

#[track_caller]
fn check_fails(limits: MakingLimits, event: Event, expected: &str) {
    let mut making = making(limits);
    told(making.step(Event::Start));
    match making.step(event) {
        Effect::Fail(error) => assert!(error.to_string().contains(expected), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_it_may_not_is_refused() {
    let limits = MakingLimits::default();
    let other = ran(&json!({"call": [{"tool": "delete"}]}));
    check_fails(
        limits,
        other,
        "`delete`, which its plugin.toml does not name",
    );
    check_fails(limits, search(limits.calls_max + 1), "more than 8 calls");
    check_fails(limits, ran(&json!({"prompt": "x"})), "neither `call`");
    check_fails(limits, Event::Ran(Ok("Hello".to_owned())), "neither `call`");
    check_fails(limits, Event::Ran(Err("it broke".to_owned())), "it broke");
}

#[test]
fn a_program_that_goes_on_and_on_is_ended() {
    let limits = MakingLimits::default();
    let mut making = making(limits);
    let mut effect = making.step(Event::Start);
    for step in 1..=limits.steps_max {
        told(effect);
        effect = making.step(search(1));
        assert!(matches!(effect, Effect::Call(_)), "{step}");
        effect = making.step(Event::Called(vec![Ok(String::new())]));
    }
    assert_eq!(effect, Effect::Fail(MakingError::Steps(limits.steps_max)));
}

#[test]
fn what_it_is_told_has_an_end() {
    let limits = MakingLimits {
        conversation_bytes_max: 4,
        results_bytes_max: 5,
        ..MakingLimits::default()
    };
    let said = |content: &str| Said {
        role: "user".to_owned(),
        content: content.to_owned(),
    };
    let subject = Subject {
        question: "äöü".to_owned(),
        messages: vec![said("a"), said("bcd"), said("e")],
        ..subject()
    };
    let mut making = Making::new(subject, vec!["search".to_owned()], limits);
    let first = told(making.step(Event::Start));
    assert_eq!(first["question"], "äö");
    assert_eq!(first["messages"].as_array().unwrap().len(), 2);
    making.step(search(2));
    let results = vec![Ok("abc".to_owned()), Err("defg".to_owned())];
    let second = told(making.step(Event::Called(results)));
    assert_eq!(second["results"][0]["text"], "abc");
    assert_eq!(second["results"][1]["error"], "de");
}

#[test]
fn what_it_gives_has_an_end() {
    let limits = MakingLimits {
        sources_max: 2,
        source_bytes_max: 3,
        system_bytes_max: 2,
        ..MakingLimits::default()
    };
    let source =
        |text: &str| json!({"title": "t".repeat(9999), "url": "u".repeat(9999), "text": text});
    let context = [" ", "abcd", "b", "c"].map(source);
    let made = made(limits, &json!({"system": "long", "context": context}));
    assert_eq!(made.system.as_deref(), Some("lo"));
    let texts: Vec<_> = made
        .context
        .iter()
        .map(|source| source.text.as_str())
        .collect();
    assert_eq!(texts, ["abc", "b"]);
    assert!(made.context[0].title.len() + made.context[0].url.len() < 3000);
}
