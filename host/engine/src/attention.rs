//! Our own attention for steps of few rows, in the place of llama.cpp's.
//!
//! All sequences share one KV cache. ggml's kernel asks of every cell, for every row and head, whether the row may look
//! at it, and loads a key once for each head that looks at it. With eight streams seven of eight cells are others', and a
//! stream's own lie far apart, because each step puts the streams' tokens side by side. Here a row's cells are listed
//! once a layer, the heads that share a key share its load, and keys and values are fetched ahead. What it gains is
//! measured in `docs/performance.md`.
//!
//! llama.cpp shows each node of its graph to a callback before it computes (`cb_eval`). That callback turns attention
//! nodes into ggml's custom nodes, which compute by a function of ours on ggml's threads. A node that [`suits`] not stays
//! as it is: other kinds of cache, biases by position, capped scores, batches from [`ROWS_MAX`] on (there ggml works in
//! tiles), devices other than the CPU, processors without the vectors.
//!
//! Invariant: of the rows and heads of a node each is written by exactly one thread.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ops::Range;
use std::slice;
use std::sync::OnceLock;

use llama_cpp_sys_2 as sys;

#[cfg_attr(not(target_arch = "x86_64"), path = "attention/absent.rs")]
mod kernel;

use kernel::{Heads, Rows, Visible};

/// From so many rows on ggml computes attention in tiles.
const ROWS_MAX: usize = 64;

/// Where a custom node keeps the scale of its scores: past what ggml keeps in the same place.
const SCALE: usize = 8;

/// Parameters of a node, as ggml keeps them.
type Parameters = [i32; 16];

/// What puts our attention into the graphs of a context; `None` where it cannot be used.
pub(crate) fn callback() -> sys::ggml_backend_sched_eval_callback {
    // SAFETY: asks which devices there are.
    let has_gpu = unsafe { sys::llama_supports_gpu_offload() };
    (!has_gpu && kernel::is_there() && custom_parameters().is_some()).then_some(replace as _)
}

/// llama.cpp asks of each node whether it should stop after it (never), and then computes.
unsafe extern "C" fn replace(node: *mut sys::ggml_tensor, asks: bool, _none: *mut c_void) -> bool {
    // SAFETY: llama.cpp passes a node of its graph, which nobody computes meanwhile.
    let node = unsafe { &mut *node };
    if asks
        && suits(node)
        && let Some(parameters) = custom_parameters()
    {
        let scale = node.op_params[0];
        node.op_params = *parameters;
        node.op_params[SCALE] = scale;
        node.op = sys::GGML_OP_CUSTOM;
    }
    !asks
}

/// The parameters of a custom node that calls [`attend`], in ggml's own form: ggml is asked for such a node. `None` if
/// they leave no room for the scale.
fn custom_parameters() -> Option<&'static Parameters> {
    static FOUND: OnceLock<Option<Parameters>> = OnceLock::new();
    let find = || {
        let memory = sys::ggml_init_params {
            mem_size: 16 * 1024,
            mem_buffer: std::ptr::null_mut(),
            no_alloc: true,
        };
        // SAFETY: the context has room for one node, which is read before it is freed.
        unsafe {
            let context = sys::ggml_init(memory);
            if context.is_null() {
                return None;
            }
            let all_threads = -1;
            let node = sys::ggml_custom_4d(
                context,
                sys::GGML_TYPE_F32,
                1,
                1,
                1,
                1,
                std::ptr::null_mut(),
                0,
                Some(attend),
                all_threads,
                std::ptr::null_mut(),
            );
            let parameters = (*node).op_params;
            sys::ggml_free(context);
            parameters[SCALE..]
                .iter()
                .all(|one| *one == 0)
                .then_some(parameters)
        }
    };
    FOUND.get_or_init(find).as_ref()
}

/// Whether our kernel computes what `node` says.
fn suits(node: &sys::ggml_tensor) -> bool {
    if node.op != sys::GGML_OP_FLASH_ATTN_EXT {
        return false;
    }
    let [_scale, max_bias, cap, precision, cells_max, ..] = node.op_params;
    let is_plain = max_bias == 0 && cap == 0 && cells_max == 0;
    let accurate = [sys::GGML_PREC_DEFAULT, sys::GGML_PREC_F32];
    is_plain
        && accurate.contains(&precision.cast_unsigned())
        && node.src[4].is_null()
        && Attention::of(node).is_some_and(|attention| attention.suits())
}

/// An attention node and what goes into it.
struct Attention<'a> {
    /// `[head_len, rows, heads]`
    queries: &'a sys::ggml_tensor,
    /// `[head_len, cells, key_heads]`
    keys: &'a sys::ggml_tensor,
    /// `[value_len, cells, key_heads]`
    values: &'a sys::ggml_tensor,
    /// `[cells, rows]`
    mask: &'a sys::ggml_tensor,
    /// `[value_len, heads, rows]`
    result: &'a sys::ggml_tensor,
}

impl<'a> Attention<'a> {
    fn of(node: &'a sys::ggml_tensor) -> Option<Self> {
        // SAFETY: a node's sources are null or live as long as it.
        let source = |index: usize| unsafe { node.src[index].as_ref() };
        Some(Self {
            queries: source(0)?,
            keys: source(1)?,
            values: source(2)?,
            mask: source(3)?,
            result: node,
        })
    }

