//! Weights out of safetensors files, mapped into memory and widened to float32.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::PathStack;
use crate::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weight files of a folder.
fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join(INDEX);
    if index.is_file() {
        let text = std::fs::read_to_string(&index).map_err(Error::io(&index, "reading"))?;
        let index: Index = serde_json::from_str(&text).map_err(|source| Error::Json {
            path: index,
            source,
        })?;
        let names: BTreeSet<String> = index.weight_map.into_values().collect();
        return Ok(names.into_iter().map(|name| folder.join(name)).collect());
    }
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    Err(Error::MissingFile {
        folder: folder.into(),
        file: SINGLE,
    })
}

fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    // SAFETY: the mapping is read only while this function's caller holds it; a file that another process changes
    // meanwhile can only yield other numbers, since every offset is checked against the mapping's length.
    unsafe { Mmap::map(&file) }.map_err(Error::io(path, "mapping into memory"))
}

/// Tensors that old exports carry and no model needs.
fn ignorable(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq") || name == "lm_head.weight"
}

/// Fills every parameter of `module` from the folder's files.
pub fn fill<M: Module>(folder: &Path, module: M, device: &Device) -> Result<M> {
    let paths = weight_files(folder)?;
    let maps = paths
        .iter()
        .map(|path| map_file(path))
        .collect::<Result<Vec<_>>>()?;
    let mut tensors = BTreeMap::new();
    let files = maps
        .iter()
        .zip(&paths)
        .map(|(map, path)| {
            SafeTensors::deserialize(map).map_err(|error| Error::Safetensors {
                path: path.clone(),
                problem: error.to_string(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    for file in &files {
        tensors.extend(file.iter());
    }
    let mut filler = Filler {
        folder,
        device,
        tensors,
        path: PathStack::default(),
        missing: Vec::new(),
        error: None,
    };
    let module = module.map(&mut filler);
    if let Some(error) = filler.error {
        return Err(error);
    }
    if !filler.missing.is_empty() {
        return Err(Error::MissingTensors {
            folder: folder.into(),
            missing: filler.missing,
        });
    }
    let unused: Vec<String> = filler
        .tensors
        .into_keys()
        .filter(|name| !ignorable(name))
        .map(str::to_owned)
        .collect();
    if !unused.is_empty() {
        return Err(Error::UnusedTensors {
            folder: folder.into(),
            unused,
        });
    }
    Ok(module)
}

struct Filler<'a> {
    folder: &'a Path,
    device: &'a Device,
    tensors: BTreeMap<&'a str, TensorView<'a>>,
    path: PathStack,
    missing: Vec<String>,
    error: Option<Error>,
}

impl Filler<'_> {
    fn data(&self, name: &str, view: &TensorView<'_>, expected: &[usize]) -> Result<TensorData> {
        if view.shape() != expected {
            return Err(Error::TensorShape {
                folder: self.folder.into(),
                name: name.into(),
                found: view.shape().to_vec(),
                expected: expected.to_vec(),
            });
        }
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b))
                .collect(),
            Dtype::F16 => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&b| f16::from_le_bytes(b).to_f32())
                .collect(),
            Dtype::BF16 => bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&b| bf16::from_le_bytes(b).to_f32())
                .collect(),
            other => {
                return Err(Error::TensorType {
                    folder: self.folder.into(),
                    name: name.into(),
                    dtype: format!("{other:?}"),
                });
            }
        };
        Ok(TensorData::new(values, expected.to_vec()))
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let name = self.path.name();
        let Some(view) = self.tensors.remove(name.as_str()) else {
            self.missing.push(name);
            return param;
        };
        let shape: Vec<usize> = param.lazy_shape().to_vec();
        match self.data(&name, &view, &shape) {
            Ok(data) => Param::initialized(param.id, Tensor::from_data(data, self.device))
                .set_require_grad(true),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
