//! Linear layers and norms, named as in Hugging Face files.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

use crate::lora::LowRankAdapter;
use crate::ops::{self, Normed};

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
        let y = self.biased(ops::project(x, self.weight.val()));
        match low_rank {
            Some(update) => y + update,
            None => y,
        }
    }

    fn biased(&self, y: Tensor<2>) -> Tensor<2> {
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }

    /// [`forward`](Self::forward) of a norm's output, which the backward pass need not keep.
    pub(super) fn forward_normed(&self, x: &Normed) -> Tensor<2> {
        // An adapter keeps its input.
        if self.adapter.is_some() {
            return self.forward(x.value.clone());
        }
        self.biased(ops::project_normed(x, self.weight.val()))
    }

    /// [`forward`](Self::forward) of `silu(gate) * up`, `[T, in]` both, which the backward pass need not keep.
    pub(super) fn forward_gated(&self, gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        if self.adapter.is_some() {
            return self.forward(ops::swiglu(gate, up));
        }
        self.biased(ops::project_gated(gate, up, self.weight.val()))
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

    /// Norms hidden states for projections, after their last update has been added. Returns the states, too.
    pub(super) fn forward_residual(&self, x: Residual) -> (Tensor<2>, Normed) {
        let weight = self.weight.val();
        match x.update {
            Some(update) => Normed::of_sum(x.states, update, weight, self.epsilon),
            None => (
                x.states.clone(),
                Normed::new(x.states, weight, self.epsilon),
            ),
        }
    }

    /// Norms every head of `x [T, heads * d]`.
    pub(super) fn forward_heads(&self, x: Tensor<2>) -> Tensor<2> {
        let [tokens, width] = x.dims();
        let [head_dim] = self.weight.dims();
        let heads = x.reshape([tokens * (width / head_dim), head_dim]);
        self.forward(heads).reshape([tokens, width])
    }
}

/// Hidden states `[T, d]` between two parts of a layer. What the last part adds to them waits for the norm that reads the sum,
/// so that both are one operation.
#[derive(Debug, Clone)]
pub(super) struct Residual {
    pub states: Tensor<2>,
    pub update: Option<Tensor<2>>,
}

impl Residual {
    pub fn new(states: Tensor<2>) -> Self {
        Self {
            states,
            update: None,
        }
    }

    /// States that are to be updated.
    pub fn updated(states: Tensor<2>, update: Tensor<2>) -> Self {
        Self {
            states,
            update: Some(update),
        }
    }

    /// The states with the update.
    pub fn into_states(self) -> Tensor<2> {
        match self.update {
            Some(update) => self.states + update,
            None => self.states,
        }
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
