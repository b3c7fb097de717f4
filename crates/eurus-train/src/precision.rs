//! The number type that a model computes in, and the one its weights are kept in.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

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
    /// A copy of the weights in bfloat16 computes, which halves the memory of activations and is several times faster on a
    /// GPU's matrix units. The weights that are updated, the sums of gradients and AdamW's moments are f32, since an update of
    /// a few millionths of a weight is lost in bfloat16; so are norms, the weights of attention, routers, log-probs, rewards
    /// and losses. On a CPU it saves memory and costs time.
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
            Self::Bf16 => model.map(&mut Cast(DType::BF16)),
        }
    }

    /// The model whose weights are updated and written.
    fn master_of<M: Module>(self, model: M) -> M {
        match self {
            Self::Full => model,
            Self::Bf16 => model.map(&mut Cast(DType::F32)),
        }
    }
}

/// Gives all parameters a number type. They keep their ids, and whether they are trained.
struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        if tensor.dtype() == self.0 {
            return Param::from_mapped_value(id, tensor, mapper);
        }
        let (has_graph, is_trained) = (tensor.is_autodiff(), tensor.is_require_grad());
        let cast = tensor.inner().cast(self.0);
        let cast = match has_graph {
            true => Tensor::from_inner(cast).set_require_grad(is_trained),
            false => cast,
        };
        Param::from_mapped_value(id, cast, mapper)
    }
}

/// The weights of a run, with autodiff.
pub(crate) struct Weights<M> {
    precision: Precision,
    master: M,
    /// The model that computes, if it is another than `master`.
    computing: Option<M>,
}

impl<M: Module> Weights<M> {
    pub fn new(model: M, precision: Precision) -> Self {
        Self::of_master(precision.master_of(model).train(), precision)
    }

    fn of_master(master: M, precision: Precision) -> Self {
        let computing = (precision != Precision::Full).then(|| precision.of(master.clone()));
        Self {
            precision,
            master,
            computing,
        }
    }

    /// The weights that are updated.
    pub fn master(&self) -> &M {
        &self.master
    }

    /// The model that computes.
    pub fn computing(&self) -> &M {
        self.computing.as_ref().unwrap_or(&self.master)
    }

    /// Updates the weights. What computes is dropped first and made anew.
    pub fn update(self, update: impl FnOnce(M) -> Result<M>) -> Result<Self> {
        let Self {
            precision,
            master,
            computing,
        } = self;
        // First, so that there are never two copies of it in memory.
        drop(computing);
        Ok(Self::of_master(update(master)?, precision))
    }

    /// The updated weights, without autodiff.
    pub fn into_plain(self) -> M {
        self.master.valid()
    }
}
