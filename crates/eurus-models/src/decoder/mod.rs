//! The decoder that all families share. Module paths are the tensor names of Hugging Face checkpoints.

mod attention;
mod experts;
mod mlp;
mod projection;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor};

use crate::config::DecoderConfig;
use crate::ops::{self, AttentionShape, Normed};
use crate::rope::{self, Frequencies, Sequence};
use crate::{ForestBatch, ForestBlocks, ForestBody, ForestModel};

pub(crate) use attention::Rotary;
pub use attention::{LayerKeysValues, SelfAttention};
pub use experts::{Expert, Routing, SparseMlp, load_balancing_loss};
pub use mlp::Mlp;
use projection::Residual;
pub use projection::{Norm, Projection};

/// What follows attention in a layer. Its variants have the names of the files.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "every layer of a model has the same one"
)]
pub enum FeedForward {
    /// `mlp`.
    Mlp(Mlp),
    /// `block_sparse_moe`, Mixtral's mixture of experts.
    BlockSparseMoe(SparseMlp),
}

impl FeedForward {
    fn new(config: &DecoderConfig, device: &Device) -> Self {
        match &config.mixture {
            None => Self::Mlp(Mlp::new(config, device)),
            Some(mixture) => Self::BlockSparseMoe(SparseMlp::new(config, mixture, device)),
        }
    }

    /// All linear layers with their names, as in `mlp.up_proj`.
    pub(crate) fn linears(&mut self) -> Vec<(String, &mut Projection)> {
        match self {
            Self::Mlp(mlp) => vec![
                ("mlp.gate_proj".to_owned(), &mut mlp.gate_proj),
                ("mlp.up_proj".to_owned(), &mut mlp.up_proj),
                ("mlp.down_proj".to_owned(), &mut mlp.down_proj),
            ],
            Self::BlockSparseMoe(mixture) => {
                let experts = mixture.experts.iter_mut().enumerate();
                let mut linears = Vec::new();
                for (number, Expert { w1, w2, w3, .. }) in experts {
                    let name = |name| format!("block_sparse_moe.experts.{number}.{name}");
                    linears.extend([(name("w1"), w1), (name("w2"), w2), (name("w3"), w3)]);
                }
                linears
            }
        }
    }

    fn has_dropout(&self) -> bool {
        match self {
            Self::Mlp(mlp) => [&mlp.gate_proj, &mlp.up_proj, &mlp.down_proj]
                .into_iter()
                .any(Projection::has_dropout),
            Self::BlockSparseMoe(mixture) => mixture.linears().any(Projection::has_dropout),
        }
    }

    /// The output, and the router's choices if there is one.
    fn forward(&self, x: Normed) -> (Tensor<2>, Option<Routing>) {
        match self {
            Self::Mlp(mlp) => (mlp.forward_normed(x), None),
            Self::BlockSparseMoe(mixture) => {
                let (y, routing) = mixture.forward(x.value);
                (y, Some(routing))
            }
        }
    }
}

/// One decoder layer.
#[derive(Module, Debug)]
pub struct Layer {
    /// Attention.
    pub self_attn: SelfAttention,
    /// MLP or mixture of experts.
    pub feed_forward: FeedForward,
    /// Norm before attention.
    pub input_layernorm: Norm,
    /// Norm before the MLP.
    pub post_attention_layernorm: Norm,
    #[module(skip)]
    attention: LayerShape,
}

/// Head counts and sizes, kept by the layer because a module never holds its config.
#[derive(Debug, Clone, Copy)]
struct LayerShape(AttentionShape);

impl Layer {
    fn new(config: &DecoderConfig, index: usize, device: &Device) -> Self {
        let norm = || Norm::new(config.hidden_size, config.rms_norm_epsilon, device);
        Self {
            self_attn: SelfAttention::new(config, device),
            feed_forward: FeedForward::new(config, device),
            input_layernorm: norm(),
            post_attention_layernorm: norm(),
            attention: LayerShape(AttentionShape {
                heads: config.heads,
                kv_heads: config.kv_heads,
                head_dim: config.head_dim,
                scale: (config.head_dim as f32).powf(-0.5),
                window: config.window_of(index),
            }),
        }
    }

    /// Head counts, sizes and window of the layer's attention.
    pub fn attention_shape(&self) -> AttentionShape {
        self.attention.0
    }

