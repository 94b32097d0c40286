//! Whether one model can guess what another will say, as far as their headers tell.
//!
//! Only what certainly does not go is refused here; whether it goes is the engine's to find out.

use crate::Header;

/// Tokens that one vocabulary may have more than the other: sizes are filled up to round numbers,
/// also differently in one family.
pub const DRAFT_PADDING_MAX: usize = 128;

/// What a model's state is kept under that cannot go back before a wrong guess.
const RECURRENT_KEYS: [&str; 3] = ["ssm.", "wkv.", "shortconv."];

/// Why a model cannot guess for another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftMisfit {
    /// It writes no text.
    #[error("makes embeddings and no text")]
    Embedding,
    /// It scores texts.
    #[error("ranks texts and writes none")]
    Reranking,
    /// It has a state that cannot go back.
    #[error("has a recurrent state, which cannot go back before a wrong guess")]
    Recurrent,
    /// The other one has.
    #[error("cannot guess for this model, whose state cannot go back before a wrong guess")]
    ModelRecurrent,
    /// The vocabularies are not of one size.
    #[error("has {own} tokens, and the model has {model}: they must be the same")]
    Size {
        /// How many the guessing model has.
        own: usize,
        /// How many the other one has.
        model: usize,
    },
    /// A token has another meaning.
    #[error("has {own} as the token that {what}, and the model has {model}: they must be the same")]
    Edge {
        /// The meaning.
        what: &'static str,
        /// The guessing model's.
        own: u64,
        /// The other one's.
        model: u64,
    },
    /// A token has another text.
    #[error("has {own:?} as token {index}, and the model has {model:?}: they must be the same")]
    Token {
        /// Its number.
        index: usize,
        /// The guessing model's.
        own: String,
        /// The other one's.
        model: String,
    },
}

impl Header {
    /// Why this model cannot guess for `model`; `None` where nothing in the headers speaks against it.
    pub fn draft_misfit(&self, model: &Header) -> Option<DraftMisfit> {
        if self.facts().is_embedding() {
            return Some(DraftMisfit::Embedding);
        }
        if self.facts().is_reranking() {
            return Some(DraftMisfit::Reranking);
        }
        if model.is_recurrent() {
            return Some(DraftMisfit::ModelRecurrent);
        }
        if self.is_recurrent() {
            return Some(DraftMisfit::Recurrent);
        }
        edges_differ(self, model).or_else(|| tokens_differ(self, model))
    }

    fn is_recurrent(&self) -> bool {
        let Ok(architecture) = self.text("general.architecture") else {
            return false;
        };
        self.metadata().any(|(key, _)| {
            let own = key.strip_prefix(architecture);
            let own = own.and_then(|key| key.strip_prefix('.'));
            own.is_some_and(|key| RECURRENT_KEYS.iter().any(|known| key.starts_with(known)))
        })
    }
}

/// Where a header is silent llama.cpp has a default of its own, so only what both say is compared.
fn edges_differ(own: &Header, model: &Header) -> Option<DraftMisfit> {
    let edges = [
        ("tokenizer.ggml.bos_token_id", "starts a text"),
        ("tokenizer.ggml.eos_token_id", "ends a text"),
    ];
    edges.into_iter().find_map(|(key, what)| {
        let (own, model) = (own.number(key).ok()?, model.number(key).ok()?);
        (own != model).then_some(DraftMisfit::Edge { what, own, model })
    })
}

