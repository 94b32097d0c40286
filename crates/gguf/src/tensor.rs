//! Tensor types and what the header says about each tensor.

/// How a tensor's numbers are stored, with llama.cpp's number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorType {
    id: u32,
    name: &'static str,
    block_len: u64,
    block_bytes: u64,
}

const fn kind(id: u32, name: &'static str, block_len: u64, block_bytes: u64) -> TensorType {
    TensorType {
        id,
        name,
        block_len,
        block_bytes,
    }
}

/// Every type llama.cpp still reads. The numbers missing here were removed from the format.
const TYPES: [TensorType; 35] = [
    TensorType::F32,
    TensorType::F16,
    kind(2, "q4_0", 32, 18),
    TensorType::Q4_1,
    kind(6, "q5_0", 32, 22),
    kind(7, "q5_1", 32, 24),
    TensorType::Q8_0,
    kind(9, "q8_1", 32, 36),
    kind(10, "q2_K", 256, 84),
    kind(11, "q3_K", 256, 110),
    kind(12, "q4_K", 256, 144),
    kind(13, "q5_K", 256, 176),
    kind(14, "q6_K", 256, 210),
    kind(15, "q8_K", 256, 292),
    kind(16, "iq2_xxs", 256, 66),
    kind(17, "iq2_xs", 256, 74),
    kind(18, "iq3_xxs", 256, 98),
    kind(19, "iq1_s", 256, 50),
    kind(20, "iq4_nl", 32, 18),
    kind(21, "iq3_s", 256, 110),
    kind(22, "iq2_s", 256, 82),
    kind(23, "iq4_xs", 256, 136),
    kind(24, "i8", 1, 1),
    kind(25, "i16", 1, 2),
    kind(26, "i32", 1, 4),
    kind(27, "i64", 1, 8),
    kind(28, "f64", 1, 8),
    kind(29, "iq1_m", 256, 56),
    TensorType::BF16,
    kind(34, "tq1_0", 256, 54),
    kind(35, "tq2_0", 256, 66),
    kind(39, "mxfp4", 32, 17),
    kind(40, "nvfp4", 64, 36),
    kind(41, "q1_0", 128, 18),
    kind(42, "q2_0", 64, 18),
];

impl TensorType {
    /// 32-bit floats.
    pub const F32: Self = kind(0, "f32", 1, 4);
    /// 16-bit floats.
    pub const F16: Self = kind(1, "f16", 1, 2);
    /// Blocks of 32 numbers of 4 bits with one 16-bit scale and one 16-bit lowest value.
    pub const Q4_1: Self = kind(3, "q4_1", 32, 20);
    /// Blocks of 32 signed bytes with one 16-bit scale.
    pub const Q8_0: Self = kind(8, "q8_0", 32, 34);
    /// 16-bit floats with the exponent of 32-bit ones.
    pub const BF16: Self = kind(30, "bf16", 1, 2);

    /// The type with llama.cpp's number `id`, if it still has one.
    pub fn from_id(id: u32) -> Option<Self> {
        TYPES.into_iter().find(|kind| kind.id == id)
    }

    /// llama.cpp's number.
    pub fn id(self) -> u32 {
        self.id
    }

    /// llama.cpp's name, such as `q4_K`.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// How many numbers share one block; a row holds whole blocks.
    pub fn block_len(self) -> u64 {
        self.block_len
    }

    /// The size of a block in bytes.
    pub fn block_bytes(self) -> u64 {
        self.block_bytes
    }

    /// The bytes that `elements` numbers take; `None` if they make no whole blocks or do not fit
    /// 64 bits.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        elements
            .is_multiple_of(self.block_len)
            .then(|| (elements / self.block_len).checked_mul(self.block_bytes))
            .flatten()
    }
}

/// What the header says about a tensor. All of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Its shape, the fastest-running dimension first; empty for a single number.
    pub dimensions: Vec<u64>,
    /// How its numbers are stored.
    pub kind: TensorType,
    /// Where its data starts, in bytes from the start of the file.
    pub offset: u64,
    /// The length of its data in bytes.
    pub bytes: u64,
    /// How many numbers it holds.
    pub elements: u64,
}
