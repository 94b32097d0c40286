//! What a model will take of the memory, decided from its header before anything is loaded.
//!
//! Invariant: a plan never takes more than it was told there is; what does not fit comes back as the
//! numbers that say why.

use std::fmt;

use crate::facts::Facts;

/// Without other wishes a request's context is no longer than this, in tokens.
const CONTEXT_DEFAULT: u64 = 4096;
/// Without other wishes the KV cache is no larger than this or one request's context, in tokens.
const CELLS_DEFAULT: u64 = 16384;
/// llama.cpp allots the cache in such units.
const CELLS_UNIT: u64 = 256;
/// Without other wishes this part of the memory that is left may hold copies of read prompts,
const PROMPT_CACHE_SHARE: u64 = 4;
/// and never more than this.
const PROMPT_CACHE_BYTES_DEFAULT: u64 = 512 << 20;
/// Numbers in a block of a quantised cache.
const BLOCK_LEN: u64 = 32;
/// The most tokens of one text that a drafting model looks back on,
const DRAFT_WINDOW_MAX: u64 = 1024;
/// at least,
const DRAFT_WINDOW_MIN: u64 = 16;
/// and of all texts together.
const DRAFT_CELLS_MAX: u64 = 16384;
/// Of what is free on a GPU this part stays free, for what else is drawn and computed there.
const GPU_RESERVE_SHARE: u64 = 16;

/// How the numbers of the KV cache are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvType {
    /// 16 bits each.
    #[default]
    F16,
    /// 8.5 bits each, in blocks of 32. Needs flash attention.
    Q8_0,
}

impl KvType {
    /// What `bytes` in 16 bits each become.
    fn shrunk(self, bytes: u64) -> u64 {
        match self {
            Self::F16 => bytes,
            Self::Q8_0 => bytes.saturating_mul(17) / 32,
        }
    }

    /// Whether the vectors of such a model can be kept so: a block must not reach into the next head.
    pub fn suits(self, facts: &Facts) -> bool {
        let whole = |size: &u64| size.is_multiple_of(BLOCK_LEN);
        match (self, facts.head_sizes) {
            (Self::Q8_0, Some(sizes)) => sizes.iter().all(whole),
            (Self::Q8_0, None) | (Self::F16, _) => true,
        }
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
        })
    }
}

/// A GPU that computes with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpu {
    /// What is free there, in bytes.
    pub free_bytes: u64,
    /// Layers that somebody wants there; `None`: as many as fit.
    pub layers: Option<u64>,
}

/// What a second, smaller model takes that guesses what the first will say. Estimates, from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DraftMemory {
    /// The tokens that it looks back on in each of the texts that are written at the same time.
    pub window: u64,
    /// Room for all of them together, in tokens.
    pub cells: u64,
    /// The weights.
    pub weights_bytes: u64,
    /// The KV cache, always in 16 bits.
    pub kv_bytes: u64,
    /// What is computed in between.
    pub compute_bytes: u64,
}

impl DraftMemory {
    /// For the model of `facts` beside one that has `requests` of `context_size` tokens each.
    pub fn of(facts: &Facts, context_size: u64, requests: u64) -> Self {
        let trained = facts.context_length.unwrap_or(context_size);
        let window = context_size
            .min(trained)
            .min(DRAFT_WINDOW_MAX)
            .min(DRAFT_CELLS_MAX / requests.max(1))
            .max(DRAFT_WINDOW_MIN);
        let cells = in_units(window.saturating_mul(requests));
        Self {
            window,
            cells,
            weights_bytes: facts.weights_bytes,
            kv_bytes: facts.kv_bytes_per_token.unwrap_or(0).saturating_mul(cells),
            compute_bytes: facts.memory_bytes(0).saturating_sub(facts.weights_bytes),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.weights_bytes
            .saturating_add(self.kv_bytes)
            .saturating_add(self.compute_bytes)
    }
}

/// What the one who loads a model wants, and what there is. `None` stands for a default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryWishes {
    /// Context of one request, in tokens.
    pub context_size: Option<u64>,
    /// Requests that run at the same time.
    pub requests: u64,
    /// Room for all of them together, in tokens.
    pub cells: Option<u64>,
    /// How the KV cache is kept.
    pub kv_type: KvType,
    /// Host memory for prompts that were read before, in bytes.
    pub prompt_cache_bytes: Option<u64>,
    /// What the host has left, in bytes; `None`: nobody knows, so everything fits.
    pub available_bytes: Option<u64>,
    /// The GPU, if the build can use one and there is one.
    pub gpu: Option<Gpu>,
    /// A model that guesses for it.
    pub draft: Option<DraftMemory>,
}