fn tokens_differ(own: &Header, model: &Header) -> Option<DraftMisfit> {
    let [owns, models] = [own, model].map(|header| header.texts("tokenizer.ggml.tokens").ok());
    let (owns, models) = (owns?, models?);
    if owns.len().abs_diff(models.len()) > DRAFT_PADDING_MAX {
        let (own, model) = (owns.len(), models.len());
        return Some(DraftMisfit::Size { own, model });
    }
    let index = owns
        .iter()
        .zip(models)
        .position(|(own, model)| own != model)?;
    let (own, model) = (owns[index].clone(), models[index].clone());
    Some(DraftMisfit::Token { index, own, model })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Writer;

    struct Model {
        architecture: &'static str,
        tokens: usize,
        odd: Option<usize>,
        eos: Option<u32>,
        extra: Option<&'static str>,
    }

    const PLAIN: Model = Model {
        architecture: "llama",
        tokens: 1000,
        odd: None,
        eos: Some(2),
        extra: None,
    };

    impl Model {
        fn header(&self) -> Header {
            let mut writer = Writer::new();
            let tokens = (0..self.tokens).map(|index| match self.odd == Some(index) {
                true => "odd".to_owned(),
                false => format!("t{index}"),
            });
            writer
                .set("general.architecture", self.architecture)
                .unwrap();
            writer
                .set("tokenizer.ggml.tokens", tokens.collect::<Vec<String>>())
                .unwrap();
            if let Some(eos) = self.eos {
                writer.set("tokenizer.ggml.eos_token_id", eos).unwrap();
            }
            if let Some(key) = self.extra {
                writer.set(key, 4u32).unwrap();
            }
            let mut bytes = Vec::new();
            writer.write(&mut bytes).unwrap();
            Header::from_bytes(&bytes).unwrap()
        }
    }

    #[test]
    fn only_what_has_the_same_tokens_can_guess() {
        let check = |draft: Model, expected: Option<DraftMisfit>| {
            assert_eq!(draft.header().draft_misfit(&PLAIN.header()), expected);
        };
        check(PLAIN, None);
        let embedding = Model {
            architecture: "bert",
            ..PLAIN
        };
        check(embedding, Some(DraftMisfit::Embedding));
        let ranking = Model {
            // The number of that pooling is what the tests put under such a key.
            extra: Some("llama.pooling_type"),
            ..PLAIN
        };
        check(ranking, Some(DraftMisfit::Reranking));
        let padded = PLAIN.tokens + DRAFT_PADDING_MAX;
        check(
            Model {
                tokens: padded,
                ..PLAIN
            },
            None,
        );
        let (own, model) = (padded + 1, PLAIN.tokens);
        check(
            Model {
                tokens: own,
                ..PLAIN
            },
            Some(DraftMisfit::Size { own, model }),
        );
        let token = DraftMisfit::Token {
            index: 7,
            own: "odd".to_owned(),
            model: "t7".to_owned(),
        };
        check(
            Model {
                odd: Some(7),
                ..PLAIN
            },
            Some(token),
        );
        // What only one has is not compared.
        check(
            Model {
                tokens: padded,
                odd: Some(padded - 1),
                ..PLAIN
            },
            None,
        );
    }

    #[test]
    fn a_token_with_another_meaning_is_refused_where_both_say_it() {
        let check = |eos, expected: Option<&str>| {
            let found = Model { eos, ..PLAIN }
                .header()
                .draft_misfit(&PLAIN.header());
            assert_eq!(found.map(|misfit| misfit.to_string()).as_deref(), expected);
        };
        check(None, None);
        check(
            Some(3),
            Some("has 3 as the token that ends a text, and the model has 2: they must be the same"),
        );
    }

    #[test]
    fn a_state_that_cannot_go_back_is_refused_on_either_side() {
        let recurrent = Model {
            extra: Some("llama.ssm.state_size"),
            ..PLAIN
        };
        let others = Model {
            extra: Some("other.ssm.state_size"),
            ..PLAIN
        };
        let (recurrent, plain) = (recurrent.header(), PLAIN.header());
        assert_eq!(recurrent.draft_misfit(&plain), Some(DraftMisfit::Recurrent));
        assert_eq!(
            plain.draft_misfit(&recurrent),
            Some(DraftMisfit::ModelRecurrent)
        );
        assert_eq!(others.header().draft_misfit(&plain), None);
    }
}
