//! Writes Q8_0: blocks of one 16-bit scale and 32 signed bytes; the largest number of a block
//! becomes ±127 (`quantize_row_q8_0_ref` of llama.cpp's `ggml-quants.c`, to the bit).

use half::f16;

/// How many numbers share a scale.
pub(crate) const BLOCK_LEN: usize = 32;

/// The size of a block in bytes.
pub(crate) const BLOCK_BYTES: usize = 34;

/// Whole blocks of numbers; what is left over is dropped.
pub(crate) fn encode(numbers: &[f32]) -> Vec<u8> {
    let (blocks, _) = numbers.as_chunks();
    let mut bytes = Vec::with_capacity(blocks.len() * BLOCK_BYTES);
    blocks.iter().for_each(|block| push(block, &mut bytes));
    bytes
}

/// Appends one block.
pub(crate) fn push(block: &[f32; BLOCK_LEN], bytes: &mut Vec<u8>) {
    let largest = block.iter().fold(0f32, |largest, n| largest.max(n.abs()));
    let scale = largest / 127.0;
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    bytes.extend(f16::from_f32(scale).to_le_bytes());
    bytes.extend(block.iter().map(|n| (n * inverse).round() as i8 as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q8_0_keeps_every_number_within_half_a_step() {
        let numbers: Vec<f32> = (0..64).map(|n| (n as f32 - 20.0) * 0.37).collect();
        let bytes = encode(&numbers);
        assert_eq!(bytes.len(), 2 * BLOCK_BYTES);
        for (block, original) in bytes.chunks(BLOCK_BYTES).zip(numbers.chunks(BLOCK_LEN)) {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            for (&byte, n) in block[2..].iter().zip(original) {
                let error = (f32::from(byte as i8) * scale - n).abs();
                assert!(error <= scale * 0.6, "{n} became off by {error}");
            }
        }
        assert_eq!(encode(&[0.0; BLOCK_LEN]), [0; BLOCK_BYTES]);
    }
}
