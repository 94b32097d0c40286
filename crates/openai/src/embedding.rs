//! `POST /v1/embeddings`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::fields::{self, Fields};
use crate::input::{self, Input, Inputs};
use crate::{ApiError, Limits, Usage};

/// The longest vectors that may be asked for, before the model bounds them further.
pub const DIMENSIONS_MAX: u32 = 65_536;

/// Where ids come from that the model does not have.
const FOREIGN_TOKENS: &str = "They have to be ids of this model's own tokenizer: send texts instead. LangChain's \
    OpenAIEmbeddings sends ids of OpenAI's tokenizer unless it is made with check_embedding_ctx_length=False.";

/// An embeddings request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// The model asked for; the node's embedding model when absent.
    pub model: Option<String>,
    /// What to embed, never empty.
    pub input: EmbeddingInput,
    /// How vectors are written.
    pub encoding: Encoding,
    /// Length of the vectors, see [`EmbeddingRequest::check_dimensions`].
    pub dimensions: Option<u32>,
    /// The caller's own mark for the end user.
    pub user: Option<String>,
}

/// What to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddingInput {
    /// Texts.
    Texts(Vec<String>),
    /// Token lists, none of them empty.
    Tokens(Vec<Vec<u32>>),
    /// Both, or both in one.
    Several(Vec<Input>),
}

impl EmbeddingInput {
    fn of(inputs: Vec<Input>) -> Self {
        let texts = inputs.iter().map(|input| match input {
            Input::Text(text) => Some(text.clone()),
            _ => None,
        });
        if let Some(texts) = texts.collect() {
            return Self::Texts(texts);
        }
        let tokens = inputs.iter().map(|input| match input {
            Input::Tokens(tokens) => Some(tokens.clone()),
            _ => None,
        });
        match tokens.collect() {
            Some(tokens) => Self::Tokens(tokens),
            None => Self::Several(inputs),
        }
    }

    /// How many vectors to give.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(lists) => lists.len(),
            Self::Several(inputs) => inputs.len(),
        }
    }

    /// Never, after `parse`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As base64 of 32-bit little-endian floats.
    Base64,
}

impl EmbeddingRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong or over its limit.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        let inputs = Inputs::parse(&root, "input", limits)?.list;
        let empty = |input: &Input| matches!(input, Input::Text(text) if text.is_empty());
        if let Some(index) = inputs.iter().position(empty) {
            let message = format!("`input[{index}]` is empty.");
            return Err(ApiError::invalid_value("input", message));
        }
        Ok(Self {
            model: root.name("model", limits)?,
            input: EmbeddingInput::of(inputs),
            encoding: encoding(&root)?,
            dimensions: root.count("dimensions", 1..=DIMENSIONS_MAX)?,
            user: root.name("user", limits)?,
        })
    }

    /// Refuses a length that is neither the model's `own` nor one of the `shorter` ones that its vectors can be cut to:
    /// only models that were trained for it put what matters first.
    ///
    /// # Errors
    /// 400 naming `dimensions`.
    pub fn check_dimensions(&self, own: u32, shorter: &[u32]) -> Result<(), ApiError> {
        let wanted = match self.dimensions {
            Some(wanted) if wanted != own && !(wanted < own && shorter.contains(&wanted)) => wanted,
            _ => return Ok(()),
        };
        let message =
            format!("This model's embeddings have {own} dimensions and cannot be cut to {wanted}.");
        Err(ApiError::invalid_value("dimensions", message))
    }

    /// Refuses token ids that a vocabulary of `size` tokens does not have: most likely those of another tokenizer.
    ///
    /// # Errors
    /// 400 naming `input`.
    pub fn check_vocabulary(&self, size: u32) -> Result<(), ApiError> {
        let unknown = match &self.input {
            EmbeddingInput::Texts(_) => None,
            EmbeddingInput::Tokens(lists) => {
                let mut lists = lists.iter();
                lists.find_map(|ids| input::unknown_token(ids, size))
            }
            EmbeddingInput::Several(inputs) => {
                inputs.iter().find_map(|input| input.unknown_token(size))
            }
        };
        input::check_known(unknown, "input", size).map_err(|error| ApiError {
            message: format!("{} {FOREIGN_TOKENS}", error.message),
            ..error
        })
    }

    /// The vectors in the length that was asked for, each of length 1 again.
    pub fn cut(&self, vectors: &mut [Vec<f32>]) {
        let Some(len) = self.dimensions else {
            return;
        };
        for vector in vectors {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if vector.len() > len {
                vector.truncate(len);
                normalise(vector);
            }
        }
    }
}

fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value /= length;
        }
    }
}

fn encoding(root: &Fields<'_>) -> Result<Encoding, ApiError> {
    match root.text("encoding_format")? {
        None | Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        Some(_) => Err(ApiError::invalid_value(
            "encoding_format",
            "`encoding_format` must be `float` or `base64`.",
        )),
    }
}

/// The vectors of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingReply {
    /// Always `list`.
    pub object: Cow<'static, str>,
    /// The vectors, in the order of the input.
    pub data: Vec<Embedding>,
    /// The model that embedded.
    pub model: String,
    /// Tokens it took.
    pub usage: EmbeddingUsage,
}

/// One vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Always `embedding`.
    pub object: Cow<'static, str>,
    /// The vector.
    pub embedding: Vector,
    /// Its place in the input.
    pub index: usize,
}

/// A vector as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Vector {
    /// A list of numbers.
    Float(Vec<f32>),
    /// Base64 of 32-bit little-endian floats.
    Base64(String),
}

impl Vector {
    /// Writes `values`.
    pub fn new(values: &[f32], encoding: Encoding) -> Self {
        match encoding {
            Encoding::Float => Self::Float(values.to_vec()),
            Encoding::Base64 => {
                let bytes: Vec<u8> = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                Self::Base64(STANDARD.encode(bytes))
            }
        }
    }

    /// Reads the values back, for clients. `None` if it is not base64 of whole floats.
    pub fn values(&self) -> Option<Vec<f32>> {
        match self {
            Self::Float(values) => Some(values.clone()),
            Self::Base64(text) => {
                let bytes = STANDARD.decode(text).ok()?;
                let (floats, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| {
                    floats
                        .iter()
                        .map(|four| f32::from_le_bytes(*four))
                        .collect()
                })
            }
        }
    }
}

/// Tokens of an embeddings request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EmbeddingUsage {
    /// Tokens of all inputs.
    pub prompt_tokens: u32,
    /// The same.
    pub total_tokens: u32,
}

impl From<EmbeddingUsage> for Usage {
    fn from(usage: EmbeddingUsage) -> Self {
        Self::new(usage.prompt_tokens, 0, 0)
    }
}

impl EmbeddingReply {
    /// The reply: `matrix` holds one vector an input, of `tokens` tokens together.
    pub fn new(
        model: impl Into<String>,
        matrix: &[Vec<f32>],
        encoding: Encoding,
        tokens: u32,
    ) -> Self {
        let rows = matrix.iter().enumerate();
        let data = rows
            .map(|(index, row)| Embedding {
                object: Cow::Borrowed("embedding"),
                embedding: Vector::new(row, encoding),
                index,
            })
            .collect();
        Self {
            object: Cow::Borrowed("list"),
            data,
            model: model.into(),
            usage: EmbeddingUsage {
                prompt_tokens: tokens,
                total_tokens: tokens,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_another_tokenizer_are_told_from_ours() {
        let check = |input: &str, refused: bool| {
            let body = format!(r#"{{"input": {input}}}"#);
            let request = EmbeddingRequest::parse(body.as_bytes(), &Limits::default()).unwrap();
            let error = request.check_vocabulary(30_522).err();
            assert_eq!(error.is_some(), refused, "{input}");
            if let Some(ApiError { param, message, .. }) = error {
                assert_eq!(param.as_deref(), Some("input"));
                assert!(message.contains("token 100000 is not"), "{message}");
                assert!(
                    message.contains("check_embedding_ctx_length=False"),
                    "{message}"
                );
            }
        };
        check(r#""a""#, false);
        check("[101, 30521]", false);
        check("[[101, 100000]]", true);
        check(r#"["a", [100000]]"#, true);
        check(r#"[100000, "a"]"#, true);
    }
}
