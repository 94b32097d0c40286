//! Files that are no model, or a bad one, are refused; the process lives.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use gaia_engine::{KvType, LoadError, LoadOptions, Model, check};
use tempfile::{NamedTempFile, tempdir};

use crate::models::{ask, chat_path, embedding_path, greedy, run};

fn refused(path: &Path) -> LoadError {
    Model::load(path, &LoadOptions::default())
        .map(drop)
        .unwrap_err()
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn what_is_not_there() {
    let missing = refused(Path::new("/nonexistent/model.gguf"));
    assert!(matches!(missing, LoadError::Open { .. }), "{missing}");
    let folder = tempdir().unwrap();
    assert!(matches!(refused(folder.path()), LoadError::NotAFile { .. }));
}

#[test]
fn what_is_no_model() {
    for bytes in [b"".as_slice(), b"GGUF", b"not a model at all", &[0; 4096]] {
        let error = refused(file(bytes).path());
        assert!(matches!(error, LoadError::Header { .. }), "{error}");
    }
}

#[test]
fn options_out_of_range() {
    let check = |change: &dyn Fn(&mut LoadOptions), name: &str| {
        let mut options = LoadOptions::default();
        change(&mut options);
        let error = Model::load(chat_path(), &options).map(drop).unwrap_err();
        assert!(
            matches!(error, LoadError::Option { .. }) && error.to_string().contains(name),
            "{error}"
        );
    };
    check(&|options| options.context_size = Some(1), "ctx-size");
    check(&|options| options.context_size = Some(u32::MAX), "ctx-size");
    check(&|options| options.sequences_max = Some(65), "n-seq-max");
    check(&|options| options.sequences_max = Some(0), "n-seq-max");
    check(&|options| options.batch_size = Some(0), "batch-size");
    check(&|options| options.threads = Some(0), "threads");
    check(&|options| options.threads = Some(100_000), "threads");
    check(&|options| options.cells = Some(1), "n-cells");
}

#[test]
fn too_little_memory() {
    let options = LoadOptions {
        memory_bytes_max: Some(100 << 20),
        ..LoadOptions::default()
    };
    let error = Model::load(chat_path(), &options).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Memory { .. }), "{error}");
    for part in [
        "weights",
        "KV",
        "compute",
        "of 100 MiB free",
        "ctx_size",
        "kv_type",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // A cache that nobody asked for shrinks before a model is refused.
    let options = LoadOptions {
        memory_bytes_max: Some(400 << 20),
        checked: true,
        ..LoadOptions::default()
    };
    let model = Model::load(chat_path(), &options).unwrap();
    assert_eq!(run(&model, greedy(&ask("Hello"), 2)).usage.generated, 2);
}

#[test]
fn a_smaller_cache_answers_too() {
    let load = |kv_type, memory_bytes_max| {
        let options = LoadOptions {
            kv_type,
            memory_bytes_max,
            cells: Some(16384),
            checked: true,
            ..LoadOptions::default()
        };
        Model::load(chat_path(), &options)
    };
    // Weights and 16,384 cells of 16 bits do not fit, but those of 8.5 bits do.
    let memory = Some(480 << 20);
    assert!(matches!(
        load(KvType::F16, memory),
        Err(LoadError::Memory { .. })
    ));
    let small = load(KvType::Q8_0, memory).unwrap();
    let large = load(KvType::F16, None).unwrap();
    let prompt = ask("What is the capital of France?");
    let texts = [&small, &large].map(|model| run(model, greedy(&prompt, 6)).text);
    assert!(texts.iter().all(|text| text.contains("Paris")), "{texts:?}");
}

#[test]
fn a_smaller_cache_needs_flash_attention() {
    let options = LoadOptions {
        kv_type: KvType::Q8_0,
        flash_attention: Some(false),
        ..LoadOptions::default()
    };
    let error = Model::load(chat_path(), &options).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Contradiction { .. }), "{error}");
}

/// Cut anywhere, a file is refused by its header alone.
#[test]
fn truncated_files() {
    let whole = fs::read(chat_path()).unwrap();
    let header = header_len(&chat_path());
    let inside = (1..40).map(|part| header * part / 40);
    let behind = [header, header + 1, whole.len() / 2, whole.len() - 1];
    for len in inside.chain(behind) {
        let error = refused(file(&whole[..len]).path());
        assert!(matches!(error, LoadError::Header { .. }), "{len}: {error}");
    }
}

