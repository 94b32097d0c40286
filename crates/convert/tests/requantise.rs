//! A small GGUF file with Q4_1 matrices among others, whole and damaged.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use gaia_convert::{RequantiseError, requantise};
use gaia_gguf::{ALIGNMENT_DEFAULT, Header, ReadHeaderError, TensorType, Value, Writer};
use half::f16;

const WIDTH: u64 = 96;
const ROWS: u64 = 5;
const Q4_1_BLOCK_BYTES: usize = 20;
const Q8_0_BLOCK_BYTES: usize = 34;
/// A text whose three last bytes become something that is not UTF-8.
const SPOILT: &str = "a token: xyz";

/// Bytes that look random and are the same every time.
fn noise(seed: u32) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

/// Blocks with scales between 0 and 1/16 and lowest values between -1 and 1.
fn q4_1(seed: u32) -> Vec<u8> {
    let mut noise = noise(seed);
    let blocks = WIDTH * ROWS / TensorType::Q4_1.block_len();
    let mut bytes = Vec::new();
    for _ in 0..blocks {
        let mut next = || f32::from(noise.next().unwrap()) / 256.0;
        let (scale, lowest) = (next() / 16.0, next() * 2.0 - 1.0);
        bytes.extend(f16::from_f32(scale).to_le_bytes());
        bytes.extend(f16::from_f32(lowest).to_le_bytes());
        bytes.extend(noise.by_ref().take(16));
    }
    bytes
}

