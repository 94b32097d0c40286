//! How many tokens a text is, word by word: what a word is was asked once, and is remembered.
//!
//! The tokenizers that pair bytes cut a text before a space that stands between letters or digits, whatever else they
//! do, and no token crosses a cut. So the tokens of a text are those of its parts. Whether that holds for a vocabulary
//! is tried when it is opened ([`Words::new`]); where it does not, every text is put into tokens as a whole.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gaia_engine::{TokenizeError, Vocabulary};

/// Words that are remembered of each way to read; then it begins anew.
pub(crate) const WORDS_MAX: usize = 16_384;

/// The longest word that is remembered, in bytes.
const WORD_LEN_MAX: usize = 64;

/// Texts that are longer are none of the usual, and go whole.
const TEXT_LEN_MAX: usize = 1 << 20;

/// Tried when a vocabulary is opened: words of every kind, and some that a vocabulary with tokens across spaces has.
const TRIED: &[&str] = &[
    "One of the most, as well as on the other hand in the same way, is that it is not at all what they say it was.",
    "The quick brown fox doesn't jump over 13 lazy dogs; it's 2024 already, and we'll see 3 of 1000 by the end of the day.",
    "fn main() { let x = 41 + 1; println!(\"{x} is the answer to it all\"); }\n\n\tif a == b and c != d return the sum of 1 and 2",
    "Ünïcödé and 漢字 are read as they are, and so is an emoji 🙂 between words or  two  spaces   or three.",
    "x y z 1 2 3 a1 b2 c3 1a 2b 3c I you he she it we they of to in for on with at by from",
];

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    /// Names of special tokens are the letters that they are.
    Plain,
    /// They are special tokens.
    Marked,
    /// A prompt's beginning, which a starting token may stand before.
    Prompt,
}

/// The words of one vocabulary.
#[derive(Debug)]
pub(crate) struct Words {
    known: [Mutex<HashMap<Box<str>, u32>>; 3],
    /// Whether texts may be cut.
    is_cut: bool,
}

impl Words {
    /// Tries whether texts may be cut.
    pub(crate) fn new(vocabulary: &Vocabulary) -> Self {
        let mut words = Self {
            known: Default::default(),
            is_cut: true,
        };
        words.is_cut = TRIED.iter().all(|text| {
            let readings = [Reading::Plain, Reading::Marked, Reading::Prompt];
            readings.into_iter().all(|reading| {
                let cut = words.count(vocabulary, text, reading).ok();
                cut.is_some() && cut == whole(vocabulary, text, reading).ok()
            })
        });
        words
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// It is too long for any model.
    pub(crate) fn count(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        reading: Reading,
    ) -> Result<u64, TokenizeError> {
        if !self.is_cut || text.len() > TEXT_LEN_MAX {
            return whole(vocabulary, text, reading);
        }
        let mut tokens = 0;
        let mut reading = reading;
        for word in cut(text) {
            tokens += u64::from(self.word(vocabulary, word, reading)?);
            if let Reading::Prompt = reading {
                reading = Reading::Marked;
            }
        }
        Ok(tokens)
    }

    fn word(
        &self,
        vocabulary: &Vocabulary,
        word: &str,
        reading: Reading,
    ) -> Result<u32, TokenizeError> {
        let [plain, marked, prompt] = &self.known;
        let known = match reading {
            Reading::Plain => plain,
            Reading::Marked => marked,
            Reading::Prompt => prompt,
        };
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = lock().get(word) {
            return Ok(*tokens);
        }
        let tokens = u32::try_from(whole(vocabulary, word, reading)?).unwrap_or(u32::MAX);
        if word.len() <= WORD_LEN_MAX {
            let mut known = lock();
            if known.len() >= WORDS_MAX {
                known.clear();
            }
            known.insert(word.into(), tokens);
        }
        Ok(tokens)
    }
}

fn whole(vocabulary: &Vocabulary, text: &str, reading: Reading) -> Result<u64, TokenizeError> {
    let tokens = match reading {
        Reading::Plain => vocabulary.plain_len(text)?,
        Reading::Marked => vocabulary.tokenize(text, false)?.len(),
        Reading::Prompt => vocabulary.tokenize_prompt(text)?.len(),
    };
    Ok(tokens as u64)
}

/// The text, cut before each space that stands between letters or digits of ASCII. An empty one is one part.
fn cut(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let stands = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let is_cut = |at: &usize| bytes[*at] == b' ' && stands(at - 1) && stands(at + 1);
        let at = (1..bytes.len()).find(is_cut);
        // Before and behind an ASCII byte a text may be cut.
        let (word, left) = at.map_or((text, None), |at| (&text[..at], Some(&text[at..])));
        rest = left;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_before_single_spaces_between_letters_or_digits() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(cut(text).collect::<Vec<_>>(), expected, "{text}");
        };
        check("", &[""]);
        check("one", &["one"]);
        check("one two 3", &["one", " two", " 3"]);
        check("one  two", &["one  two"]);
        check("one, two. Three four", &["one, two. Three", " four"]);
        check(" one ", &[" one "]);
        check("é e e é", &["é e", " e é"]);
        check("a\nb c", &["a\nb", " c"]);
    }
}
