//! Spans, and how a report becomes some: names and attributes of OpenTelemetry's conventions for HTTP and for
//! generative AI.

use std::borrow::Cow;

use crate::context::{SpanId, TraceId, TraceParent};
use crate::report::{Generated, PHASES_MAX, Phase, Report, TEXT_CHARS_MAX, What};

const PROVIDER: &str = "gaia";

/// Whose side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Neither.
    Internal = 1,
    /// Who answers.
    Server = 2,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// Several.
    Texts(Vec<String>),
    /// A whole number.
    Number(i64),
    /// Any number.
    Float(f64),
}

/// Something that took a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// The span it is part of.
    pub parent: Option<SpanId>,
    /// What it is called.
    pub name: String,
    /// Whose side it is.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// What is said of it.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
    /// Why it came to nothing.
    pub failed: Option<String>,
}

/// A request as its listener saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request<'a> {
    /// Its trace, and its own span.
    pub own: TraceParent,
    /// The span of who asked.
    pub parent: Option<SpanId>,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Its id.
    pub id: &'a str,
    /// Its method.
    pub method: &'a str,
    /// Its route, without what varies.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// Whether the answer came to its end.
    pub complete: bool,
}

/// The span of a whole request.
pub fn server_span(request: &Request<'_>) -> Span {
    let mut attributes = vec![
        ("http.request.method".into(), text(request.method)),
        ("http.route".into(), text(request.route)),
        (
            "http.response.status_code".into(),
            Value::Number(request.status.into()),
        ),
        ("gaia.request.id".into(), text(request.id)),
    ];
    let failed = match (request.status, request.complete) {
        (500.., _) => Some(request.status.to_string()),
        (_, false) => Some("aborted".to_owned()),
        _ => None,
    };
    if let Some(failed) = &failed {
        attributes.push(("error.type".into(), text(failed)));
    }
    Span {
        trace: request.own.trace,
        id: request.own.span,
        parent: request.parent,
        name: format!("{} {}", request.method, request.route),
        kind: Kind::Server,
        start: request.start,
        end: request.end,
        attributes,
        failed,
    }
}

/// The spans of what the worker did for the request with the span `own`, which came to it at `came` and was over at
/// `over`: no phase is outside of that, whatever the report says.
pub fn spans_of(
    report: &Report,
    own: &TraceParent,
    (came, over): (u64, u64),
    new_id: &mut dyn FnMut() -> SpanId,
) -> Vec<Span> {
    let at = |micros: u64| {
        came.saturating_add(micros.saturating_mul(1000))
            .clamp(came, over.max(came))
    };
    let mut spans = Vec::new();
    for phase in report.phases.iter().take(PHASES_MAX) {
        let (name, attributes) = said(phase);
        let (start, end) = (at(phase.start), at(phase.end.max(phase.start)));
        let id = phase.id.unwrap_or_else(&mut *new_id);
        let span = |name, (start, end), id, parent| Span {
            trace: own.trace,
            id,
            parent: Some(parent),
            name,
            kind: Kind::Internal,
            start,
            end,
            attributes: Vec::new(),
            failed: None,
        };
        let whole = span(name, (start, end), id, own.span);
        spans.push(Span {
            attributes,
            failed: phase.failed.as_deref().map(cut),
            ..whole
        });
        if let What::Chat(generated) = &phase.what {
            for (name, from, to) in steps(generated, phase) {
                spans.push(span(name.to_owned(), (at(from), at(to)), new_id(), id));
            }
        }
    }
    spans
}

/// Waiting, reading and writing, as far as it came.
fn steps(generated: &Generated, phase: &Phase) -> Vec<(&'static str, u64, u64)> {
    let (start, end) = (phase.start, phase.end.max(phase.start));
    let entered = generated.entered.map(|at| at.clamp(start, end));
    let first = generated
        .first
        .map(|at| at.clamp(entered.unwrap_or(start), end));
    let mut steps = vec![("queue", start, entered.unwrap_or(end))];
    if let Some(entered) = entered {
        steps.push(("prefill", entered, first.unwrap_or(end)));
    }
    if let Some(first) = first {
        steps.push(("decode", first, end));
    }
    steps
}

