//! Attention of single rows over the cells they may look at, with vectors of AVX2.
//!
//! Scores and sums are 32-bit floats throughout. The softmax is computed block by block with a running maximum
//! (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"), so that memory does not grow with the
//! context. The heads that share a head of keys are computed together: each key and value is loaded and widened once.

use std::arch::x86_64::*;

/// Cells between two looks at the maximum.
const BLOCK: usize = 64;

/// Heads computed together: more sums would not stay in registers.
const GROUP_MAX: usize = 3;

/// Lanes of values that are summed together, for the same reason.
const LANES: usize = 32;

/// How many cells ahead keys are fetched: neighbours in a sequence may lie far apart.
const AHEAD: usize = 6;

/// f16's minus infinity: a masked cell.
const MASKED: u16 = 0xFC00;

/// Whether this processor can.
pub(super) fn is_there() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("popcnt")
}

/// Whether heads of so many numbers fit the vectors.
pub(super) fn suits(head_len: usize) -> bool {
    head_len > 0 && head_len.is_multiple_of(LANES)
}

/// Rows of half-precision numbers at a fixed distance: one head of all keys or of all values.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub data: *const u16,
    /// Distance of two rows in numbers.
    pub stride: usize,
    pub row_len: usize,
}

impl Rows {
    unsafe fn row(self, index: u32) -> *const u16 {
        // SAFETY: the caller's cells are rows.
        unsafe { self.data.add(index as usize * self.stride) }
    }

    unsafe fn fetch(self, index: u32) {
        // SAFETY: a hint, for memory of a row.
        unsafe {
            let row = self.row(index);
            let mut at = 0;
            while at < self.row_len {
                _mm_prefetch::<_MM_HINT_T0>(row.add(at).cast());
                at += 32;
            }
        }
    }
}

/// What one row of the batch may look at.
#[derive(Debug, Default)]
pub(super) struct Visible {
    cells: Vec<u32>,
    /// What the mask adds to each; empty where it adds nothing.
    biases: Vec<f32>,
}

impl Visible {
    /// Reads a row of the mask.
    ///
    /// # Safety
    /// The processor [`is_there`].
    pub unsafe fn read(&mut self, mask: &[u16]) {
        self.cells.clear();
        self.biases.clear();
        // SAFETY: the caller's promise.
        unsafe { each_visible(mask, |cell| self.cells.push(cell)) };
        if self
            .cells
            .iter()
            .any(|cell| mask[*cell as usize] & 0x7FFF != 0)
        {
            let bias = |cell: &u32| widen(mask[*cell as usize]);
            self.biases.extend(self.cells.iter().map(bias));
        }
    }
}

/// How many cells a row of the mask lets through.
///
/// # Safety
/// The processor [`is_there`].
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn count_visible(mask: &[u16]) -> usize {
    let mut masked = 0;
    let chunks = mask.chunks_exact(16);
    let rest = chunks
        .remainder()
        .iter()
        .filter(|one| **one != MASKED)
        .count();
    let count = chunks.len() * 16;
    for chunk in chunks {
        masked += masked_bits(chunk).count_ones() as usize / 2;
    }
    count - masked + rest
}

#[target_feature(enable = "avx2,popcnt")]
unsafe fn each_visible(mask: &[u16], mut see: impl FnMut(u32)) {
    let chunks = mask.chunks_exact(16);
    let start = chunks.len() * 16;
    let rest = chunks.remainder();
    for (index, chunk) in chunks.enumerate() {
        // Two bits a cell; one of them is enough.
        let mut bits = !masked_bits(chunk) & 0x5555_5555;
        while bits != 0 {
            see(index as u32 * 16 + bits.trailing_zeros() / 2);
            bits &= bits - 1;
        }
    }
    for (index, one) in rest.iter().enumerate() {
        if *one != MASKED {
            see((start + index) as u32);
        }
    }
}

#[target_feature(enable = "avx2")]
fn masked_bits(chunk: &[u16]) -> u32 {
    debug_assert!(chunk.len() >= 16);
    // SAFETY: a chunk has sixteen numbers.
    let found = unsafe {
        let chunk = _mm256_loadu_si256(chunk.as_ptr().cast());
        _mm256_cmpeq_epi16(chunk, _mm256_set1_epi16(MASKED.cast_signed()))
    };
    _mm256_movemask_epi8(found).cast_unsigned()
}

