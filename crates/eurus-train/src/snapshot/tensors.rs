//! Named tensors to and from safetensors files.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Tensor, TensorData};
use eurus_models::ModulePath;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::ranks::tensors::floats;
use crate::{Error, Ranks, Result as TrainResult};

/// Tensors by name.
pub type Named = HashMap<String, TensorData>;

fn stored_type(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        _ => return None,
    })
}

fn tensor_type(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::BF16 => DType::BF16,
        Dtype::F16 => DType::F16,
        _ => return None,
    })
}

pub fn write(path: &Path, tensors: &[(String, TensorData)]) -> Result<(), String> {
    let mut views = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let dtype = stored_type(data.dtype())
            .ok_or_else(|| format!("tensor `{name}` is of type {:?}", data.dtype()))?;
        let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes());
        views.push((
            name,
            view.map_err(|error| format!("tensor `{name}`: {error}"))?,
        ));
    }
    safetensors::serialize_to_file(views, None, path).map_err(|error| error.to_string())
}

pub fn read(bytes: &[u8]) -> Result<Named, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    file.iter()
        .map(|(name, view)| {
            let dtype = tensor_type(view.dtype())
                .ok_or_else(|| format!("tensor `{name}` is of type {:?}", view.dtype()))?;
            let shape = view.shape().to_vec();
            let data = TensorData::from_bytes_vec(view.data().to_vec(), shape, dtype);
            Ok((name.to_owned(), data))
        })
        .collect()
}

/// Every parameter by its path.
#[derive(Default)]
pub struct Parameters {
    path: ModulePath,
    pub values: Vec<(String, TensorData)>,
    pub ids: Vec<(String, ParamId)>,
}

impl Parameters {
    pub fn of<M: Module>(module: &M) -> Self {
        let mut parameters = Self::default();
        module.visit(&mut parameters);
        parameters
    }
}

impl ModuleVisitor for Parameters {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        self.ids.push((name.clone(), param.id));
        self.values.push((name, param.val().into_data()));
    }
}

/// Gives the models of all ranks the weights of the first one's.
pub(crate) fn share_weights<M: Module>(model: M, ranks: &Ranks) -> TrainResult<M> {
    if ranks.size() == 1 {
        return Ok(model);
    }
    let mut shared = Named::new();
    for (name, data) in Parameters::of(&model).values {
        let (shape, dtype) = (data.shape().to_vec(), data.dtype());
        let mut values = floats(data);
        ranks.broadcast(&mut values)?;
        shared.insert(name, TensorData::new(values, shape).convert_dtype(dtype));
    }
    fill(model, shared).map_err(Error::lost)
}

/// Gives every parameter the value of its path.
pub fn fill<M: Module>(module: M, values: Named) -> Result<M, String> {
    let mut filler = Filler {
        path: ModulePath::default(),
        values,
        problem: None,
    };
    let module = module.map(&mut filler);
    let left = filler.values.keys().next();
    let left = left.map(|name| format!("the model has no parameter `{name}`"));
    match filler.problem.or(left) {
        Some(problem) => Err(problem),
        None => Ok(module),
    }
}

struct Filler {
    path: ModulePath,
    values: Named,
    problem: Option<String>,
}

impl ModuleMapper for Filler {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let (id, tensor, mapper) = param.consume();
        let value = match self.values.remove(&name) {
            None => Err(format!("parameter `{name}` is not in it")),
            Some(data) if data.shape().to_vec() != tensor.shape().to_vec() => Err(format!(
                "parameter `{name}` has shape {:?} in it, and {:?} in the model",
                data.shape(),
                tensor.shape()
            )),
            Some(data) => Ok(data),
        };
        let tensor = match value {
            Ok(data) => {
                let wanted = tensor.is_require_grad();
                let dtype = data.dtype();
                Tensor::from_data(data, (&tensor.device(), dtype)).set_require_grad(wanted)
            }
            Err(problem) => {
                self.problem.get_or_insert(problem);
                tensor
            }
        };
        Param::from_mapped_value(id, tensor, mapper)
    }
}
