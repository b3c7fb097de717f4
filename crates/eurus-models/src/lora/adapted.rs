//! Models with adapters on their linear layers.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{LoraConfig, LowRankAdapter, generator};
use crate::decoder::{Body, Projection};
use crate::{Decoder, Error, Result, RewardModel, RewardProjection};

/// A model whose linear layers can carry adapters.
pub trait Adapted: Module {
    /// Calls `visit` with the path and the layer of every linear layer of attention and MLP.
    fn for_each_linear(&mut self, visit: &mut dyn FnMut(&str, &mut Projection));

    /// Makes weights trainable that must be trained beside the adapters: the head of a reward model is new.
    fn unfreeze_head(self) -> Self {
        self
    }

    /// The path of the head that is trained and saved beside the adapters, if the model has one.
    fn head_name(&self) -> Option<&'static str> {
        None
    }

    /// The weight of that head, `[outputs, d]`.
    fn head_weight(&self) -> Option<Tensor<2>> {
        None
    }

    /// Replaces the weight of that head; does nothing without one.
    fn set_head(&mut self, _weight: Tensor<2>) {}

    /// Freezes the model and puts fresh adapters on its linear layers. The update starts as zero.
    ///
    /// # Errors
    ///
    /// When the configuration makes no sense or names no layer of this model.
    fn with_adapters(self, config: &LoraConfig, seed: u64) -> Result<Self> {
        config.validate()?;
        let mut rng = generator(seed);
        let mut found = 0;
        let mut model = self.no_grad().unfreeze_head();
        model.for_each_linear(&mut |path, linear| {
            let name = path.rsplit('.').next().unwrap_or(path);
            if config.targets.iter().any(|target| target == name) {
                let weight = linear.weight.val();
                let adapter =
                    LowRankAdapter::fresh(config, weight.dims(), &mut rng, &weight.device());
                linear.adapter = Some(adapter);
                found += 1;
            }
        });
        if found == 0 {
            return Err(Error::Adapter {
                problem: format!("this model has none of the layers {:?}", config.targets),
            });
        }
        Ok(model)
    }

    /// The adapters by the paths of their layers.
    fn adapters(&self) -> BTreeMap<String, LowRankAdapter> {
        let mut adapters = BTreeMap::new();
        self.clone().for_each_linear(&mut |path, linear| {
            if let Some(adapter) = &linear.adapter {
                adapters.insert(path.to_owned(), adapter.clone());
            }
        });
        adapters
    }

    /// The base: the same weights without adapters. Nothing is copied.
    fn without_adapters(&self) -> Self {
        let mut model = self.clone();
        model.for_each_linear(&mut |_, linear| linear.adapter = None);
        model
    }

    /// A plain model with the updates added to its weights, all of them trainable again.
    fn merged(&self) -> Self {
        shifted(self.clone(), 1.0)
    }

    /// Takes the updates of these adapters out of merged weights: `policy.unmerged(&policy.merged())` has the base's
    /// weights up to rounding.
    fn unmerged(&self, merged: &Self) -> Self {
        let adapters = self.adapters();
        let mut model = merged.clone();
        model.for_each_linear(&mut |path, linear| linear.adapter = adapters.get(path).cloned());
        shifted(model, -1.0)
    }
}

/// The weights plus `factor` times the updates, without adapters.
fn shifted<M: Adapted>(mut model: M, factor: f64) -> M {
    model.for_each_linear(&mut |_, linear| {
        if let Some(adapter) = linear.adapter.take() {
            let weight = linear.weight.val() + adapter.weight_update() * factor;
            linear.weight = Param::initialized(linear.weight.id, weight.detach());
        }
    });
    model.map(&mut Trainable)
}

struct Trainable;

impl burn::module::ModuleMapper for Trainable {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.set_require_grad(true)
    }
}

fn for_each_linear_of_body(body: &mut Body, visit: &mut dyn FnMut(&str, &mut Projection)) {
    for (index, layer) in body.layers.iter_mut().enumerate() {
        let attention = &mut layer.self_attn;
        for (name, linear) in [
            ("q_proj", &mut attention.q_proj),
            ("k_proj", &mut attention.k_proj),
            ("v_proj", &mut attention.v_proj),
            ("o_proj", &mut attention.o_proj),
        ] {
            visit(&format!("model.layers.{index}.self_attn.{name}"), linear);
        }
        for (name, linear) in layer.feed_forward.linears() {
            visit(&format!("model.layers.{index}.{name}"), linear);
        }
    }
}

impl Adapted for Decoder {
    fn for_each_linear(&mut self, visit: &mut dyn FnMut(&str, &mut Projection)) {
        for_each_linear_of_body(&mut self.model, visit);
    }
}

impl Adapted for RewardModel {
    fn for_each_linear(&mut self, visit: &mut dyn FnMut(&str, &mut Projection)) {
        for_each_linear_of_body(&mut self.model, visit);
    }

    fn unfreeze_head(mut self) -> Self {
        self.head = self.head.map(&mut Trainable);
        self
    }

    fn head_name(&self) -> Option<&'static str> {
        Some(match self.head {
            RewardProjection::RegressionHead(_) => "regression_head",
            RewardProjection::Score(_) => "score",
        })
    }

    fn head_weight(&self) -> Option<Tensor<2>> {
        Some(self.head.projection().weight.val())
    }

    fn set_head(&mut self, weight: Tensor<2>) {
        let head = self.head.projection_mut();
        head.weight = Param::initialized(head.weight.id, weight).set_require_grad(true);
    }
}
