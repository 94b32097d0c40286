//! What happened during a request, and how others are told of it.
//!
//! The worker reports the phases of a request ([`Report`]), its host makes spans of them ([`spans_of`]) and encodes
//! them as OTLP ([`encode`]). No clock, no randomness, no sockets: times and ids are given.
//!
//! Invariant: what was said is in no span: names, numbers and ids only. A report that a worker makes up costs no more
//! than its maxima.

mod context;
mod otlp;
mod report;
mod span;

pub use context::{ParseTraceParentError, SpanId, TraceId, TraceParent};
pub use otlp::{Resource, encode};
pub use report::{Generated, PHASES_MAX, Phase, Report, TEXT_CHARS_MAX, What};
pub use span::{Kind, Request, Span, Value, server_span, spans_of};
