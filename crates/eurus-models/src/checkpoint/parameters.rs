//! A module's parameters by name, read back from the device one at a time.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};

use crate::{Error, ModulePath, Result};

/// One parameter. Its numbers stay on the device until they are asked for.
pub struct Parameter {
    pub name: String,
    pub shape: Vec<usize>,
    data: Box<dyn Fn() -> Result<TensorData>>,
}

impl Parameter {
    /// The numbers, copied from the device.
    pub fn data(&self) -> Result<TensorData> {
        (self.data)()
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All parameters of a module, under the names of Hugging Face files.
pub fn of<M: Module>(module: &M) -> Vec<Parameter> {
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.parameters
}

#[derive(Default)]
struct Collector {
    path: ModulePath,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.parameters.push(Parameter {
            name: self.path.name(),
            shape: tensor.dims().to_vec(),
            data: Box::new(move || {
                let data = tensor.clone().try_into_data_dtype(DType::F32);
                data.map_err(|problem| Error::Device {
                    what: "a parameter",
                    problem: problem.to_string(),
                })
            }),
        });
    }
}
