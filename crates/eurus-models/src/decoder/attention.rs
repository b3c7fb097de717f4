//! Projections of self-attention.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Norm, Projection};
use crate::config::DecoderConfig;
use crate::ops::{self, Normed};

/// Attention of one layer.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Query projection.
    pub q_proj: Projection,
    /// Key projection.
    pub k_proj: Projection,
    /// Value projection.
    pub v_proj: Projection,
    /// Output projection.
    pub o_proj: Projection,
    /// Norm of every query head, where the family has one.
    pub q_norm: Option<Norm>,
    /// Norm of every key head, where the family has one.
    pub k_norm: Option<Norm>,
}

/// Keys and values of one layer, rotated: `[T, kv_heads * head_dim]` each.
#[derive(Debug, Clone)]
pub struct LayerKeysValues {
    /// Rotated keys.
    pub keys: Tensor<2>,
    /// Values.
    pub values: Tensor<2>,
}

/// Cosines and sines of a batch's positions, `[T, head_dim / 2]` each.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    pub cos: Tensor<2>,
    pub sin: Tensor<2>,
}

impl SelfAttention {
    pub(super) fn new(config: &DecoderConfig, device: &Device) -> Self {
        let d = config.hidden_size;
        let (q, kv) = (
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        );
        let biased = config.biases.queries_keys_values;
        let head_norm = || {
            config
                .head_norms
                .then(|| Norm::new(config.head_dim, config.rms_norm_epsilon, device))
        };
        Self {
            q_proj: Projection::new(d, q, biased, device),
            k_proj: Projection::new(d, kv, biased, device),
            v_proj: Projection::new(d, kv, biased, device),
            o_proj: Projection::new(q, d, config.biases.attention_output, device),
            q_norm: head_norm(),
            k_norm: head_norm(),
        }
    }

    /// Rotated queries `[T, heads * head_dim]`, and keys and values.
    pub(super) fn project(&self, x: &Normed, rotary: &Rotary) -> (Tensor<2>, LayerKeysValues) {
        let rotate = |x: Tensor<2>, norm: &Option<Norm>| {
            let x = match norm {
                Some(norm) => norm.forward_heads(x),
                None => x,
            };
            ops::rotate(x, rotary.cos.clone(), rotary.sin.clone())
        };
        let queries = rotate(self.q_proj.forward_normed(x), &self.q_norm);
        let keys = rotate(self.k_proj.forward_normed(x), &self.k_norm);
        let values = self.v_proj.forward_normed(x);
        (queries, LayerKeysValues { keys, values })
    }
}
