//! Stored numbers to float32 and back.

use std::io::{self, Read, Write};

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// Numbers that are converted at once.
const CHUNK: usize = 1 << 18;

/// The type in which weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum WeightType {
    /// 32 bits: what is trained, bit for bit
    #[default]
    F32,
    /// The upper 16 bits of float32, rounded to nearest: half the size, 8 bits of precision, the same range
    Bf16,
    /// IEEE half precision: half the size, 11 bits of precision, nothing beyond 65504
    F16,
}

impl WeightType {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
        }
    }

    /// The name in `config.json`: `float32`, `bfloat16` or `float16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// The name in the header of a safetensors file.
    pub(super) fn safetensors(self) -> safetensors::Dtype {
        match self {
            Self::F32 => safetensors::Dtype::F32,
            Self::Bf16 => safetensors::Dtype::BF16,
            Self::F16 => safetensors::Dtype::F16,
        }
    }

    pub(crate) fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        match dtype {
            safetensors::Dtype::F32 => Some(Self::F32),
            safetensors::Dtype::BF16 => Some(Self::Bf16),
            safetensors::Dtype::F16 => Some(Self::F16),
            _ => None,
        }
    }
}

/// Reads `count` numbers straight into the vector that is returned.
pub fn read(from: &mut impl Read, count: usize, stored: WeightType) -> io::Result<Vec<f32>> {
    let mut values = Vec::with_capacity(count);
    let mut bytes = vec![0; count.min(CHUNK) * stored.bytes()];
    while values.len() < count {
        let start = values.len();
        let length = (count - start).min(CHUNK);
        let bytes = &mut bytes[..length * stored.bytes()];
        from.read_exact(bytes)?;
        match stored {
            WeightType::F32 => values.extend(chunks(bytes).map(f32::from_le_bytes)),
            WeightType::Bf16 => {
                values.extend(chunks(bytes).map(|b| bf16::from_le_bytes(b).to_f32()));
            }
            WeightType::F16 => {
                let halves: Vec<f16> = chunks(bytes).map(f16::from_le_bytes).collect();
                values.resize(start + length, 0.0);
                halves.convert_to_f32_slice(&mut values[start..]);
            }
        }
    }
    Ok(values)
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Writes numbers as `stored`. The error is the place of the first one that is not finite, or becomes so.
pub fn write(
    to: &mut impl Write,
    values: &[f32],
    stored: WeightType,
) -> io::Result<Result<(), usize>> {
    let mut bytes = Vec::with_capacity(values.len().min(CHUNK) * stored.bytes());
    for (index, chunk) in values.chunks(CHUNK).enumerate() {
        bytes.clear();
        let lost = match stored {
            WeightType::F32 => {
                bytes.extend(chunk.iter().flat_map(|x| x.to_le_bytes()));
                first_not_finite(chunk)
            }
            WeightType::Bf16 => {
                let narrow = chunk.iter().map(|&x| bf16::from_f32(x));
                bytes.extend(narrow.clone().flat_map(bf16::to_le_bytes));
                narrow.clone().position(|x| !x.is_finite())
            }
            WeightType::F16 => {
                let mut narrow = vec![f16::ZERO; chunk.len()];
                narrow.convert_from_f32_slice(chunk);
                bytes.extend(narrow.iter().flat_map(|x| x.to_le_bytes()));
                narrow.iter().position(|x| !x.is_finite())
            }
        };
        if let Some(place) = lost {
            return Ok(Err(index * CHUNK + place));
        }
        to.write_all(&bytes)?;
    }
    Ok(Ok(()))
}

/// The place of the first infinite number or NaN.
pub fn first_not_finite(values: &[f32]) -> Option<usize> {
    // A sum of exponents all set is found without a branch per number; the search runs in the rare chunk that has one.
    values
        .chunks(4096)
        .position(|chunk| chunk.iter().fold(false, |any, x| any | !x.is_finite()))
        .and_then(|chunk| {
            let start = chunk * 4096;
            let place = values[start..].iter().position(|x| !x.is_finite())?;
            Some(start + place)
        })
}

/// The indices of the `place`-th number of a tensor of this shape.
pub fn indices(place: usize, shape: &[usize]) -> Vec<usize> {
    let mut rest = place;
    let mut indices: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let index = rest % size.max(1);
            rest /= size.max(1);
            index
        })
        .collect();
    indices.reverse();
    indices
}
