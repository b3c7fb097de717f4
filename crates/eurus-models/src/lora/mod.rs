//! Low-rank adapters (LoRA, arXiv 2106.09685): a frozen weight `W [out, in]` plus a trained update
//! `scale * up [out, rank] x down [rank, in]`.
//!
//! The model without its adapters is the base, so a preference loss gets its reference policy from the same weights:
//! [`Adapted::without_adapters`] shares every tensor.
//!
//! ```
//! use burn::tensor::Device;
//! use eurus_models::lora::{Adapted, LoraConfig};
//! use eurus_models::{Decoder, DecoderConfig};
//!
//! # fn main() -> eurus_models::Result<()> {
//! let base = Decoder::init(&DecoderConfig::llama(64, 32, 2, 4), 7, &Device::flex());
//! let config = LoraConfig::new(4).with_targets(["q_proj", "v_proj"]);
//! let policy = base.with_adapters(&config, 1)?; // the base's weights are frozen
//! assert_eq!(policy.adapters().len(), 4); // two layers, two targets
//! let merged = policy.merged(); // a plain model again
//! assert!(merged.adapters().is_empty());
//! # Ok(())
//! # }
//! ```

mod adapted;
mod peft;
mod saved;

use std::collections::BTreeSet;

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Uniform};

use crate::{Error, Result, ops};

pub use adapted::Adapted;
pub(crate) use peft::ADAPTER_CONFIG;
pub use peft::AdapterFolder;
pub use saved::SavedModule;

/// Which layers get an adapter, and of which size.
#[derive(Debug, Clone, PartialEq)]
pub struct LoraConfig {
    /// Features between `down` and `up`.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`, or by `alpha / sqrt(rank)` if `rank_stabilized`.
    pub alpha: f64,
    /// Share of an adapter's inputs set to zero in training. They are drawn from the device's generator, of which a process
    /// has one; trainers seed it before every step.
    pub dropout: f64,
    /// Names of linear layers, as the last part of their paths: `q_proj`, `down_proj`, `w1`.
    pub targets: Vec<String>,
    /// Scale by `alpha / sqrt(rank)` (rsLoRA, arXiv 2312.03732).
    pub rank_stabilized: bool,
    /// Modules that are trained whole beside the adapters. They stay in a model that its adapters are taken off of.
    pub modules_to_save: Vec<SavedModule>,
}

/// PEFT's name for all linear layers of attention and MLP.
const ALL_LINEAR_NAME: &str = "all-linear";

/// Every linear layer of attention and MLP; a model without one of them is not asked for it.
pub const ALL_LINEAR: [&str; 10] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "w1",
    "w2",
    "w3",
];

impl LoraConfig {
    /// Adapters of every linear layer with `alpha = 2 * rank` and no dropout.
    pub fn new(rank: usize) -> Self {
        Self {
            rank,
            alpha: 2.0 * rank as f64,
            dropout: 0.0,
            targets: ALL_LINEAR.map(str::to_owned).to_vec(),
            rank_stabilized: false,
            modules_to_save: Vec::new(),
        }
    }

    /// Sets the numerator of the scale.
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the share of an adapter's inputs that is zero in training.
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets the linear layers, by the last part of their paths; `all-linear` stands for all of them.
    pub fn with_targets<S: Into<String>>(mut self, targets: impl IntoIterator<Item = S>) -> Self {
        self.targets = targets.into_iter().map(Into::into).collect();
        if self.targets.iter().any(|target| target == ALL_LINEAR_NAME) {
            self.targets = ALL_LINEAR.map(str::to_owned).to_vec();
        }
        self
    }

    /// Sets the modules that are trained whole beside the adapters.
    pub fn with_modules_to_save(mut self, modules: impl IntoIterator<Item = SavedModule>) -> Self {
        self.modules_to_save = modules.into_iter().collect();
        self.modules_to_save.sort_unstable();
        self.modules_to_save.dedup();
        self
    }

