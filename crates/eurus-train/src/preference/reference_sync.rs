//! A reference that follows the policy.

use std::collections::HashMap;

use burn::module::{ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use eurus_models::ForestModel;
use serde::{Deserialize, Serialize};

use crate::precision::Weights;
use crate::reference::{ReferencePass, TreeReference};
use crate::{Error, Precision, Result};

/// When and how far the reference follows the policy (TR-DPO, arXiv 2404.09656): after every so many steps each of its
/// weights becomes `mixing * policy + (1 - mixing) * reference`.
///
/// A mixing of 1 is the paper's hard update, a smaller one its soft update. The reference log-probs of a step are then
/// computed when it comes, which costs a pass without gradients over its trees, and the reference stays in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReferenceSync {
    /// Steps between updates, at least 1. Default 512, as in TRL.
    pub every_steps: usize,
    /// Share of the policy, above 0 and at most 1. Default 0.6, as in TRL.
    pub mixing: f64,
}

impl Default for ReferenceSync {
    fn default() -> Self {
        Self {
            every_steps: 512,
            mixing: 0.6,
        }
    }
}

impl ReferenceSync {
    pub(crate) fn validate(&self) -> Result<()> {
        let refuse = |field, value: String, problem| {
            Err(Error::Config {
                field,
                value,
                problem,
            })
        };
        if self.every_steps == 0 {
            return refuse("every_steps", "0".into(), "must be at least 1");
        }
        if !(self.mixing > 0.0 && self.mixing <= 1.0) {
            let mixing = self.mixing.to_string();
            return refuse("mixing", mixing, "must be above 0 and at most 1");
        }
        Ok(())
    }
}

/// A reference that follows the policy, and what it says of a step's trees.
pub(super) struct MovingReference<'a, M> {
    sync: &'a ReferenceSync,
    pass: ReferencePass<'a>,
    precision: Precision,
    /// Without autodiff.
    model: M,
    has_moved: bool,
}

impl<'a, M: ForestModel> MovingReference<'a, M> {
    /// The reference is `model` until the first update.
    pub fn new(
        sync: &'a ReferenceSync,
        pass: ReferencePass<'a>,
        precision: Precision,
        model: M,
    ) -> Self {
        Self {
            sync,
            pass,
            precision,
            model,
            has_moved: false,
        }
    }

    /// Follows the policy, if it is time to.
    pub fn follow(&mut self, step: usize, policy: &Weights<M>) {
        if !step.is_multiple_of(self.sync.every_steps) {
            return;
        }
        let mut weights = AllWeights::default();
        policy.exact().valid().visit(&mut weights);
        let mut mix = Mix {
            policy: weights.0,
            mixing: self.sync.mixing,
        };
        self.model = self.model.clone().map(&mut mix);
        self.has_moved = true;
    }

    /// The reference, once it is another than at the beginning.
    pub fn moved(&self) -> Option<&M> {
        self.has_moved.then_some(&self.model)
    }

    /// Takes back a reference that had moved.
    pub fn set(&mut self, model: M) {
        self.model = model.valid();
        self.has_moved = true;
    }

    /// Log-probs of some trees, by index; `None` while the reference has not moved.
    pub fn of(&self, members: &[usize]) -> Result<Option<Vec<TreeReference>>> {
        let Some(model) = self.moved() else {
            return Ok(None);
        };
        let model = self.precision.of(model.clone());
        let values = self.pass.compute(&model, members, &mut |_| {})?;
        Ok(Some(values))
    }
}

/// All weights, flat, by parameter.
#[derive(Default)]
struct AllWeights(HashMap<ParamId, Tensor<1>>);

impl ModuleVisitor for AllWeights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, param.val().flatten(0, D - 1));
    }
}

/// Moves every weight towards that of the policy. Parameters of a copy have the ids of the original.
struct Mix {
    policy: HashMap<ParamId, Tensor<1>>,
    mixing: f64,
}

impl ModuleMapper for Mix {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, reference, mapper) = param.consume();
        let mixed = match self.policy.remove(&id) {
            Some(policy) => {
                let policy = policy.reshape(reference.shape()).cast(reference.dtype());
                policy.mul_scalar(self.mixing) + reference.mul_scalar(1.0 - self.mixing)
            }
            None => reference,
        };
        Param::from_mapped_value(id, mixed, mapper)
    }
}
