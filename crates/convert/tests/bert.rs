//! A tiny BERT with random weights, whole and damaged.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use gaia_convert::bert::{ConvertError, Precision, Source, convert};
use gaia_gguf::{Array, Header, Pooling, TensorType, Value};

const HIDDEN: usize = 64;
const INNER: usize = 96;
const LAYERS: usize = 2;
const POSITIONS: usize = 16;
const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n[unused0]\nplay\n##ing\n";

/// The files of a model, each of which a test may change.
#[derive(Clone)]
struct Files {
    weights: Vec<u8>,
    config: String,
    tokenizer: String,
    pooling: String,
    vocabulary: String,
}

impl Files {
    fn good() -> Self {
        Self {
            weights: weights(&tensors(), "F32"),
            config: format!(
                r#"{{"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_size": {HIDDEN}, "intermediate_size": {INNER}, "max_position_embeddings": {POSITIONS}, "num_attention_heads": 4, "num_hidden_layers": {LAYERS}, "type_vocab_size": 2, "vocab_size": 8}}"#
            ),
            tokenizer: r#"{"do_lower_case": true, "strip_accents": null}"#.to_owned(),
            pooling: r#"{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}"#
                .to_owned(),
            vocabulary: VOCABULARY.to_owned(),
        }
    }

    fn convert(&self, precision: Precision) -> Result<Vec<u8>, ConvertError> {
        let source = Source {
            name: "tiny",
            licence: "mit",
            weights: &self.weights,
            config: self.config.as_bytes(),
            tokenizer_config: self.tokenizer.as_bytes(),
            pooling_config: self.pooling.as_bytes(),
            vocabulary: self.vocabulary.as_bytes(),
        };
        let mut bytes = Vec::new();
        convert(&source, precision, &mut bytes).map(|()| bytes)
    }
}

/// Name and shape of every tensor, and of one that is not wanted.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let mut all = vec![
        (
            "embeddings.word_embeddings.weight".to_owned(),
            vec![8, HIDDEN],
        ),
        (
            "embeddings.position_embeddings.weight".to_owned(),
            vec![POSITIONS, HIDDEN],
        ),
        (
            "embeddings.token_type_embeddings.weight".to_owned(),
            vec![2, HIDDEN],
        ),
        ("pooler.dense.bias".to_owned(), vec![HIDDEN]),
    ];
    let mut pair = |name: String, shape: &[usize]| {
        all.push((format!("{name}.weight"), shape.to_vec()));
        all.push((format!("{name}.bias"), vec![shape[0]]));
    };
    pair("embeddings.LayerNorm".to_owned(), &[HIDDEN]);
    for layer in 0..LAYERS {
        let mut pair =
            |name: &str, shape: &[usize]| pair(format!("encoder.layer.{layer}.{name}"), shape);
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            pair(&format!("attention.{part}"), &[HIDDEN, HIDDEN]);
        }
        pair("attention.output.LayerNorm", &[HIDDEN]);
        pair("intermediate.dense", &[INNER, HIDDEN]);
        pair("output.dense", &[HIDDEN, INNER]);
        pair("output.LayerNorm", &[HIDDEN]);
    }
    all
}

/// A safetensors file: the length of a JSON header, the header, the numbers.
fn weights(tensors: &[(String, Vec<usize>)], dtype: &str) -> Vec<u8> {
    let width = if dtype == "F32" { 4 } else { 2 };
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, shape) in tensors {
        let start = data.len();
        for index in 0..shape.iter().product::<usize>() {
            let number = number(name, index);
            match dtype {
                "BF16" => data.extend((number.to_bits() >> 16).to_le_bytes()[..2].iter()),
                _ => data.extend(number.to_le_bytes()[..width].iter()),
            }
        }
        entries.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{}]}}"#,
            data.len()
        ));
    }
    let header = format!("{{{}}}", entries.join(","));
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        &data,
    ]
    .concat()
}

/// Numbers between -1 and 1 that 16-bit floats of both kinds hold exactly.
fn number(name: &str, index: usize) -> f32 {
    let seed = name.bytes().fold(index as u32 + 1, |seed, byte| {
        seed.wrapping_mul(1_664_525)
            .wrapping_add(u32::from(byte) + 1_013_904_223)
    });
    (seed >> 25) as f32 / 64.0 - 1.0
}

#[test]
fn describes_the_model() {
    let header = Header::from_bytes(&Files::good().convert(Precision::F16).unwrap()).unwrap();
    let facts = header.facts();
    assert_eq!(facts.architecture.as_deref(), Some("bert"));
    assert_eq!(facts.name.as_deref(), Some("tiny"));
    assert_eq!(
        (facts.context_length, facts.embedding_size),
        (Some(16), Some(64))
    );
    assert_eq!(
        (facts.vocab_size, facts.pooling),
        (Some(8), Some(Pooling::Mean))
    );
    assert_eq!(facts.file_type, Some("F16"));
    assert!(facts.is_embedding());
    assert_eq!(header.number("tokenizer.ggml.cls_token_id"), Ok(2));
    assert_eq!(header.number("tokenizer.ggml.seperator_token_id"), Ok(3));
    assert_eq!(header.flag("tokenizer.ggml.normalizer.lowercase"), Ok(true));
    let tokens = header.texts("tokenizer.ggml.tokens").unwrap();
    assert_eq!(tokens[5..], ["[unused0]", "\u{2581}play", "ing"]);
    let kinds = Array::I32(vec![3, 2, 3, 3, 3, 5, 1, 1]);
    assert_eq!(
        header.get("tokenizer.ggml.token_type"),
        Some(&Value::Array(kinds))
    );
}