fn widen(half: u16) -> f32 {
    let half = u32::from(half);
    let (sign, exponent, fraction) = (half >> 15 << 31, half >> 10 & 0x1F, half & 0x3FF);
    let magnitude = match exponent {
        0 => fraction as f32 * 2f32.powi(-24),
        31 => f32::from_bits(0x7F80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

/// Heads of one row that look at the same keys: where their queries are and where the result goes.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub queries: *const f32,
    /// Distance of two heads in numbers.
    pub query_stride: usize,
    pub result: *mut f32,
    /// Distance of two heads in numbers.
    pub result_stride: usize,
    pub count: usize,
}

/// Writes the attention of `heads` over `visible`.
///
/// # Safety
/// The processor [`is_there`]; rows [`suits`]; all pointers are good for what they describe, and every visible cell is
/// a row of `keys` and `values`.
pub(super) unsafe fn attend(heads: Heads, keys: Rows, values: Rows, visible: &Visible, scale: f32) {
    let mut first = 0;
    while first < heads.count {
        let count = (heads.count - first).min(GROUP_MAX);
        // SAFETY: heads below `count`; the rest is the caller's promise.
        unsafe {
            let part = Heads {
                queries: heads.queries.add(first * heads.query_stride),
                result: heads.result.add(first * heads.result_stride),
                count,
                ..heads
            };
            match count {
                1 => group::<1>(part, keys, values, visible, scale),
                2 => group::<2>(part, keys, values, visible, scale),
                _ => group::<GROUP_MAX>(part, keys, values, visible, scale),
            }
        }
        first += count;
    }
}

#[repr(align(32))]
struct Scores<const G: usize>([[f32; BLOCK]; G]);

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn group<const G: usize>(
    heads: Heads,
    keys: Rows,
    values: Rows,
    visible: &Visible,
    scale: f32,
) {
    let mut scores = Scores([[0.0; BLOCK]; G]);
    let (mut maximum, mut sum) = ([f32::NEG_INFINITY; G], [0f32; G]);
    // SAFETY: see `attend`.
    unsafe {
        for head in 0..G {
            heads
                .result
                .add(head * heads.result_stride)
                .write_bytes(0, values.row_len);
        }
        for (index, cells) in visible.cells.chunks(BLOCK).enumerate() {
            let biases = visible.biases.get(index * BLOCK..).unwrap_or_default();
            score(heads, keys, values, cells, scale, &mut scores);
            for head in 0..G {
                let row = &mut scores.0[head];
                for (score, bias) in row.iter_mut().zip(biases) {
                    *score += bias;
                }
                let result = heads.result.add(head * heads.result_stride);
                let factor = weigh(row, cells.len(), &mut maximum[head], &mut sum[head]);
                if factor != 1.0 {
                    multiply(result, values.row_len, factor);
                }
            }
            add_values(heads, values, cells, &scores);
        }
        for (head, sum) in sum.iter().enumerate() {
            let result = heads.result.add(head * heads.result_stride);
            multiply(
                result,
                values.row_len,
                if *sum > 0.0 { 1.0 / sum } else { 0.0 },
            );
        }
    }
}

/// The products of each query with the keys of `cells`; values are fetched meanwhile.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn score<const G: usize>(
    heads: Heads,
    keys: Rows,
    values: Rows,
    cells: &[u32],
    scale: f32,
    scores: &mut Scores<G>,
) {
    // SAFETY: see `attend`.
    unsafe {
        for (index, cell) in cells.iter().enumerate() {
            if let Some(later) = cells.get(index + AHEAD) {
                keys.fetch(*later);
            }
            values.fetch(*cell);
            let key = keys.row(*cell);
            let mut sums = [[_mm256_setzero_ps(); 2]; G];
            let mut at = 0;
            while at < keys.row_len {
                let low = widen_eight(key.add(at));
                let high = widen_eight(key.add(at + 8));
                for (head, sums) in sums.iter_mut().enumerate() {
                    let query = heads.queries.add(head * heads.query_stride + at);
                    sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(query), low, sums[0]);
                    sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(query.add(8)), high, sums[1]);
                }
                at += 16;
            }
            for (row, sums) in scores.0.iter_mut().zip(sums) {
                row[index] = add_lanes(_mm256_add_ps(sums[0], sums[1])) * scale;
            }
        }
    }
}

