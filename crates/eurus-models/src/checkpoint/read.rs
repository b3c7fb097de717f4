//! Weights out of safetensors files, widened to float32.
//!
//! Only headers are kept. A tensor's bytes are read where they lie into the buffer that becomes the parameter, in pieces
//! of a megabyte: pages of a mapping would count as memory of the process beside the copy that training needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorInfo;

use super::files;
use super::fill::Tensors;
use super::floats::{self, WeightType};
use super::header::Header;
use super::names::{self, EMBEDDING, OUTPUT, Place};
use crate::{Error, Result, RewardHead};

/// Bytes that are compared at once.
const PIECE: usize = 1 << 20;

/// The tensors of a checkpoint folder by their usual names.
pub struct FolderTensors {
    folder: PathBuf,
    files: Vec<Header>,
    /// The file of every stored tensor.
    file_of: BTreeMap<String, usize>,
    places: BTreeMap<String, Place>,
}

impl FolderTensors {
    pub fn open(folder: &Path) -> Result<Self> {
        let files = files::open(folder)?;
        let file_of: BTreeMap<String, usize> = files
            .iter()
            .enumerate()
            .flat_map(|(file, header)| header.names().into_iter().map(move |name| (name, file)))
            .collect();
        let tensors = file_of.iter().filter_map(|(name, &file)| {
            let tensor = files[file].tensor(name)?;
            Some((name.as_str(), tensor.shape.as_slice()))
        });
        let places = names::places(folder, tensors)?;
        Ok(Self {
            folder: folder.into(),
            files,
            file_of,
            places,
        })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The reward head that is there, if there is one.
    pub fn reward_head(&self) -> Result<Option<RewardHead>> {
        let [first, second] = RewardHead::ALL.map(|head| format!("{}.weight", head.name()));
        match (self.places.get(&first), self.places.get(&second)) {
            (Some(first), Some(second)) => Err(Error::AmbiguousTensors {
                path: self.folder.clone(),
                name: "the reward head".into(),
                first: first.stored.clone(),
                second: second.stored.clone(),
            }),
            (Some(_), None) => Ok(Some(RewardHead::ALL[0])),
            (None, Some(_)) => Ok(Some(RewardHead::ALL[1])),
            (None, None) => Ok(None),
        }
    }

    /// Refuses the value head of a policy that was trained with one: it is no part of a language model and no reward head.
    pub fn check_no_value_head(&self) -> Result<()> {
        let mut names = self.places.keys();
        match names.find(|name| name.starts_with("v_head.")) {
            Some(name) => Err(Error::ValueHead {
                path: self.folder.clone(),
                name: name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The file and the type, shape and place there of a tensor.
    fn stored(&self, name: &str) -> Option<(usize, &Place, &TensorInfo)> {
        let place = self.places.get(name)?;
        let file = *self.file_of.get(&place.stored)?;
        Some((file, place, self.files[file].tensor(&place.stored)?))
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
        let Some((file, ..)) = self.stored(OUTPUT) else {
            return Ok(());
        };
        if self.same(OUTPUT, EMBEDDING)? {
            return Ok(());
        }
        Err(Error::TiedDiffers {
            path: self.files[file].path().into(),
            name: OUTPUT.into(),
            tied_to: EMBEDDING.into(),
        })
    }

    /// Whether two tensors are stored alike, byte for byte.
    fn same(&mut self, first: &str, second: &str) -> Result<bool> {
        let find = |name| {
            let (file, _, tensor) = self.stored(name)?;
            Some((file, tensor.clone()))
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
        self.places.keys().cloned().collect()
    }

    fn locate(&self, name: &str) -> Option<(&Path, &[usize])> {
        let (file, place, _) = self.stored(name)?;
        Some((self.files[file].path(), &place.shape))
    }

    fn check_type(&self, name: &str) -> Result<()> {
        match self.stored(name) {
            Some((file, place, tensor)) if WeightType::from_safetensors(tensor.dtype).is_none() => {
                Err(Error::TensorType {
                    path: self.files[file].path().into(),
                    name: place.stored.clone(),
                    dtype: tensor.dtype.to_string(),
                })
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        self.check_type(name)?;
        let found = self.stored(name).and_then(|(file, place, tensor)| {
            let stored = WeightType::from_safetensors(tensor.dtype)?;
            Some((file, place.clone(), tensor.clone(), stored))
        });
        let Some((file, place, tensor, stored)) = found else {
            return Err(Error::MissingTensors {
                path: self.folder.clone(),
                missing: vec![name.to_owned()],
            });
        };
        let header = &mut self.files[file];
        let path = header.path().to_path_buf();
        let count = place.shape.iter().product();
        let from = header.seek(&tensor, place.start * stored.bytes())?;
        floats::read(from, count, stored).map_err(|problem| Error::Safetensors {
            path,
            tensor: Some(place.stored),
            problem: format!("reading failed: {problem}"),
        })
    }
}
