//! What nodes put in, told by the configuration.

use gaia_counting::{Certainty, Counter, NodeTexts, Reason};
use gaia_metering::{Kind, Metered};
use gaia_openai::Tooling;
use gaia_prompt::prompt::{PromptFile, PromptSet};

use crate::models;

const FILE: &str = "+++\nname = \"kind\"\ndescription = \"d\"\n[variables]\nwho = \"everybody\"\n+++\nBe kind to {{ who }}.\n";

const ASKED: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;

fn prompt(counter: &Counter, request: &str, metered: &Metered) -> (u64, bool) {
    let count = counter
        .count(Kind::Chat, request.as_bytes(), metered)
        .unwrap();
    let exact = matches!(count.certainty, Certainty::Exact { .. });
    (count.counted.0.prompt(), exact)
}

fn with_system(text: &str) -> u64 {
    let texts = NodeTexts {
        system: Some(text.to_owned()),
        ..NodeTexts::default()
    };
    let counter = models::chat().with_nodes(texts).unwrap();
    prompt(&counter, ASKED, &Metered::default()).0
}

#[test]
fn a_named_prompt_is_known_by_its_file() {
    let file = PromptFile {
        name: "kind.md".to_owned(),
        bytes: FILE.as_bytes().to_vec(),
    };
    let mut set = PromptSet::default();
    assert_eq!(set.update(vec![file.clone()]), []);
    let version = set.all().next().unwrap().1.version().to_owned();
    let texts = NodeTexts {
        prompts: vec![file],
        ..NodeTexts::default()
    };
    let counter = models::chat().with_nodes(texts).unwrap();
    let answered = |version: &str| Metered {
        prompts: vec![version.to_owned()],
        ..Metered::default()
    };
    let expected = (with_system("Be kind to everybody."), true);
    assert_eq!(prompt(&counter, ASKED, &answered(&version)), expected);
    let named = r#"{"messages":[{"role":"user","content":"Hi"}],"metadata":{"prompt":"kind","who":"cats and dogs"}}"#;
    let expected = (with_system("Be kind to cats and dogs."), true);
    assert_eq!(prompt(&counter, named, &answered(&version)), expected);
    // Of another version nothing is known.
    let (_, exact) = prompt(&counter, ASKED, &answered("kind@000000000000"));
    assert!(!exact);
    let (_, exact) = prompt(models::chat(), ASKED, &answered(&version));
    assert!(!exact);
}

#[test]
fn tools_that_nodes_offer_are_in_the_prompt() {
    let body = r#"{"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"clock","description":"Tells the time","parameters":{"type":"object","properties":{}}}}]}"#;
    let request = gaia_openai::ChatRequest::parse(body.as_bytes(), &gaia_openai::Limits::default());
    let Tooling { tools, .. } = request.unwrap().tooling;
    let texts = NodeTexts {
        tools,
        ..NodeTexts::default()
    };
    let counter = models::chat().with_nodes(texts).unwrap();
    let offered = prompt(&counter, ASKED, &Metered::default());
    assert_eq!(offered, prompt(models::chat(), body, &Metered::default()));
    assert!(offered.0 > prompt(models::chat(), ASKED, &Metered::default()).0);
}

#[test]
fn images_are_as_many_tokens_as_is_said() {
    let image = "data:image/png;base64,iVBORw0KGgo=";
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"Hi"}},{{"type":"image_url","image_url":{{"url":"{image}"}}}}]}}]}}"#
    );
    let count = |tokens| {
        let texts = NodeTexts {
            image_tokens: tokens,
            ..NodeTexts::default()
        };
        let counter = models::chat().with_nodes(texts).unwrap();
        counter
            .count(Kind::Chat, body.as_bytes(), &Metered::default())
            .unwrap()
    };
    let [none, some] = [None, Some(256)].map(count);
    assert_eq!(some.counted.0.input, none.counted.0.input + 256);
    assert!(matches!(
        none.certainty,
        Certainty::Estimated {
            tolerance: None,
            ..
        }
    ));
    let Certainty::Estimated { tolerance, reasons } = some.certainty else {
        panic!("images are the projector's");
    };
    assert!(tolerance.is_some());
    assert_eq!(reasons, [Reason::Images]);
}