/// The numbers of Q4_1 blocks, written here once more from the format's description.
fn numbers_of_q4_1(bytes: &[u8]) -> Vec<f32> {
    let float = |bytes: &[u8]| f16::from_le_bytes(bytes.try_into().unwrap()).to_f32();
    let number = |block: &[u8], index: usize| {
        let byte = block[4 + index % 16];
        let bits = if index < 16 { byte & 15 } else { byte >> 4 };
        f32::from(bits) * float(&block[..2]) + float(&block[2..4])
    };
    bytes
        .chunks(Q4_1_BLOCK_BYTES)
        .flat_map(|block| {
            (0..32)
                .map(|index| number(block, index))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A file with matrices to change before, between and behind others.
fn file(describe: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.set("general.architecture", "llama").unwrap();
    describe(&mut writer);
    writer
        .set("tokenizer.ggml.tokens", vec![SPOILT.to_owned()])
        .unwrap()
        .set("a.last", 0.5f64)
        .unwrap();
    let matrix = [WIDTH, ROWS];
    let q8_0 = TensorType::Q8_0.bytes(WIDTH * ROWS).unwrap() as usize;
    writer
        .add_tensor("first", &matrix, TensorType::Q4_1, || q4_1(1))
        .unwrap()
        .add_tensor("norm", &[7], TensorType::F32, || {
            noise(2).take(28).collect()
        })
        .unwrap()
        .add_tensor("half", &matrix, TensorType::Q8_0, || {
            noise(3).take(q8_0).collect()
        })
        .unwrap()
        .add_tensor("last", &matrix, TensorType::Q4_1, || q4_1(4))
        .unwrap();
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

fn usual() -> Vec<u8> {
    file(|writer| {
        writer
            .set("general.file_type", 3u32)
            .unwrap()
            .set("general.quantization_version", 2u32)
            .unwrap();
    })
}

fn converted(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    requantise(file, &mut bytes).unwrap();
    bytes
}

fn refused(file: &[u8]) -> String {
    requantise(file, &mut Vec::new()).unwrap_err().to_string()
}

fn data<'a>(file: &'a [u8], name: &str) -> (TensorType, &'a [u8]) {
    let header = Header::from_bytes(file).unwrap();
    let tensor = header.tensor(name).unwrap();
    assert_eq!(tensor.offset % header.alignment(), 0);
    let bytes = &file[tensor.offset as usize..][..tensor.bytes as usize];
    (tensor.kind, bytes)
}

#[test]
fn every_number_stays_within_half_a_step() {
    let result = converted(&usual());
    for (name, seed) in [("first", 1), ("last", 4)] {
        let (kind, bytes) = data(&result, name);
        assert_eq!(kind, TensorType::Q8_0);
        let numbers = numbers_of_q4_1(&q4_1(seed));
        assert_eq!(bytes.len(), numbers.len() / 32 * Q8_0_BLOCK_BYTES);
        for (block, numbers) in bytes.chunks(Q8_0_BLOCK_BYTES).zip(numbers.chunks(32)) {
            let largest = numbers.iter().fold(0f32, |largest, n| largest.max(n.abs()));
            let step = largest / 127.0;
            let scale = f16::from_le_bytes([block[0], block[1]]);
            assert_eq!(scale, f16::from_f32(step));
            for (&byte, n) in block[2..].iter().zip(numbers) {
                // The bytes are counted in steps; that the step is stored in 16 bits comes on top.
                let error = (f32::from(byte as i8) * step - n).abs();
                assert!(
                    error <= step * 0.5001,
                    "{name}: {n} became off by {error}, of {step}"
                );
            }
        }
    }
}

#[test]
fn everything_else_stays_byte_by_byte() {
    let mut original = usual();
    let end = original
        .windows(SPOILT.len())
        .position(|it| it == SPOILT.as_bytes())
        .unwrap()
        + SPOILT.len();
    original[end - 3..end].copy_from_slice(b"\xff\xfe\x80");
    let result = converted(&original);
    for name in ["norm", "half"] {
        assert!(data(&result, name) == data(&original, name), "{name}");
    }
    let [before, after] = [&original, &result].map(|file| Header::from_bytes(file).unwrap());
    let names = |header: &Header| -> Vec<_> {
        let tensors = header.tensors().iter();
        tensors
            .map(|it| (it.name.clone(), it.dimensions.clone()))
            .collect()
    };
    assert_eq!(names(&after), names(&before));
    // Between the counts and the names of the tensors only the one number differs.
    let metadata = |file: &[u8]| {
        let end = file.windows(5).position(|it| it == b"first").unwrap() - 8;
        file[24..end].to_vec()
    };
    let (before, after) = (metadata(&original), metadata(&result));
    let differs: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert_eq!((before.len(), differs), (after.len(), vec![(&3, &7)]));
    assert!(after.windows(3).any(|it| it == b"\xff\xfe\x80"));
}

#[test]
fn says_what_the_file_is_now() {
    let check = |original: &[u8]| {
        let header = Header::from_bytes(&converted(original)).unwrap();
        assert_eq!(header.facts().file_type, Some("Q8_0"));
        let version = header.get("general.quantization_version");
        assert_eq!(version, Some(&Value::U32(2)));
    };
    check(&usual());
    check(&file(|_| ()));
}

#[test]
fn the_alignment_is_the_file_s_own() {
    for alignment in [8u32, 256] {
        let original = file(|writer| {
            writer.set("general.alignment", alignment).unwrap();
        });
        let result = converted(&original);
        let header = Header::from_bytes(&result).unwrap();
        assert_eq!(header.alignment(), u64::from(alignment));
        assert_eq!(data(&result, "half"), data(&original, "half"));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert!(converted(&usual()) == converted(&usual()));
}

#[test]
fn what_is_behind_the_last_tensor_goes() {
    let longer = [usual(), vec![9; ALIGNMENT_DEFAULT as usize]].concat();
    assert!(converted(&longer) == converted(&usual()));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = usual();
    let end = {
        let header = Header::from_bytes(&whole).unwrap();
        let last = header.tensor("last").unwrap();
        (last.offset + last.bytes) as usize
    };
    for len in 0..end {
        let error = requantise(&whole[..len], &mut Vec::new()).unwrap_err();
        assert!(matches!(error, RequantiseError::Read(_)), "{len}: {error}");
    }
    assert!(converted(&whole[..end]) == converted(&whole));
}

#[test]
fn any_byte_of_the_header_may_be_damaged() {
    let whole = usual();
    let header_len = Header::from_bytes(&whole).unwrap().data_offset() as usize;
    for index in 0..header_len {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[index] = byte;
            let mut result = Vec::new();
            // Some damage is none the header could know of; what is written can be read then.
            if requantise(&damaged, &mut result).is_ok() {
                Header::from_bytes(&result).unwrap();
            }
        }
    }
}

#[test]
fn names_what_it_would_convert_wrongly() {
    let version = file(|writer| {
        writer.set("general.quantization_version", 1u32).unwrap();
    });
    let expected = "`general.quantization_version` is U32(1); only 2 can be requantised";
    assert_eq!(refused(&version), expected);
    let first = Header::from_bytes(&usual()).unwrap().tensors()[0].offset as usize;
    let mut spoilt = usual();
    spoilt[first + Q4_1_BLOCK_BYTES..][..2].copy_from_slice(&f16::NAN.to_le_bytes());
    let expected = "tensor `first` holds a number that is not finite";
    assert_eq!(refused(&spoilt), expected);
    assert_eq!(refused(&converted(&usual())), "no matrix is stored as Q4_1");
    let text = requantise(b"no model", &mut Vec::new()).unwrap_err();
    let RequantiseError::Read(ReadHeaderError::Magic { .. }) = text else {
        panic!("{text}")
    };
}

#[test]
fn a_destination_that_fails_is_an_error() {
    let mut small = [0; 100];
    let error = requantise(&usual(), &mut &mut small[..]).unwrap_err();
    assert!(matches!(error, RequantiseError::Write(_)), "{error}");
}
