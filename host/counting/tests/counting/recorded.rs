//! Answers that nodes gave, counted again. `recorded/` holds what was sent to a node and what came back, byte by byte.

use std::fs;
use std::path::Path;

use gaia_counting::{Certainty, Count, Counter, NodeTexts};
use gaia_metering::{Kind, Meter, Metered};
use gaia_prompt::{RagPolicy, RagPrompt};
use serde::Deserialize;

use crate::models;

/// One answer.
#[derive(Deserialize)]
pub struct Recorded {
    #[serde(skip)]
    pub name: String,
    /// How the node was set up.
    group: String,
    path: String,
    /// The body that was sent.
    pub request: String,
    /// The body that came back.
    reply: String,
}

impl Recorded {
    pub fn kind(&self) -> Kind {
        Kind::of_path(&self.path).unwrap()
    }

    pub fn metered(&self) -> Metered {
        let streamed = !self.reply.starts_with('{');
        let mut meter = Meter::new(self.kind(), streamed);
        // As a network may cut it.
        for piece in self.reply.as_bytes().chunks(113) {
            meter.eat(piece);
        }
        let metered = meter.finish();
        assert!(
            metered.is_complete && metered.unread == 0,
            "{}: {metered:?}",
            self.name
        );
        metered
    }

    pub fn counter(&self) -> Counter {
        match (self.kind(), self.group.as_str()) {
            (Kind::Embeddings, _) => models::embedding().clone(),
            (_, "knowledge_user") => {
                let texts = NodeTexts {
                    system: Some(models::SYSTEM.to_owned()),
                    passages: RagPrompt {
                        policy: RagPolicy::LastUserMessage,
                        ..RagPrompt::default()
                    },
                    ..NodeTexts::default()
                };
                models::chat().with_nodes(texts).unwrap()
            }
            _ => models::chat_with_system(),
        }
    }

    pub fn count(&self) -> Count {
        let request = self.request.as_bytes();
        self.counter()
            .count(self.kind(), request, &self.metered())
            .unwrap()
    }
}

pub fn all() -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counting/recorded");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut all: Vec<Recorded> = files
        .map(|path| Recorded {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            ..serde_json::from_slice(&fs::read(&path).unwrap()).unwrap()
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() > 20);
    all
}

#[test]
fn counts_are_what_nodes_claim() {
    let mut table = String::new();
    for recorded in all() {
        let (count, metered) = (recorded.count(), recorded.metered());
        let claimed = metered.claimed.unwrap();
        let (ours, theirs) = (count.counted.0, claimed.0);
        let sure = matches!(count.certainty, Certainty::Exact { .. });
        table += &format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            recorded.name,
            ours.prompt(),
            theirs.prompt(),
            ours.output,
            theirs.output,
            if sure { "exact" } else { "estimated" },
        );
        println!("{}", table.lines().last().unwrap());
    }
    for recorded in all() {
        let (count, metered) = (recorded.count(), recorded.metered());
        let claimed = metered.claimed.unwrap();
        let name = &recorded.name;
        // What the model read is known to the token.
        assert_eq!(
            count.counted.0.prompt(),
            claimed.0.prompt(),
            "{name}\n{table}"
        );
        assert_eq!(count.counted.0.cached, claimed.0.cached, "{name}");
        assert!(
            count.bears_out(&claimed),
            "{name}: {count:?} {claimed:?}\n{table}"
        );
    }
}