    /// The factor of the update.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha
            / if self.rank_stabilized {
                rank.sqrt()
            } else {
                rank
            }
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    ///
    /// [`Error::Adapter`] with the first setting that is outside its range.
    pub fn validate(&self) -> Result<()> {
        let refuse = |problem: String| Err(Error::Adapter { problem });
        if self.rank == 0 {
            return refuse("rank is 0; it must be at least 1".into());
        }
        if self.alpha == 0.0 {
            return refuse(
                "alpha is 0; the adapters would change nothing: give one above 0, twice the rank for example"
                    .into(),
            );
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return refuse(format!("alpha is {}; it must be above 0", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return refuse(format!("dropout is {}; it must be in [0, 1)", self.dropout));
        }
        if self.targets.is_empty() {
            return refuse("there are no targets; name linear layers, q_proj for example".into());
        }
        Ok(())
    }

    /// Refuses settings that make no sense, and targets that a model does not have, whose linear layers have these names.
    /// All linear layers of any family may be asked for together.
    pub(crate) fn check_for(&self, names: &BTreeSet<&str>) -> Result<()> {
        self.validate()?;
        let unknown = |target: &&String| !names.contains(target.as_str());
        match self.targets.iter().find(unknown) {
            Some(target) if self.targets != ALL_LINEAR => {
                let names: Vec<&str> = names.iter().copied().collect();
                Err(Error::Adapter {
                    problem: format!(
                        "this model has no linear layer called `{target}`; it has {} ({ALL_LINEAR_NAME} for all of them)",
                        names.join(", ")
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}

/// The update of one linear layer.
#[derive(Module, Debug)]
pub struct LowRankAdapter {
    /// `[rank, in]`, PEFT's `lora_A`.
    pub down: Param<Tensor<2>>,
    /// `[out, rank]`, PEFT's `lora_B`.
    pub up: Param<Tensor<2>>,
    scale: f64,
    /// What `scale` comes from.
    alpha: f64,
    dropout: f64,
}

impl LowRankAdapter {
    /// `down` uniform in `+-1 / sqrt(in)`, `up` zero: the update starts as nothing.
    fn fresh(
        config: &LoraConfig,
        [outputs, inputs]: [usize; 2],
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let bound = (inputs as f32).powf(-0.5);
        let values: Vec<f32> = match Uniform::new_inclusive(-bound, bound) {
            Ok(uniform) => (0..config.rank * inputs)
                .map(|_| uniform.sample(rng))
                .collect(),
            Err(_) => vec![0.0; config.rank * inputs],
        };
        let down = Tensor::from_data(TensorData::new(values, [config.rank, inputs]), device);
        Self::new(config, down, Tensor::zeros([outputs, config.rank], device))
    }

    fn new(config: &LoraConfig, down: Tensor<2>, up: Tensor<2>) -> Self {
        let trained =
            |tensor: Tensor<2>| Param::initialized(ParamId::new(), tensor).set_require_grad(true);
        Self {
            down: trained(down),
            up: trained(up),
            scale: config.scale(),
            alpha: config.alpha,
            dropout: config.dropout,
        }
    }

    fn rank(&self) -> usize {
        self.down.dims()[0]
    }

    pub(crate) fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    /// The update of a layer's output: `x [T, in]` to `[T, out]`. Inputs are dropped while gradients are wanted.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        // In training alone: a pass without autodiff is an evaluation, or one of the reference.
        let x = if self.dropout > 0.0 && x.is_autodiff() {
            let kept = 1.0 - self.dropout;
            let mask = x.random_like(Distribution::Bernoulli(kept));
            x * mask / kept
        } else {
            x
        };
        let low = ops::project(x, self.down.val());
        ops::project(low, self.up.val()) * self.scale
    }

    /// The update of the weight, `[out, in]`.
    pub fn weight_update(&self) -> Tensor<2> {
        self.up.val().matmul(self.down.val()) * self.scale
    }
}

/// One stream of random numbers for all adapters of a model.
fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
