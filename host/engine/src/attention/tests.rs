//! Our attention against ggml's, in a graph of ggml's.

use super::*;

/// Attention over `cells`, a part of them hidden from each row, in a graph of ggml's.
struct Graph {
    context: *mut sys::ggml_context,
    node: *mut sys::ggml_tensor,
}

const HEAD_LEN: i64 = 64;
const HEADS: i64 = 9;
const KEY_HEADS: i64 = 3;

impl Graph {
    fn new(rows: i64, cells: i64, max_bias: f32, key_type: sys::ggml_type) -> Self {
        let memory = sys::ggml_init_params {
            mem_size: 64 << 20,
            mem_buffer: std::ptr::null_mut(),
            no_alloc: false,
        };
        // SAFETY: a context with memory of its own; its tensors are filled to their ends.
        unsafe {
            let context = sys::ggml_init(memory);
            let new = |kind, a, b, c| sys::ggml_new_tensor_3d(context, kind, a, b, c);
            let queries = new(sys::GGML_TYPE_F32, HEAD_LEN, rows, HEADS);
            // As llama.cpp keeps them: all heads of a cell side by side.
            let cache = |kind| {
                let all = new(kind, HEAD_LEN, KEY_HEADS, cells);
                (all, sys::ggml_permute(context, all, 0, 2, 1, 3))
            };
            let ((all_keys, keys), (all_values, values)) =
                (cache(key_type), cache(sys::GGML_TYPE_F16));
            let mask = new(sys::GGML_TYPE_F16, cells, rows, 1);
            fill(queries, 1);
            fill(all_keys, 2);
            fill(all_values, 3);
            hide(mask);
            let node = sys::ggml_flash_attn_ext(
                context, queries, keys, values, mask, 0.125, max_bias, 0.0,
            );
            Self { context, node }
        }
    }

    /// Whether our attention takes its place.
    fn replaced(&self) -> bool {
        // SAFETY: the node lives as long as the graph.
        unsafe {
            assert!(
                !replace(self.node, true, std::ptr::null_mut()),
                "never asks to stop"
            );
            (*self.node).op == sys::GGML_OP_CUSTOM
        }
    }

    fn compute(&self, threads: i32) -> Vec<f32> {
        // SAFETY: the context has room for the graph and what ggml needs to compute it.
        unsafe {
            let graph = sys::ggml_new_graph(self.context);
            sys::ggml_build_forward_expand(graph, self.node);
            assert_eq!(
                sys::ggml_graph_compute_with_ctx(self.context, graph, threads),
                sys::GGML_STATUS_SUCCESS
            );
            let len = sys::ggml_nelements(self.node).unsigned_abs() as usize;
            slice::from_raw_parts((*self.node).data.cast::<f32>(), len).to_vec()
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe { sys::ggml_free(self.context) };
    }
}

/// Numbers between -1 and 1, whatever the type.
unsafe fn fill(tensor: *mut sys::ggml_tensor, seed: u32) {
    // SAFETY: the caller's tensor has its memory.
    unsafe {
        let tensor = &*tensor;
        let count = sys::ggml_nelements(tensor).unsigned_abs() as usize;
        let mut state = seed;
        for index in 0..count {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // A sign, exponents around one, a fraction.
            let (sign, fraction) = ((state >> 16) & 0x8000, (state >> 12) & 0x3FF);
            let exponent = 13 + ((state >> 8) & 1);
            let half = (sign | (exponent << 10) | fraction) as u16;
            match tensor.type_ {
                sys::GGML_TYPE_F16 => tensor.data.cast::<u16>().add(index).write(half),
                _ => tensor
                    .data
                    .cast::<f32>()
                    .add(index)
                    .write(f32::from(half & 0xFF) / 100.0 - 1.0),
            }
        }
    }
}

/// Row `r` sees every third cell from `r` on; the last row sees all.
unsafe fn hide(mask: *mut sys::ggml_tensor) {
    // SAFETY: the caller's tensor has its memory.
    unsafe {
        let (cells, rows) = ((*mask).ne[0], (*mask).ne[1]);
        for row in 0..rows {
            for cell in 0..cells {
                let sees = row + 1 == rows || (cell - row).rem_euclid(3) == 0;
                let at = (row * cells + cell).unsigned_abs() as usize;
                (*mask)
                    .data
                    .cast::<u16>()
                    .add(at)
                    .write(if sees { 0 } else { 0xFC00 });
            }
        }
    }
}

#[test]
fn computes_what_ggml_computes() {
    if !kernel::is_there() {
        return;
    }
    for rows in [1, 2, 5, 63] {
        for threads in [1, 2, 5] {
            let graph = Graph::new(rows, 384, 0.0, sys::GGML_TYPE_F16);
            let theirs = graph.compute(threads);
            assert!(graph.replaced());
            // Asked again, as for a graph that is used again, it stays what it is.
            assert!(graph.replaced());
            let ours = graph.compute(threads);
            assert_eq!(ours.len(), theirs.len());
            // ggml sums values in half precision.
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() < 4e-3, "{ours} {theirs}");
            }
        }
    }
}

#[test]
fn what_it_cannot_compute_stays_with_ggml() {
    let stays = |graph: Graph| assert!(!graph.replaced());
    stays(Graph::new(64, 32, 0.0, sys::GGML_TYPE_F16));
    stays(Graph::new(1, 32, 8.0, sys::GGML_TYPE_F16));
    stays(Graph::new(1, 32, 0.0, sys::GGML_TYPE_F32));
}

#[test]
fn each_head_of_each_row_has_one_thread() {
    let cases: &[&[usize]] = &[
        &[],
        &[0],
        &[0, 0, 0],
        &[1],
        &[5000],
        &[3, 900, 0, 1, 70],
        &[7; 63],
    ];
    for counts in cases {
        for heads in [1, 9, 32] {
            for threads in 1..20 {
                let mut seen = vec![0; counts.len() * heads];
                for thread in 0..threads {
                    for (row, range) in parts(counts, heads, thread, threads) {
                        range.for_each(|head| seen[row * heads + head] += 1);
                    }
                }
                assert!(
                    seen.iter().all(|times| *times == 1),
                    "{counts:?} {heads} {threads}"
                );
            }
        }
    }
}

#[test]
fn threads_have_equal_parts_of_unequal_rows() {
    let counts = [2000, 10, 30, 10];
    let cost = |thread| -> usize {
        let all = parts(&counts, 9, thread, 2);
        all.map(|(row, heads)| counts[row] * heads.len()).sum()
    };
    let (one, other) = (cost(0), cost(1));
    assert!(one.abs_diff(other) <= 2000, "{one} {other}");
}
