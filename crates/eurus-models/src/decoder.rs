//! The Llama-architecture decoder. Module paths are the tensor names of Hugging Face checkpoints.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Shape, Tensor};

use crate::config::DecoderConfig;
use crate::ops::{self, AttentionShape};
use crate::{ForestBatch, ForestModel, rope};

/// A bias-free linear layer, stored `[out, in]` as in Hugging Face files.
#[derive(Module, Debug)]
pub struct Projection {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
}

impl Projection {
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            weight: zeros([outputs, inputs], device),
        }
    }

    /// A head that reads one number.
    pub(crate) fn for_reward(inputs: usize, device: &Device) -> Self {
        Self::new(inputs, 1, device)
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::project(x, self.weight.val())
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
    fn new(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            weight: zeros([config.hidden_size], device),
            epsilon: config.rms_norm_epsilon as f32,
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        ops::rms_norm(x, self.weight.val(), self.epsilon)
    }
}

/// A parameter of zeros, made when first used: filling it from a checkpoint allocates nothing twice.
fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::uninitialized(
        ParamId::new(),
        move |device, require_grad| Tensor::zeros(shape, device).set_require_grad(require_grad),
        device.clone(),
        true,
        Shape::from(shape),
    )
}

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
}

/// Keys and values of one layer, rotated: `[T, kv_heads * head_dim]` each.
#[derive(Debug, Clone)]
pub struct LayerKeysValues {
    /// Rotated keys.
    pub keys: Tensor<2>,
    /// Values.
    pub values: Tensor<2>,
}

impl SelfAttention {
    fn new(config: &DecoderConfig, device: &Device) -> Self {
        let d = config.hidden_size;
        let (q, kv) = (
            config.heads * config.head_dim,
            config.kv_heads * config.head_dim,
        );
        Self {
            q_proj: Projection::new(d, q, device),
            k_proj: Projection::new(d, kv, device),
            v_proj: Projection::new(d, kv, device),
            o_proj: Projection::new(q, d, device),
        }
    }

    /// Rotated queries `[T, heads * head_dim]`, and keys and values.
    fn project(&self, x: Tensor<2>, rotary: &Rotary) -> (Tensor<2>, LayerKeysValues) {
        let rotate = |x| ops::rotate(x, rotary.cos.clone(), rotary.sin.clone());
        let queries = rotate(self.q_proj.forward(x.clone()));
        let keys = rotate(self.k_proj.forward(x.clone()));
        let values = self.v_proj.forward(x);
        (queries, LayerKeysValues { keys, values })
    }
}

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
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone());
        let up = self.up_proj.forward(x);
        self.down_proj.forward(ops::swiglu(gate, up))
    }
}

/// One decoder layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// Attention.
    pub self_attn: SelfAttention,
    /// MLP.
    pub mlp: Mlp,
    /// Norm before attention.
    pub input_layernorm: Norm,
    /// Norm before the MLP.
    pub post_attention_layernorm: Norm,
}

impl Layer {
    fn new(config: &DecoderConfig, device: &Device) -> Self {
        let (d, inner) = (config.hidden_size, config.intermediate_size);
        Self {
            self_attn: SelfAttention::new(config, device),
            mlp: Mlp {
                gate_proj: Projection::new(d, inner, device),
                up_proj: Projection::new(d, inner, device),
                down_proj: Projection::new(inner, d, device),
            },
            input_layernorm: Norm::new(config, device),
            post_attention_layernorm: Norm::new(config, device),
        }
    }

    /// Runs the layer; `attend` mixes values from rotated queries, keys and values.
    fn forward(
        &self,
        x: Tensor<2>,
        rotary: &Rotary,
        attend: impl FnOnce(Tensor<2>, LayerKeysValues) -> Tensor<2>,
    ) -> Tensor<2> {
        let (queries, keys_values) = self
            .self_attn
            .project(self.input_layernorm.forward(x.clone()), rotary);
        let mixed = attend(queries, keys_values);
        let x = x + self.self_attn.o_proj.forward(mixed);
        let y = self
            .mlp
            .forward(self.post_attention_layernorm.forward(x.clone()));
        x + y
    }
}

