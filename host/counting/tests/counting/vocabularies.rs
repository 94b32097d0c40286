//! A vocabulary without weights counts as the model does.

use std::fs;

use gaia_counting::Counter;
use gaia_metering::{Kind, Metered};
use gaia_models::{WriteVocabularyError, write_vocabulary};

use crate::models;

#[test]
fn a_vocabulary_file_is_small_and_counts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("vocabulary.gguf");
    let chat: &[u8] =
        br#"{"messages":[{"role":"user","content":"Hello \u00e9 <|im_end|> \ud83d\ude00"}]}"#;
    let embeddings: &[u8] = br#"{"input":["Hello there","General"]}"#;
    for (model, kind, request) in [
        (models::chat_path(), Kind::Chat, chat),
        (models::embedding_path(), Kind::Embeddings, embeddings),
    ] {
        write_vocabulary(&model, &to).unwrap();
        let [small, large] = [&to, &model].map(|path| fs::metadata(path).unwrap().len());
        assert!(small < 4 << 20 && small * 10 < large, "{small} of {large}");
        let [small, large] = [&to, &model].map(|path| {
            let counter = Counter::open(path).unwrap();
            counter.count(kind, request, &Metered::default()).unwrap()
        });
        assert_eq!(small, large);
        assert!(small.counted.0.prompt() > 5);
        // A vocabulary of a vocabulary is the same file.
        let first = fs::read(&to).unwrap();
        write_vocabulary(&to.clone(), &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), first);
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing lies about");
}

#[test]
fn what_is_no_model_is_refused_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [model, to] = ["m.gguf", "v.gguf"].map(|name| folder.path().join(name));
    fs::write(&to, "kept").unwrap();
    let missing = write_vocabulary(&model, &to).unwrap_err();
    assert!(matches!(missing, WriteVocabularyError::Read { .. }));
    fs::write(&model, "GGUF and no more").unwrap();
    let damaged = write_vocabulary(&model, &to).unwrap_err();
    assert!(matches!(damaged, WriteVocabularyError::Header { .. }));
    assert_eq!(fs::read(&to).unwrap(), b"kept");
    let nowhere = folder.path().join("none/v.gguf");
    let nowhere = write_vocabulary(&models::chat_path(), &nowhere).unwrap_err();
    assert!(matches!(nowhere, WriteVocabularyError::Write { .. }));
}
