//! What a header may say and what it may not. Good headers come from the writer, bad ones are
//! made by hand, so that every refusal has one cause.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::f64::consts::PI;
use std::io::Cursor;

use gaia_gguf::{
    ALIGNMENT_MAX, ARRAY_DEPTH_MAX, Array, DIMENSIONS_MAX, Header, Limits, MetadataError, Pooling,
    ReadHeaderError, TENSOR_NAME_BYTES_MAX, TensorType, Value, WriteError, Writer,
};

/// A header by hand: what the writer would refuse to write.
#[derive(Clone)]
struct Raw {
    version: u32,
    counts: Option<(u64, u64)>,
    metadata: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

impl Raw {
    fn new() -> Self {
        Self {
            version: 3,
            counts: None,
            metadata: Vec::new(),
            tensors: Vec::new(),
            data: 0,
        }
    }

    fn entry(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.metadata
            .push([&text(key), &kind.to_le_bytes()[..], value].concat());
        self
    }

    fn number(self, key: &str, number: u32) -> Self {
        self.entry(key, 4, &number.to_le_bytes())
    }

    fn tensor(mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> Self {
        let count = (shape.len() as u32).to_le_bytes();
        let kind = kind.to_le_bytes();
        let parts = [
            &text(name),
            &count[..],
            &u64s(shape),
            &kind,
            &offset.to_le_bytes(),
        ];
        self.tensors.push(parts.concat());
        self
    }

    fn data(self, data: usize) -> Self {
        Self { data, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let counts = (self.tensors.len() as u64, self.metadata.len() as u64);
        let (tensors, metadata) = self.counts.unwrap_or(counts);
        let mut bytes = [b"GGUF", &self.version.to_le_bytes()[..]].concat();
        bytes.extend(u64s(&[tensors, metadata]));
        bytes.extend(self.metadata.concat());
        bytes.extend(self.tensors.concat());
        bytes.resize(bytes.len().next_multiple_of(32) + self.data, 0);
        bytes
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn u64s(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn array(element: u32, count: u64) -> Vec<u8> {
    [&element.to_le_bytes()[..], &count.to_le_bytes()].concat()
}

#[track_caller]
fn check(raw: Raw, expected: &str) {
    let error = Header::from_bytes(&raw.bytes()).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

#[track_caller]
fn accept(raw: Raw) -> Header {
    Header::from_bytes(&raw.bytes()).unwrap()
}

/// With small limits, `inside` is read and `outside` refused.
#[track_caller]
fn check_limit(inside: Raw, outside: Raw, expected: &str) {
    let limits = Limits {
        header_bytes_max: 400,
        metadata_count_max: 3,
        tensor_count_max: 2,
        key_bytes_max: 8,
        text_bytes_max: 16,
        array_len_max: 10,
    };
    let read = |raw: Raw| Header::read_within(&mut Cursor::new(raw.bytes()), limits);
    read(inside).unwrap();
    let error = read(outside).expect_err(expected);
    assert!(matches!(error, ReadHeaderError::TooLarge { .. }));
    assert_eq!(error.to_string(), expected);
}

fn model() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.set("general.architecture", "llama").unwrap();
    writer.set("general.name", "Tiny").unwrap();
    writer.set("general.file_type", 15u32).unwrap();
    writer.set("llama.context_length", 2048u32).unwrap();
    writer.set("llama.embedding_length", 64u64).unwrap();
    writer.set("llama.block_count", 3u32).unwrap();
    writer.set("llama.attention.head_count", 8u32).unwrap();
    writer.set("llama.attention.head_count_kv", 2u32).unwrap();
    writer
        .set(
            "tokenizer.ggml.tokens",
            vec!["a".to_owned(), "b".to_owned()],
        )
        .unwrap();
    writer.set("tokenizer.ggml.eos_token_id", 1u32).unwrap();
    writer.set("tokenizer.ggml.add_bos_token", false).unwrap();
    writer
        .set("tokenizer.chat_template", "{{ messages }}")
        .unwrap();
    writer.set("nested", Value::Array(nested())).unwrap();
    writer.set("pi", PI).unwrap();
    writer
        .add_tensor("a.weight", &[64, 2], TensorType::F32, || vec![1; 512])
        .unwrap();
    writer
        .add_tensor("b.weight", &[32], TensorType::Q8_0, || vec![2; 34])
        .unwrap();
    writer
        .add_tensor("c", &[], TensorType::F16, || vec![3; 2])
        .unwrap();
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

fn nested() -> Array {
    Array::Array(vec![Array::I8(vec![-1]), Array::Bool(vec![true])])
}

#[test]
fn reads_back_what_was_written() {
    let bytes = model();
    let header = Header::from_bytes(&bytes).unwrap();
    assert_eq!(header.version(), 3);
    assert_eq!(header.file_bytes(), bytes.len() as u64);
    assert_eq!(header.text("general.name"), Ok("Tiny"));
    assert_eq!(header.number("llama.embedding_length"), Ok(64));
    assert_eq!(header.float("pi"), Ok(PI));
    assert_eq!(header.get("nested"), Some(&Value::Array(nested())));
    assert_eq!(header.tensors().len(), 3);
    let tensor = header.tensor("b.weight").unwrap();
    assert_eq!(
        bytes[tensor.offset as usize..][..tensor.bytes as usize],
        [2; 34]
    );
    assert!(tensor.offset.is_multiple_of(header.alignment()));
    assert_eq!(header.tensor("c").unwrap().elements, 1);
}

#[test]
fn knows_the_facts() {
    let facts = Header::from_bytes(&model()).unwrap().facts();
    assert_eq!(facts.architecture.as_deref(), Some("llama"));
    assert_eq!(facts.chat_template.as_deref(), Some("{{ messages }}"));
    assert_eq!(facts.context_length, Some(2048));
    assert_eq!(facts.vocab_size, Some(2));
    assert_eq!((facts.bos_token, facts.eos_token), (None, Some(1)));
    assert_eq!(facts.add_bos, Some(false));
    assert_eq!(facts.file_type, Some("Q4_K_M"));
    assert_eq!(facts.parameter_count, 128 + 32 + 1);
    assert_eq!(facts.weights_bytes, 512 + 34 + 2);
    // Three layers, two heads of 64 / 8 numbers, a key and a value each, two bytes a number.
    assert_eq!(facts.kv_bytes_per_token, Some(3 * 2 * (8 + 8) * 2));
    assert!(!facts.is_embedding());
    assert_eq!(facts.memory_bytes(1000) - facts.memory_bytes(0), 192_000);
}

#[test]
fn facts_of_odd_headers_are_missing_and_never_wrong() {
    let facts = accept(Raw::new()).facts();
    assert_eq!((facts.architecture, facts.kv_bytes_per_token), (None, None));
    let raw = Raw::new()
        .entry("general.architecture", 8, &text("x"))
        .number("x.block_count", 0)
        .number("x.attention.head_count", 0)
        .entry("x.embedding_length", 10, &u64s(&[u64::MAX]))
        .entry("x.context_length", 8, &text("long"));
    let facts = accept(raw).facts();
    assert_eq!(
        (facts.kv_bytes_per_token, facts.context_length),
        (None, None)
    );
}

#[test]
fn heads_may_differ_from_layer_to_layer() {
    let heads = [1u32, 0, 2].map(u32::to_le_bytes).concat();
    let raw = Raw::new()
        .entry("general.architecture", 8, &text("x"))
        .number("x.block_count", 3)
        .number("x.attention.head_count", 4)
        .entry(
            "x.attention.head_count_kv",
            9,
            &[array(4, 3), heads].concat(),
        )
        .number("x.embedding_length", 64);
    assert_eq!(
        accept(raw).facts().kv_bytes_per_token,
        Some(3 * (16 + 16) * 2)
    );
}

#[test]
fn an_embedding_model_is_known_by_its_pooling() {
    let raw = Raw::new()
        .entry("general.architecture", 8, &text("bert"))
        .number("bert.pooling_type", 1);
    let facts = accept(raw).facts();
    assert_eq!(
        (facts.pooling, facts.kv_bytes_per_token),
        (Some(Pooling::Mean), Some(0))
    );
    assert!(facts.is_embedding());
}

#[test]
fn says_what_is_missing_or_of_another_type() {
    let header = Header::from_bytes(&model()).unwrap();
    assert_eq!(
        header.text("x"),
        Err(MetadataError::Missing {
            key: "x".to_owned()
        })
    );
    let error = header.number("general.name").unwrap_err().to_string();
    assert_eq!(
        error,
        "`general.name` is a text, not a whole number of at least zero"
    );
    assert!(header.texts("general.name").is_err());
    assert!(header.flag("pi").is_err());
}

#[test]
fn reads_version_2_and_refuses_others() {
    let version = |version| Raw {
        version,
        ..Raw::new()
    };
    assert_eq!(accept(version(2)).version(), 2);
    check(version(1), "GGUF version 1 is not supported (2 and 3 are)");
    check(version(4), "GGUF version 4 is not supported (2 and 3 are)");
    let turned =
        "GGUF version 50331648 is not supported (2 and 3 are); the file has the other byte order";
    check(version(3 << 24), turned);
    let error = Header::from_bytes(b"<html> no model").unwrap_err();
    let expected = "not a GGUF file: it starts with [3c, 68, 74, 6d] instead of \"GGUF\"";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = model();
    let header = Header::from_bytes(&bytes).unwrap();
    let last = header.tensors().last().unwrap();
    let needed = (last.offset + last.bytes) as usize;
    for len in 0..needed {
        let error = Header::from_bytes(&bytes[..len]).unwrap_err();
        use ReadHeaderError::{TensorBeyondFile, Truncated};
        assert!(
            matches!(error, Truncated { .. } | TensorBeyondFile { .. }),
            "{len}: {error}"
        );
    }
    // Only the padding after the last tensor may be missing.
    Header::from_bytes(&bytes[..needed]).unwrap();
}

#[test]
fn names_the_field_and_the_offset() {
    let entry = |kind: u32, value: &[u8]| Raw::new().entry("k", kind, value);
    let missing = Raw {
        counts: Some((0, 2)),
        ..Raw::new()
    };
    // The padding reads like a key without letters.
    check(
        missing,
        "metadata key 0 at offset 24 is invalid: it is empty",
    );
    let long = entry(8, &u64s(&[1 << 20]));
    check(
        long,
        "the file ends inside `k`: 1048576 bytes wanted at offset 45, 19 left",
    );
    check(entry(13, &[]), "`k` at offset 33 has the unknown type 13");
    check(
        entry(7, &[2]),
        "`k` at offset 37 is invalid: a flag is 0 or 1",
    );
    let empty = Raw::new().entry("", 7, &[1]);
    check(empty, "metadata key 0 at offset 24 is invalid: it is empty");
    check(
        entry(7, &[1]).entry("k", 7, &[1]),
        "metadata key `k` at offset 38 appears twice",
    );
    let broken = Raw {
        metadata: vec![[u64s(&[1]), vec![0xff]].concat()],
        ..Raw::new()
    };
    check(broken, "metadata key 0 at offset 24 is not UTF-8");
}

#[test]
fn broken_text_is_kept_as_far_as_it_goes() {
    let value = [u64s(&[3]), vec![b'a', 0xff, b'b']].concat();
    assert_eq!(
        accept(Raw::new().entry("k", 8, &value)).text("k"),
        Ok("a\u{fffd}b")
    );
}

#[test]
fn arrays_fit_the_file() {
    let entry = |value: Vec<u8>| Raw::new().entry("k", 9, &value);
    let short = "the file ends inside `k`: 8000 bytes wanted at offset 49, 15 left";
    check(entry(array(10, 1000)), short);
    check(entry(array(8, 1000)), short);
    let huge = "the number of elements of `k` at offset 41 is 1099511627776, the limit is 16777216";
    check(entry(array(9, 1 << 40)), huge);
    check(
        entry(array(77, 1)),
        "`k` at offset 37 has the unknown type 77",
    );
    let nested = |depth: usize| {
        let value = (1..depth).fold(array(0, 0), |inner, _| [array(9, 1), inner].concat());
        Raw::new().entry("k", 9, &value)
    };
    accept(nested(ARRAY_DEPTH_MAX));
    check(
        nested(ARRAY_DEPTH_MAX + 1),
        "the depth of `k` at offset 73 is 4, the limit is 3",
    );
}

#[test]
fn tensors_fit_the_format() {
    let one = |shape: &[u64], kind: u32| Raw::new().tensor("t", shape, kind, 0).data(64);
    accept(one(&[16], 0));
    accept(one(&[], 0));
    check(
        one(&[17], 0),
        "tensor `t` ends at byte 132, but the file has 128: it is incomplete",
    );
    let shape = "the shape of tensor `t` at offset 37 is invalid: a dimension is out of range";
    check(one(&[0], 0), shape);
    check(one(&[1 << 63], 0), shape);
    check(
        one(&[16], 4),
        "tensor `t` at offset 45 has the unknown type 4",
    );
    check(
        one(&[16], 43),
        "tensor `t` at offset 45 has the unknown type 43",
    );
    check(
        one(&[48], 8),
        "tensor `t` at offset 33 is invalid: its rows hold no whole blocks",
    );
    let size = "tensor `t` at offset 33 is invalid: its size does not fit 64 bits";
    check(one(&[1 << 33, 1 << 33], 0), size);
    check(one(&[1 << 62], 0), size);
    let end = "tensor `t` ends at byte 9223372036854775872, but the file has 128: it is incomplete";
    check(one(&[1 << 61], 0), end);
    let end =
        "tensor `t` ends at byte 18446744073709551615, but the file has 128: it is incomplete";
    check(one(&[(1 << 62) - 1], 0), end);
}

#[test]
fn names_and_shapes_have_limits() {
    let shape = |len: usize| Raw::new().tensor("t", &vec![1; len], 0, 0).data(32);
    accept(shape(DIMENSIONS_MAX));
    let count = "the number of dimensions of tensor `t` at offset 33 is 5, the limit is 4";
    check(shape(DIMENSIONS_MAX + 1), count);
    let name = |len: u64| {
        Raw::new()
            .tensor(&"n".repeat(len as usize), &[1], 0, 0)
            .data(32)
    };
    accept(name(TENSOR_NAME_BYTES_MAX));
    let long = "the length of the name of tensor 0 at offset 24 is 64, the limit is 63";
    check(name(TENSOR_NAME_BYTES_MAX + 1), long);
}

#[test]
fn tensors_follow_each_other() {
    let two = |name: &str, offset: u64| {
        Raw::new()
            .tensor("a", &[9], 0, 0)
            .tensor(name, &[8], 0, offset)
            .data(96)
    };
    accept(two("b", 64));
    check(two("a", 64), "tensor `a` at offset 57 appears twice");
    for offset in [0, 36, 96, u64::MAX - 8] {
        let expected =
            format!("tensor `b` starts at data offset {offset}, but the ones before it end at 64");
        check(two("b", offset), &expected);
    }
}

#[test]
fn the_writer_keeps_to_the_alignment_it_is_given() {
    let write = |alignment: Value| {
        let mut writer = Writer::new();
        writer.set("general.alignment", alignment)?;
        for name in ["a", "b"] {
            writer.add_tensor(name, &[3], TensorType::F32, || vec![1; 12])?;
        }
        let mut bytes = Vec::new();
        writer.write(&mut bytes).map(|()| bytes)
    };
    let largest = ALIGNMENT_MAX as u32;
    for alignment in [1, 8, 512, largest] {
        let bytes = write(Value::U32(alignment)).unwrap();
        let header = Header::from_bytes(&bytes).unwrap();
        let offset = |index: usize| header.tensors()[index].offset;
        let expected = u64::from(alignment)
            .max(12)
            .next_multiple_of(alignment.into());
        assert_eq!(offset(1) - offset(0), expected);
        assert_eq!(offset(0) % u64::from(alignment), 0);
    }
    let refused = [
        Value::U32(0),
        Value::U32(24),
        Value::U32(largest * 2),
        Value::U64(32),
    ];
    for alignment in refused {
        let error = write(alignment).unwrap_err();
        assert!(matches!(error, WriteError::Alignment), "{error}");
    }
}

#[test]
fn metadata_is_copied_byte_by_byte_and_in_order() {
    let text = [&4u64.to_le_bytes()[..], b"a\xff\xfeb"].concat();
    let original = Raw::new()
        .number("z", 7)
        .entry("broken", 8, &text)
        .number("a", 9)
        .bytes();
    let header = Header::from_bytes(&original).unwrap();
    let mut writer = Writer::new();
    for stored in header.stored(&original) {
        writer.copy(stored).unwrap();
    }
    let mut copy = Vec::new();
    writer.write(&mut copy).unwrap();
    assert_eq!(copy[24..original.len()], original[24..]);
    assert_eq!(
        header.stored(&original[..30]).count(),
        0,
        "a file that is too short"
    );
    let mut twice = Writer::new();
    let first = header.stored(&original).next().unwrap();
    assert_eq!(first.key, "z");
    twice.copy(first).unwrap();
    assert!(matches!(
        twice.copy(first),
        Err(WriteError::Duplicate { .. })
    ));
}

#[test]
fn the_alignment_is_a_sensible_power_of_two() {
    let aligned = |alignment: u32| Raw::new().number("general.alignment", alignment);
    assert_eq!(accept(aligned(64)).alignment(), 64);
    assert_eq!(accept(aligned(1)).alignment(), 1);
    assert_eq!(
        accept(aligned(ALIGNMENT_MAX as u32)).alignment(),
        ALIGNMENT_MAX
    );
    let large = "`general.alignment` at offset 49 is 2097152, the limit is 1048576";
    check(aligned(ALIGNMENT_MAX as u32 * 2), large);
    let odd = "`general.alignment` at offset 49 is invalid: it is not a power of two";
    check(aligned(0), odd);
    check(aligned(48), odd);
    let wide = Raw::new().entry("general.alignment", 10, &u64s(&[32]));
    check(
        wide,
        "`general.alignment` at offset 49 is invalid: it is not a 32-bit whole number",
    );
}

#[test]
fn counts_and_lengths_have_limits() {
    let entries =
        |count: usize| (0..count).fold(Raw::new(), |raw, n| raw.entry(&n.to_string(), 7, &[1]));
    let expected = "the number of metadata entries at offset 16 is 4, the limit is 3";
    check_limit(entries(3), entries(4), expected);
    let tensors = |count: usize| {
        let add = |raw: Raw, n: usize| raw.tensor(&n.to_string(), &[8], 0, n as u64 * 32);
        (0..count).fold(Raw::new(), add).data(count * 32)
    };
    check_limit(
        tensors(2),
        tensors(3),
        "the number of tensors at offset 8 is 3, the limit is 2",
    );
    let key = |len: usize| Raw::new().entry(&"k".repeat(len), 7, &[1]);
    let expected = "the length of metadata key 0 at offset 24 is 9, the limit is 8";
    check_limit(key(8), key(9), expected);
    let value = |len: usize| Raw::new().entry("k", 8, &text(&"v".repeat(len)));
    check_limit(
        value(16),
        value(17),
        "the length of `k` at offset 37 is 17, the limit is 16",
    );
    let bytes =
        |len: u64| Raw::new().entry("k", 9, &[array(0, len), vec![7; len as usize]].concat());
    let expected = "the number of elements of `k` at offset 41 is 11, the limit is 10";
    check_limit(bytes(10), bytes(11), expected);
}

#[test]
fn the_header_as_a_whole_has_a_limit() {
    let limits = Limits {
        header_bytes_max: 100,
        ..Limits::default()
    };
    let read = |len: usize| {
        let raw = Raw::new().entry("k", 8, &text(&"v".repeat(len)));
        Header::read_within(&mut Cursor::new(raw.bytes()), limits)
    };
    read(100 - 45).unwrap();
    let error = read(100 - 44).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the header's size in bytes at offset 45 is 101, the limit is 100"
    );
}

#[test]
fn hostile_counts_cost_nothing() {
    let counts = |tensors, metadata| Raw {
        counts: Some((tensors, metadata)),
        ..Raw::new()
    };
    let tensors = "the number of tensors at offset 8 is 18446744073709551615, the limit is 65536";
    check(counts(u64::MAX, 0), tensors);
    let entries =
        "the number of metadata entries at offset 16 is 9223372036854775808, the limit is 65536";
    check(counts(0, 1 << 63), entries);
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let mut writer = Writer::new();
    writer.set("k", 1u32).unwrap();
    assert!(writer.set("k", 2u32).is_err());
    let mut add = |name: &str, shape: &[u64], kind| {
        writer.add_tensor(name, shape, kind, || vec![0; 7]).is_ok()
    };
    assert!(!add("t", &[0], TensorType::F32));
    assert!(!add("t", &[33], TensorType::Q8_0));
    assert!(!add("t", &[1; DIMENSIONS_MAX + 1], TensorType::F32));
    assert!(!add("t", &[u64::MAX, 2], TensorType::F32));
    assert!(!add(&"n".repeat(64), &[1], TensorType::F32));
    assert!(add("t", &[2], TensorType::F32));
    assert!(!add("t", &[2], TensorType::F32));
    let error = writer.write(&mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "tensor `t` needs 8 bytes and got 7");
}

#[test]
fn tensors_that_are_longer_than_a_file_are_an_error() {
    let check = |shapes: &[u64], expected: Option<&str>| {
        let mut writer = Writer::new();
        for (index, len) in shapes.iter().enumerate() {
            let name = format!("t{index}");
            let kind = TensorType::from_id(24).unwrap();
            writer.add_tensor(&name, &[*len], kind, Vec::new).unwrap();
        }
        let mut written = Vec::new();
        let error = writer.write(&mut written).unwrap_err();
        match expected {
            Some(expected) => assert!(error.to_string().starts_with(expected), "{error}"),
            None => assert!(matches!(error, WriteError::Data { .. }), "{error}"),
        }
        assert_eq!(written.is_empty(), expected.is_some());
    };
    check(&[u64::MAX], Some("the tensors up to `t0` are longer"));
    check(&[u64::MAX - 31], Some("the tensors up to `t0` are longer"));
    check(
        &[1 << 61, 1 << 61, 1],
        Some("the tensors up to `t2` are longer"),
    );
    // The most there may be; the data itself is missing.
    check(&[1 << 61, 1 << 61], None);
}
