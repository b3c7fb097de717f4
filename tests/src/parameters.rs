//! A module's parameters and gradients by their paths.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use eurus_models::ModulePath;

/// The values of a tensor, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The entries.
    pub entries: Vec<f32>,
}

impl Values {
    /// The root of the sum of squares.
    pub fn norm(&self) -> f64 {
        self.squared_norm().sqrt()
    }

    /// The sum of squares.
    pub fn squared_norm(&self) -> f64 {
        self.entries
            .iter()
            .map(|&entry| f64::from(entry).powi(2))
            .sum()
    }

    /// The largest magnitude.
    pub fn largest(&self) -> f64 {
        let largest = |most: f32, entry: &f32| most.max(entry.abs());
        f64::from(self.entries.iter().fold(0.0, largest))
    }

    /// One entry, or `None` when the index is outside the shape.
    pub fn at(&self, index: &[usize]) -> Option<f64> {
        if index.len() != self.shape.len() {
            return None;
        }
        let mut offset = 0;
        for (&place, &len) in index.iter().zip(&self.shape) {
            if place >= len {
                return None;
            }
            offset = offset * len + place;
        }
        self.entries.get(offset).map(|&entry| f64::from(entry))
    }
}

/// Values by parameter path (`model.layers.0.mlp.up_proj.weight`).
pub type Named = BTreeMap<String, Values>;

/// The root of the sum of squares of all values.
pub fn global_norm(values: &Named) -> f64 {
    values
        .values()
        .map(Values::squared_norm)
        .sum::<f64>()
        .sqrt()
}

struct Collector<'a> {
    path: ModulePath,
    /// `None` collects the parameters themselves.
    gradients: Option<&'a Gradients>,
    found: Named,
}

impl ModuleVisitor for Collector<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = match self.gradients {
            Some(gradients) => match param.val().grad(gradients) {
                Some(gradient) => gradient,
                None => return,
            },
            None => param.val(),
        };
        let values = Values {
            shape: tensor.dims().to_vec(),
            entries: tensor.into_data().iter::<f32>().collect(),
        };
        self.found.insert(self.path.name(), values);
    }
}

fn collect<M: Module>(module: &M, gradients: Option<&Gradients>) -> Named {
    let mut collector = Collector {
        path: ModulePath::default(),
        gradients,
        found: Named::new(),
    };
    module.visit(&mut collector);
    collector.found
}

/// All parameters of a module.
pub fn parameters<M: Module>(module: &M) -> Named {
    collect(module, None)
}

/// The gradients of a module's parameters; a parameter without one is left out.
pub fn gradients<M: Module>(module: &M, gradients: &Gradients) -> Named {
    collect(module, Some(gradients))
}
