//! Ranking models of no use: a few random numbers in the form of BERT with a layer that scores, and of Qwen3-Reranker,
//! so that the whole way of a query can be tried without weights that somebody trained.

use std::collections::HashSet;
use std::io::Write;

use gaia_gguf::{Array, Header, TensorType, Value, Writer};

/// Numbers between the layers, and between a layer's halves.
const WIDTH: u64 = 32;
const INNER: u64 = 64;
const LAYERS: usize = 2;
const HEADS: u32 = 4;
/// Tokens that a query and a document may have together.
pub const CONTEXT: u32 = 512;

/// The first tokens of the vocabulary of an encoder.
pub const CLS: i32 = 2;
pub const SEP: i32 = 3;
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// Whole words that it has beside the letters.
const WORDS: [&str; 4] = ["machine", "learning", "paris", "is"];
const CONTROL: i32 = 3;
const NORMAL: i32 = 1;

/// How a query and a document are put to a model as Qwen3-Reranker.
pub const TEMPLATE: &str = "<|im_start|>user\nQ: {query}\nD: {document}<|im_end|>\n";

/// What may differ from an encoder that ranks.
#[derive(Debug, Clone, Copy)]
pub struct Encoder {
    /// Numbers that it makes of a pair.
    pub classes: u64,
    /// The pooling that its header names.
    pub pooling: Option<u32>,
    /// Whether a token stands between query and document.
    pub separates: bool,
}

/// One that ranks and says so.
pub const ENCODER: Encoder = Encoder {
    classes: 1,
    pooling: Some(4),
    separates: true,
};

/// Writes a model of BERT's form with a vocabulary of letters.
pub fn write_encoder(encoder: Encoder, to: &mut impl Write) {
    let mut writer = Writer::new();
    let name = "A ranking model of no use";
    describe(
        &mut writer,
        "bert",
        name,
        "layer_norm_epsilon",
        encoder.pooling,
    );
    writer.set("bert.attention.causal", false).unwrap();
    let tokens = letters(&mut writer, encoder.separates);
    let mut tensors = Tensors { writer, seed: 7 };
    tensors.add("token_embd.weight", &[WIDTH, tokens], 1.0);
    tensors.add("position_embd.weight", &[WIDTH, CONTEXT.into()], 0.5);
    tensors.pair("token_embd_norm", &[WIDTH], 1.0);
    for layer in 0..LAYERS {
        let of = |part: &str| format!("blk.{layer}.{part}");
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            tensors.pair(&of(part), &[WIDTH, WIDTH], 1.0);
        }
        tensors.pair(&of("attn_output_norm"), &[WIDTH], 1.0);
        tensors.pair(&of("ffn_up"), &[WIDTH, INNER], 0.4);
        tensors.pair(&of("ffn_down"), &[INNER, WIDTH], 0.4);
        tensors.pair(&of("layer_output_norm"), &[WIDTH], 1.0);
    }
    tensors.pair("cls", &[WIDTH, WIDTH], 0.4);
    if encoder.classes > 0 {
        tensors.pair("cls.output", &[WIDTH, encoder.classes], 0.8);
    }
    tensors.writer.write(to).unwrap();
}

/// Writes a model of Qwen3-Reranker's form with the first tokens of another model, and this template.
pub fn write_causal(tokenizer: &Header, template: &str, to: &mut impl Write) {
    let mut writer = Writer::new();
    let name = "A causal ranking model of no use";
    describe(
        &mut writer,
        "qwen3",
        name,
        "layer_norm_rms_epsilon",
        Some(4),
    );
    let labels = ["yes", "no"].map(str::to_owned).to_vec();
    writer
        .set("qwen3.classifier.output_labels", labels)
        .unwrap();
    writer.set("qwen3.attention.head_count_kv", HEADS).unwrap();
    writer
        .set("tokenizer.chat_template.rerank", template)
        .unwrap();
    let tokens = borrowed(tokenizer, &mut writer);
    let mut tensors = Tensors { writer, seed: 9 };
    tensors.add("token_embd.weight", &[WIDTH, tokens], 1.0);
    let head = WIDTH / u64::from(HEADS);
    for layer in 0..LAYERS {
        let mut add = |part: &str, shape: &[u64], size| {
            tensors.add(&format!("blk.{layer}.{part}.weight"), shape, size);
        };
        for part in ["attn_q", "attn_k", "attn_v", "attn_output"] {
            add(part, &[WIDTH, WIDTH], 0.4);
        }
        for (part, len) in [("attn_norm", WIDTH), ("ffn_norm", WIDTH)] {
            add(part, &[len], 1.0);
        }
        for part in ["attn_q_norm", "attn_k_norm"] {
            add(part, &[head], 1.0);
        }
        add("ffn_gate", &[WIDTH, INNER], 0.4);
        add("ffn_up", &[WIDTH, INNER], 0.4);
        add("ffn_down", &[INNER, WIDTH], 0.4);
    }
    tensors.add("output_norm.weight", &[WIDTH], 1.0);
    tensors.add("cls.output.weight", &[WIDTH, 2], 3.0);
    tensors.writer.write(to).unwrap();
}

