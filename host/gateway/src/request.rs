//! What a user asks, read from path and body: which model, whether in a stream, and the most that it can take.
//!
//! The body is not rewritten, but for what the node needs otherwise: a model's name without the knowledge base behind
//! it, and the wish to be told what a stream took.

use gaia_balancer::{Ask, Beginning, KeyId, Service};
use gaia_ledger::price::TokenCeiling;
use gaia_ledger::{ModelPrice, NanoUsd};
use gaia_metering::{Kind, ask_for_usage, ceiling};
use gaia_openai::ApiError;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::access::Access;
use crate::config::Model;
use crate::shared::Shared;

/// Bytes of text that are about a token, to tell how long a prompt is to read.
const TOKEN_BYTES: usize = 4;

/// The longest name of a model, in bytes.
const MODEL_LEN_MAX: usize = 256;

/// A request that is known and priced.
pub(crate) struct Asked {
    pub kind: Kind,
    /// Where its model stands in the configuration.
    pub model: usize,
    pub price: ModelPrice,
    pub ceiling: TokenCeiling,
    /// The most that it can cost.
    pub cost_max: NanoUsd,
    pub ask: Ask,
    /// As the node gets it.
    pub body: Bytes,
    /// Whether the node is asked for usage that the client did not ask for.
    pub hides_usage: bool,
}

/// What is read without a copy; everything else is for the node.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    model: Option<&'a str>,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 for what no node would take, 404 for a model that the domain does not offer.
    pub(crate) fn read(
        shared: &Shared,
        kind: Kind,
        access: &Access,
        body: Bytes,
    ) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| ApiError::malformed_body(format!("The body is no JSON: {error}.")))?;
        let head: Head<'_> = serde_json::from_slice(&body).map_err(|error| {
            ApiError::malformed_body(format!("`model` cannot be read: {error}."))
        })?;
        let asked = head.model.ok_or_else(|| ApiError::missing("model"))?;
        if kind == Kind::Responses {
            without_state(&value)?;
        }
        let (name, knowledge) = named(asked);
        let (place, model, price) = found(shared, asked, name)?;
        let ceiling = ceiling(kind, &value, &model.limits)
            .map_err(|error| ApiError::malformed_body(error.to_string()))?;
        let cost_max = price
            .cost_max(&ceiling)
            .map_err(|error| ApiError::malformed_body(error.to_string()))?;
        let service = Service {
            model: name.to_owned(),
            knowledge: knowledge.map(str::to_owned),
        };
        let ask = ask(shared, access, service, &body);
        let body = match knowledge {
            Some(_) => without_knowledge(&body, asked, name),
            None => body,
        };
        let with_usage = ask_for_usage(kind, &body);
        Ok(Self {
            kind,
            model: place,
            price,
            ceiling,
            cost_max,
            ask,
            hides_usage: with_usage.is_some(),
            body: with_usage.map_or(body, Bytes::from),
        })
    }
}

/// A response that goes on from one that a node keeps, or that a node works on unwatched, would have to be asked of
/// that very node.
fn without_state(value: &Value) -> Result<(), ApiError> {
    if value
        .get("previous_response_id")
        .is_some_and(|id| !id.is_null())
    {
        let message = "A domain's nodes keep no responses for one another. Send the whole conversation as `input`.";
        return Err(ApiError::unsupported("previous_response_id", message));
    }
    if value
        .get("background")
        .is_some_and(|background| *background == Value::Bool(true))
    {
        let message = "A domain answers at once: ask without `background`, or for a stream.";
        return Err(ApiError::unsupported("background", message));
    }
    Ok(())
}

fn found<'a>(
    shared: &'a Shared,
    asked: &str,
    name: &str,
) -> Result<(usize, &'a Model, ModelPrice), ApiError> {
    let models = &shared.config.models;
    let place = models.iter().position(|model| model.name == name);
    let known = place.filter(|_| asked.len() <= MODEL_LEN_MAX);
    let priced = known.and_then(|place| {
        let model = models.get(place)?;
        Some((place, model, *shared.config.price(&model.name)?))
    });
    priced.ok_or_else(|| {
        let shown: String = asked.chars().take(128).collect();
        ApiError {
            message: format!("This domain does not offer the model `{shown}`. See GET /v1/models."),
            ..ApiError::model_not_found(asked)
        }
    })
}

/// A model's name, and the knowledge base behind its last `@`.
fn named(asked: &str) -> (&str, Option<&str>) {
    match asked.rsplit_once('@') {
        Some((name, knowledge)) if !name.is_empty() && !knowledge.is_empty() => {
            (name, Some(knowledge))
        }
        _ => (asked, None),
    }
}

/// The body with the model's bare name: nodes know the knowledge base that they have.
fn without_knowledge(body: &Bytes, asked: &str, name: &str) -> Bytes {
    // `asked` lies within the body: it was borrowed from it.
    let start = (asked.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    let end = start + asked.len();
    [&body[..start], name.as_bytes(), &body[end..]]
        .concat()
        .into()
}

fn ask(shared: &Shared, access: &Access, service: Service, body: &[u8]) -> Ask {
    let prompt = prompt(body);
    let mut key = [0; 8];
    key.copy_from_slice(&access.key[..8]);
    Ask {
        beginning: Beginning::of(shared.seed, &service.model, prompt),
        service,
        key: KeyId(u64::from_be_bytes(key)),
        weight: 1,
        tokens: u32::try_from(prompt.len() / TOKEN_BYTES).unwrap_or(u32::MAX),
    }
}

/// What the prompt is made of: from the first field on that holds it. What stands before differs from request to
/// request and would hide that two begin alike.
fn prompt(body: &[u8]) -> &[u8] {
    let fields: [&[u8]; 3] = [b"\"messages\"", b"\"prompt\"", b"\"input\""];
    let starts = fields
        .iter()
        .filter_map(|name| memchr::memmem::find(body, name));
    &body[starts.min().unwrap_or(0)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_knowledge_base_stands_behind_the_last_at() {
        let check = |asked, expected| assert_eq!(named(asked), expected, "{asked}");
        check("m", ("m", None));
        check("m@docs", ("m", Some("docs")));
        check("a@b@docs", ("a@b", Some("docs")));
        check("m@", ("m@", None));
        check("@docs", ("@docs", None));
    }

    #[test]
    fn a_node_reads_the_bare_name_and_everything_else_as_it_was() {
        let body = Bytes::from_static(b"{\"x\": 1.50, \"model\" : \"m@docs\",\"z\":\"m@docs\"}");
        let head: Head<'_> = serde_json::from_slice(&body).unwrap();
        let bare = without_knowledge(&body, head.model.unwrap(), "m");
        assert_eq!(bare, "{\"x\": 1.50, \"model\" : \"m\",\"z\":\"m@docs\"}");
    }

    #[test]
    fn a_prompt_begins_where_its_field_does() {
        assert_eq!(prompt(b"{\"n\":1,\"messages\":[]}"), b"\"messages\":[]}");
        assert_eq!(prompt(b"{}"), b"{}");
    }
}
