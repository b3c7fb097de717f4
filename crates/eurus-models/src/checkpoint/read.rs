//! Weights out of safetensors files, widened to float32.
//!
//! Only headers are kept. A tensor's bytes are read where they lie into the buffer that becomes the parameter, in pieces
//! of a megabyte: pages of a mapping would count as memory of the process beside the copy that training needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files;
use super::fill::Tensors;
use super::floats::{self, WeightType};
use super::header::Header;
use crate::{Error, Result};

/// Bytes that are compared at once.
const PIECE: usize = 1 << 20;

/// The tensors of a checkpoint folder.
pub struct FolderTensors {
    folder: PathBuf,
    files: Vec<Header>,
    /// The file of every tensor.
    file_of: BTreeMap<String, usize>,
}

impl FolderTensors {
    pub fn open(folder: &Path) -> Result<Self> {
        let files = files::open(folder)?;
        let file_of = files
            .iter()
            .enumerate()
            .flat_map(|(file, header)| header.names().into_iter().map(move |name| (name, file)))
            .collect();
        Ok(Self {
            folder: folder.into(),
            files,
            file_of,
        })
    }

    /// The type that most of the numbers are stored in; `None` if they are of a type that is not read.
    pub fn weight_type(&self) -> Option<WeightType> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let tensors = self.file_of.iter();
        let tensors = tensors.filter_map(|(name, &file)| self.files[file].tensor(name));
        let mut most = None;
        for tensor in tensors {
            let count = counts.entry(tensor.dtype.to_string()).or_default();
            *count += tensor.shape.iter().product::<usize>();
            if most.is_none_or(|(largest, _)| *count > largest) {
                most = Some((*count, tensor.dtype));
            }
        }
        WeightType::from_safetensors(most?.1)
    }

    /// Refuses an output projection that tied weights would not use, unless it is the embedding itself.
    pub fn check_tied(&mut self) -> Result<()> {
        const HEAD: &str = "lm_head.weight";
        const EMBEDDING: &str = "model.embed_tokens.weight";
        let Some(&file) = self.file_of.get(HEAD) else {
            return Ok(());
        };
        if self.same(HEAD, EMBEDDING)? {
            return Ok(());
        }
        Err(Error::TiedDiffers {
            path: self.files[file].path().into(),
            name: HEAD.into(),
            tied_to: EMBEDDING.into(),
        })
    }

    /// Whether two tensors are stored alike, byte for byte.
    fn same(&mut self, first: &str, second: &str) -> Result<bool> {
        let find = |name| {
            let file = *self.file_of.get(name)?;
            Some((file, self.files[file].tensor(name)?.clone()))
        };
        let (Some((file, tensor)), Some((other_file, other))) = (find(first), find(second)) else {
            return Ok(false);
        };
        if tensor.dtype != other.dtype || tensor.shape != other.shape {
            return Ok(false);
        }
        let length = tensor.data_offsets.1 - tensor.data_offsets.0;
        let mut start = 0;
        while start < length {
            let piece = (length - start).min(PIECE);
            let one = self.files[file].bytes(&tensor, start, piece)?;
            if one != self.files[other_file].bytes(&other, start, piece)? {
                return Ok(false);
            }
            start += piece;
        }
        Ok(true)
    }
}

impl Tensors for FolderTensors {
    fn origin(&self) -> &Path {
        &self.folder
    }

    fn names(&self) -> Vec<String> {
        self.file_of.keys().cloned().collect()
    }

    fn locate(&self, name: &str) -> Option<(&Path, &[usize])> {
        let file = &self.files[*self.file_of.get(name)?];
        Some((file.path(), &file.tensor(name)?.shape))
    }

    fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let file = self.file_of.get(name).map(|&file| &mut self.files[file]);
        let Some((file, tensor)) = file.and_then(|file| {
            let tensor = file.tensor(name)?.clone();
            Some((file, tensor))
        }) else {
            return Err(Error::MissingTensors {
                path: self.folder.clone(),
                missing: vec![name.to_owned()],
            });
        };
        let Some(stored) = WeightType::from_safetensors(tensor.dtype) else {
            return Err(Error::TensorType {
                path: file.path().into(),
                name: name.into(),
                dtype: tensor.dtype.to_string(),
            });
        };
        let count = tensor.shape.iter().product();
        floats::read(file.seek(&tensor)?, count, stored).map_err(|problem| Error::Safetensors {
            path: file.path().into(),
            tensor: Some(name.into()),
            problem: format!("reading failed: {problem}"),
        })
    }
}
