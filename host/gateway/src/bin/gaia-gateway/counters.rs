//! Models with their own tokenizers.

use std::sync::Arc;

use gaia_counting::{Counter, NodeTexts};
use gaia_domain::{DomainFile, Folder};
use gaia_gateway::{Count, CountTokens, Model};
use gaia_metering::{Kind, Metered, ModelLimits};

use crate::end::End;

/// What is offered, each with its counter where there is a vocabulary.
pub fn models(folder: &Folder, file: &DomainFile) -> Result<Vec<Model>, End> {
    let mut models = Vec::with_capacity(file.models.len());
    for model in &file.models {
        let counter = match &model.vocabulary {
            None => {
                tracing::warn!(
                    model = model.name,
                    "no vocabulary: nodes' own counts are believed within what was set aside"
                );
                None
            }
            Some(path) => {
                let opened = Counter::open(&folder.at(path));
                let counter = opened.map_err(|error| End::config(&error))?;
                let told = counter.with_nodes(texts(model));
                Some(told.map_err(|error| End::config(&error))?)
            }
        };
        models.push(Model {
            name: model.name.clone(),
            limits: ModelLimits {
                context_tokens: model.context_tokens,
                output_tokens_max: file.answer_tokens_max.min(model.context_tokens),
                node_tokens: file.added_tokens_max,
                ..ModelLimits::default()
            },
            counter: counter.map(|counter| Arc::new(Own(counter)) as Arc<dyn CountTokens>),
        });
    }
    Ok(models)
}

/// What nodes put around requests to a model.
fn texts(model: &gaia_domain::Model) -> NodeTexts {
    let mut texts = NodeTexts {
        system: Some(model.system_prompt.clone()).filter(|text| !text.is_empty()),
        ..NodeTexts::default()
    };
    if let Some(text) = &model.rag_prompt {
        texts.passages.text.clone_from(text);
    }
    texts
}

/// A model's own tokenizer.
struct Own(Counter);

impl CountTokens for Own {
    fn count(&self, kind: Kind, request: &[u8], answer: &Metered) -> Option<Count> {
        match self.0.count(kind, request, answer) {
            // Where parts cannot be seen from here, such as what a node's tool said, the count would be too low.
            Ok(count) if count.certainty.tolerance().is_none() => None,
            Ok(count) => Some(Count {
                counts: count.counted.0,
                is_disputed: answer
                    .claimed
                    .is_some_and(|claimed| !count.bears_out(&claimed)),
            }),
            Err(error) => {
                tracing::warn!(%error, "a request cannot be counted");
                None
            }
        }
    }
}
