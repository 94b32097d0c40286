//! Models of random numbers: they answer nonsense at the speed of their size, and need no download.
//!
//! They are of llama's architecture, with the template of the small chat model and the beginning of its tokeniser.
//! A file is written once into the cache; its bytes follow from a fixed seed, so that it is the same everywhere.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::PathBuf;

use gaia_gguf::{Array, Header, TensorType, Value, WriteError, Writer};

/// Of the numbers in a matrix, for inputs of unit size: what keeps the sums of a layer near one.
const SPREAD: f32 = 1.0;
const SEED: u64 = 0x6761_6961;

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Its name, and its file's.
    pub name: &'static str,
    /// Its vocabulary is the first so many of the borrowed one.
    words: usize,
    layers: u32,
    width: u32,
    heads: u32,
    heads_kv: u32,
    inner: u32,
}

/// Under a megabyte: what it costs is everything but the model.
pub const TINY: Shape = Shape {
    name: "tiny",
    words: 2048,
    layers: 2,
    width: 128,
    heads: 2,
    heads_kv: 1,
    inner: 384,
};

/// Of a billion numbers: so large that its weights come from main memory at every step.
pub const LARGE: Shape = Shape {
    name: "large",
    words: usize::MAX,
    layers: 16,
    width: 2048,
    heads: 32,
    heads_kv: 4,
    inner: 5632,
};

/// The file of the model, written if it is not there.
///
/// # Panics
/// When the tokeniser's model is missing or the cache cannot be written.
#[must_use]
pub fn path(shape: Shape) -> PathBuf {
    let folder = crate::cache().join("bench/models");
    let path = folder.join(format!("random-{}-1.gguf", shape.name));
    if !path.exists() {
        fs::create_dir_all(&folder).expect("a folder in the cache");
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let file = File::create(&new).expect("a file in the cache");
        write(shape, &mut BufWriter::new(file)).expect("room for a model");
        fs::rename(&new, &path).expect("the file's final name");
    }
    path
}

fn write(shape: Shape, to: &mut impl io::Write) -> io::Result<()> {
    let borrowed = File::open(crate::model(crate::CHAT_MODEL))?;
    let header = Header::read(&mut BufReader::new(borrowed)).map_err(io::Error::other)?;
    let mut file = Writer::new();
    let made = borrow_words(shape, &header, &mut file).and_then(|words| {
        describe(shape, words, &mut file)?;
        add_tensors(shape, words as u64, &mut file)
    });
    made.and_then(|()| file.write(to)).map_err(io::Error::other)
}

/// Takes over the tokeniser as far as the vocabulary goes; gives the number of its words.
fn borrow_words(shape: Shape, header: &Header, file: &mut Writer<'_>) -> Result<usize, WriteError> {
    let texts = |key: &str| header.texts(key).unwrap_or_default();
    let words = texts("tokenizer.ggml.tokens");
    let words = &words[..words.len().min(shape.words)];
    let known: HashSet<&str> = words.iter().map(String::as_str).collect();
    let merges = texts("tokenizer.ggml.merges").iter();
    let merges = merges.filter(|merge| known.contains(merge.replace(' ', "").as_str()));
    let mut merges: Vec<String> = merges.cloned().collect();
    for (key, value) in header.metadata() {
        let value = match (key, value) {
            ("tokenizer.ggml.tokens", _) => Value::Array(Array::Text(words.to_vec())),
            ("tokenizer.ggml.merges", _) => Value::Array(Array::Text(std::mem::take(&mut merges))),
            ("tokenizer.ggml.token_type", Value::Array(Array::I32(kinds))) => {
                Value::Array(Array::I32(kinds[..words.len()].to_vec()))
            }
            (key, value) if key.starts_with("tokenizer.") => value.clone(),
            _ => continue,
        };
        file.set(key, value)?;
    }
    Ok(words.len())
}

