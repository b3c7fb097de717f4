//! The gated MLP.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Projection;
use crate::config::DecoderConfig;
use crate::ops::Normed;

/// The gated MLP of one layer.
#[derive(Module, Debug)]
pub struct Mlp {
    /// Gate projection, through silu.
    pub gate_proj: Projection,
    /// Up projection.
    pub up_proj: Projection,
    /// Down projection.
    pub down_proj: Projection,
}

impl Mlp {
    pub(super) fn new(config: &DecoderConfig, device: &Device) -> Self {
        let (d, inner, bias) = (
            config.hidden_size,
            config.intermediate_size,
            config.biases.mlp,
        );
        Self {
            gate_proj: Projection::new(d, inner, bias, device),
            up_proj: Projection::new(d, inner, bias, device),
            down_proj: Projection::new(inner, d, bias, device),
        }
    }

    /// `x [T, d]` to `[T, d]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone());
        let up = self.up_proj.forward(x);
        self.down_proj.forward_gated(gate, up)
    }

    pub(super) fn forward_normed(&self, x: Normed) -> Tensor<2> {
        let gate = self.gate_proj.forward_normed(&x);
        let up = self.up_proj.forward_normed(&x);
        drop(x);
        self.down_proj.forward_gated(gate, up)
    }
}
