//! The weights: their names in both worlds, their shapes, their numbers.

use gaia_gguf::{TensorType, WriteError, Writer};
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::config::Model;
use super::{ConvertError, Precision};
use crate::q8_0;

/// Why the weights were refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadTensorError {
    /// The file is not a whole safetensors file.
    #[error("`model.safetensors` cannot be read")]
    File(#[source] safetensors::SafeTensorError),
    /// The configuration calls for a tensor that is not there.
    #[error("tensor `{name}` is missing")]
    Missing {
        /// Its name in the file.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` has the shape {found:?} instead of {wanted:?}")]
    Shape {
        /// Its name in the file.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that follows from the configuration.
        wanted: Vec<usize>,
    },
    /// A tensor's numbers are no floats of 16 or 32 bits.
    #[error("tensor `{name}` holds {found:?}, not 16-bit or 32-bit floats")]
    Type {
        /// Its name in the file.
        name: String,
        /// The type in the file.
        found: Dtype,
    },
    /// A weight is not a number.
    #[error("tensor `{name}` holds a number that is not finite")]
    NotFinite {
        /// Its name in the file.
        name: String,
    },
}

/// A tensor to carry over: both names, the shape with the slowest dimension first.
struct Wanted {
    from: String,
    to: String,
    shape: Vec<usize>,
    /// Large matrices may be stored with fewer bits.
    shrinks: bool,
}

pub(crate) fn add_all<'a>(
    weights: &'a [u8],
    model: &Model,
    precision: Precision,
    writer: &mut Writer<'a>,
) -> Result<(), ConvertError> {
    let file = SafeTensors::deserialize(weights).map_err(ReadTensorError::File)?;
    for wanted in wanted(model) {
        add(find(&file, &wanted)?, wanted, precision, writer)?;
    }
    Ok(())
}

fn wanted(model: &Model) -> Vec<Wanted> {
    let hidden = model.hidden_size as usize;
    let inner = model.intermediate_size as usize;
    let mut all = vec![
        matrix(
            "embeddings.word_embeddings",
            "token_embd",
            [model.vocab_size as usize, hidden],
        ),
        table(
            "embeddings.position_embeddings",
            "position_embd",
            [model.max_position_embeddings as usize, hidden],
        ),
        table(
            "embeddings.token_type_embeddings",
            "token_types",
            [model.type_vocab_size as usize, hidden],
        ),
    ];
    all.extend(norm("embeddings.LayerNorm", "token_embd_norm", hidden));
    for layer in 0..model.num_hidden_layers {
        let mut linear = |from: &str, to: &str, shape: [usize; 2]| {
            let (from, to) = (
                format!("encoder.layer.{layer}.{from}"),
                format!("blk.{layer}.{to}"),
            );
            all.push(matrix(&from, &to, shape));
            all.push(vector(&from, &to, "bias", shape[0]));
        };
        linear("attention.self.query", "attn_q", [hidden, hidden]);
        linear("attention.self.key", "attn_k", [hidden, hidden]);
        linear("attention.self.value", "attn_v", [hidden, hidden]);
        linear("attention.output.dense", "attn_output", [hidden, hidden]);
        linear("intermediate.dense", "ffn_up", [inner, hidden]);
        linear("output.dense", "ffn_down", [hidden, inner]);
        let mut norms = |from: &str, to: &str| {
            let (from, to) = (
                format!("encoder.layer.{layer}.{from}"),
                format!("blk.{layer}.{to}"),
            );
            all.extend(norm(&from, &to, hidden));
        };
        norms("attention.output.LayerNorm", "attn_output_norm");
        norms("output.LayerNorm", "layer_output_norm");
    }
    all
}

fn matrix(from: &str, to: &str, shape: [usize; 2]) -> Wanted {
    Wanted {
        shrinks: true,
        ..table(from, to, shape)
    }
}

fn table(from: &str, to: &str, shape: [usize; 2]) -> Wanted {
    let (from, to) = (format!("{from}.weight"), format!("{to}.weight"));
    Wanted {
        from,
        to,
        shape: shape.to_vec(),
        shrinks: false,
    }
}

fn vector(from: &str, to: &str, part: &str, len: usize) -> Wanted {
    let (from, to) = (format!("{from}.{part}"), format!("{to}.{part}"));
    Wanted {
        from,
        to,
        shape: vec![len],
        shrinks: false,
    }
}

fn norm(from: &str, to: &str, len: usize) -> [Wanted; 2] {
    [
        vector(from, to, "weight", len),
        vector(from, to, "bias", len),
    ]
}

/// Some files carry the prefix that the whole model had when it was saved.
fn find<'a>(file: &SafeTensors<'a>, wanted: &Wanted) -> Result<TensorView<'a>, ReadTensorError> {
    let name = &wanted.from;
    let view = file
        .tensor(name)
        .or_else(|_| file.tensor(&format!("bert.{name}")))
        .map_err(|_| ReadTensorError::Missing { name: name.clone() })?;
    if view.shape() != wanted.shape {
        return Err(ReadTensorError::Shape {
            name: name.clone(),
            found: view.shape().to_vec(),
            wanted: wanted.shape.clone(),
        });
    }
    match view.dtype() {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(view),
        found => Err(ReadTensorError::Type {
            name: name.clone(),
            found,
        }),
    }
}

fn add<'a>(
    view: TensorView<'a>,
    wanted: Wanted,
    precision: Precision,
    writer: &mut Writer<'a>,
) -> Result<(), ConvertError> {
    if !numbers(&view).all(f32::is_finite) {
        return Err(ReadTensorError::NotFinite { name: wanted.from }.into());
    }
    let row_len = wanted.shape.last().copied().unwrap_or(1);
    let kind = match precision.tensor_type() {
        _ if !wanted.shrinks => TensorType::F32,
        TensorType::Q8_0 if !row_len.is_multiple_of(q8_0::BLOCK_LEN) => TensorType::F16,
        kind => kind,
    };
    let dimensions: Vec<u64> = wanted.shape.iter().rev().map(|&n| n as u64).collect();
    add_as(view, &wanted.to, &dimensions, kind, writer)?;
    Ok(())
}

fn add_as<'a>(
    view: TensorView<'a>,
    name: &str,
    dimensions: &[u64],
    kind: TensorType,
    writer: &mut Writer<'a>,
) -> Result<(), WriteError> {
    writer.add_tensor(name, dimensions, kind, move || match kind {
        TensorType::F16 => numbers(&view)
            .flat_map(|n| f16::from_f32(n).to_le_bytes())
            .collect(),
        TensorType::Q8_0 => q8_0::encode(&numbers(&view).collect::<Vec<_>>()),
        _ => numbers(&view).flat_map(f32::to_le_bytes).collect(),
    })?;
    Ok(())
}

fn numbers<'a>(view: &TensorView<'a>) -> Box<dyn Iterator<Item = f32> + 'a> {
    let data: &'a [u8] = view.data();
    let pairs = || data.as_chunks::<2>().0.iter();
    match view.dtype() {
        Dtype::F16 => Box::new(pairs().map(|&b| f16::from_le_bytes(b).to_f32())),
        Dtype::BF16 => Box::new(pairs().map(|&b| bf16::from_le_bytes(b).to_f32())),
        _ => Box::new(
            data.as_chunks::<4>()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b)),
        ),
    }
}
