//! Events as records.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::{Record, now};

/// Writes each event to what `writer` gives.
pub struct JsonLayer<W> {
    writer: W,
}

impl<W> JsonLayer<W> {
    pub fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// The fields of a span.
struct OfSpan(Map<String, Value>);

impl<S, W, O> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> O + 'static,
    O: Write,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(OfSpan(fields.rest));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(OfSpan(of_span)) = span.extensions().get() {
                // What is said further in has the last word.
                for (name, value) in of_span {
                    fields.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        let mut own = Fields::default();
        event.record(&mut own);
        fields.extend(own.rest);
        let about = event.metadata();
        let record = Record {
            time: now(),
            level: about.level().as_str(),
            target: about.target(),
            message: own.message,
            fields,
        };
        // Whoever cannot be written to cannot be told so.
        let _written = (self.writer)().write_all(record.line().as_bytes());
    }
}

/// Collects.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.rest.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            _ => self.put(field, text.into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.put(field, value.into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_has_the_fields_of_what_it_is_part_of() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = JsonLayer::new(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _request = tracing::info_span!("request", request_id = "req-1", a = 1).entered();
            let error = io::Error::other("no\nway");
            tracing::warn!(target: "gaia::x", %error, a = 2, ready = true, "it {}", "broke");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let [line] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("one line: {text}")
        };
        let read: Value = serde_json::from_str(line).unwrap();
        assert_eq!(read["level"], "WARN");
        assert_eq!(read["target"], "gaia::x");
        assert_eq!(read["message"], "it broke");
        let expected = serde_json::json!({
            "request_id": "req-1", "a": 2, "ready": true, "error": "no\nway",
        });
        assert_eq!(read["fields"], expected);
    }
}
