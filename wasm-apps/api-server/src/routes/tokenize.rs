//! `POST /tokenize`: the models' own tokens.

use axum::extract::State;
use axum::response::Response;
use gaia_openai::{ApiError, TokenizeReply, TokenizeRequest};
use gaia_wasi_rt::yield_now;

use super::{Sent, Shared, json};
use crate::app::App;
use crate::failure::{Failure, from_inference};
use crate::inference::Model;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = TokenizeRequest::parse(&body, &app.limits)?;
    let model = find(&app, request.model.as_deref())?;
    let mut lists = Vec::with_capacity(request.texts.len());
    for text in &request.texts {
        let tokens = match request.add_special {
            true => model.tokenize(text),
            false => model.tokenize_plain(text),
        };
        lists.push(tokens.map_err(|error| from_inference(error, "content", None))?);
        yield_now().await;
    }
    Ok(json(&TokenizeReply::new(&request, lists)))
}

fn find<'a>(app: &'a App, wanted: Option<&str>) -> Result<&'a Model, ApiError> {
    let models = app.models()?;
    let embedding = models.embedding.as_ref();
    match embedding.filter(|model| wanted == Some(model.id.as_str())) {
        Some(model) => Ok(model),
        None => app.chat(wanted).map(|chat| &chat.model),
    }
}