fn describe(
    writer: &mut Writer<'_>,
    architecture: &str,
    name: &str,
    epsilon: &str,
    pooling: Option<u32>,
) {
    writer.set("general.architecture", architecture).unwrap();
    writer.set("general.name", name).unwrap();
    let number = |number: u64| u32::try_from(number).unwrap();
    let numbers = [
        ("block_count", number(LAYERS as u64)),
        ("context_length", CONTEXT),
        ("embedding_length", number(WIDTH)),
        ("feed_forward_length", number(INNER)),
        ("attention.head_count", HEADS),
    ];
    let pooling = pooling.map(|pooling| ("pooling_type", pooling));
    for (key, number) in numbers.into_iter().chain(pooling) {
        writer
            .set(&format!("{architecture}.{key}"), number)
            .unwrap();
    }
    let key = format!("{architecture}.attention.{epsilon}");
    writer.set(&key, 1e-6_f32).unwrap();
}

/// The special tokens, each sign of ASCII at the start of a word and in it, and some words.
fn letters(writer: &mut Writer<'_>, separates: bool) -> u64 {
    let mut tokens = SPECIAL.map(str::to_owned).to_vec();
    let signs = ('!'..='~').filter(|sign| !sign.is_ascii_uppercase());
    tokens.extend(signs.flat_map(|sign| [format!("\u{2581}{sign}"), sign.to_string()]));
    tokens.extend(WORDS.map(|word| format!("\u{2581}{word}")));
    let kinds: Vec<i32> = (0..tokens.len())
        .map(|index| {
            if index < SPECIAL.len() {
                CONTROL
            } else {
                NORMAL
            }
        })
        .collect();
    let count = tokens.len() as u64;
    let id = |id: i32| u32::try_from(id).unwrap();
    let values: [(&str, Value); 11] = [
        ("tokenizer.ggml.model", "bert".into()),
        ("tokenizer.ggml.pre", "default".into()),
        ("tokenizer.ggml.tokens", tokens.into()),
        ("tokenizer.ggml.token_type", Value::Array(Array::I32(kinds))),
        ("tokenizer.ggml.token_type_count", 1_u32.into()),
        ("tokenizer.ggml.bos_token_id", id(CLS).into()),
        ("tokenizer.ggml.seperator_token_id", id(SEP).into()),
        ("tokenizer.ggml.padding_token_id", 0_u32.into()),
        ("tokenizer.ggml.unknown_token_id", 1_u32.into()),
        ("tokenizer.ggml.mask_token_id", 4_u32.into()),
        ("tokenizer.ggml.add_sep_token", separates.into()),
    ];
    for (key, value) in values {
        writer.set(key, value).unwrap();
    }
    count
}

/// Takes over the first tokens of another model, and what makes words of them.
fn borrowed(header: &Header, writer: &mut Writer<'_>) -> u64 {
    const TOKENS: usize = 1000;
    let texts = |key: &str| header.texts(key).unwrap();
    let words = &texts("tokenizer.ggml.tokens")[..TOKENS];
    let known: HashSet<&str> = words.iter().map(String::as_str).collect();
    let merges = texts("tokenizer.ggml.merges").iter();
    let merges = merges.filter(|merge| known.contains(merge.replace(' ', "").as_str()));
    let mut merges: Vec<String> = merges.cloned().collect();
    for (key, value) in header.metadata() {
        let value = match (key, value) {
            ("tokenizer.ggml.tokens", _) => Value::Array(Array::Text(words.to_vec())),
            ("tokenizer.ggml.merges", _) => Value::Array(Array::Text(std::mem::take(&mut merges))),
            ("tokenizer.ggml.token_type", Value::Array(Array::I32(kinds))) => {
                Value::Array(Array::I32(kinds[..TOKENS].to_vec()))
            }
            (key, value) if key.starts_with("tokenizer.") => value.clone(),
            _ => continue,
        };
        writer.set(key, value).unwrap();
    }
    TOKENS as u64
}

struct Tensors {
    writer: Writer<'static>,
    seed: u64,
}

impl Tensors {
    /// A weight and what is added to its result.
    fn pair(&mut self, name: &str, dimensions: &[u64], size: f32) {
        self.add(&format!("{name}.weight"), dimensions, size);
        let outputs = *dimensions.last().unwrap();
        self.add(&format!("{name}.bias"), &[outputs], 0.1);
    }

    /// Adds a tensor of numbers between minus and plus `size`.
    fn add(&mut self, name: &str, dimensions: &[u64], size: f32) {
        let count: u64 = dimensions.iter().product();
        self.seed += 1;
        let mut state = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes = move || {
            let number = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
            };
            std::iter::repeat_with(number)
                .take(usize::try_from(count).unwrap())
                .flat_map(f32::to_le_bytes)
                .collect()
        };
        self.writer
            .add_tensor(name, dimensions, TensorType::F32, bytes)
            .unwrap();
    }
}
