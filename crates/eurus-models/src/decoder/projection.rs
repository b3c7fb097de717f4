//! Linear layers and norms, named as in Hugging Face files.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

use crate::lora::LowRankAdapter;
use crate::ops;

/// A linear layer, stored `[out, in]` as in Hugging Face files.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
    /// A low-rank update of the weight, while one is trained.
    pub adapter: Option<LowRankAdapter>,
}

impl Projection {
    pub(crate) fn new(inputs: usize, outputs: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: zeros([outputs, inputs], device),
            bias: bias.then(|| zeros([outputs], device)),
            adapter: None,
        }
    }

    /// Whether training drops inputs at random.
    pub(super) fn has_dropout(&self) -> bool {
        self.adapter
            .as_ref()
            .is_some_and(LowRankAdapter::has_dropout)
    }

    /// `x [T, in]` to `[T, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let low_rank = self
            .adapter
            .as_ref()
            .map(|adapter| adapter.forward(x.clone()));
        let mut y = ops::project(x, self.weight.val());
        if let Some(bias) = &self.bias {
            y = y + bias.val().unsqueeze();
        }
        match low_rank {
            Some(update) => y + update,
            None => y,
        }
    }
}

/// A root-mean-square norm.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[d]`
    pub weight: Param<Tensor<1>>,
    epsilon: f32,
}

impl Norm {
    pub(super) fn new(width: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: zeros([width], device),
            epsilon: epsilon as f32,
        }
    }

    pub(crate) fn epsilon(&self) -> f32 {
        self.epsilon
    }

    /// Norms the rows of `x [N, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::rms_norm(x, self.weight.val(), self.epsilon)
    }

    /// Norms every head of `x [T, heads * d]`.
    pub(super) fn forward_heads(&self, x: Tensor<2>) -> Tensor<2> {
        let [tokens, width] = x.dims();
        let [head_dim] = self.weight.dims();
        let heads = x.reshape([tokens * (width / head_dim), head_dim]);
        self.forward(heads).reshape([tokens, width])
    }
}

/// A parameter of zeros, made when first used: filling it from a checkpoint allocates nothing twice.
pub(super) fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| Tensor::zeros(shape, device).set_require_grad(require_grad),
        device.clone(),
        true,
        Shape::from(shape),
    )
}
