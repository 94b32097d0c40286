//! What is written here is what OpenTelemetry's own messages read.

use gaia_trace::{Kind, Resource, Span, SpanId, TraceId, Value, encode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Theirs;
use proptest::prelude::*;
use prost::Message;

fn resource() -> Resource {
    Resource {
        service: "gaia".to_owned(),
        version: "1.2.3".to_owned(),
        instance: "0xabc".to_owned(),
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".*".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Number),
        any::<f64>()
            .prop_filter("comparable", |number| !number.is_nan())
            .prop_map(Value::Float),
        proptest::collection::vec(".*", 0..4).prop_map(Value::Texts),
    ]
}

prop_compose! {
    fn span()(
        trace: u128,
        id: u64,
        parent: Option<u64>,
        name in ".*",
        times: (u64, u64),
        attributes in proptest::collection::vec((".*", value()), 0..4),
        failed in proptest::option::of(".*"),
    ) -> Span {
        Span {
            trace: TraceId::from_random(trace),
            id: SpanId::from_random(id),
            parent: parent.map(SpanId::from_random),
            name,
            kind: Kind::Server,
            start: times.0,
            end: times.1,
            attributes: attributes.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            failed,
        }
    }
}

fn theirs(value: &Value) -> Theirs {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
    match value {
        Value::Text(text) => Theirs::StringValue(text.clone()),
        Value::Number(number) => Theirs::IntValue(*number),
        Value::Float(number) => Theirs::DoubleValue(*number),
        Value::Texts(texts) => Theirs::ArrayValue(ArrayValue {
            values: texts
                .iter()
                .map(|text| AnyValue {
                    value: Some(Theirs::StringValue(text.clone())),
                })
                .collect(),
        }),
    }
}

proptest! {
    #[test]
    fn their_messages_read_what_is_written(spans in proptest::collection::vec(span(), 0..4)) {
        let read = ExportTraceServiceRequest::decode(encode(&resource(), &spans).as_slice()).unwrap();
        let [all] = read.resource_spans.as_slice() else { panic!("one resource") };
        let about = &all.resource.as_ref().unwrap().attributes;
        prop_assert_eq!(about[0].key.as_str(), "service.name");
        prop_assert_eq!(about.len(), 3);
        let read = &all.scope_spans[0].spans;
        prop_assert_eq!(read.len(), spans.len());
        for (read, span) in read.iter().zip(&spans) {
            prop_assert_eq!(read.trace_id.as_slice(), span.trace.to_bytes());
            prop_assert_eq!(read.span_id.as_slice(), span.id.to_bytes());
            let parent = span.parent.map(|id| id.to_bytes().to_vec()).unwrap_or_default();
            prop_assert_eq!(&read.parent_span_id, &parent);
            prop_assert_eq!(&read.name, &span.name);
            prop_assert_eq!(read.kind, 2);
            prop_assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (span.start, span.end));
            prop_assert_eq!(read.flags, 1);
            let status = read.status.as_ref().map(|status| (status.code, status.message.clone()));
            prop_assert_eq!(status, span.failed.clone().map(|failed| (2, failed)));
            prop_assert_eq!(read.attributes.len(), span.attributes.len());
            for (read, (key, value)) in read.attributes.iter().zip(&span.attributes) {
                prop_assert_eq!(read.key.as_str(), key.as_ref());
                let read = read.value.as_ref().unwrap().value.as_ref().unwrap();
                prop_assert_eq!(read, &theirs(value));
            }
        }
    }
}
