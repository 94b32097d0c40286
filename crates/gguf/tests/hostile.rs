//! Arbitrary bytes and damaged headers never panic, never hang, and never cost more memory than a
//! small multiple of their length.

#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gaia_gguf::{Header, TensorType, Writer};
use proptest::prelude::*;

/// Counts what the current thread holds, and the most it ever held.
struct Counting;

thread_local! {
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = now + change;
        held.set((now, most.max(now)));
    });
}

// SAFETY: passes everything on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The buffer of the reader, an error's text, and the like.
const FIXED_BYTES: isize = 256 << 10;

/// The most that a byte of a file may cost: an array of empty texts has 24 bytes in memory for
/// each 8 in the file, an array of empty arrays 32 for each 12, and a vector in the making may be
/// there twice.
const BYTES_PER_BYTE: isize = 16;

/// Reads, asks for everything there is to ask, and measures.
fn read(bytes: &[u8]) -> bool {
    let before = HELD.with(|held| {
        let (now, _) = held.get();
        held.set((now, now));
        now
    });
    let header = Header::from_bytes(bytes);
    let is_ok = header.as_ref().is_ok_and(|header| {
        let facts = header.facts();
        let _ = (facts.memory_bytes(u64::MAX), facts.is_embedding());
        let data = bytes.len() as u64;
        assert!(
            header
                .tensors()
                .iter()
                .all(|tensor| tensor.offset + tensor.bytes <= data)
        );
        true
    });
    if let Err(error) = header {
        assert!(!error.to_string().is_empty());
    }
    let most = HELD.with(Cell::get).1 - before;
    let allowed = FIXED_BYTES + bytes.len() as isize * BYTES_PER_BYTE;
    assert!(
        most <= allowed,
        "{most} bytes held for a file of {}",
        bytes.len()
    );
    is_ok
}

fn valid(texts: Vec<String>, numbers: Vec<u32>, shapes: &[(u64, bool)]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.set("general.architecture", "llama").unwrap();
    writer.set("tokenizer.ggml.tokens", texts).unwrap();
    for (index, number) in numbers.iter().enumerate() {
        writer
            .set(&format!("llama.number.{index}"), *number)
            .unwrap();
    }
    writer.set("llama.numbers", numbers).unwrap();
    for (index, &(blocks, quantised)) in shapes.iter().enumerate() {
        let kind = if quantised {
            TensorType::Q8_0
        } else {
            TensorType::F32
        };
        let bytes = kind.bytes(blocks * 32).unwrap();
        let data = move || vec![0; bytes as usize];
        writer
            .add_tensor(&format!("t{index}"), &[blocks * 32], kind, data)
            .unwrap();
    }
    let mut bytes = Vec::new();
    writer.write(&mut bytes).unwrap();
    bytes
}

prop_compose! {
    fn header()(
        texts in prop::collection::vec(".{0,12}", 0..8),
        numbers in prop::collection::vec(any::<u32>(), 0..6),
        shapes in prop::collection::vec((1u64..4, any::<bool>()), 0..4),
    ) -> Vec<u8> {
        valid(texts, numbers, &shapes)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&bytes);
    }

    #[test]
    fn arbitrary_bytes_after_the_magic(rest in prop::collection::vec(any::<u8>(), 0..400), tensors in 0u64..4, entries in 0u64..4) {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        bytes.extend(rest);
        read(&bytes);
    }

    #[test]
    fn what_the_writer_writes_is_read(bytes in header()) {
        prop_assert!(read(&bytes));
    }

    #[test]
    fn damaged_headers(mut bytes in header(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        read(&bytes);
    }

    #[test]
    fn headers_with_a_huge_number_somewhere(mut bytes in header(), at in any::<prop::sample::Index>(), number in prop::sample::select(vec![u64::MAX, 1 << 63, 1 << 40, 1 << 32, 1 << 24, 1 << 16, 9])) {
        let at = at.index(bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        read(&bytes);
    }

    #[test]
    fn headers_with_a_piece_missing_or_doubled(bytes in header(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
        read(&[&bytes[..a], &bytes[b..]].concat());
    }
}