    fn suits(&self) -> bool {
        let halves = [self.keys, self.values, self.mask];
        let numbers = [self.queries, self.result];
        let is_dense = |tensor: &sys::ggml_tensor, size| tensor.nb[0] == size && tensor.ne[3] == 1;
        halves
            .iter()
            .all(|one| one.type_ == sys::GGML_TYPE_F16 && is_dense(one, 2))
            && numbers
                .iter()
                .all(|one| one.type_ == sys::GGML_TYPE_F32 && is_dense(one, 4))
            && (1..ROWS_MAX).contains(&self.rows())
            && self.heads().is_multiple_of(self.key_heads())
            && self.values.ne[1..3] == self.keys.ne[1..3]
            && self.queries.ne[0] == self.keys.ne[0]
            && self.mask.ne[0] == self.keys.ne[1]
            && self.mask.ne[1] >= self.queries.ne[1]
            && self.mask.ne[2] == 1
            && kernel::suits(self.keys.ne[0].unsigned_abs() as usize)
            && kernel::suits(self.values.ne[0].unsigned_abs() as usize)
    }

    fn rows(&self) -> usize {
        self.queries.ne[1].unsigned_abs() as usize
    }

    fn heads(&self) -> usize {
        self.queries.ne[2].unsigned_abs() as usize
    }

    fn key_heads(&self) -> usize {
        self.keys.ne[2].unsigned_abs() as usize
    }

    /// What the mask says of each cell for `row`.
    fn mask(&self, row: usize) -> &[u16] {
        let cells = self.keys.ne[1].unsigned_abs() as usize;
        // SAFETY: the mask has a row of numbers for each row of queries, one number for each cell.
        unsafe { slice::from_raw_parts(at(self.mask, [row, 0]).cast(), cells) }
    }

    /// Computes `heads` of `row`, which may look at `visible`.
    ///
    /// # Safety
    /// The node [`suits`], its memory is there, and nobody else writes these heads.
    unsafe fn compute(&self, row: usize, heads: Range<usize>, visible: &Visible) {
        let scale = f32::from_bits(self.result.op_params[SCALE].cast_unsigned());
        let shared = self.heads() / self.key_heads();
        let mut first = heads.start;
        while first < heads.end {
            let key_head = first / shared;
            let end = heads.end.min((key_head + 1) * shared);
            let part = Heads {
                queries: at(self.queries, [row, first]).cast(),
                query_stride: self.queries.nb[2] / 4,
                result: at(self.result, [first, row]).cast(),
                result_stride: self.result.nb[1] / 4,
                count: end - first,
            };
            let rows = |of: &sys::ggml_tensor| Rows {
                data: at(of, [0, key_head]).cast(),
                stride: of.nb[1] / 2,
                row_len: of.ne[0].unsigned_abs() as usize,
            };
            // SAFETY: `suits` was asked for the processor, the lengths and the types.
            unsafe { kernel::attend(part, rows(self.keys), rows(self.values), visible, scale) };
            first = end;
        }
    }
}

/// Where the numbers of a tensor begin that have this index in its second and third dimension.
fn at(tensor: &sys::ggml_tensor, index: [usize; 2]) -> *mut u8 {
    let offset = index[0] * tensor.nb[1] + index[1] * tensor.nb[2];
    tensor.data.cast::<u8>().wrapping_add(offset)
}

thread_local! {
    static VISIBLE: RefCell<Visible> = RefCell::default();
}

/// One thread's part of a node. Work is divided by the cells that are looked at, since one row may see thousands and its
/// neighbour ten.
unsafe extern "C" fn attend(
    node: *mut sys::ggml_tensor,
    thread: i32,
    threads: i32,
    _none: *mut c_void,
) {
    // SAFETY: ggml calls this with a node that `replace` made, when its sources are computed.
    let Some(attention) = Attention::of(unsafe { &*node }) else {
        return;
    };
    let (rows, heads) = (attention.rows(), attention.heads());
    let mut counts = [0; ROWS_MAX];
    for (row, count) in counts.iter_mut().enumerate().take(rows) {
        // SAFETY: the processor was asked before `replace` came into use.
        *count = unsafe { kernel::count_visible(attention.mask(row)) };
    }
    let (thread, threads) = (
        thread.unsigned_abs() as usize,
        threads.unsigned_abs() as usize,
    );
    VISIBLE.with_borrow_mut(|visible| {
        for (row, heads) in parts(&counts[..rows], heads, thread, threads) {
            // SAFETY: as above; `parts` gives each head of a row to one thread.
            unsafe {
                visible.read(attention.mask(row));
                attention.compute(row, heads, visible);
            }
        }
    });
}

/// Which heads of which rows are `thread`'s, when a head of a row costs as much as the row has cells: the middle of what
/// a head costs decides.
fn parts(
    counts: &[usize],
    heads: usize,
    thread: usize,
    threads: usize,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    // A row without cells costs something too: its result must be written.
    let cost = |count: &usize| count + 1;
    let total: usize = counts.iter().map(|count| cost(count) * heads).sum();
    let (start, end) = (total * thread / threads, total * (thread + 1) / threads);
    let mut before = 0;
    counts.iter().enumerate().filter_map(move |(row, count)| {
        let cost = cost(count);
        let from = |border: usize| {
            let past = (2 * border).saturating_sub(2 * before + cost);
            past.div_ceil(2 * cost).min(heads)
        };
        let range = from(start)..from(end);
        before += cost * heads;
        (!range.is_empty()).then_some((row, range))
    })
}

#[cfg(test)]
mod tests;
