//! The gradients of a step, summed over its forests and ranks.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};
use eurus_models::ModulePath;

use super::{flat, ops};
use crate::{Ranks, Result};

/// The gradients of a step, of parameters that have one. With several ranks each has a part of every parameter's.
pub(crate) struct StepGradients {
    /// The parameters in the order of the model, by name.
    order: Vec<(String, ParamId)>,
    /// This rank's parts, flat.
    parts: HashMap<ParamId, Tensor<1>>,
}

/// A parameter, and its gradient on this rank.
struct Found {
    name: String,
    id: ParamId,
    elements: usize,
    device: Device,
    dtype: DType,
    gradient: Option<Tensor<1>>,
}

struct Finder {
    path: ModulePath,
    gradients: GradientsParams,
    found: Vec<Found>,
}

impl ModuleVisitor for Finder {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        self.found.push(Found {
            name: self.path.name(),
            id: param.id,
            elements: value.shape().num_elements(),
            device: value.device().inner(),
            dtype: sum_type(value.dtype()),
            gradient: self.gradients.remove::<D>(param.id).map(flat),
        });
    }
}

/// The type that gradients of a parameter are summed in.
fn sum_type(parameter: DType) -> DType {
    match parameter {
        DType::BF16 | DType::F16 => DType::F32,
        other => other,
    }
}

impl StepGradients {
    /// Takes the gradients of this rank's trees, sums them over the ranks and keeps this rank's part. Returns the norm of
    /// the whole too; the device is waited for once for it.
    pub fn take<M: Module>(
        model: &M,
        gradients: GradientsParams,
        ranks: &Ranks,
    ) -> Result<(Self, f64)> {
        let mut finder = Finder {
            path: ModulePath::default(),
            gradients,
            found: Vec::new(),
        };
        model.visit(&mut finder);
        let present: Vec<bool> = finder
            .found
            .iter()
            .map(|it| it.gradient.is_some())
            .collect();
        let of_ranks = ranks.all_gather(Ok(present))?;
        let mut order = Vec::new();
        let mut parts = HashMap::new();
        for (index, found) in finder.found.into_iter().enumerate() {
            let Found {
                name,
                id,
                elements,
                device,
                dtype,
                gradient,
            } = found;
            // A rank whose trees do not reach a parameter, an expert that no token chose say, adds nothing to its gradient.
            if !of_ranks.iter().any(|present| present[index]) {
                continue;
            }
            let gradient = match gradient {
                Some(gradient) => gradient,
                None => Tensor::zeros([elements], (&device, dtype)),
            };
            order.push((name, id));
            parts.insert(id, ranks.sum_and_share(gradient)?);
        }
        let gradients = Self { order, parts };
        let squares: f64 = gradients.squares().into_iter().sum();
        let squares: f64 = ranks.all_gather(Ok(squares))?.into_iter().sum();
        Ok((gradients, squares.sqrt()))
    }

    /// This rank's parts in the order of the model.
    fn in_order(&self) -> impl Iterator<Item = (&str, Tensor<1>)> {
        self.order
            .iter()
            .filter_map(|(name, id)| Some((name.as_str(), self.parts.get(id)?.clone())))
    }

    /// The sum of the squares of each of this rank's parts, in the order of the model.
    fn squares(&self) -> Vec<f64> {
        ops::sums_of_squares(self.in_order().map(|(_, part)| part).collect())
    }

    /// Parameters that have a gradient.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// This rank's part of a parameter's gradient, once.
    pub fn remove(&mut self, id: ParamId) -> Option<Tensor<1>> {
        self.parts.remove(&id)
    }

    /// The parameters whose gradients are not finite on some rank: the first by name, the others by their number. For gradients
    /// that no parameter was updated with yet.
    pub fn not_finite(&self, ranks: &Ranks) -> Result<Vec<String>> {
        let squares = self.squares().into_iter();
        let here: Vec<bool> = squares.map(|it| !it.is_finite()).collect();
        let of_ranks = ranks.all_gather(Ok(here))?;
        let wrong = |place: usize| of_ranks.iter().any(|wrong| wrong[place]);
        let mut found = self.in_order().enumerate();
        let Some((first, (name, _))) = found.find(|(place, _)| wrong(*place)) else {
            return Ok(Vec::new());
        };
        let count = of_ranks.first().map_or(0, Vec::len);
        let others = (first + 1..count).filter(|&place| wrong(place)).count();
        let and_of = match others {
            0 => String::new(),
            1 => " and of another parameter".to_owned(),
            _ => format!(" and of {others} other parameters"),
        };
        Ok(vec![format!(
            "the gradient of `{name}`{and_of} is not finite"
        )])
    }
}