/// The token embedding.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, d]`
    pub weight: Param<Tensor<2>>,
}

/// Embedding, layers and last norm.
#[derive(Module, Debug)]
pub struct Body {
    /// Token embedding.
    pub embed_tokens: Embedding,
    /// Decoder layers.
    pub layers: Vec<Layer>,
    /// Norm after the last layer.
    pub norm: Norm,
    #[module(skip)]
    frequencies: Vec<f64>,
    #[module(skip)]
    attention: AttentionNumbers,
}

/// Head counts and sizes, kept by the body because a module never holds its config.
#[derive(Debug, Clone, Copy)]
struct AttentionNumbers(AttentionShape);

/// Cosines and sines of a batch's positions.
struct Rotary {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Body {
    fn new(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            embed_tokens: Embedding {
                weight: zeros([config.vocab_size, config.hidden_size], device),
            },
            layers: (0..config.layers)
                .map(|_| Layer::new(config, device))
                .collect(),
            norm: Norm::new(config, device),
            frequencies: rope::frequencies(config),
            attention: AttentionNumbers(AttentionShape {
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                scale: (config.head_dim as f32).powf(-0.5),
                window: config.sliding_window,
            }),
        }
    }

    /// Head counts and sizes of the attention layers.
    pub fn attention_shape(&self) -> AttentionShape {
        self.attention.0
    }

    fn rotary(&self, positions: &[u32]) -> Rotary {
        let device = self.embed_tokens.weight.val().device();
        let (cos, sin) = rope::table(&self.frequencies, positions, &device);
        Rotary { cos, sin }
    }

    /// Runs the tokens through all layers; `attend(layer, queries, keys_values)` mixes values. Returns `[T, d]` after
    /// the last norm.
    pub fn forward_with(
        &self,
        tokens: Tensor<1, burn::tensor::Int>,
        positions: &[u32],
        mut attend: impl FnMut(usize, Tensor<2>, LayerKeysValues) -> Tensor<2>,
    ) -> Tensor<2> {
        let rotary = self.rotary(positions);
        let mut x = self.embed_tokens.weight.val().select(0, tokens);
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, &rotary, |queries, keys_values| {
                attend(index, queries, keys_values)
            });
        }
        self.norm.forward(x)
    }

    /// Hidden states of a packed forest after the last norm, `[T, d]`.
    pub fn forward(&self, batch: &ForestBatch) -> Tensor<2> {
        self.forward_with(
            batch.tokens.clone(),
            &batch.forest.positions,
            |_, queries, kv| {
                ops::tree_attention(queries, kv.keys, kv.values, &batch.spans, self.attention.0)
            },
        )
    }

    /// As [`forward`](Self::forward), keeping every layer's keys and values.
    pub fn forward_keeping(&self, batch: &ForestBatch) -> (Tensor<2>, Vec<LayerKeysValues>) {
        let mut kept = Vec::with_capacity(self.layers.len());
        let hidden = self.forward_with(
            batch.tokens.clone(),
            &batch.forest.positions,
            |_, queries, kv| {
                kept.push(kv.clone());
                ops::tree_attention(queries, kv.keys, kv.values, &batch.spans, self.attention.0)
            },
        );
        (hidden, kept)
    }
}

/// A causal language model.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Everything below the output projection.
    pub model: Body,
    /// The output projection; `None` when it is the embedding.
    pub lm_head: Option<Projection>,
}

impl Decoder {
    /// A decoder whose weights are zero until they are loaded or drawn.
    pub(crate) fn empty(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            model: Body::new(config, device),
            lm_head: (!config.tie_word_embeddings)
                .then(|| Projection::new(config.hidden_size, config.vocab_size, device)),
        }
    }
}

impl ForestModel for Decoder {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        self.model.forward(batch)
    }

    fn output_weight(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        }
    }
}
