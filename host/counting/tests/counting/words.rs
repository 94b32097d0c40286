//! A text that is put into tokens word by word has as many as the whole of it, also when words are forgotten.

use gaia_engine::Vocabulary;

use crate::models;

/// More than are remembered.
const WORDS: u64 = 40_000;

/// Random numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

const PARTS: &[&str] = &[
    " ",
    "  ",
    "\n",
    " ",
    " ",
    "a",
    "the",
    "Word",
    "17",
    "9",
    "n't",
    "'s",
    ",",
    ".",
    "<|im_end|>",
    "é",
    "漢字",
    "🙂",
    "\t",
    "-",
    "of",
    "in",
    "X",
    "_",
    "{\"",
    "\\n",
    "0x1f",
    "ing",
];

#[test]
fn words_have_as_many_tokens_together_as_their_text() {
    let vocabulary = Vocabulary::open(&models::chat_path()).unwrap();
    let mut dice = Dice(7);
    for _ in 0..2_000 {
        let text: String = (0..dice.below(40))
            .map(|_| PARTS[dice.below(PARTS.len())])
            .collect();
        let whole = vocabulary.plain_len(&text).unwrap() as u64;
        assert_eq!(models::chat().text(&text).unwrap(), whole, "{text:?}");
    }
}

#[test]
fn words_that_were_forgotten_are_counted_again() {
    let vocabulary = Vocabulary::open(&models::chat_path()).unwrap();
    let word = |number: u64| format!(" w{}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for first in (0..WORDS).step_by(1_000) {
        let text: String = (first..first + 1_000).map(word).collect();
        let whole = vocabulary.plain_len(&text).unwrap() as u64;
        assert_eq!(models::chat().text(&text).unwrap(), whole);
    }
    let again: String = (0..1_000).map(word).collect();
    let whole = vocabulary.plain_len(&again).unwrap() as u64;
    assert_eq!(models::chat().text(&again).unwrap(), whole);
}
