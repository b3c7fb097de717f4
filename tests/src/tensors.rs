//! Tensors of safetensors files, widened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Why a file of tensors could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a safetensors file.
    #[error("{path}: {source}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: safetensors::SafeTensorError,
    },
    /// A tensor has a type that no test file should have.
    #[error("{path}: tensor `{name}` is stored as {dtype:?}")]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: Dtype,
    },
}

/// A tensor in float64, which holds every float type exactly.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The entries, row by row.
    pub entries: Vec<f64>,
}

/// Reads all tensors of a file. This reader is independent of the one that models are loaded with.
///
/// # Errors
///
/// When the file cannot be read, or holds something other than float tensors.
pub fn read(path: &Path) -> Result<BTreeMap<String, Stored>, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        path: path.into(),
        source,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|source| Error::Format {
        path: path.into(),
        source,
    })?;
    file.iter()
        .map(|(name, view)| match widen(&view) {
            Some(entries) => {
                let shape = view.shape().to_vec();
                Ok((name.to_owned(), Stored { shape, entries }))
            }
            None => Err(Error::Type {
                path: path.into(),
                name: name.to_owned(),
                dtype: view.dtype(),
            }),
        })
        .collect()
}

fn widen(view: &TensorView<'_>) -> Option<Vec<f64>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F64 => entries(bytes, f64::from_le_bytes),
        Dtype::F32 => entries(bytes, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => entries(bytes, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => entries(bytes, |b| bf16::from_le_bytes(b).to_f64()),
        _ => return None,
    })
}

fn entries<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| read(chunk))
        .collect()
}
