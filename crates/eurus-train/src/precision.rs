//! The number type that a model computes in, and the one its weights are kept in.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{DType, Device, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::device_memory::{self, lasting};
use crate::optimizer::halves::{Halves, Remainders};
use crate::{Error, Result};

/// The number type that losses and gradients are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Precision {
    /// That of the weights
    #[default]
    Full,
    /// Mixed: bfloat16 computes, float32 is updated
    ///
    /// The weights rounded to bfloat16 compute, which halves the memory of activations and is several times faster on a GPU's
    /// matrix units. What is updated are the exact weights, since an update of a few millionths of a weight is lost in bfloat16:
    /// the rounded ones and 16 bits more each, so there is no second copy. Sums of gradients, AdamW's moments, norms, the
    /// weights of attention, routers, log-probs, rewards and losses are f32. On a CPU it saves memory and costs time.
    Bf16,
}

impl Precision {
    /// Checks that a device can compute in it.
    pub(crate) fn check(self, device: &Device) -> Result<()> {
        if self == Self::Bf16 && !device.supports_dtype(DType::BF16) {
            return Err(Error::Config {
                field: "precision",
                value: "bf16".into(),
                problem: "must be full: this device cannot compute in bfloat16",
            });
        }
        Ok(())
    }

    /// The model that computes.
    pub(crate) fn of<M: Module>(self, model: M) -> M {
        match self {
            Self::Full => model,
            Self::Bf16 => model.map(&mut Change(|_, _, values| Halves::of(values).nearest)),
        }
    }

    /// The exact weights of a model that computes.
    fn joined<M: Module>(
        self,
        model: M,
        mut remainders: impl FnMut(ParamId) -> Option<Tensor<1, Int>>,
    ) -> M {
        match self {
            Self::Full => model,
            Self::Bf16 => model.map(&mut Change(|id, _, nearest: Tensor<1>| {
                match remainders(id) {
                    None => nearest.cast(DType::F32),
                    Some(remainders) => Halves {
                        nearest,
                        remainders,
                    }
                    .joined(),
                }
            })),
        }
    }
}

/// Gives all parameters other values, by id, whether they are trained, and values before: `[n]`. They keep their ids, shapes and
/// whether they are trained.
struct Change<F>(F);

impl<F: FnMut(ParamId, bool, Tensor<1>) -> Tensor<1>> ModuleMapper for Change<F> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (shape, has_graph) = (tensor.shape(), tensor.is_autodiff());
        let is_trained = tensor.is_require_grad();
        let values = tensor.inner().reshape([shape.num_elements()]);
        let changed = self.0(id, is_trained, values).reshape(shape);
        let changed = match has_graph {
            true => Tensor::from_inner(changed).set_require_grad(is_trained),
            false => changed,
        };
        Param::from_mapped_value(id, changed, mapper)
    }
}

/// The weights of a run, with autodiff.
///
/// Those of mixed precision are kept in halves: the upper ones compute, and the lower ones make them exact. So there are never two
/// copies of them, and a parameter takes four bytes.
pub(crate) struct Weights<M> {
    precision: Precision,
    computing: M,
    /// Of parameters in halves. Those that have none here are exact as they are.
    remainders: Remainders,
}

impl<M: Module> Weights<M> {
    pub fn new(model: M, precision: Precision) -> Self {
        let mut remainders = Remainders::new();
        let mut split = Change(|id, is_trained, values: Tensor<1>| {
            let halves = lasting(&values.device(), values.clone(), Halves::of);
            // Weights that stay as they are and come from a file in bfloat16 need nothing more.
            if is_trained || !halves.are_exact_without_remainders(values) {
                remainders.insert(id, halves.remainders);
            }
            halves.nearest
        });
        let model = model.train();
        let computing = match precision {
            Precision::Full => model,
            Precision::Bf16 => model.map(&mut split),
        };
        if let Some(device) = computing.devices().into_iter().next() {
            // Weights, AdamW's two moments and gradients, in single precision.
            let kept_bytes = 4 * size_of::<f32>() * computing.num_params();
            device_memory::begin(&device.inner(), kept_bytes);
        }
        Self {
            precision,
            computing,
            remainders,
        }
    }

    /// The model that computes.
    pub fn computing(&self) -> &M {
        &self.computing
    }

    /// The weights that are updated. Mixed precision makes them for it, so it is for what is not done at every step.
    pub fn exact(&self) -> M {
        let remainders = |id| self.remainders.get(&id).cloned();
        self.precision.joined(self.computing.clone(), remainders)
    }

    /// Updates the weights; parameters that have remainders are the upper halves of what is updated.
    pub fn update(self, update: impl FnOnce(M, &mut Remainders) -> Result<M>) -> Result<Self> {
        let Self {
            precision,
            computing,
            mut remainders,
        } = self;
        let computing = update(computing, &mut remainders)?;
        Ok(Self {
            precision,
            computing,
            remainders,
        })
    }

    /// The updated weights, without autodiff. What a device keeps for a run that is over is given back first, and the halves of a
    /// parameter are dropped when it is joined.
    pub fn into_plain(self) -> M {
        let Self {
            precision,
            computing,
            mut remainders,
        } = self;
        let computing = computing.valid();
        if let Some(device) = computing.devices().into_iter().next() {
            device.memory_cleanup();
        }
        precision.joined(computing, |id| remainders.remove(&id))
    }
}

