//! What cannot be counted, and what is counted with doubts.

use std::fs;

use gaia_counting::{Certainty, CountError, Counter, NodeTexts, NodeTextsError, OpenError, Reason};
use gaia_metering::{Beyond, Call, Kind, Metered, Written};
use gaia_prompt::prompt::PromptFile;
use gaia_statements::{Claimed, TokenCounts};

use crate::models;

const ASKED: &[u8] = br#"{"messages":[{"role":"user","content":"Hi"}]}"#;

fn reasons(request: &[u8], metered: &Metered) -> (Vec<Reason>, bool) {
    let count = models::chat().count(Kind::Chat, request, metered).unwrap();
    match count.certainty {
        Certainty::Exact { .. } => (Vec::new(), true),
        Certainty::Estimated { tolerance, reasons } => (reasons, tolerance.is_some()),
    }
}

fn said(text: &str, ended: &str) -> Written {
    Written {
        text: text.to_owned(),
        ended: Some(ended.to_owned()),
        ..Written::default()
    }
}

#[test]
fn files_without_a_tokenizer_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("v.gguf");
    for bytes in [b"".as_slice(), b"GGUF", b"no model at all"] {
        fs::write(&file, bytes).unwrap();
        assert!(matches!(
            Counter::open(&file),
            Err(OpenError::Vocabulary(_))
        ));
    }
    assert!(matches!(
        Counter::open(folder.path()),
        Err(OpenError::Vocabulary(_))
    ));
}

#[test]
fn requests_that_no_node_takes_are_not_counted() {
    let check = |counter: &Counter, kind: Kind, request: &[u8]| {
        counter
            .count(kind, request, &Metered::default())
            .unwrap_err()
    };
    for request in [
        b"".as_slice(),
        b"[]",
        br#"{"messages":[]}"#,
        br#"{"messages":"x"}"#,
    ] {
        let error = check(models::chat(), Kind::Chat, request);
        assert!(matches!(error, CountError::Request(_)), "{error}");
    }
    let input = br#"{"input":"a"}"#;
    let error = check(models::chat(), Kind::Embeddings, input);
    assert!(matches!(error, CountError::Kind { .. }), "{error}");
    let error = check(models::embedding(), Kind::Chat, ASKED);
    assert!(matches!(error, CountError::Kind { .. }), "{error}");
    let error = check(
        models::chat(),
        Kind::Rerank,
        br#"{"query":"q","documents":["d"]}"#,
    );
    assert!(matches!(error, CountError::Kind { .. }), "{error}");
}

#[test]
fn texts_that_no_node_takes_are_refused() {
    let prompt = |text: &str| NodeTexts {
        prompts: vec![PromptFile {
            name: "p.md".to_owned(),
            bytes: text.as_bytes().to_vec(),
        }],
        ..NodeTexts::default()
    };
    let refused = models::chat()
        .with_nodes(prompt("+++\nname = 3\n+++\nx"))
        .unwrap_err();
    assert!(matches!(refused, NodeTextsError::Prompt(_)), "{refused}");
    let template = NodeTexts {
        chat_template: Some("{% for".to_owned()),
        ..NodeTexts::default()
    };
    let refused = models::chat().with_nodes(template).unwrap_err();
    assert!(matches!(refused, NodeTextsError::Template(_)));
}

#[test]
fn what_the_gateway_cannot_see_is_said() {
    let plain = Metered {
        texts: vec![said("Hello.", "stop")],
        ..Metered::default()
    };
    assert_eq!(reasons(ASKED, &plain), (Vec::new(), true));
    let check = |request: &[u8], metered: &Metered, reason: Reason, comparable: bool| {
        assert_eq!(reasons(request, metered), (vec![reason], comparable));
    };
    let own = Metered {
        own_calls: vec![Call::default()],
        ..plain.clone()
    };
    assert_eq!(
        reasons(ASKED, &own),
        (vec![Reason::OwnCalls, Reason::Marks], false)
    );
    let prompts = Metered {
        prompts: vec!["p@1".to_owned()],
        ..plain.clone()
    };
    check(
        ASKED,
        &prompts,
        Reason::UnknownPrompt("p@1".to_owned()),
        false,
    );
    let beyond = Metered {
        beyond: Some(Beyond::Answer),
        ..plain.clone()
    };
    check(ASKED, &beyond, Reason::Beyond(Beyond::Answer), false);
    let unread = Metered {
        unread: 1,
        ..plain.clone()
    };
    check(ASKED, &unread, Reason::Unread, false);
    let mut mended = plain.clone();
    mended.texts[0].is_mended = true;
    check(ASKED, &mended, Reason::Mended, false);
    let mut thought = plain.clone();
    thought.texts[0].reasoning = "Hm.".to_owned();
    check(ASKED, &thought, Reason::Marks, true);
    let stops = br#"{"messages":[{"role":"user","content":"Hi"}],"stop":["a long end"]}"#;
    check(stops, &plain, Reason::StopSequence, true);
    let mut cut = plain.clone();
    cut.texts[0].ended = Some("length".to_owned());
    assert_eq!(reasons(stops, &cut), (Vec::new(), true));
    let goes_on = br#"{"input":"a","previous_response_id":"resp_1"}"#;
    let count = models::chat()
        .count(Kind::Responses, goes_on, &plain)
        .unwrap();
    assert!(matches!(
        count.certainty,
        Certainty::Estimated {
            tolerance: None,
            ..
        }
    ));
}

#[test]
fn a_claim_far_off_is_not_borne_out() {
    let claims = |input, cached, output| {
        Claimed(TokenCounts {
            input,
            cached,
            output,
        })
    };
    let metered = Metered {
        texts: vec![said("Hello there, you.", "stop")],
        claimed: Some(claims(40, 1_000, 5)),
        ..Metered::default()
    };
    let count = models::chat().count(Kind::Chat, ASKED, &metered).unwrap();
    let counted = count.counted.0;
    // Of more cached than there was only what there was.
    assert_eq!((counted.input, counted.output), (0, 5));
    assert!(!count.bears_out(&claims(0, counted.cached, 25)));
    assert!(!count.bears_out(&claims(counted.cached + 30, 0, 5)));
    assert!(count.bears_out(&claims(counted.cached, 0, 6)));
}