fn describe(shape: Shape, words: usize, file: &mut Writer<'_>) -> Result<(), WriteError> {
    let text = |text: &str| Value::Text(text.to_owned());
    file.set("general.architecture", text("llama"))?;
    file.set("general.name", text(&format!("random {}", shape.name)))?;
    let words = u32::try_from(words).unwrap_or(u32::MAX);
    for (key, number) in [
        ("block_count", shape.layers),
        ("context_length", 8192),
        ("embedding_length", shape.width),
        ("feed_forward_length", shape.inner),
        ("attention.head_count", shape.heads),
        ("attention.head_count_kv", shape.heads_kv),
        ("rope.dimension_count", shape.width / shape.heads),
        ("vocab_size", words),
    ] {
        file.set(&format!("llama.{key}"), Value::U32(number))?;
    }
    file.set(
        "llama.attention.layer_norm_rms_epsilon",
        Value::F32(0.000_01),
    )?;
    file.set("llama.rope.freq_base", Value::F32(10_000.0))?;
    Ok(())
}

fn add_tensors(shape: Shape, words: u64, file: &mut Writer<'_>) -> Result<(), WriteError> {
    let width = u64::from(shape.width);
    let width_kv = width / u64::from(shape.heads) * u64::from(shape.heads_kv);
    let inner = u64::from(shape.inner);
    let mut matrix = |name: &str, from: u64, to: u64| {
        let seed = name
            .bytes()
            .fold(SEED, |seed, byte| mixed(seed ^ u64::from(byte)));
        file.add_tensor(name, &[from, to], TensorType::Q8_0, move || {
            blocks(seed, from, to)
        })
        .map(|_| ())
    };
    matrix("token_embd.weight", width, words)?;
    for layer in 0..shape.layers {
        for (name, from, to) in [
            ("attn_q", width, width),
            ("attn_k", width, width_kv),
            ("attn_v", width, width_kv),
            ("attn_output", width, width),
            ("ffn_gate", width, inner),
            ("ffn_up", width, inner),
            ("ffn_down", inner, width),
        ] {
            matrix(&format!("blk.{layer}.{name}.weight"), from, to)?;
        }
    }
    let mut norm = |name: &str| {
        let ones = move || 1.0_f32.to_le_bytes().repeat(width as usize);
        file.add_tensor(name, &[width], TensorType::F32, ones)
            .map(|_| ())
    };
    for layer in 0..shape.layers {
        norm(&format!("blk.{layer}.attn_norm.weight"))?;
        norm(&format!("blk.{layer}.ffn_norm.weight"))?;
    }
    norm("output_norm.weight")
}

/// A matrix of even random numbers as `Q8_0`: a scale of two bytes and 32 signed bytes, again and again.
fn blocks(seed: u64, from: u64, to: u64) -> Vec<u8> {
    // Even bytes have a spread of 74.
    let scale = half(SPREAD / (74.0 * (from as f32).sqrt())).to_le_bytes();
    let count = from / TensorType::Q8_0.block_len() * to;
    let mut data = Vec::with_capacity((count * TensorType::Q8_0.block_bytes()) as usize);
    let mut state = seed;
    for _ in 0..count {
        data.extend(scale);
        for _ in 0..4 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            data.extend(mixed(state).to_le_bytes());
        }
    }
    data
}

/// The bits of a 16-bit float that is at most a little smaller than `value`, which is small, normal and positive.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) as i32 - 127 + 15).clamp(0, 30) as u16;
    match exponent {
        // Too small to be normal: counted in steps of 2^-24.
        0 => (value * 16_777_216.0) as u16,
        _ => exponent << 10 | (bits >> 13 & 0x3ff) as u16,
    }
}

/// Splitmix64's finish: each bit of the result hangs on each of `state`.
fn mixed(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_they_stand_for() {
        assert_eq!(half(1.0), 0x3c00);
        assert_eq!(half(0.5), 0x3800);
        assert_eq!(half(1.0 / 1024.0), 0x1400);
        // 2^-16 is too small to be normal.
        assert_eq!(half(1.0 / 65_536.0), 0x0100);
    }

    #[test]
    fn the_tiny_model_is_tiny_and_reads_back() {
        let path = path(TINY);
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes < 1 << 20, "{bytes} bytes");
        let header = Header::read(&mut BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(header.text("general.architecture").unwrap(), "llama");
        assert_eq!(header.file_bytes(), bytes);
    }
}
