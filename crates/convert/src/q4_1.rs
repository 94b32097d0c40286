//! Reads Q4_1: blocks of a 16-bit scale, a 16-bit lowest value and 32 numbers of 4 bits, the first
//! half of them in the low bits (`dequantize_row_q4_1` of llama.cpp's `ggml-quants.c`).

use half::f16;

use crate::q8_0;

/// The size of a block in bytes.
pub(crate) const BLOCK_BYTES: usize = 20;

/// Numbers in a block: as many as in one of Q8_0.
const BLOCK_LEN: usize = q8_0::BLOCK_LEN;

/// The numbers of a block, exactly: 4 bits times 11 bits, and the sum is rounded once.
pub(crate) fn decode(block: &[u8; BLOCK_BYTES]) -> [f32; BLOCK_LEN] {
    let [scale, lowest] = scale_and_lowest(block).map(f16::to_f32);
    let mut numbers = [0.0; BLOCK_LEN];
    let (low, high) = numbers.split_at_mut(BLOCK_LEN / 2);
    for ((low, high), &byte) in low.iter_mut().zip(high).zip(&block[4..]) {
        *low = f32::from(byte & 0x0f) * scale + lowest;
        *high = f32::from(byte >> 4) * scale + lowest;
    }
    numbers
}

/// Whether all numbers of a block are.
pub(crate) fn is_finite(block: &[u8; BLOCK_BYTES]) -> bool {
    scale_and_lowest(block).into_iter().all(f16::is_finite)
}

fn scale_and_lowest(block: &[u8; BLOCK_BYTES]) -> [f16; 2] {
    [
        f16::from_le_bytes([block[0], block[1]]),
        f16::from_le_bytes([block[2], block[3]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(scale: f32, lowest: f32) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        block[..2].copy_from_slice(&f16::from_f32(scale).to_le_bytes());
        block[2..4].copy_from_slice(&f16::from_f32(lowest).to_le_bytes());
        for (index, byte) in (0u8..).zip(&mut block[4..]) {
            *byte = index | (15 - index) << 4;
        }
        block
    }

    #[test]
    fn the_low_bits_are_the_first_half() {
        let numbers = decode(&block(0.5, -3.0));
        assert_eq!(numbers[..3], [-3.0, -2.5, -2.0]);
        assert_eq!(numbers[15..19], [4.5, 4.5, 4.0, 3.5]);
        assert_eq!(numbers[31], -3.0);
    }

    #[test]
    fn one_scale_that_is_no_number_spoils_all() {
        assert!(is_finite(&block(1.0, 65504.0)));
        assert!(!is_finite(&block(f32::NAN, 0.0)));
        assert!(!is_finite(&block(0.0, f32::INFINITY)));
    }
}