type Attributes = Vec<(Cow<'static, str>, Value)>;

/// The name of a phase and what is said of it.
fn said(phase: &Phase) -> (String, Attributes) {
    let (operation, of, mut attributes) = match &phase.what {
        What::Embeddings { model, tokens } => ("embeddings", model, reading(model, *tokens)),
        What::Reranking { model, tokens } => ("rerank", model, reading(model, *tokens)),
        What::Retrieval { collection, hits } => (
            "retrieval",
            collection,
            vec![
                ("gen_ai.data_source.id".into(), text(collection)),
                ("gaia.retrieval.hits".into(), number(*hits)),
            ],
        ),
        What::Chat(generated) => ("chat", &generated.model, generation(generated, phase)),
        What::Tool { name, call } => (
            "execute_tool",
            name,
            vec![
                ("gen_ai.tool.name".into(), text(name)),
                ("gen_ai.tool.call.id".into(), text(call)),
                ("gen_ai.tool.type".into(), text("function")),
            ],
        ),
    };
    attributes.push(("gen_ai.operation.name".into(), text(operation)));
    attributes.push(("gen_ai.provider.name".into(), text(PROVIDER)));
    if let Some(failed) = &phase.failed {
        attributes.push(("error.type".into(), text(failed)));
    }
    (format!("{operation} {}", cut(of)), attributes)
}

/// What is said of a model that only reads.
fn reading(model: &str, tokens: u64) -> Attributes {
    vec![
        ("gen_ai.request.model".into(), text(model)),
        ("gen_ai.usage.input_tokens".into(), number(tokens)),
    ]
}

fn generation(generated: &Generated, phase: &Phase) -> Attributes {
    let finish = generated.finish.iter().take(PHASES_MAX);
    let mut attributes = vec![
        ("gen_ai.request.model".into(), text(&generated.model)),
        ("gen_ai.response.model".into(), text(&generated.model)),
        ("gen_ai.response.id".into(), text(&generated.response)),
        (
            "gen_ai.response.finish_reasons".into(),
            Value::Texts(finish.map(|reason| cut(reason)).collect()),
        ),
        (
            "gen_ai.usage.input_tokens".into(),
            number(generated.prompt_tokens),
        ),
        (
            "gen_ai.usage.output_tokens".into(),
            number(generated.completion_tokens),
        ),
        (
            "gen_ai.usage.cache_read.input_tokens".into(),
            number(generated.cached_tokens),
        ),
    ];
    if let Some(max) = generated.tokens_max {
        attributes.push(("gen_ai.request.max_tokens".into(), number(max)));
    }
    if let Some(first) = generated.first {
        let micros = first.saturating_sub(phase.start);
        attributes.push((
            "gen_ai.response.time_to_first_chunk".into(),
            Value::Float(micros as f64 / 1e6),
        ));
    }
    attributes
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn text(said: &str) -> Value {
    Value::Text(cut(said))
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> TraceParent {
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            .parse()
            .unwrap()
    }

    fn made(phases: Vec<Phase>) -> Vec<Span> {
        let report = Report {
            phases,
            ..Report::default()
        };
        let mut count = 0;
        spans_of(&report, &own(), (1_000_000, 9_000_000), &mut || {
            count += 1;
            SpanId::from_random(count)
        })
    }

    fn chat(generated: Generated, start: u64, end: u64) -> Phase {
        Phase {
            start,
            end,
            what: What::Chat(Box::new(generated)),
            id: None,
            failed: None,
        }
    }

    #[test]
    fn a_generation_has_its_steps_below_it() {
        let spans = made(vec![chat(
            Generated {
                model: "m".to_owned(),
                entered: Some(1500),
                first: Some(3000),
                ..Generated::default()
            },
            1000,
            5000,
        )]);
        let shown: Vec<_> = spans
            .iter()
            .map(|span| (span.name.as_str(), span.start / 1000, span.end / 1000))
            .collect();
        assert_eq!(
            shown,
            [
                ("chat m", 2000, 6000),
                ("queue", 2000, 2500),
                ("prefill", 2500, 4000),
                ("decode", 4000, 6000)
            ]
        );
        assert_eq!(spans[0].parent, Some(own().span));
        assert!(
            spans[1..]
                .iter()
                .all(|span| span.parent == Some(spans[0].id))
        );
        let first = Value::Float(0.002);
        let has = |span: &Span, value: &Value| span.attributes.iter().any(|(_, one)| one == value);
        assert!(has(&spans[0], &first), "{:?}", spans[0]);
    }

    #[test]
    fn one_that_never_got_a_place_only_waited() {
        let spans = made(vec![chat(Generated::default(), 0, 5000)]);
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["chat ", "queue"]);
    }

    #[test]
    fn what_a_worker_makes_up_is_bounded() {
        let wild = |name: String| Phase {
            start: u64::MAX,
            end: 3,
            what: What::Tool {
                name: name.clone(),
                call: name.clone(),
            },
            id: None,
            failed: Some(name),
        };
        let spans = made(vec![wild("ä".repeat(TEXT_CHARS_MAX + 1)); PHASES_MAX + 1]);
        assert_eq!(spans.len(), PHASES_MAX);
        for span in spans {
            assert_eq!((span.start, span.end), (9_000_000, 9_000_000));
            assert_eq!(
                span.name.chars().count(),
                "execute_tool ".len() + TEXT_CHARS_MAX
            );
            assert_eq!(span.failed.unwrap().chars().count(), TEXT_CHARS_MAX);
        }
    }

    #[test]
    fn a_request_that_failed_says_so() {
        let check = |status, complete, failed: Option<&str>| {
            let span = server_span(&Request {
                own: own(),
                parent: None,
                start: 1,
                end: 2,
                id: "r",
                method: "GET",
                route: "/v1/models",
                status,
                complete,
            });
            assert_eq!(span.name, "GET /v1/models");
            assert_eq!(span.failed.as_deref(), failed);
        };
        check(200, true, None);
        check(404, true, None);
        check(502, true, Some("502"));
        check(200, false, Some("aborted"));
    }
}