/// What a model takes. Estimates, from above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Context of one request, in tokens.
    pub context_size: u64,
    /// Requests that run at the same time.
    pub requests: u64,
    /// Room for all of them together, in tokens; zero for a model that keeps no cache.
    pub cells: u64,
    /// How the KV cache is kept.
    pub kv_type: KvType,
    /// The weights.
    pub weights_bytes: u64,
    /// The KV cache.
    pub kv_bytes: u64,
    /// What is computed in between.
    pub compute_bytes: u64,
    /// The most that copies of read prompts may take of the host's memory.
    pub prompt_cache_bytes: u64,
    /// What the host had left.
    pub available_bytes: Option<u64>,
    /// What a GPU takes of it.
    pub gpu: Option<GpuPlan>,
    /// What a model takes that guesses for it.
    pub draft: Option<DraftMemory>,
}

/// What a GPU takes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuPlan {
    /// Layers there, the output counted as one.
    pub layers: u64,
    /// Of so many.
    pub layers_total: u64,
    /// Whether a model that guesses for it is there too.
    pub has_draft: bool,
    /// What all that takes there.
    pub bytes: u64,
    /// What was free there.
    pub free_bytes: u64,
}

/// The context of a request for which nobody named one.
pub fn default_context(facts: &Facts) -> u64 {
    let trained = facts.context_length.unwrap_or(CONTEXT_DEFAULT);
    trained.clamp(1, CONTEXT_DEFAULT)
}

/// The room for `requests` of `context_size` tokens each, for which nobody named one.
pub fn default_cells(context_size: u64, requests: u64) -> u64 {
    let all = context_size.saturating_mul(requests);
    in_units(all.min(CELLS_DEFAULT.max(context_size)))
}

/// So many cells as llama.cpp allots for `cells`.
pub fn in_units(cells: u64) -> u64 {
    cells
        .checked_next_multiple_of(CELLS_UNIT)
        .unwrap_or(u64::MAX)
}

impl MemoryPlan {
    /// What the model of `facts` takes. A cache nobody asked for shrinks to one request's context
    /// before the model is refused, or a layer stays off the GPU; the error is the plan that does not
    /// fit.
    pub fn of(facts: &Facts, wishes: &MemoryWishes) -> Result<Self, Box<Self>> {
        let context = wishes.context_size.unwrap_or(default_context(facts));
        let wanted = wishes
            .cells
            .unwrap_or(default_cells(context, wishes.requests));
        let small = match wishes.cells {
            Some(cells) => cells,
            None => in_units(context).min(wanted),
        };
        let full = Self::with_cells(facts, wishes, context, wanted);
        if full.fits() && full.is_whole(wishes) {
            return Ok(full);
        }
        let small = Self::with_cells(facts, wishes, context, small);
        match (small.fits(), small.is_whole(wishes), full.fits()) {
            (true, true, _) | (true, false, false) => Ok(small),
            // A shorter cache does not bring the whole model to the GPU either.
            (_, _, true) => Ok(full),
            (false, _, false) => Err(Box::new(small)),
        }
    }

