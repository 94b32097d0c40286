//! Pictures of the view, drawn into memory.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::*;
use crate::commands::top::exposition::Exposition;
use crate::commands::top::history::History;
use crate::commands::top::picture;
use crate::commands::top::sighting::{KeyUse, Knowledge, Model, Node, Running, Sighting};

/// What a real node answered, and a second later; with tools and memory added by hand.
const BEFORE: &str = include_str!("../fixtures/before.txt");
const LOADED: &str = include_str!("../fixtures/loaded.txt");

fn node() -> Running {
    Running {
        phase: "ready",
        name: Some("handbook".to_owned()),
        url: "http://127.0.0.1:8080".to_owned(),
        version: "0.1.0".to_owned(),
        up_seconds: 7_500,
        chat: Model {
            id: "smollm2-135m-instruct".to_owned(),
            parameters: Some(134_515_008),
            context: Some(4096),
            size_bytes: Some(143_025_408),
        },
        embedding: Some(Model {
            id: "all-minilm-l6-v2".to_owned(),
            ..Model::default()
        }),
        knowledge: Some(Knowledge {
            collection: "default".to_owned(),
            passages: Some(158),
        }),
        ..Running::default()
    }
}

fn log() -> Vec<String> {
    vec![
        "2026-11-21T23:50:40.468673Z  INFO ready url=\"http://127.0.0.1:8080\" worker=28052".to_owned(),
        "2026-11-21T23:51:05.852522Z  WARN request request_id=\"req-b4ce62d8d14ad020000000\" peer=127.0.0.1 method=POST path=\"/v1/chat/completions\" status=429 bytes=213 complete=true duration_ms=2".to_owned(),
    ]
}

fn facts(node: Node, expositions: &[&str]) -> Facts {
    let mut history = History::default();
    for (at, text) in expositions.iter().enumerate() {
        history.push(Sighting {
            at: Duration::from_secs(at as u64),
            node: node.clone(),
            counts: Some(Exposition::parse(text)),
            keys: Vec::new(),
            log: log(),
        });
    }
    if expositions.is_empty() {
        history.push(Sighting {
            node,
            log: log(),
            ..Sighting::default()
        });
    }
    history.facts()
}

fn running(expositions: &[&str]) -> Facts {
    facts(Node::Running(Box::new(node())), expositions)
}

fn loaded() -> Facts {
    let mut facts = running(&[BEFORE, LOADED]);
    facts.keys = vec![
        KeyUse {
            name: "alice".to_owned(),
            tokens: 104_000,
            tokens_max: Some(100_000),
            requests: 321,
        },
        KeyUse {
            name: "bot".to_owned(),
            tokens: 12,
            tokens_max: None,
            requests: 1,
        },
    ];
    // Curves come from looking for a while.
    facts.speed.writing.curve = (0..90).map(|at| f64::from(at % 30) * 5.0).collect();
    facts
}

#[test]
fn a_node_at_work() {
    insta::assert_snapshot!(picture(&loaded(), 100, 36));
}

#[test]
fn a_node_at_work_in_a_small_terminal() {
    insta::assert_snapshot!(picture(&loaded(), 80, 24));
}

#[test]
fn a_node_at_work_in_a_narrow_terminal() {
    insta::assert_snapshot!(picture(&loaded(), 44, 40));
}

#[test]
fn an_idle_node() {
    insta::assert_snapshot!(picture(&running(&[LOADED, LOADED]), 80, 24));
}

#[test]
fn a_node_whose_worker_somebody_else_keeps() {
    let node = Running {
        phase: "waiting for its worker",
        restarts: 2,
        worker_url: Some("http://127.0.0.1:9080".to_owned()),
        ..node()
    };
    let shown = picture(&facts(Node::Running(Box::new(node)), &[]), 140, 30);
    for words in [
        "waiting for its worker",
        "worker of others at http://127.0.0.1:9080",
        "went away 2 times",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn a_node_that_keeps_failing() {
    let node = Running {
        phase: "crash loop",
        restarts: 7,
        last_failure: Some("llama.cpp: out of memory\n\x1b[2Jgiving up".to_owned()),
        ..node()
    };
    let shown = picture(&facts(Node::Running(Box::new(node)), &[]), 100, 30);
    assert!(
        shown.contains("crash loop") && shown.contains("restarted 7 times"),
        "{shown}"
    );
    assert!(
        shown.contains("last words") && shown.contains("out of memory"),
        "{shown}"
    );
    assert!(!shown.contains('\x1b'), "nothing steers the terminal");
}

#[test]
fn no_node() {
    let absent = picture(&facts(Node::Absent, &[]), 80, 10);
    assert!(absent.contains("not running, waiting"), "{absent}");
    let beginning = picture(&facts(Node::Beginning, &[]), 80, 10);
    assert!(beginning.contains("about to start"), "{beginning}");
}

#[test]
fn no_size_is_too_small_to_draw_on() {
    for (columns, rows) in [
        (1, 1),
        (2, 40),
        (10, 3),
        (20, 10),
        (72, 4),
        (300, 90),
        (0, 0),
    ] {
        for helps in [false, true] {
            let wishes = Wishes {
                helps,
                ..Wishes::on_a_screen(false)
            };
            let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
            terminal
                .draw(|frame| draw(frame, &loaded(), wishes))
                .unwrap();
        }
    }
}

fn has_colour(wishes: Wishes) -> bool {
    let mut terminal = Terminal::new(TestBackend::new(100, 36)).unwrap();
    terminal
        .draw(|frame| draw(frame, &loaded(), wishes))
        .unwrap();
    let cells = terminal.backend().buffer().content();
    cells
        .iter()
        .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
}

#[test]
fn no_colour_where_none_is_wanted() {
    assert!(has_colour(Wishes::on_a_screen(false)));
    assert!(!has_colour(Wishes::on_a_screen(true)));
}

#[test]
fn keys_and_help_are_shown_on_a_screen() {
    let wishes = Wishes {
        is_paused: true,
        helps: true,
        ..Wishes::on_a_screen(true)
    };
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal
        .draw(|frame| draw(frame, &loaded(), wishes))
        .unwrap();
    insta::assert_snapshot!(terminal.backend());
}
