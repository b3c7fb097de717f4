//! Generation on the CPU: weights rearranged once, and a pass over the layers without tensors in between.

mod attention;
mod linear;
mod prompts;
mod schedule;

use burn::module::Module;
use burn::tensor::{DType, Device};
use rayon::prelude::*;

use super::sampling::TokenScore;
use crate::decoder::{FeedForward, Layer, Norm};
use crate::ops::AttentionShape;
use crate::ops::flex::elementwise;
use crate::rope::{Frequencies, Sequence};
use crate::{Decoder, ForestModel};

pub use linear::DecodeWeights;
use linear::{Linear, project, values};
pub use schedule::Schedule;

/// Hidden states whose logits are computed at once.
const LOGIT_ROWS: usize = 64;

/// A decoder that computes forward on the CPU, in single precision.
pub struct PackedDecoder {
    /// `None` where it is the head.
    embedding: Option<Linear>,
    layers: Vec<PackedLayer>,
    norm: PackedNorm,
    head: Linear,
    frequencies: Frequencies,
    context_length: usize,
}

impl std::fmt::Debug for PackedDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedDecoder")
            .field("layers", &self.layers.len())
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

struct PackedLayer {
    input_norm: PackedNorm,
    queries: Linear,
    keys: Linear,
    values: Linear,
    query_norm: Option<PackedNorm>,
    key_norm: Option<PackedNorm>,
    output: Linear,
    mlp_norm: PackedNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    shape: AttentionShape,
}

struct PackedNorm {
    weight: Vec<f32>,
    epsilon: f32,
}

/// Queries, keys and values of the tokens of a pass, rotated: `[T, heads * head_dim]` and twice `[T, kv_heads * head_dim]`.
struct QueriesKeysValues<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
}

/// What a pass writes to, used again by the next one.
#[derive(Default)]
struct Buffers {
    normed: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    mixed: Vec<f32>,
    added: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    gated: Vec<f32>,
}

impl PackedDecoder {
    /// Packs a model; what is packed is freed at once, unless someone else holds on to it.
    ///
    /// # Errors
    ///
    /// When it cannot be packed: the model, and why.
    pub fn new(
        model: Decoder,
        weights: DecodeWeights,
    ) -> Result<Self, (Box<Decoder>, &'static str)> {
        if let Some(obstacle) = obstacle(&model) {
            return Err((Box::new(model), obstacle));
        }
        let Decoder {
            model: body,
            lm_head,
        } = model.valid();
        let (frequencies, context_length) = (body.frequencies().clone(), body.context_length());
        let count = body.layers.len();
        let layers = body.layers.into_par_iter();
        let layers = layers.filter_map(|layer| PackedLayer::new(layer, weights));
        let layers: Vec<PackedLayer> = layers.collect();
        debug_assert_eq!(layers.len(), count, "a mixture of experts is an obstacle");
        let embedding = Linear::of(body.embed_tokens.weight.val(), weights);
        let (embedding, head) = match lm_head {
            Some(head) => (Some(embedding), Linear::new(head, weights)),
            None => (None, embedding),
        };
        Ok(Self {
            embedding,
            layers,
            norm: PackedNorm::new(&body.norm),
            head,
            frequencies,
            context_length,
        })
    }

    pub fn context_length(&self) -> usize {
        self.context_length
    }

    pub fn vocab_size(&self) -> usize {
        self.head.outputs()
    }

    fn width(&self) -> usize {
        self.head.inputs()
    }