    fn with_cells(facts: &Facts, wishes: &MemoryWishes, context_size: u64, cells: u64) -> Self {
        let kv_bytes = facts.kv_bytes_per_token.unwrap_or(0).saturating_mul(cells);
        let mut plan = Self {
            context_size,
            requests: wishes.requests,
            cells,
            kv_type: wishes.kv_type,
            weights_bytes: facts.weights_bytes,
            kv_bytes: wishes.kv_type.shrunk(kv_bytes),
            compute_bytes: facts.memory_bytes(0).saturating_sub(facts.weights_bytes),
            prompt_cache_bytes: wishes.prompt_cache_bytes.unwrap_or(0),
            available_bytes: wishes.available_bytes,
            gpu: None,
            draft: wishes.draft,
        };
        plan.gpu = wishes
            .gpu
            .map(|gpu| plan.on_gpu(gpu, facts.layer_count.unwrap_or(0)));
        if wishes.prompt_cache_bytes.is_none() {
            let left = plan
                .available_bytes
                .map(|there| there.saturating_sub(plan.host_bytes()) / PROMPT_CACHE_SHARE);
            plan.prompt_cache_bytes = left.map_or(PROMPT_CACHE_BYTES_DEFAULT, |left| {
                left.min(PROMPT_CACHE_BYTES_DEFAULT)
            });
        }
        plan
    }

    /// Weights and cache go to the GPU layer by layer; what is computed in between is needed there as
    /// soon as one layer is. A model that guesses goes there first, whole or not at all.
    fn on_gpu(&self, gpu: Gpu, layers: u64) -> GpuPlan {
        let layers_total = layers.saturating_add(1);
        let each = self.weights_bytes.saturating_add(self.kv_bytes) / layers_total + 1;
        let usable = gpu.free_bytes - gpu.free_bytes / GPU_RESERVE_SHARE;
        let draft_bytes = self.draft.map_or(0, |draft| draft.bytes());
        let has_draft = draft_bytes > 0 && draft_bytes <= usable && gpu.layers != Some(0);
        let draft_bytes = if has_draft { draft_bytes } else { 0 };
        let fitting = (usable - draft_bytes).saturating_sub(self.compute_bytes) / each;
        let layers = gpu.layers.unwrap_or(fitting).min(layers_total);
        let bytes = match layers {
            0 => 0,
            some => each.saturating_mul(some).saturating_add(self.compute_bytes),
        };
        let bytes = bytes.saturating_add(draft_bytes);
        GpuPlan {
            layers,
            layers_total,
            has_draft,
            bytes,
            free_bytes: gpu.free_bytes,
        }
    }

    /// What the host's memory must have room for, in bytes.
    pub fn host_bytes(&self) -> u64 {
        let layers = self.weights_bytes.saturating_add(self.kv_bytes);
        let draft = self.draft.map_or(0, |draft| draft.bytes());
        let draft_away = match self.gpu {
            Some(gpu) if gpu.has_draft => draft,
            _ => 0,
        };
        let away = self.gpu.map_or(0, |gpu| {
            gpu.bytes
                .saturating_sub(draft_away)
                .saturating_sub(self.compute_bytes)
        });
        layers
            .saturating_sub(away)
            .saturating_add(self.compute_bytes)
            .saturating_add(self.prompt_cache_bytes)
            .saturating_add(draft - draft_away)
    }

    fn fits(&self) -> bool {
        let on_host = self
            .available_bytes
            .is_none_or(|there| self.host_bytes() <= there);
        on_host && self.gpu.is_none_or(|gpu| gpu.bytes <= gpu.free_bytes)
    }

    /// Whether no layer is left on the host that nobody wanted there.
    fn is_whole(&self, wishes: &MemoryWishes) -> bool {
        let chosen = wishes.gpu.is_some_and(|gpu| gpu.layers.is_some());
        chosen || self.gpu.is_none_or(|gpu| gpu.layers == gpu.layers_total)
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights {}, ", Mib(self.weights_bytes))?;
        if self.kv_bytes > 0 {
            let (bytes, cells, kv_type) = (Mib(self.kv_bytes), self.cells, self.kv_type);
            write!(f, "KV {bytes} ({cells} cells, {kv_type}), ")?;
        }
        write!(f, "compute {}", Mib(self.compute_bytes))?;
        if self.kv_bytes > 0 {
            write!(f, ", prompt cache {}", Mib(self.prompt_cache_bytes))?;
        }
        if let Some(draft) = self.draft {
            let [weights, kv, compute] =
                [draft.weights_bytes, draft.kv_bytes, draft.compute_bytes].map(Mib);
            let cells = draft.cells;
            write!(
                f,
                ", draft model: weights {weights}, KV {kv} ({cells} cells), compute {compute},"
            )?;
        }
        if let Some(there) = self.available_bytes {
            write!(f, " of {} free", Mib(there))?;
        }
        if let Some(gpu) = self.gpu {
            let (bytes, free) = (Mib(gpu.bytes), Mib(gpu.free_bytes));
            let (layers, total) = (gpu.layers, gpu.layers_total);
            write!(
                f,
                "; {layers} of {total} layers on the GPU, {bytes} of {free} free there"
            )?;
        }
        let (requests, context) = (self.requests, self.context_size);
        write!(f, "; {requests} at a time, {context} tokens each at most")
    }
}