    fn has_dropout(&self) -> bool {
        let attention = &self.self_attn;
        let mut projections = [
            &attention.q_proj,
            &attention.k_proj,
            &attention.v_proj,
            &attention.o_proj,
        ]
        .into_iter();
        projections.any(Projection::has_dropout) || self.feed_forward.has_dropout()
    }

    /// Runs the layer; `attend` mixes values from rotated queries, keys and values.
    fn forward(
        &self,
        x: Residual,
        rotary: &Rotary,
        attend: impl FnOnce(Tensor<2>, LayerKeysValues, AttentionShape) -> Tensor<2>,
    ) -> (Residual, Option<Routing>) {
        let (x, normed) = self.input_layernorm.forward_residual(x);
        let (queries, keys_values) = self.self_attn.project(&normed, rotary);
        drop(normed);
        let mixed = attend(queries, keys_values, self.attention.0);
        let x = Residual::updated(x, self.self_attn.o_proj.forward(mixed));
        let (x, normed) = self.post_attention_layernorm.forward_residual(x);
        let (y, routing) = self.feed_forward.forward(normed);
        (Residual::updated(x, y), routing)
    }
}

/// The type that sums and exponentials are computed in: f32 for half precision.
pub(crate) fn wide_type(dtype: DType) -> DType {
    match dtype {
        DType::BF16 | DType::F16 => DType::F32,
        other => other,
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
    frequencies: Frequencies,
    auxiliary_loss_coefficient: f64,
    context_length: usize,
}

/// What the body makes of a batch.
#[derive(Debug, Clone)]
pub struct BodyOutput {
    /// After the last norm, `[T, d]`.
    pub hidden: Tensor<2>,
    /// The routers' choices, one per layer with a mixture of experts.
    pub routing: Vec<Routing>,
}

impl Body {
    pub(crate) fn new(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            embed_tokens: Embedding {
                weight: projection::zeros([config.vocab_size, config.hidden_size], device),
            },
            layers: (0..config.layers)
                .map(|index| Layer::new(config, index, device))
                .collect(),
            norm: Norm::new(config.hidden_size, config.rms_norm_epsilon, device),
            frequencies: Frequencies::new(config),
            auxiliary_loss_coefficient: config
                .mixture
                .map_or(0.0, |mixture| mixture.auxiliary_loss_coefficient),
            context_length: config.context_length(),
        }
    }

    /// Tokens of the longest text that the model reads.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// The model's rotary frequencies.
    pub fn frequencies(&self) -> &Frequencies {
        &self.frequencies
    }

    /// Cosines and sines of positions; every token is in one of the sequences, which follow each other.
    pub(crate) fn rotary(&self, positions: &[u32], sequences: &[Sequence]) -> Rotary {
        let embedding = self.embed_tokens.weight.val();
        let device = embedding.device();
        let (cos, sin) = self.frequencies.table(positions, sequences, &device);
        // Half precision has too few digits for the angles of far positions.
        let dtype = wide_type(embedding.dtype());
        Rotary {
            cos: cos.cast(dtype),
            sin: sin.cast(dtype),
        }
    }

    fn rotary_of(&self, batch: &ForestBatch) -> Rotary {
        let forest = &batch.forest;
        self.rotary(&forest.positions, &rope::sequences(forest))
    }

    fn embed(&self, tokens: Tensor<1, Int>) -> Tensor<2> {
        ops::embed(self.embed_tokens.weight.val(), tokens)
    }

    /// Runs the tokens through all layers; `attend(layer, queries, keys_values, shape)` mixes values. Every token is in one of
    /// the sequences, which follow each other.
    ///
    /// # Panics
    ///
    /// When the sequences do not have as many tokens together as there are positions.
    pub fn forward_with(
        &self,
        tokens: Tensor<1, Int>,
        positions: &[u32],
        sequences: &[Sequence],
        attend: impl FnMut(usize, Tensor<2>, LayerKeysValues, AttentionShape) -> Tensor<2>,
    ) -> BodyOutput {
        self.forward_rotated(tokens, &self.rotary(positions, sequences), attend)
    }

    /// [`forward_with`](Self::forward_with) cosines and sines that are there already.
    pub(crate) fn forward_rotated(
        &self,
        tokens: Tensor<1, Int>,
        rotary: &Rotary,
        mut attend: impl FnMut(usize, Tensor<2>, LayerKeysValues, AttentionShape) -> Tensor<2>,
    ) -> BodyOutput {
        let mut x = Residual::new(self.embed(tokens));
        let mut routing = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let (y, routed) = layer.forward(x, rotary, |queries, keys_values, shape| {
                attend(index, queries, keys_values, shape)
            });
            x = y;
            routing.extend(routed);
        }
        BodyOutput {
            hidden: self.norm.forward_residual(x).1.value,
            routing,
        }
    }

    /// Runs a packed forest through all layers.
    pub fn forward(&self, batch: &ForestBatch) -> BodyOutput {
        let rotary = self.rotary_of(batch);
        self.forward_rotated(batch.tokens.clone(), &rotary, |_, queries, kv, shape| {
            ops::tree_attention(queries, kv.keys, kv.values, &batch.visibility, shape)
        })
    }

    /// As [`forward`](Self::forward), keeping every layer's keys and values.
    pub fn forward_keeping(&self, batch: &ForestBatch) -> (Tensor<2>, Vec<LayerKeysValues>) {
        let mut kept = Vec::with_capacity(self.layers.len());
        let rotary = self.rotary_of(batch);
        let output =
            self.forward_rotated(batch.tokens.clone(), &rotary, |_, queries, kv, shape| {
                kept.push(kv.clone());
                ops::tree_attention(queries, kv.keys, kv.values, &batch.visibility, shape)
            });
        (output.hidden, kept)
    }

    /// The load-balancing loss of a pass times its coefficient, `[1]`; `None` without a mixture of experts or with a
    /// coefficient of 0.
    pub fn auxiliary_loss(&self, routing: &[Routing]) -> Option<Tensor<1>> {
        let coefficient = self.auxiliary_loss_coefficient;
        let loss = (coefficient != 0.0).then(|| load_balancing_loss(routing));
        loss.flatten().map(|loss| loss * coefficient)
    }

    /// Runs a packed forest through all layers, with the load-balancing loss.
    pub(crate) fn forward_with_auxiliary_loss(
        &self,
        batch: &ForestBatch,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        let output = self.forward(batch);
        let auxiliary = self.auxiliary_loss(&output.routing);
        (output.hidden, auxiliary)
    }

    /// The same pass layer by layer.
    pub(crate) fn blocks<'a>(&'a self, batch: &'a ForestBatch) -> Box<dyn ForestBlocks + 'a> {
        Box::new(BodyBlocks {
            body: self,
            batch,
            rotary: self.rotary_of(batch),
        })
    }
}