/// Bytes of the header changed at random. Many such files are still models; what counts is that each
/// is loaded or refused, and that what is loaded can be used.
#[test]
fn flipped_bytes() {
    let seed = std::env::var("GAIA_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let mut random = Random(seed.unwrap_or(20_240_501));
    println!("GAIA_TEST_SEED={}", random.0);
    for path in [chat_path(), embedding_path()] {
        let whole = fs::read(&path).unwrap();
        let header = header_len(&path);
        let copy = file(&whole);
        let mut survivors = 0;
        for round in 0..rounds() {
            let changes = 1 + random.below(3);
            let places: Vec<usize> = (0..changes)
                .map(|_| place(&mut random, &whole, header))
                .collect();
            let mut bytes = whole[..header].to_vec();
            for place in &places {
                bytes[*place] ^= 1 << random.below(8);
            }
            patch(copy.path(), &bytes);
            match check(copy.path(), &LoadOptions::default()) {
                Ok(()) => survivors += 1,
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        !text.contains("longer than"),
                        "round {round}, {places:?}: {text}"
                    );
                }
            }
        }
        println!("{}: {survivors} of {} still load", path.display(), rounds());
    }
}

/// Well-formed files with numbers that make no model. The last two would end the process.
#[test]
fn impossible_numbers() {
    let nan = f32::NAN.to_bits();
    for (key, number, part) in [
        ("llama.attention.head_count", 7, "refused"),
        ("llama.attention.head_count_kv", 0, "refused"),
        ("llama.attention.head_count_kv", u32::MAX, "does not fit"),
        ("llama.embedding_length", 0, "refused"),
        ("llama.feed_forward_length", 1, "refused"),
        ("llama.rope.dimension_count", 0, "refused"),
        ("llama.context_length", 0, "ctx-size"),
        ("llama.block_count", 0, "crashed"),
        ("llama.attention.layer_norm_rms_epsilon", nan, "crashed"),
    ] {
        let whole = fs::read(chat_path()).unwrap();
        let header = header_len(&chat_path());
        let copy = file(&whole);
        let mut bytes = whole[..header].to_vec();
        let at = bytes
            .windows(key.len())
            .position(|window| window == key.as_bytes());
        // Behind the key comes the type of its value.
        let value = at.unwrap() + key.len() + 4;
        bytes[value..value + 4].copy_from_slice(&number.to_le_bytes());
        patch(copy.path(), &bytes);
        let error = check(copy.path(), &LoadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{key} = {number}: {error}");
    }
}

fn patch(path: &Path, start: &[u8]) {
    use std::io::{Seek, SeekFrom};
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(start).unwrap();
}

fn header_len(path: &PathBuf) -> usize {
    let mut file = fs::File::open(path).unwrap();
    let header = gaia_gguf::Header::read(&mut file).unwrap();
    header.data_offset() as usize
}

fn rounds() -> usize {
    let rounds = std::env::var("GAIA_TEST_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(30)
}

/// Most of a header is vocabulary; half of the changes go to the keys and numbers around it.
fn place(random: &mut Random, whole: &[u8], header: usize) -> usize {
    let is = |text: &[u8]| {
        whole[..header]
            .windows(text.len())
            .position(|window| window == text)
    };
    let vocabulary = is(b"tokenizer.ggml.tokens").unwrap_or(header);
    match random.below(2) {
        0 => random.below(vocabulary),
        _ => random.below(header),
    }
}

/// Xorshift: enough to choose bytes.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn the_vocabulary_stays_when_the_weights_go() {
    for path in [chat_path(), embedding_path()] {
        let model = Model::load(&path, &LoadOptions::default()).unwrap();
        let text = "Hello, wörld 🦀 <|im_start|>";
        let whole = model.tokenize_prompt(text).unwrap();
        let kept = model.vocabulary().apart(&path).unwrap();
        assert_eq!(kept.facts(), model.facts());
        assert_eq!(
            kept.detokenize(&whole).unwrap(),
            model.detokenize(&whole).unwrap()
        );
        drop(model);
        assert_eq!(kept.tokenize_prompt(text).unwrap(), whole);
        assert!(kept.detokenize(&[-1]).is_err());
    }
}
