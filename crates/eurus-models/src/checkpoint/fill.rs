//! A module's parameters out of a checkpoint, one tensor at a time.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::floats::{self, WeightType};
use super::names::{EMBEDDING, OUTPUT};
use crate::{DecoderConfig, Error, ModulePath, Result};

/// Something that has tensors by the names of Hugging Face files.
pub trait Tensors {
    /// The file or folder, for messages that speak of all tensors.
    fn origin(&self) -> &Path;

    /// The names of all tensors.
    fn names(&self) -> Vec<String>;

    /// The file that has a tensor, and its shape.
    fn locate(&self, name: &str) -> Option<(&Path, &[usize])>;

    /// Refuses a tensor of a type that cannot be read.
    fn check_type(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Reads a tensor that is there into float32.
    fn read(&mut self, name: &str) -> Result<Vec<f32>>;
}

/// Tensors that a file may have beyond the model's: what old exports carry, and an output projection that is not used. A
/// language model with tied weights has found it to be the embedding before ([`super::Checkpoint::decoder`]).
fn ignorable(name: &str) -> bool {
    name.ends_with("rotary_emb.inv_freq") || name == OUTPUT
}

/// Refuses a configuration whose sizes are not those of the tensors, before anything is built by it: a wrong number must
/// not become an allocation.
pub fn check_sizes(config: &DecoderConfig, tensors: &impl Tensors) -> Result<()> {
    let Some(last) = config.layers.checked_sub(1) else {
        return Err(Error::Config {
            field: "num_hidden_layers".into(),
            value: "0".into(),
            problem: "it must be at least 1".into(),
        });
    };
    let layer = |layer: usize, name: &str| format!("model.layers.{layer}.{name}.weight");
    let rows = |heads: usize| heads.saturating_mul(config.head_dim);
    let d = config.hidden_size;
    let mut expected = vec![
        (EMBEDDING.to_owned(), vec![config.vocab_size, d]),
        (layer(last, "input_layernorm"), vec![d]),
        (layer(0, "self_attn.q_proj"), vec![rows(config.heads), d]),
        (layer(0, "self_attn.k_proj"), vec![rows(config.kv_heads), d]),
    ];
    if let Some(mixture) = &config.mixture {
        expected.push((layer(0, "block_sparse_moe.gate"), vec![mixture.experts, d]));
    }
    for (name, shape) in expected {
        locate(tensors, &name, &shape)?;
    }
    Ok(())
}

/// Finds a tensor of the shape that the configuration implies.
fn locate(tensors: &impl Tensors, name: &str, expected: &[usize]) -> Result<()> {
    match tensors.locate(name) {
        None => Err(Error::MissingTensors {
            path: tensors.origin().into(),
            missing: vec![name.to_owned()],
        }),
        Some((path, found)) if found != expected => Err(Error::TensorShape {
            path: path.into(),
            name: name.to_owned(),
            found: found.to_vec(),
            expected: expected.to_vec(),
        }),
        Some(_) => Ok(()),
    }
}

/// Compares every parameter of `module`, which may be empty, with the tensors: names, shapes and types. No numbers are read.
pub fn check<M: Module>(tensors: &impl Tensors, module: &M) -> Result<()> {
    let mut checker = Checker {
        unused: tensors.names().into_iter().collect(),
        tensors,
        path: ModulePath::default(),
        missing: Vec::new(),
        error: None,
    };
    module.visit(&mut checker);
    let Checker {
        unused,
        missing,
        error,
        ..
    } = checker;
    if let Some(error) = error {
        return Err(error);
    }
    let path = tensors.origin().to_path_buf();
    if !missing.is_empty() {
        return Err(Error::MissingTensors { path, missing });
    }
    let unused: Vec<String> = unused.into_iter().filter(|name| !ignorable(name)).collect();
    if !unused.is_empty() {
        return Err(Error::UnusedTensors { path, unused });
    }
    Ok(())
}

struct Checker<'a, T> {
    tensors: &'a T,
    path: ModulePath,
    unused: BTreeSet<String>,
    missing: Vec<String>,
    error: Option<Error>,
}

impl<T: Tensors> ModuleVisitor for Checker<'_, T> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if !self.unused.remove(&name) {
            self.missing.push(name);
        } else if self.error.is_none() {
            let shape: Vec<usize> = param.lazy_shape().to_vec();
            let fits = locate(self.tensors, &name, &shape);
            self.error = fits.and_then(|()| self.tensors.check_type(&name)).err();
        }
    }
}

/// Fills every parameter of `module`. Each tensor is read into the buffer that the backend keeps.
pub fn fill<M: Module, T: Tensors>(tensors: &mut T, module: M, device: &Device) -> Result<M> {
    check(tensors, &module)?;
    let mut filler = Filler {
        tensors,
        device,
        path: ModulePath::default(),
        error: None,
    };
    let module = module.map(&mut filler);
    match filler.error {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

struct Filler<'a, T> {
    tensors: &'a mut T,
    device: &'a Device,
    path: ModulePath,
    error: Option<Error>,
}

impl<T: Tensors> Filler<'_, T> {
    fn data(&mut self, name: &str, shape: Vec<usize>) -> Result<TensorData> {
        let values = self.tensors.read(name)?;
        if let Some(place) = floats::first_not_finite(&values) {
            let path = self.tensors.locate(name).map(|(path, _)| path);
            return Err(Error::NotFinite {
                path: path.unwrap_or(self.tensors.origin()).into(),
                name: name.into(),
                index: floats::indices(place, &shape),
                value: values[place],
                stored: WeightType::F32,
            });
        }
        Ok(TensorData::new(values, shape))
    }
}

impl<T: Tensors> ModuleMapper for Filler<'_, T> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape: Vec<usize> = param.lazy_shape().to_vec();
        match self.data(&self.path.name(), shape) {
            Ok(data) => Param::initialized(param.id, Tensor::from_data(data, self.device))
                .set_require_grad(true),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