/// Turns scores into weights relative to the largest score so far. Gives what earlier results must be multiplied by.
#[target_feature(enable = "avx2,fma")]
unsafe fn weigh(row: &mut [f32; BLOCK], len: usize, maximum: &mut f32, sum: &mut f32) -> f32 {
    // What is past the end weighs nothing.
    row[len..].fill(f32::NEG_INFINITY);
    let vectors = len.div_ceil(8);
    // SAFETY: a row has BLOCK numbers, and `vectors` are no more.
    unsafe {
        let mut largest = _mm256_set1_ps(*maximum);
        for index in 0..vectors {
            largest = _mm256_max_ps(largest, _mm256_loadu_ps(row.as_ptr().add(index * 8)));
        }
        let before = *maximum;
        *maximum = greatest_lane(largest);
        let factor = if before == *maximum {
            1.0
        } else {
            (before - *maximum).exp()
        };
        let mut weights = _mm256_setzero_ps();
        for index in 0..vectors {
            let at = row.as_mut_ptr().add(index * 8);
            let weight = exp(_mm256_sub_ps(_mm256_loadu_ps(at), _mm256_set1_ps(*maximum)));
            weights = _mm256_add_ps(weights, weight);
            _mm256_storeu_ps(at, weight);
        }
        *sum = *sum * factor + add_lanes(weights);
        factor
    }
}

/// Adds the values of `cells` by their weights.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn add_values<const G: usize>(
    heads: Heads,
    values: Rows,
    cells: &[u32],
    scores: &Scores<G>,
) {
    // SAFETY: see `attend`.
    unsafe {
        let mut at = 0;
        while at < values.row_len {
            let mut sums = [[_mm256_setzero_ps(); LANES / 8]; G];
            for (head, sums) in sums.iter_mut().enumerate() {
                let result = heads.result.add(head * heads.result_stride + at);
                for (lane, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm256_loadu_ps(result.add(lane * 8));
                }
            }
            for (index, cell) in cells.iter().enumerate() {
                let value = values.row(*cell).add(at);
                let mut weights = [_mm256_setzero_ps(); G];
                for (weight, row) in weights.iter_mut().zip(&scores.0) {
                    *weight = _mm256_set1_ps(row[index]);
                }
                for lane in 0..LANES / 8 {
                    let wide = widen_eight(value.add(lane * 8));
                    for (sums, weight) in sums.iter_mut().zip(&weights) {
                        sums[lane] = _mm256_fmadd_ps(*weight, wide, sums[lane]);
                    }
                }
            }
            for (head, sums) in sums.iter().enumerate() {
                let result = heads.result.add(head * heads.result_stride + at);
                for (lane, sum) in sums.iter().enumerate() {
                    _mm256_storeu_ps(result.add(lane * 8), *sum);
                }
            }
            at += LANES;
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn multiply(row: *mut f32, len: usize, factor: f32) {
    let mut at = 0;
    while at < len {
        // SAFETY: the row has `len` numbers, which eight divides.
        unsafe {
            let here = row.add(at);
            _mm256_storeu_ps(
                here,
                _mm256_mul_ps(_mm256_loadu_ps(here), _mm256_set1_ps(factor)),
            );
        }
        at += 8;
    }
}

#[target_feature(enable = "avx2,f16c")]
unsafe fn widen_eight(from: *const u16) -> __m256 {
    // SAFETY: the caller has eight numbers there.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
}

#[target_feature(enable = "avx2")]
fn add_lanes(all: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

#[target_feature(enable = "avx2")]
fn greatest_lane(all: __m256) -> f32 {
    let four = _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
}

/// e to the power of numbers that are not positive, to within a few units of the last place: the power of two is split
/// off, and what is left, at most ln 2 / 2, goes into the first terms of the series.
#[target_feature(enable = "avx2,fma")]
fn exp(x: __m256) -> __m256 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Below this the result is next to the smallest normal number. In this order what is no number stays none.
    let x = _mm256_max_ps(_mm256_set1_ps(-87.0), x);
    let power = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(
        _mm256_mul_ps(x, _mm256_set1_ps(std::f32::consts::LOG2_E)),
    );
    let rest = _mm256_fnmadd_ps(power, _mm256_set1_ps(LN_2_HIGH), x);
    let rest = _mm256_fnmadd_ps(power, _mm256_set1_ps(LN_2_LOW), rest);
    let mut series = _mm256_set1_ps(1.0 / 720.0);
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = _mm256_fmadd_ps(series, rest, _mm256_set1_ps(factor));
    }
    let exponent = _mm256_slli_epi32::<23>(_mm256_add_epi32(
        _mm256_cvtps_epi32(power),
        _mm256_set1_epi32(127),
    ));
    _mm256_mul_ps(series, _mm256_castsi256_ps(exponent))
}

#[cfg(test)]
mod tests;
