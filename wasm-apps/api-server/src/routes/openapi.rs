//! `GET /openapi.json`: what this node serves, in OpenAPI 3.1. Written by hand in `docs/openapi.yaml`.
//!
//! Invariant, held by the tests: the description has the routes of the router and the limits of the code, and no
//! others.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json"));

pub(super) async fn description() -> Response {
    let mut response = Bytes::from_static(DESCRIPTION).into_response();
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::extract::Request;
    use gaia_openai::Limits;
    use gaia_openai::chunks::CHUNK_TOKENS_MAX;
    use gaia_openai::completion::RESPONSE_FIELDS_MAX;
    use gaia_openai::embedding::DIMENSIONS_MAX;
    use gaia_openai::info::HITS_MAX;
    use gaia_openai::responses::{ENTRIES_MAX, INCLUDES_MAX};
    use gaia_openai::vector_store::{
        ATTRIBUTE_KEY_CHARS_MAX, ATTRIBUTE_TEXT_CHARS_MAX, ATTRIBUTES_MAX, BATCH_FILES_MAX,
        FILTER_VALUES_MAX, FILTERS_MAX, RESULTS_MAX, STATIC_TOKENS_MAX, STORE_FILES_MAX,
    };
    use gaia_wasi_rt::block_on;
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::app::App;
    use crate::options::Options;
    use crate::routes::{router, table};

    /// What an item of a path may hold that is no method.
    const NO_METHOD: &str = "parameters";

    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

    fn described() -> Value {
        serde_json::from_slice(DESCRIPTION).unwrap()
    }

    // What the router says to a method is what counts, not what a list says that it has.
    fn is_served(method: &str, path: &str) -> bool {
        let app = Arc::new(App::new(Options::default()));
        let path = path.replace("{*id}", "x").replace("{id}", "x");
        let request = Request::builder().method(method).uri(path);
        let request = request.header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        block_on(async move { router(app).oneshot(request).await.unwrap().status() }) != 405
    }

    #[test]
    fn every_route_is_in_the_description_and_back() {
        let mut served = BTreeSet::new();
        for path in table().paths {
            if path.starts_with("/gaia/") {
                continue;
            }
            let methods = METHODS.iter().filter(|method| is_served(method, path));
            let path = path.replace("{*", "{");
            served.extend(methods.map(|method| format!("{method} {path}")));
        }
        let document = described();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            let methods = methods.filter(|key| *key != NO_METHOD);
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        assert_eq!(operations.collect::<BTreeSet<_>>(), served);
    }

    #[test]
    fn the_description_has_the_version_of_the_program() {
        assert_eq!(described()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    out.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, out));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, out)),
                _ => {}
            }
        }
        let document = described();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference}");
        }
    }

    /// Every bound in the description, by its place.
    fn bounds(value: &Value, at: &str, out: &mut Vec<(String, u64)>) {
        const KEYWORDS: [&str; 6] = [
            "maxItems",
            "maxLength",
            "maxProperties",
            "maximum",
            "x-bytes-max",
            "x-total-bytes-max",
        ];
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value.as_u64() {
                        Some(bound) if KEYWORDS.contains(&key.as_str()) => {
                            out.push((format!("{at}/{key}"), bound));
                        }
                        _ => bounds(value, &format!("{at}/{key}"), out),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| bounds(value, at, out)),
            _ => {}
        }
    }

    // How a place ends, and the limit that stands there. Ranges that OpenAI's specification fixes are not limits of
    // ours and stand here as they are.
    fn limits() -> Vec<(&'static str, u64)> {
        let limits = Limits::default();
        let sizes = [
            ("/Name/x-bytes-max", limits.name_bytes_max),
            ("/stop/anyOf/x-bytes-max", limits.stop_bytes_max),
            ("/stop/anyOf/items/x-bytes-max", limits.stop_bytes_max),
            ("/stop/anyOf/maxItems", limits.stop_max),
            ("/logit_bias/maxProperties", limits.logit_bias_max),
            ("/logit_bias/anyOf/maxProperties", limits.logit_bias_max),
            ("/logit_bias/anyOf/maxItems", limits.logit_bias_max),
            ("/logit_bias/anyOf/items/maxItems", 2),
            ("/response_fields/maxItems", RESPONSE_FIELDS_MAX),
            ("/response_fields/items/x-bytes-max", limits.name_bytes_max),
            ("/grammar/x-bytes-max", limits.grammar_bytes_max),
            ("/JsonSchema/x-bytes-max", limits.schema_bytes_max),
            ("/ContentParts/maxItems", limits.parts_max),
            ("/Messages/maxItems", limits.messages_max),
            ("/Messages/x-total-bytes-max", limits.text_bytes_max),
            ("/query/x-bytes-max", limits.text_bytes_max),
            ("/suffix/x-bytes-max", limits.text_bytes_max),
            ("/id/x-bytes-max", limits.name_bytes_max),
            ("/input/anyOf/x-bytes-max", limits.text_bytes_max),
            ("/input/anyOf/maxItems", limits.messages_max),
            ("/input/anyOf/x-total-bytes-max", limits.text_bytes_max),
            ("/instructions/x-bytes-max", limits.text_bytes_max),
            (
                "/Item/anyOf/properties/content/anyOf/maxItems",
                limits.parts_max,
            ),
            // In base64.
            ("/image_url/maxLength", limits.image_bytes_max / 3 * 4),
            ("/include/maxItems", INCLUDES_MAX),
            (
                "/ResponseRequest/properties/tools/maxItems",
                limits.tools_max,
            ),
            (
                "/ResponseRequest/properties/tools/x-total-bytes-max",
                limits.tool_schema_bytes_max,
            ),
            ("/parameters/Limit/schema/maximum", ENTRIES_MAX),
            (
                "/VectorStoreRequest/properties/file_ids/maxItems",
                STORE_FILES_MAX,
            ),
            (
                "/FileBatchRequest/anyOf/properties/file_ids/maxItems",
                BATCH_FILES_MAX,
            ),
            (
                "/FileBatchRequest/anyOf/properties/files/maxItems",
                BATCH_FILES_MAX,
            ),
            ("/RequiredName/x-bytes-max", limits.name_bytes_max),
            ("/Attributes/maxProperties", ATTRIBUTES_MAX),
            (
                "/Attributes/propertyNames/maxLength",
                ATTRIBUTE_KEY_CHARS_MAX,
            ),
            ("/AttributeKey/maxLength", ATTRIBUTE_KEY_CHARS_MAX),
            ("/Attribute/anyOf/maxLength", ATTRIBUTE_TEXT_CHARS_MAX),
            ("/value/anyOf/maxLength", ATTRIBUTE_TEXT_CHARS_MAX),
            ("/Filter/anyOf/properties/value/maxItems", FILTER_VALUES_MAX),
            ("/filters/maxItems", FILTERS_MAX),
            (
                "/SearchRequest/properties/query/anyOf/maxItems",
                limits.parts_max,
            ),
            ("/tool_calls/maxItems", limits.tool_calls_max),
            ("/FunctionName/x-bytes-max", limits.tool_name_bytes_max),
            ("/Tools/maxItems", limits.tools_max),
            (
                "/tool_choice/anyOf/properties/tools/maxItems",
                limits.tools_max,
            ),
            ("/allowed_tools/properties/tools/maxItems", limits.tools_max),
            ("/Tools/x-total-bytes-max", limits.tool_schema_bytes_max),
            (
                "/chat_template_kwargs/maxProperties",
                limits.template_variables_max,
            ),
            ("/metadata/maxProperties", limits.metadata_max),
            ("/Input/anyOf/maxItems", limits.input_tokens_max),
            ("/Inputs/anyOf/maxItems", limits.inputs_max),
            ("/Inputs/x-total-bytes-max", limits.text_bytes_max),
            ("/limit/anyOf/maxItems", 1),
            ("/score_threshold/anyOf/maxItems", 1),
            ("/documents/maxItems", limits.inputs_max),
            ("/texts/maxItems", limits.inputs_max),
            ("/texts/x-total-bytes-max", limits.text_bytes_max),
            ("/documents/x-total-bytes-max", limits.text_bytes_max),
            ("/tokens/maxItems", limits.input_tokens_max),
            ("/content/anyOf/maxItems", limits.inputs_max),
            ("/content/x-total-bytes-max", limits.text_bytes_max),
        ];
        let sizes = sizes.map(|(place, limit)| (place, limit as u64));
        let numbers = [
            ("/chunk_capacity/maximum", CHUNK_TOKENS_MAX),
            ("/top_k/maximum", limits.top_k_max),
            ("/max_tokens/maximum", limits.tokens_max),
            ("/max_output_tokens/maximum", limits.tokens_max),
            ("/max_num_results/maximum", RESULTS_MAX),
            ("/max_chunk_size_tokens/maximum", STATIC_TOKENS_MAX),
            ("/chunk_overlap_tokens/maximum", STATIC_TOKENS_MAX / 2),
            ("/score_threshold/maximum", 1),
            ("/limit/anyOf/maximum", HITS_MAX),
            ("/limit/anyOf/items/maximum", HITS_MAX),
            ("/score_threshold/anyOf/maximum", 1),
            ("/score_threshold/anyOf/items/maximum", 1),
            ("/max_completion_tokens/maximum", limits.tokens_max),
            ("/n/maximum", limits.choices_max),
            ("/n_predict/maximum", limits.tokens_max),
            ("/n_probs/maximum", limits.top_logprobs_max),
            ("/Bias/anyOf/maximum", 100),
            ("/logprobs/maximum", limits.top_logprobs_max),
            ("/top_logprobs/maximum", limits.top_logprobs_max),
            ("/dimensions/maximum", DIMENSIONS_MAX),
            ("/temperature/maximum", 2),
            ("/top_p/maximum", 1),
            ("/min_p/maximum", 1),
            ("/repeat_penalty/maximum", 10),
            ("/presence_penalty/maximum", 2),
            ("/frequency_penalty/maximum", 2),
            ("/logit_bias/patternProperties/^[0-9]{1,9}$/maximum", 100),
        ];
        let numbers = numbers.map(|(place, limit)| (place, u64::from(limit)));
        sizes.into_iter().chain(numbers).collect()
    }

    #[test]
    fn limits_in_the_description_are_the_limits_of_the_code() {
        let mut found = Vec::new();
        bounds(&described(), "", &mut found);
        let mut unused: BTreeSet<_> = limits().iter().map(|(end, _)| *end).collect();
        for (place, bound) in found {
            let of_code = limits().into_iter().find(|(end, _)| place.ends_with(end));
            let of_code = of_code.unwrap_or_else(|| panic!("{place}: which limit is this?"));
            assert_eq!(bound, of_code.1, "{place}");
            unused.remove(of_code.0);
        }
        assert!(unused.is_empty(), "not in the description: {unused:?}");
    }
}
