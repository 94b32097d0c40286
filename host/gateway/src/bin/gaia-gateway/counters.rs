//! Models with their own tokenizers.

use std::sync::Arc;

use gaia_counting::Counter;
use gaia_domain::{DomainFile, Folder};
use gaia_gateway::{Count, Model};
use gaia_metering::{Kind, Metered, ModelLimits};
use gaia_statements::TokenCounts;

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
                Some(opened.map_err(|error| End::config(&error))?)
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
            counter: counter.map(|counter| Arc::new(Own(counter)) as Arc<dyn Count>),
        });
    }
    Ok(models)
}

/// A model's own tokenizer.
struct Own(Counter);

impl Count for Own {
    fn count(&self, kind: Kind, request: &[u8], answer: &Metered) -> Option<TokenCounts> {
        match self.0.count(kind, request, answer) {
            // Where parts cannot be seen from here, such as what a node's tool said, the count would be too low.
            Ok(count) => count
                .certainty
                .tolerance()
                .is_some()
                .then_some(count.counted.0),
            Err(error) => {
                tracing::warn!(%error, "a request cannot be counted");
                None
            }
        }
    }
}
