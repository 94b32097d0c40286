//! Projectors of no use: a few random numbers in the form of SigLIP with a projection, so that the whole way of an
//! image can be tried without weights that somebody trained.

use std::io::Write;

use gaia_gguf::{TensorType, Value, Writer};

/// Numbers between the layers.
const WIDTH: u64 = 64;
/// Numbers between a layer's halves.
const INNER: u64 = 96;
/// The side of what the image is scaled to, and of a patch of it.
const SIDE: u32 = 56;
const PATCH: u32 = 14;
const PATCHES: u64 = ((SIDE / PATCH) * (SIDE / PATCH)) as u64;

/// What a projector does with its patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Each is a row, read one after the other (as Janus does).
    Janus,
    /// Each four are a row, and the rows look at each other (as Gemma 3 does).
    Gemma,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Janus => "janus_pro",
            Self::Gemma => "gemma3",
        }
    }

    /// How many rows an image becomes.
    pub fn rows(self) -> usize {
        match self {
            Self::Janus => 16,
            Self::Gemma => 4,
        }
    }
}

/// Writes a projector for a model whose tokens are `rows_width` numbers.
pub fn write(kind: Kind, rows_width: u64, to: &mut impl Write) {
    let mut writer = Writer::new();
    describe(&mut writer, kind, rows_width);
    let mut tensors = Tensors { writer, seed: 1 };
    tensors.add(
        "v.patch_embd.weight",
        &[PATCH.into(), PATCH.into(), 3, WIDTH],
        0.1,
    );
    tensors.add("v.patch_embd.bias", &[WIDTH], 0.1);
    tensors.add("v.position_embd.weight", &[WIDTH, PATCHES], 0.5);
    tensors.layer();
    for part in ["weight", "bias"] {
        tensors.add(&format!("v.post_ln.{part}"), &[WIDTH], 1.0);
    }
    match kind {
        Kind::Janus => {
            tensors.add("mm.0.weight", &[WIDTH, WIDTH], 0.3);
            tensors.add("mm.0.bias", &[WIDTH], 0.1);
            tensors.add("mm.1.weight", &[WIDTH, rows_width], 0.1);
            tensors.add("mm.1.bias", &[rows_width], 0.1);
        }
        Kind::Gemma => {
            tensors.add("mm.input_projection.weight", &[rows_width, WIDTH], 0.1);
            tensors.add("mm.soft_emb_norm.weight", &[WIDTH], 1.0);
        }
    }
    tensors.writer.write(to).unwrap();
}

fn describe(writer: &mut Writer<'_>, kind: Kind, rows_width: u64) {
    let width = u32::try_from(WIDTH).unwrap();
    let inner = u32::try_from(INNER).unwrap();
    let rows_width = u32::try_from(rows_width).unwrap();
    let values: [(&str, Value); 16] = [
        ("general.architecture", "clip".into()),
        ("clip.has_vision_encoder", true.into()),
        ("clip.projector_type", kind.name().into()),
        ("clip.use_gelu", true.into()),
        ("clip.vision.image_size", SIDE.into()),
        ("clip.vision.patch_size", PATCH.into()),
        ("clip.vision.embedding_length", width.into()),
        ("clip.vision.feed_forward_length", inner.into()),
        ("clip.vision.block_count", 1_u32.into()),
        ("clip.vision.projection_dim", rows_width.into()),
        ("clip.vision.attention.head_count", 4_u32.into()),
        ("clip.vision.attention.layer_norm_epsilon", 1e-6_f32.into()),
        ("clip.vision.image_mean", vec![0.5_f32; 3].into()),
        ("clip.vision.image_std", vec![0.5_f32; 3].into()),
        ("clip.vision.projector.scale_factor", 2_u32.into()),
        ("general.name", "A projector of no use".into()),
    ];
    for (key, value) in values {
        writer.set(key, value).unwrap();
    }
}

struct Tensors {
    writer: Writer<'static>,
    seed: u64,
}

impl Tensors {
    fn layer(&mut self) {
        for norm in ["ln1", "ln2"] {
            self.add(&format!("v.blk.0.{norm}.weight"), &[WIDTH], 1.0);
            self.add(&format!("v.blk.0.{norm}.bias"), &[WIDTH], 0.1);
        }
        for part in ["attn_q", "attn_k", "attn_v", "attn_out"] {
            self.add(&format!("v.blk.0.{part}.weight"), &[WIDTH, WIDTH], 0.2);
            self.add(&format!("v.blk.0.{part}.bias"), &[WIDTH], 0.1);
        }
        self.add("v.blk.0.ffn_up.weight", &[WIDTH, INNER], 0.2);
        self.add("v.blk.0.ffn_down.weight", &[INNER, WIDTH], 0.2);
    }

    /// Adds a tensor of numbers between minus and plus `size`.
    fn add(&mut self, name: &str, dimensions: &[u64], size: f32) {
        let count: u64 = dimensions.iter().product();
        self.seed += 1;
        let mut state = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes = move || {
            let number = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                ((state >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
            };
            std::iter::repeat_with(number)
                .take(usize::try_from(count).unwrap())
                .flat_map(f32::to_le_bytes)
                .collect()
        };
        self.writer
            .add_tensor(name, dimensions, TensorType::F32, bytes)
            .unwrap();
    }
}
