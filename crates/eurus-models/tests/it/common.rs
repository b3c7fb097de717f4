//! A tiny checkpoint folder and what of it can be compared.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use eurus_models::{Checkpoint, Decoder, DecoderConfig, ModulePath, Result};
use serde_json::Value;

/// Values of all parameters by name, as bits.
pub type Weights = BTreeMap<String, (Vec<usize>, Vec<u32>)>;

/// Two layers, grouped heads, an output projection of its own: every kind of tensor that a Llama checkpoint has.
pub fn config() -> DecoderConfig {
    let mut config = DecoderConfig::llama(48, 16, 2, 4);
    config.kv_heads = 2;
    config.tie_word_embeddings = false;
    config
}

pub fn model() -> Decoder {
    Decoder::init(&config(), 11, &Device::flex())
}

/// Writes [`model`] and returns its weights.
pub fn write(checkpoint: &Checkpoint) -> Result<Weights> {
    let model = model();
    checkpoint.write_decoder(&model, &config())?;
    Ok(weights(&model))
}

pub fn load(folder: &Path) -> Result<Weights> {
    let (model, _) = Checkpoint::new(folder).decoder(&Device::flex())?;
    Ok(weights(&model))
}

pub fn weights<M: Module>(module: &M) -> Weights {
    #[derive(Default)]
    struct Collector {
        path: ModulePath,
        weights: Weights,
    }
    impl ModuleVisitor for Collector {
        fn enter_module(&mut self, name: &str, container_type: &str) {
            self.path.enter(name, container_type);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            let shape = tensor.dims().to_vec();
            let bits = tensor.into_data().iter::<f32>().map(f32::to_bits).collect();
            self.weights.insert(self.path.name(), (shape, bits));
        }
    }
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.weights
}

/// The files of a folder by name.
pub fn files(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    std::fs::read_dir(folder)?
        .map(|entry| {
            let path: PathBuf = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), std::fs::read(&path)?))
        })
        .collect()
}

/// The header and the numbers of a safetensors file.
pub fn split(file: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(file[..8].try_into().expect("eight bytes")) as usize;
    let header = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    (header, file[8 + length..].to_vec())
}

/// A safetensors file of a header and numbers.
pub fn join(header: &str, numbers: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(numbers);
    file
}