/// Bytes as people read them.
struct Mib(u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.div_ceil(1 << 20) {
            mib @ 0..10_240 => write!(f, "{mib} MiB"),
            mib => write!(f, "{:.1} GiB", mib as f64 / 1024.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// 1000 MiB of weights in 9 layers and an output, 128 KiB of cache a token.
    fn facts() -> Facts {
        Facts {
            weights_bytes: 1000 * MIB,
            kv_bytes_per_token: Some(128 << 10),
            context_length: Some(2048),
            layer_count: Some(9),
            head_sizes: Some([64, 64]),
            ..Facts::default()
        }
    }

    fn wishes(available: u64) -> MemoryWishes {
        MemoryWishes {
            requests: 8,
            available_bytes: Some(available * MIB),
            ..MemoryWishes::default()
        }
    }

    fn plan(wishes: &MemoryWishes) -> MemoryPlan {
        MemoryPlan::of(&facts(), wishes).unwrap()
    }

    #[test]
    fn the_plan_says_what_it_takes() {
        assert_eq!(
            plan(&wishes(24_000)).to_string(),
            "weights 1000 MiB, KV 2048 MiB (16384 cells, f16), compute 128 MiB, prompt cache 512 MiB \
             of 23.4 GiB free; 8 at a time, 2048 tokens each at most"
        );
    }

    #[test]
    fn a_cache_that_nobody_asked_for_shrinks_before_anything_is_refused() {
        let small = plan(&wishes(1500));
        assert_eq!((small.cells, small.kv_bytes), (2048, 256 * MIB));
        assert_eq!(small.prompt_cache_bytes, 29 * MIB);
        let asked = MemoryWishes {
            cells: Some(16384),
            ..wishes(1500)
        };
        let refused = MemoryPlan::of(&facts(), &asked).unwrap_err();
        assert_eq!(refused.host_bytes(), 3176 * MIB);
        assert!(MemoryPlan::of(&facts(), &wishes(1383)).is_err());
        assert!(MemoryPlan::of(&facts(), &wishes(1384)).is_ok());
        let quantised = MemoryWishes {
            kv_type: KvType::Q8_0,
            ..wishes(1383)
        };
        assert_eq!(plan(&quantised).kv_bytes, 136 * MIB);
    }

    #[test]
    fn a_prompt_cache_that_was_asked_for_must_fit_too() {
        let wanted = |available| MemoryWishes {
            prompt_cache_bytes: Some(100 * MIB),
            ..wishes(available)
        };
        assert!(MemoryPlan::of(&facts(), &wanted(1483)).is_err());
        assert_eq!(plan(&wanted(1484)).prompt_cache_bytes, 100 * MIB);
    }

    /// 100 MiB of weights, 16 KiB of cache a token.
    fn draft() -> Option<DraftMemory> {
        let facts = Facts {
            weights_bytes: 100 * MIB,
            kv_bytes_per_token: Some(16 << 10),
            context_length: Some(4096),
            ..Facts::default()
        };
        Some(DraftMemory::of(&facts, 2048, 8))
    }

    #[test]
    fn a_model_that_guesses_counts_too() {
        let with_draft = |available| MemoryWishes {
            draft: draft(),
            ..wishes(available)
        };
        let plan = plan(&with_draft(24_000));
        assert!(
            plan.to_string().contains(
                "prompt cache 512 MiB, draft model: weights 100 MiB, KV 128 MiB (8192 cells), \
                 compute 128 MiB, of 23.4 GiB free"
            ),
            "{plan}"
        );
        // 356 MiB more than without.
        assert!(MemoryPlan::of(&facts(), &with_draft(1384 + 355)).is_err());
        assert!(MemoryPlan::of(&facts(), &with_draft(1384 + 356)).is_ok());
    }

    #[test]
    fn what_a_guessing_model_looks_back_on_is_bounded() {
        let check = |trained, context, requests, window, cells| {
            let facts = Facts {
                context_length: Some(trained),
                ..Facts::default()
            };
            let memory = DraftMemory::of(&facts, context, requests);
            assert_eq!((memory.window, memory.cells), (window, cells));
        };
        check(8192, 4096, 8, 1024, 8192);
        check(8192, 512, 8, 512, 4096);
        check(256, 4096, 8, 256, 2048);
        check(8192, 4096, 64, 256, 16384);
        check(0, 0, 1, 16, 256);
    }

    #[test]
    fn a_guessing_model_takes_its_place_on_the_gpu() {
        let on = |free, layers| {
            let wishes = MemoryWishes {
                draft: draft(),
                ..with_gpu(free, layers, 8000)
            };
            let plan = plan(&wishes);
            let gpu = plan.gpu.unwrap();
            assert!(gpu.bytes <= gpu.free_bytes, "{plan}");
            (gpu.layers, gpu.has_draft, plan.host_bytes() / MIB)
        };
        // Everything: the host computes and keeps copies of prompts only.
        assert_eq!(on(8000, None), (10, true, 640));
        assert_eq!(on(1000, None), (1, true, 3383));
        assert_eq!(on(300, None), (0, false, 4044));
        assert_eq!(on(8000, Some(0)), (0, false, 4044));
    }

    fn with_gpu(free: u64, layers: Option<u64>, available: u64) -> MemoryWishes {
        let free_bytes = free * MIB;
        MemoryWishes {
            gpu: Some(Gpu { free_bytes, layers }),
            ..wishes(available)
        }
    }

    fn check_gpu(wishes: &MemoryWishes, layers: u64, cells: u64) {
        let plan = plan(wishes);
        let gpu = plan.gpu.unwrap();
        assert_eq!((gpu.layers, plan.cells), (layers, cells), "{plan}");
        assert!(gpu.bytes <= gpu.free_bytes, "{plan}");
    }

    #[test]
    fn as_many_layers_go_to_the_gpu_as_fit() {
        check_gpu(&with_gpu(8000, None, 500), 10, 16384);
        // All layers with a shorter cache, rather than some with a long one.
        check_gpu(&with_gpu(2000, None, 8000), 10, 2048);
        // Not even that: the cache stays, and the host takes the rest.
        check_gpu(&with_gpu(1000, None, 8000), 2, 16384);
        check_gpu(&with_gpu(1000, None, 1000), 6, 2048);
        check_gpu(&with_gpu(10, None, 8000), 0, 16384);
        // An order is an order.
        check_gpu(&with_gpu(8000, Some(3), 8000), 3, 16384);
        check_gpu(&with_gpu(8000, Some(999), 8000), 10, 16384);
        check_gpu(&with_gpu(8000, Some(0), 8000), 0, 16384);
        assert!(MemoryPlan::of(&facts(), &with_gpu(1000, Some(10), 8000)).is_err());
        assert!(MemoryPlan::of(&facts(), &with_gpu(1000, None, 300)).is_err());
    }

    #[test]
    fn heads_that_blocks_do_not_fill_need_16_bits() {
        let odd = Facts {
            head_sizes: Some([64, 80]),
            ..facts()
        };
        assert!(KvType::Q8_0.suits(&facts()) && KvType::F16.suits(&odd));
        assert!(!KvType::Q8_0.suits(&odd));
    }

    #[test]
    fn nothing_overflows() {
        let facts = Facts {
            weights_bytes: u64::MAX,
            kv_bytes_per_token: Some(u64::MAX),
            layer_count: Some(u64::MAX),
            ..Facts::default()
        };
        for gpu in [None, with_gpu(1 << 40, None, 1).gpu] {
            let wishes = MemoryWishes {
                context_size: Some(u64::MAX),
                gpu,
                ..wishes(1)
            };
            assert!(MemoryPlan::of(&facts, &wishes).is_err());
        }
    }
}
