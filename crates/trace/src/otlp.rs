//! OTLP: spans as the bytes that collectors take (`ExportTraceServiceRequest` in protobuf).
//!
//! By hand, because the messages are few and only written: a field is its number, how long it is, and itself.

use crate::span::{Span, Value};

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `service.name`.
    pub service: String,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`.
    pub instance: String,
}

const SCOPE: &str = "gaia";

/// The status of a span that came to nothing.
const STATUS_ERROR: u64 = 2;

/// `TraceFlags` of a span that is recorded.
const SAMPLED: u32 = 1;

/// The body of a request to a collector.
pub fn encode(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut out = Message::default();
    out.message(1, |all| {
        all.message(1, |about| {
            for (key, value) in [
                ("service.name", &resource.service),
                ("service.version", &resource.version),
                ("service.instance.id", &resource.instance),
            ] {
                about.message(1, |pair| attribute(pair, key, &Value::Text(value.clone())));
            }
        });
        all.message(2, |scope| {
            scope.message(1, |scope| {
                scope.text(1, SCOPE);
                scope.text(2, &resource.version);
            });
            for span in spans {
                scope.message(2, |message| encode_span(message, span));
            }
        });
    });
    out.0
}

fn encode_span(out: &mut Message, span: &Span) {
    out.bytes(1, &span.trace.to_bytes());
    out.bytes(2, &span.id.to_bytes());
    if let Some(parent) = span.parent {
        out.bytes(4, &parent.to_bytes());
    }
    out.text(5, &span.name);
    out.number(6, span.kind as u64);
    out.fixed64(7, span.start);
    out.fixed64(8, span.end);
    for (key, value) in &span.attributes {
        out.message(9, |pair| attribute(pair, key, value));
    }
    if let Some(failed) = &span.failed {
        out.message(15, |status| {
            status.text(2, failed);
            status.number(3, STATUS_ERROR);
        });
    }
    out.fixed32(16, SAMPLED);
}

fn attribute(out: &mut Message, key: &str, value: &Value) {
    out.text(1, key);
    out.message(2, |any| any_value(any, value));
}

fn any_value(out: &mut Message, value: &Value) {
    match value {
        Value::Text(text) => out.text(1, text),
        Value::Number(number) => out.number(3, number.cast_unsigned()),
        Value::Float(number) => out.fixed64(4, number.to_bits()),
        Value::Texts(texts) => out.message(5, |list| {
            for text in texts {
                list.message(1, |any| any.text(1, text));
            }
        }),
    }
}

/// A protobuf message that grows.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn tag(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    fn fixed64(&mut self, field: u64, number: u64) {
        self.tag(field, 1);
        self.0.extend(number.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, number: u32) {
        self.tag(field, 5);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }
}
