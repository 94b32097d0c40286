//! `GET /gaia/v1/domain`: what a payer or a node must know before anything else.

use gaia_tunnel::messages::DomainFacts;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Reply};
use crate::shared::Shared;

pub(crate) fn show(shared: &Shared) -> Response<Reply> {
    let config = &shared.config;
    let info = &config.info;
    let facts = DomainFacts {
        domain_id: config.place.domain_id,
        signing: config.place.signing,
        name: info.name.clone(),
        gateways: info.gateways.clone(),
        gateway_key: config.key.address(),
        genesis: info.genesis,
        epoch_seconds: info.epoch_seconds,
        policy: info.policy.get().explain(),
    };
    let Ok(Value::Object(mut shown)) = serde_json::to_value(&facts) else {
        return reply::json(StatusCode::OK, &facts);
    };
    shown.insert("contracts".to_owned(), info.contracts.clone().into());
    shown.insert("priceVersion".to_owned(), config.prices.version().into());
    shown.insert(
        "priceHash".to_owned(),
        config.prices.hash().to_string().into(),
    );
    shown.insert("models".to_owned(), models(shared));
    reply::json(StatusCode::OK, &shown)
}

/// The models with their prices: nano-USD for a million tokens.
fn models(shared: &Shared) -> Value {
    let services = shared.nodes.services();
    let models = shared.config.models.iter().filter_map(|model| {
        let price = shared.config.price(&model.name)?;
        let served = services
            .iter()
            .filter(|service| service.model == model.name);
        let knowledge = served
            .clone()
            .filter_map(|service| service.knowledge.clone());
        Some(json!({
            "name": model.name,
            "input": price.input.get(),
            "cached": price.cached.get(),
            "output": price.output.get(),
            "countedByGateway": model.counter.is_some(),
            "contextTokens": model.limits.context_tokens,
            "isServed": served.clone().next().is_some(),
            "knowledge": knowledge.collect::<Vec<_>>(),
        }))
    });
    models.collect()
}
