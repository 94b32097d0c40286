//! The WordPiece vocabulary, in the form llama.cpp wants it.
//!
//! WordPiece marks what *continues* a word (`##ing`); llama.cpp marks what *starts* one with a
//! phantom space (`▁play`), so that both kinds of tokenizer share their code.

use std::collections::HashMap;

use gaia_gguf::{WriteError, Writer};

/// Why the vocabulary was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadVocabularyError {
    /// The file is not text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The number of lines differs from the model's.
    #[error("it has {found} tokens, the model has {wanted}")]
    Len {
        /// Tokens in the file.
        found: usize,
        /// Tokens in the model.
        wanted: u32,
    },
    /// A token that every BERT has is missing.
    #[error("it has no `{token}`")]
    Missing {
        /// The missing token.
        token: &'static str,
    },
}

/// The special tokens and the keys their ids go under. (`seperator` is the format's spelling.)
const SPECIAL: [(&str, &str); 6] = [
    ("[CLS]", "tokenizer.ggml.bos_token_id"),
    ("[CLS]", "tokenizer.ggml.cls_token_id"),
    ("[SEP]", "tokenizer.ggml.seperator_token_id"),
    ("[UNK]", "tokenizer.ggml.unknown_token_id"),
    ("[PAD]", "tokenizer.ggml.padding_token_id"),
    ("[MASK]", "tokenizer.ggml.mask_token_id"),
];

/// llama.cpp's numbers for kinds of tokens.
const NORMAL: i32 = 1;
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const UNUSED: i32 = 5;

pub(crate) struct Vocabulary {
    tokens: Vec<String>,
    kinds: Vec<i32>,
    special: Vec<(&'static str, u32)>,
}

pub(crate) fn read(bytes: &[u8], len: u32) -> Result<Vocabulary, ReadVocabularyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ReadVocabularyError::NotUtf8)?;
    // Not `str::lines`: it would drop a carriage return that belongs to nothing.
    let lines: Vec<&str> = text
        .strip_suffix('\n')
        .unwrap_or(text)
        .split('\n')
        .collect();
    if lines.len() != len as usize {
        return Err(ReadVocabularyError::Len {
            found: lines.len(),
            wanted: len,
        });
    }
    let ids: HashMap<&str, u32> = lines.iter().copied().zip(0..).collect();
    let id = |token| {
        ids.get(token)
            .copied()
            .ok_or(ReadVocabularyError::Missing { token })
    };
    let special = SPECIAL
        .into_iter()
        .map(|(token, key)| Ok((key, id(token)?)))
        .collect::<Result<_, _>>()?;
    Ok(Vocabulary {
        tokens: lines.iter().map(|line| with_phantom_space(line)).collect(),
        kinds: lines.iter().map(|line| kind(line)).collect(),
        special,
    })
}

impl Vocabulary {
    pub(crate) fn describe(self, writer: &mut Writer<'_>) -> Result<(), WriteError> {
        writer
            .set("tokenizer.ggml.model", "bert")?
            .set("tokenizer.ggml.pre", "default")?
            .set("tokenizer.ggml.tokens", self.tokens)?
            .set("tokenizer.ggml.token_type", self.kinds)?
            .set("tokenizer.ggml.add_bos_token", true)?
            .set("tokenizer.ggml.add_sep_token", true)?;
        for (key, id) in self.special {
            writer.set(key, id)?;
        }
        Ok(())
    }
}

fn kind(token: &str) -> i32 {
    match token {
        "[UNK]" => UNKNOWN,
        "[CLS]" | "[SEP]" | "[PAD]" | "[MASK]" => CONTROL,
        _ if token.starts_with("[unused") && token.ends_with(']') => UNUSED,
        _ => NORMAL,
    }
}

fn with_phantom_space(token: &str) -> String {
    match token.strip_prefix("##") {
        _ if kind(token) != NORMAL => token.to_owned(),
        // The token `##` alone is two signs, not an empty continuation.
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => format!("\u{2581}{token}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(token: &str, expected: &str) {
        assert_eq!(with_phantom_space(token), expected);
    }

    #[test]
    fn starts_of_words_get_a_phantom_space() {
        check("play", "\u{2581}play");
        check("##ing", "ing");
        check("#", "\u{2581}#");
        check("##", "\u{2581}##");
        check("###", "#");
        check("[", "\u{2581}[");
        check("[CLS]", "[CLS]");
        check("[unused7]", "[unused7]");
    }

    #[test]
    fn refuses_a_vocabulary_of_another_model() {
        let error = |text: &str, len| read(text.as_bytes(), len).err().map(|e| e.to_string());
        assert_eq!(
            error("a\nb\n", 3).as_deref(),
            Some("it has 2 tokens, the model has 3")
        );
        assert_eq!(error("a\nb\n", 2).as_deref(), Some("it has no `[CLS]`"));
        assert_eq!(error("[CLS]\n[SEP]\n[UNK]\n[PAD]\n[MASK]\n", 5), None);
        assert!(matches!(
            read(b"\xff\n", 1),
            Err(ReadVocabularyError::NotUtf8)
        ));
    }
}