#[test]
fn carries_every_number_over() {
    let bytes = Files::good().convert(Precision::F16).unwrap();
    let header = Header::from_bytes(&bytes).unwrap();
    assert_eq!(header.tensors().len(), 5 + LAYERS * 16);
    let data = |name: &str| {
        let tensor = header.tensor(name).unwrap();
        (
            tensor.kind,
            tensor.dimensions.clone(),
            &bytes[tensor.offset as usize..][..tensor.bytes as usize],
        )
    };
    let (kind, shape, numbers) = data("blk.1.ffn_up.weight");
    assert_eq!(
        (kind, shape),
        (TensorType::F16, vec![HIDDEN as u64, INNER as u64])
    );
    for (index, pair) in numbers.chunks(2).enumerate() {
        let expected = number("encoder.layer.1.intermediate.dense.weight", index);
        assert_eq!(
            half::f16::from_le_bytes([pair[0], pair[1]]).to_f32(),
            expected
        );
    }
    let (kind, shape, numbers) = data("blk.0.layer_output_norm.bias");
    assert_eq!((kind, shape), (TensorType::F32, vec![HIDDEN as u64]));
    let expected = number("encoder.layer.0.output.LayerNorm.bias", 3).to_le_bytes();
    assert_eq!(numbers[12..16], expected);
    assert_eq!(data("position_embd.weight").0, TensorType::F32);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let files = Files::good();
    let bytes = files.convert(Precision::F16).unwrap();
    assert_eq!(files.convert(Precision::F16).unwrap(), bytes);
    let short = Files {
        weights: weights(&tensors(), "BF16"),
        ..files.clone()
    };
    assert!(
        short.convert(Precision::F16).unwrap() == bytes,
        "16-bit input gives the same file"
    );
    let prefixed: Vec<_> = tensors()
        .into_iter()
        .map(|(name, shape)| (format!("bert.{name}"), shape))
        .collect();
    let renamed = Files {
        weights: weights(&prefixed, "F32"),
        ..files
    };
    assert!(renamed.convert(Precision::F16).unwrap().len() == bytes.len());
}

#[test]
fn q8_0_is_smaller_and_stays_close() {
    let bytes = Files::good().convert(Precision::Q8_0).unwrap();
    let header = Header::from_bytes(&bytes).unwrap();
    let tensor = header.tensor("token_embd.weight").unwrap();
    assert_eq!(
        (tensor.kind, tensor.bytes),
        (TensorType::Q8_0, 8 * 64 / 32 * 34)
    );
    assert_eq!(header.facts().file_type, Some("Q8_0"));
    assert!(bytes.len() < Files::good().convert(Precision::F16).unwrap().len());
}

/// Changes one file of a good model and tells why it is then refused.
#[track_caller]
fn check(change: impl FnOnce(&mut Files), expected: &str) {
    let mut files = Files::good();
    change(&mut files);
    let error = files.convert(Precision::F16).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert_eq!(cause.as_deref(), Some(expected));
}

#[test]
fn refuses_what_it_would_convert_wrongly() {
    let config = |from: &'static str, to: &'static str| {
        move |files: &mut Files| files.config = files.config.replace(from, to)
    };
    check(
        config("\"bert\"", "\"roberta\""),
        "`model_type` is `roberta`; only `bert` can be converted",
    );
    check(
        config("gelu", "relu"),
        "`hidden_act` is `relu`; only `gelu` can be converted",
    );
    let positions = "`position_embedding_type` is `relative_key`; only `absolute` can be converted";
    check(
        config("{", "{\"position_embedding_type\": \"relative_key\","),
        positions,
    );
    let heads = "`num_attention_heads` is `5`; only a divisor of hidden_size can be converted";
    check(config("heads\": 4", "heads\": 5"), heads);
    let layers = "`num_hidden_layers` is `257`; only 1 to 256 can be converted";
    check(config("layers\": 2", "layers\": 257"), layers);
    check(config("{", ""), "`config.json` cannot be read");
    check(
        |files| files.tokenizer.clear(),
        "`tokenizer_config.json` cannot be read",
    );
    check(
        |files| files.vocabulary.push_str("more\n"),
        "it has 9 tokens, the model has 8",
    );
    check(
        |files| files.vocabulary = VOCABULARY.replace("[SEP]", "[sep]"),
        "it has no `[SEP]`",
    );
}

#[test]
fn refuses_weights_that_do_not_fit() {
    check(
        |files| files.weights.truncate(100),
        "`model.safetensors` cannot be read",
    );
    check(
        |files| files.weights.clear(),
        "`model.safetensors` cannot be read",
    );
    let missing = "tensor `encoder.layer.2.attention.self.query.weight` is missing";
    check(
        |files| files.config = files.config.replace("layers\": 2", "layers\": 3"),
        missing,
    );
    let shape =
        "tensor `embeddings.position_embeddings.weight` has the shape [16, 64] instead of [17, 64]";
    check(
        |files| files.config = files.config.replace("embeddings\": 16", "embeddings\": 17"),
        shape,
    );
    let type_ = "tensor `embeddings.word_embeddings.weight` holds I16, not 16-bit or 32-bit floats";
    check(|files| files.weights = weights(&tensors(), "I16"), type_);
    let finite = "tensor `output` holds a number that is not finite"
        .replace("output", "encoder.layer.1.output.LayerNorm.bias");
    let spoil = |files: &mut Files| {
        let end = files.weights.len();
        files.weights[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    check(spoil, &finite);
}
