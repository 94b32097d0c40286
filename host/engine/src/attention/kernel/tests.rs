//! The kernel against the definition of attention, in double precision.

use super::*;

/// Numbers between -1 and 1, the same every time.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Rounds towards zero, and gives what is left too.
fn halved(number: f32) -> (u16, f32) {
    let bits = number.to_bits();
    let exponent = (bits >> 23 & 0xFF).cast_signed() - 112;
    let half = match exponent {
        1..31 => (bits >> 16 & 0x8000 | exponent.cast_unsigned() << 10 | bits >> 13 & 0x3FF) as u16,
        _ => 0,
    };
    (half, widen(half))
}

struct Case {
    heads: usize,
    len: usize,
    cells: usize,
    queries: Vec<f32>,
    keys: Vec<u16>,
    values: Vec<u16>,
}

impl Case {
    fn new(heads: usize, len: usize, cells: usize) -> Self {
        let mut noise = noise((heads * len * (cells + 1)) as u64);
        let mut numbers = |count| (0..count).map(|_| 3.0 * noise()).collect::<Vec<f32>>();
        let halves = |numbers: Vec<f32>| numbers.into_iter().map(|one| halved(one).0).collect();
        Self {
            heads,
            len,
            cells,
            queries: numbers(heads * len),
            keys: halves(numbers(cells * len)),
            values: halves(numbers(cells * len)),
        }
    }

    fn attend(&self, mask: &[u16], scale: f32) -> Vec<f32> {
        let mut result = vec![f32::NAN; self.heads * self.len];
        let rows = |data: &[u16]| Rows {
            data: data.as_ptr(),
            stride: self.len,
            row_len: self.len,
        };
        let heads = Heads {
            queries: self.queries.as_ptr(),
            query_stride: self.len,
            result: result.as_mut_ptr(),
            result_stride: self.len,
            count: self.heads,
        };
        let mut visible = Visible::default();
        // SAFETY: `each` asked for the processor; the vectors are as long as the strides say.
        unsafe {
            visible.read(mask);
            attend(heads, rows(&self.keys), rows(&self.values), &visible, scale);
        }
        result
    }

    /// The definition, in double precision.
    fn expected(&self, mask: &[u16], scale: f32) -> Vec<f64> {
        let mut result = Vec::new();
        for query in self.queries.chunks(self.len) {
            let dot = |key: &[u16]| -> f64 {
                let products = key.iter().zip(query);
                products
                    .map(|(key, query)| f64::from(widen(*key)) * f64::from(*query))
                    .sum()
            };
            let weights: Vec<f64> = self
                .keys
                .chunks(self.len)
                .zip(mask)
                .map(|(key, mask)| (f64::from(scale) * dot(key) + f64::from(widen(*mask))).exp())
                .collect();
            let sum: f64 = weights.iter().sum();
            for at in 0..self.len {
                let values = self.values.iter().skip(at).step_by(self.len);
                let weighted = values
                    .zip(&weights)
                    .map(|(value, weight)| f64::from(widen(*value)) * weight);
                result.push(if sum > 0.0 {
                    weighted.sum::<f64>() / sum
                } else {
                    0.0
                });
            }
        }
        result
    }

    fn check(&self, mask: &[u16]) {
        let scale = 0.1;
        let expected = self.expected(mask, scale);
        for (found, expected) in self.attend(mask, scale).iter().zip(expected) {
            let context = (self.heads, self.len, self.cells);
            assert!(
                (f64::from(*found) - expected).abs() < 2e-5,
                "{found} {expected} {context:?}"
            );
        }
    }
}

#[test]
fn agrees_with_the_definition() {
    if !is_there() {
        return;
    }
    for heads in [1, 2, 3, 4, 7] {
        for len in [32, 64, 160] {
            for cells in [1, 8, 63, 64, 65, 300] {
                let case = Case::new(heads, len, cells);
                case.check(&vec![0; cells]);
                let mut noise = noise(cells as u64);
                let mut hide = |_| if noise() > 0.0 { 0 } else { MASKED };
                let mut mask: Vec<u16> = (0..cells).map(&mut hide).collect();
                mask[cells / 2] = 0;
                case.check(&mask);
                // Biases of 1 and -0.5, as slopes by position are.
                mask[cells / 2] = 0x3C00;
                mask[0] = 0xB800;
                case.check(&mask);
            }
        }
    }
}

#[test]
fn whoever_sees_nothing_gets_zeros() {
    if is_there() {
        let case = Case::new(2, 32, 40);
        assert_eq!(case.attend(&[MASKED; 40], 1.0), vec![0.0; 64]);
    }
}

/// A damaged model must not give a plausible answer.
#[test]
fn what_is_no_number_stays_none() {
    if !is_there() {
        return;
    }
    for cell in [0, 3, 70, 99] {
        let mut case = Case::new(3, 32, 100);
        case.keys[cell * 32] = 0x7E00;
        let found = case.attend(&[0; 100], 1.0);
        assert!(found.iter().all(|one| one.is_nan()), "{cell}");
    }
}

/// Scores so large that only the largest counts, in every block a larger one.
#[test]
fn large_scores_do_not_overflow() {
    if is_there() {
        let mut case = Case::new(1, 32, 200);
        case.queries.fill(1000.0);
        for (cell, key) in case.keys.chunks_mut(32).enumerate() {
            key.fill(halved(cell as f32).0);
        }
        let found = case.attend(&[0; 200], 1.0);
        let last: Vec<f32> = case.values[199 * 32..]
            .iter()
            .map(|half| widen(*half))
            .collect();
        assert_eq!(found, last);
    }
}

#[test]
fn the_visible_are_found_wherever_they_stand() {
    if !is_there() {
        return;
    }
    for len in 0..70 {
        let mut noise = noise(len);
        let hide = |_| if noise() > 0.3 { 0 } else { MASKED };
        let mask: Vec<u16> = (0..len).map(hide).collect();
        let expected: Vec<u32> = (0..len as u32)
            .filter(|cell| mask[*cell as usize] != MASKED)
            .collect();
        let mut visible = Visible::default();
        // SAFETY: the processor was asked.
        unsafe {
            visible.read(&mask);
            assert_eq!(count_visible(&mask), expected.len());
        }
        assert_eq!(visible.cells, expected);
        assert!(visible.biases.is_empty());
    }
}

#[test]
fn exponentials_are_right_to_the_last_places() {
    if !is_there() {
        return;
    }
    for step in 0..87_000 {
        let x = -(step as f32) / 1000.0;
        let mut found = [0f32; 8];
        // SAFETY: the processor was asked, and eight numbers have room.
        unsafe { _mm256_storeu_ps(found.as_mut_ptr(), exp(_mm256_set1_ps(x))) };
        let expected = f64::from(x).exp();
        assert!((f64::from(found[0]) / expected - 1.0).abs() < 5e-7, "{x}");
    }
}

#[test]
fn halves_are_widened() {
    for (half, expected) in [
        (0x3C00, 1.0),
        (0xC000, -2.0),
        (0x0001, 2f32.powi(-24)),
        (0x7BFF, 65504.0),
    ] {
        assert_eq!(widen(half), expected);
    }
    assert_eq!(widen(MASKED), f32::NEG_INFINITY);
    assert!(widen(0x7E00).is_nan());
}