/// A body with the batch that goes through it.
struct BodyBlocks<'a> {
    body: &'a Body,
    batch: &'a ForestBatch,
    rotary: Rotary,
}

impl ForestBlocks for BodyBlocks<'_> {
    fn count(&self) -> usize {
        self.body.layers.len()
    }

    fn embed(&self) -> Tensor<2> {
        self.body.embed(self.batch.tokens.clone())
    }

    fn block(&self, index: usize, x: Tensor<2>) -> (Tensor<2>, Option<Routing>) {
        let layer = &self.body.layers[index];
        let (y, routing) = layer.forward(Residual::new(x), &self.rotary, |queries, kv, shape| {
            ops::tree_attention(queries, kv.keys, kv.values, &self.batch.visibility, shape)
        });
        (y.into_states(), routing)
    }

    fn finish(&self, x: Tensor<2>) -> Tensor<2> {
        self.body.norm.forward(x)
    }

    fn auxiliary_loss(&self, routing: &[Routing]) -> Option<Tensor<1>> {
        self.body.auxiliary_loss(routing)
    }

    fn is_random(&self) -> bool {
        self.body.layers.iter().any(Layer::has_dropout)
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
    pub fn empty(config: &DecoderConfig, device: &Device) -> Self {
        Self {
            model: Body::new(config, device),
            lm_head: (!config.tie_word_embeddings)
                .then(|| Projection::new(config.hidden_size, config.vocab_size, false, device)),
        }
    }
}

impl ForestBody for Decoder {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        self.model.forward(batch).hidden
    }

    fn hidden_states_and_auxiliary_loss(
        &self,
        batch: &ForestBatch,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        self.model.forward_with_auxiliary_loss(batch)
    }

    fn blocks<'a>(&'a self, batch: &'a ForestBatch) -> Option<Box<dyn ForestBlocks + 'a>> {
        Some(self.model.blocks(batch))
    }

    fn vocab_size(&self) -> usize {
        self.output_weight().dims()[0]
    }
}

impl ForestModel for Decoder {
    fn output_weight(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        }
    }

    /// Nothing but the embedding may share it.
    fn output_gradient_may_be_f32(&self) -> bool {
        true
    }
}