#[cfg(test)]
mod tests {
    use burn::module::ModuleVisitor;
    use burn::nn::{Linear, LinearConfig};

    use super::*;
    use crate::activations::Tape;
    use crate::optimizer::{StepGradients, StepOptimizer};
    use crate::{Optimizer, Ranks, TrainingConfig};

    const STEPS: usize = 20;

    #[derive(Default)]
    struct Bits(Vec<u32>);

    impl ModuleVisitor for Bits {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = param.val().into_data();
            self.0.extend(data.iter::<f32>().map(f32::to_bits));
        }
    }

    fn bits(model: &Linear) -> Vec<u32> {
        let mut bits = Bits::default();
        model.visit(&mut bits);
        bits.0
    }

    fn add_gradients(optimizer: &mut StepOptimizer, model: &Linear, step: usize) {
        let device = Device::flex().autodiff();
        let values: Vec<f32> = (0..3 * 50).map(|i| ((i + step) as f32).sin()).collect();
        let input = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([3, 50]);
        let output = model.forward(input.cast(model.weight.val().dtype()));
        let loss = output.cast(DType::F32).powi_scalar(2).sum();
        optimizer.add(model, loss, Tape::Whole { auxiliary: None }, 1.0);
    }

    /// The gradients of a step, with their norm.
    fn gradients(
        optimizer: &mut StepOptimizer,
        model: &Linear,
        step: usize,
    ) -> (StepGradients, f64) {
        add_gradients(optimizer, model, step);
        let gradients = optimizer.gradients(model, &Ranks::default());
        gradients.expect("gradients")
    }

    #[test]
    fn halves_are_trained_as_float32_weights_with_a_copy_that_computes_to_the_bit() {
        let ranks = &Ranks::default();
        for optimizer in [Optimizer::Adamw, Optimizer::Adafactor] {
            let settings = TrainingConfig {
                optimizer,
                ..TrainingConfig::default()
            };
            let start: Linear = LinearConfig::new(50, 70).init(&Device::flex());
            let mut with_copy = StepOptimizer::new(&settings);
            let mut with_halves = StepOptimizer::new(&settings);
            let mut whole = start.clone().train();
            let mut halves = Weights::new(start, Precision::Bf16);
            for step in 0..STEPS {
                let copy = Precision::Bf16.of(whole.clone());
                assert_eq!(
                    bits(&copy),
                    bits(halves.computing()),
                    "{optimizer:?}, {step}"
                );
                let (of_copy, norm) = gradients(&mut with_copy, &copy, step);
                let none = &mut Remainders::new();
                whole = with_copy
                    .step(whole, none, of_copy, norm, 1e-3, ranks)
                    .expect("an update");
                let (of_halves, norm) = gradients(&mut with_halves, halves.computing(), step);
                halves = halves
                    .update(|it, rest| with_halves.step(it, rest, of_halves, norm, 1e-3, ranks))
                    .expect("an update");
                assert_eq!(bits(&whole), bits(&halves.exact()), "{optimizer:?}, {step}");
            }
            assert_eq!(bits(&whole), bits(&halves.into_plain()));
        }
    }

    /// The exact weights after some steps, with the gradients of the first rank alone.
    fn trained(start: Linear, optimizer: Optimizer, ranks: &Ranks) -> Vec<u32> {
        let mut optimizer = StepOptimizer::new(&TrainingConfig {
            optimizer,
            // Norms are sums of as many parts as there are ranks.
            max_grad_norm: 0.0,
            ..TrainingConfig::default()
        });
        let mut weights = Weights::new(start, Precision::Bf16);
        for step in 0..3 {
            if ranks.is_first() {
                add_gradients(&mut optimizer, weights.computing(), step);
            }
            let (gradients, norm) = optimizer
                .gradients(weights.computing(), ranks)
                .expect("gradients");
            weights = weights
                .update(|it, rest| optimizer.step(it, rest, gradients, norm, 1e-3, ranks))
                .expect("an update");
        }
        bits(&weights.exact())
    }

    #[test]
    fn ranks_move_their_parts_as_one_moves_all_to_the_bit() {
        let start: Linear = LinearConfig::new(50, 70).init(&Device::flex());
        for optimizer in [Optimizer::Adamw, Optimizer::Adafactor] {
            let alone = &trained(start.clone(), optimizer, &Ranks::default());
            std::thread::scope(|scope| {
                for ranks in Ranks::threads(3) {
                    let start = start.clone();
                    scope.spawn(move || assert_eq!(&trained(start, optimizer, &ranks), alone));
                }
            });
        }
    }

    #[test]
    fn frozen_weights_of_a_bfloat16_file_take_two_bytes_and_are_what_they_were() {
        let device = Device::flex();
        let mut model: Linear = LinearConfig::new(5, 7).init(&device);
        let rounded = model.weight.val().cast(DType::BF16).cast(DType::F32);
        model.weight = Param::initialized(model.weight.id, rounded);
        let before = bits(&model);
        let weights = Weights::new(model.no_grad(), Precision::Bf16);
        // The bias is what it was drawn to be.
        assert_eq!(weights.remainders.len(), 1);
        assert_eq!(bits(&weights.exact()), before);
        assert_eq!(bits(&weights.into_plain()), before);
    }
}
