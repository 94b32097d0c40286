//! A model's tokens and facts, which can stay when its weights go.

mod open;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;

use crate::TokenId;
use crate::facts::ModelFacts;
use crate::load::LoadError;
use crate::pairing::{Pairing, Pairs};
use crate::request;

/// The longest text that is tokenised, in bytes.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Why a text was not tokenised, or tokens were not turned into text.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("the text has {found} bytes, the maximum is {TEXT_BYTES_MAX}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// The model does not rank.
    #[error("the model takes no pairs of a query and a document")]
    NoPairs,
    /// A token number is not in the vocabulary.
    #[error("token {token} is not in the vocabulary")]
    Token {
        /// The number.
        token: TokenId,
    },
}

/// The vocabulary and the facts of a model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    source: Arc<LlamaModel>,
    facts: Arc<ModelFacts>,
    /// How a ranking model takes a query and a document.
    pairing: Option<Arc<Pairing>>,
    cells_used: CellsUsed,
}

/// Cells of the KV cache that hold tokens, as the model's thread last counted them.
pub(crate) type CellsUsed = Arc<AtomicUsize>;

impl Vocabulary {
    pub(crate) fn new(
        source: Arc<LlamaModel>,
        facts: ModelFacts,
        pairing: Option<Pairing>,
    ) -> Self {
        Self {
            source,
            facts: Arc::new(facts),
            pairing: pairing.map(Arc::new),
            cells_used: CellsUsed::default(),
        }
    }

    /// The same from `path`, the model's file, on its own: it keeps no weights in memory.
    pub fn apart(&self, path: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            source: Arc::new(open::load_alone(path)?),
            facts: Arc::clone(&self.facts),
            pairing: self.pairing.clone(),
            cells_used: CellsUsed::default(),
        })
    }

    /// Cells of the KV cache that hold tokens: of requests that run, and of ended ones that are kept.
    pub fn cells_used(&self) -> usize {
        self.cells_used.load(Ordering::Relaxed)
    }

    pub(crate) fn cells_counter(&self) -> CellsUsed {
        Arc::clone(&self.cells_used)
    }

    /// What the model says about itself.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// The tokens of `text`. `add_special` puts the tokens around it that the model wants around a
    /// whole text; names of special tokens in the text become those tokens.
    pub fn tokenize(&self, text: &str, add_special: bool) -> Result<Vec<TokenId>, TokenizeError> {
        let tokens = self.tokens(text, add_special)?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    /// How many tokens `text` is, where names of special tokens in it are the letters that they are: what a model wrote
    /// of its own, or what somebody sends.
    pub fn plain_len(&self, text: &str) -> Result<usize, TokenizeError> {
        check_len(text.len())?;
        let vocab = self.source.vocab();
        Ok(vocab.tokenize(text.as_bytes(), false, false).len())
    }

    /// The tokens of a prompt: as [`Self::tokenize`] with the special tokens, but without a second
    /// starting token when the text brings its own, as chat templates do.
    pub fn tokenize_prompt(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
        let tokens = self.prompt_tokens(text)?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    /// The tokens of a text as [`Model::embed`](crate::Model::embed) would count them.
    pub fn tokenize_input(&self, text: &str) -> Result<Vec<TokenId>, TokenizeError> {
        self.tokenize(text, true)
    }

    /// How many tokens a ranking model reads for `document` and `query`, as [`Model::rank`](crate::Model::rank) would
    /// count them.
    pub fn pair_len(&self, query: &str, document: &str) -> Result<usize, TokenizeError> {
        Ok(self.pairs(query)?.tokens(document)?.len())
    }

    pub(crate) fn pairs<'a>(&'a self, query: &'a str) -> Result<FittingPairs<'a>, TokenizeError> {
        let pairing = self.pairing.as_deref().ok_or(TokenizeError::NoPairs)?;
        check_len(query.len())?;
        Ok(FittingPairs {
            pairs: pairing.pairs(self.source.vocab(), query),
            query_len: query.len(),
        })
    }

    /// The text of `tokens`, with special tokens spelled out. What is no UTF-8 becomes U+FFFD.
    pub fn detokenize(&self, tokens: &[TokenId]) -> Result<String, TokenizeError> {
        let bytes = self.bytes(tokens)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The bytes of `tokens`, with special tokens spelled out: a character may span several.
    pub fn bytes(&self, tokens: &[TokenId]) -> Result<Vec<u8>, TokenizeError> {
        let vocab = self.source.vocab();
        let mut bytes = Vec::new();
        for token in tokens {
            self.check_token(*token)?;
            bytes.extend(vocab.token_to_piece(LlamaToken::new(*token), true, None));
        }
        Ok(bytes)
    }

    pub(crate) fn prompt_tokens(&self, text: &str) -> Result<Vec<LlamaToken>, TokenizeError> {
        let brings_bos = match &self.facts.bos_token {
            Some(bos) => !bos.is_empty() && text.starts_with(bos.as_str()),
            None => false,
        };
        self.tokens(text, self.facts.add_bos && !brings_bos)
    }

    pub(crate) fn tokens(
        &self,
        text: &str,
        add_special: bool,
    ) -> Result<Vec<LlamaToken>, TokenizeError> {
        check_len(text.len())?;
        let vocab = self.source.vocab();
        Ok(vocab.tokenize(text.as_bytes(), add_special, true))
    }

    /// The control tokens of these names. What is none of the model's, what is text in any case and
    /// what ends an answer is left out.
    pub(crate) fn control_tokens(&self, names: &[String]) -> Vec<LlamaToken> {
        let vocab = self.source.vocab();
        let token = |name: &String| {
            let tokens = vocab.tokenize(name.as_bytes(), false, true);
            let [token] = tokens[..] else { return None };
            let hidden = vocab.token_to_piece(token, false, None).is_empty();
            let named = vocab.token_to_piece(token, true, None) == name.as_bytes();
            (hidden && named && !vocab.is_eog(token)).then_some(token)
        };
        names.iter().filter_map(token).collect()
    }

    pub(crate) fn check_token(&self, token: TokenId) -> Result<(), TokenizeError> {
        request::check_token(token, self.facts.n_vocab).map_err(|_| TokenizeError::Token { token })
    }
}

/// A query of a length that can be tokenised, with documents of such.
pub(crate) struct FittingPairs<'a> {
    pairs: Pairs<'a>,
    query_len: usize,
}

impl FittingPairs<'_> {
    /// The input for `document`.
    pub fn tokens(&self, document: &str) -> Result<Vec<LlamaToken>, TokenizeError> {
        check_len(self.query_len.saturating_add(document.len()))?;
        Ok(self.pairs.tokens(document))
    }
}

fn check_len(found: usize) -> Result<(), TokenizeError> {
    match found > TEXT_BYTES_MAX {
        true => Err(TokenizeError::TooLong { found }),
        false => Ok(()),
    }
}