    /// Runs tokens through all layers; `attend(layer, of, shape, mixed)` writes the mixed values. Returns what comes out of the
    /// last norm, `[T, d]`.
    fn forward(
        &self,
        tokens: &[u32],
        positions: &[u32],
        buffers: &mut Buffers,
        mut attend: impl FnMut(usize, &QueriesKeysValues<'_>, AttentionShape, &mut Vec<f32>),
    ) -> Vec<f32> {
        // Frequencies are the same for all lengths.
        let together = Sequence {
            tokens: positions.len(),
            length: 0,
        };
        let (cos, sin) = self.frequencies.values(positions, &[together]);
        let mut x = vec![0.0; tokens.len() * self.width()];
        let embedding = self.embedding.as_ref().unwrap_or(&self.head);
        for (x, &token) in x.chunks_mut(self.width()).zip(tokens) {
            embedding.row(token as usize, x);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            layer.input_norm.write(&x, &mut buffers.normed);
            project(
                &buffers.normed,
                [
                    (&layer.queries, &mut buffers.queries),
                    (&layer.keys, &mut buffers.keys),
                    (&layer.values, &mut buffers.values),
                ],
            );
            let rotate = |x: &mut Vec<f32>, norm: &Option<PackedNorm>, heads: usize, to: &mut _| {
                if let Some(norm) = norm {
                    norm.write(x, to);
                    std::mem::swap(x, to);
                }
                let d = layer.shape.head_dim;
                elementwise::rotate_in_place(x, &cos, &sin, heads * d, d / 2);
            };
            let shape = layer.shape;
            let spare = &mut buffers.normed;
            rotate(&mut buffers.queries, &layer.query_norm, shape.heads, spare);
            rotate(&mut buffers.keys, &layer.key_norm, shape.kv_heads, spare);
            let of = QueriesKeysValues {
                queries: &buffers.queries,
                keys: &buffers.keys,
                values: &buffers.values,
            };
            attend(index, &of, shape, &mut buffers.mixed);
            project(&buffers.mixed, [(&layer.output, &mut buffers.added)]);
            add(&mut x, &buffers.added);
            layer.mlp_norm.write(&x, &mut buffers.normed);
            project(
                &buffers.normed,
                [
                    (&layer.gate, &mut buffers.gate),
                    (&layer.up, &mut buffers.up),
                ],
            );
            buffers.gated.resize(buffers.gate.len(), 0.0);
            elementwise::swiglu_to(&mut buffers.gated, &buffers.gate, &buffers.up);
            project(&buffers.gated, [(&layer.down, &mut buffers.added)]);
            add(&mut x, &buffers.added);
        }
        self.norm.write(&x, &mut buffers.normed);
        std::mem::swap(&mut x, &mut buffers.normed);
        x
    }

    /// The logits of hidden states `[B, d]`: `[B, vocab]`.
    fn logits(&self, hidden: &[f32], logits: &mut Vec<f32>) {
        project(hidden, [(&self.head, logits)]);
    }

    /// See [`Generator::scores`](super::Generator::scores). The prompt has a token at least.
    pub fn scores(&self, prompt: &[u32], tokens: &[u32], likeliest: usize) -> Vec<TokenScore> {
        rayon::scope(|_| {
            let text: Vec<u32> = prompt.iter().chain(tokens).copied().collect();
            // Nothing is predicted from the last token.
            let hidden = self.hidden_states(&text[..text.len() - 1]);
            let predictors = &hidden[(prompt.len() - 1) * self.width()..];
            let mut logits = Vec::new();
            let mut scores = Vec::with_capacity(tokens.len());
            let predictors = predictors.chunks(LOGIT_ROWS * self.width());
            for (predictors, tokens) in predictors.zip(tokens.chunks(LOGIT_ROWS)) {
                self.logits(predictors, &mut logits);
                let rows = logits.par_chunks(self.vocab_size()).zip(tokens);
                scores.par_extend(rows.map(|(row, &token)| TokenScore::of(row, token, likeliest)));
            }
            scores
        })
    }
}

impl PackedLayer {
    /// `None` for a mixture of experts.
    fn new(layer: Layer, weights: DecodeWeights) -> Option<Self> {
        let shape = layer.attention_shape();
        let FeedForward::Mlp(mlp) = layer.feed_forward else {
            return None;
        };
        let attention = layer.self_attn;
        Some(Self {
            input_norm: PackedNorm::new(&layer.input_layernorm),
            queries: Linear::new(attention.q_proj, weights),
            keys: Linear::new(attention.k_proj, weights),
            values: Linear::new(attention.v_proj, weights),
            query_norm: attention.q_norm.as_ref().map(PackedNorm::new),
            key_norm: attention.k_norm.as_ref().map(PackedNorm::new),
            output: Linear::new(attention.o_proj, weights),
            mlp_norm: PackedNorm::new(&layer.post_attention_layernorm),
            gate: Linear::new(mlp.gate_proj, weights),
            up: Linear::new(mlp.up_proj, weights),
            down: Linear::new(mlp.down_proj, weights),
            shape,
        })
    }
}

impl PackedNorm {
    fn new(norm: &Norm) -> Self {
        Self {
            weight: values(norm.weight.val()),
            epsilon: norm.epsilon(),
        }
    }

    /// Norms rows as wide as the weight.
    fn write(&self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        elementwise::rms_norm_to(out, x, &self.weight, self.epsilon);
    }
}

fn add(sum: &mut [f32], values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

/// Some rows of a matrix, one after the other.
fn rows_of(matrix: &[f32], width: usize, rows: impl Iterator<Item = usize>) -> Vec<f32> {
    rows.flat_map(|row| &matrix[row * width..][..width])
        .copied()
        .collect()
}

/// Why a model cannot be packed, if it cannot.
fn obstacle(model: &Decoder) -> Option<&'static str> {
    let weight = model.output_weight();
    if weight.device().inner() != Device::flex() {
        return Some("the model is not on the CPU");
    }
    if weight.dtype() != DType::F32 {
        return Some("the model is not in float32");
    }
    if !model.model.frequencies().are_fixed() {
        return Some("its rotary frequencies change with the length of the text");
    }
    for layer in &model.model.layers {
        let FeedForward::Mlp(mlp) = &layer.feed_forward else {
            return Some("it is a mixture of experts");
        };
        let attention = &layer.self_attn;
        let linears = [
            &attention.q_proj,
            &attention.k_proj,
            &attention.v_proj,
            &attention.o_proj,
            &mlp.gate_proj,
            &mlp.up_proj,
            &mlp.down_proj,
        ];
        if linears.iter().any(|linear| linear.adapter.is_some()) {
            return Some("it has an adapter that is not merged");
        }
    }
    None
}
