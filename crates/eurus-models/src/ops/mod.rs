//! The operations of a decoder that burn's stock operations would make slow or memory-hungry, each with its own
//! backward pass.
//!
//! [`ForestOps`] is a burn backend extension. Every method has a default body made of stock operations, which runs on every
//! backend and is the oracle of the tests; [`Flex`](burn::backend::Flex) (CPU) has fused, multi-threaded versions. The
//! autodiff implementation is shared: it keeps what the backward pass needs, or where [`ForestOps::MAKES_AGAIN`] says so what that
//! can be made of, and calls the backend's `*_backward` method. Gradients of parameters in half precision are f32, and are added to
//! what there is of them.

mod again;
mod autodiff;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod cube;
pub mod decode;
pub mod draw;
pub(crate) mod flex;
mod reference;
mod spans;

use std::sync::Arc;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Int, Tensor};

pub use again::{Again, Normed};
use decode::DecodeSpans;
pub use spans::{AttentionShape, ForestSpans, NodeSpan, Segment, Visibility};

/// Decoder operations over packed forests.
#[backend_extension(
    Autodiff,
    Flex,
    Cube: cfg(any(feature = "cuda", feature = "wgpu")),
    LibTorch: cfg(feature = "tch")
)]
pub trait ForestOps: Backend {
    /// Whether norms and activations that projections read are made again in the backward pass, from what is kept for other
    /// ends. That is a small part of the time where memory is near its limit, on a GPU; a CPU keeps them.
    const MAKES_AGAIN: bool = false;

    /// The matrix product of `lhs [m, k]` and `rhs [k, n]`: `[m, n]`.
    fn product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_matmul(lhs, rhs)
    }

    /// [`product`](Self::product), in f32 where the factors are of half precision: the gradient of a parameter, which later
    /// forests of the step are added to.
    fn wide_product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::product(reference::wide::<Self>(lhs), reference::wide::<Self>(rhs))
    }

    /// The product added to `sum [m, n]`, in the type of the sum. A gradient of a weight in half precision is summed in f32
    /// so, and never rounded in between.
    fn product_onto(
        sum: FloatTensor<Self>,
        lhs: FloatTensor<Self>,
        rhs: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let part = match sum.dtype() == lhs.dtype() {
            true => Self::product(lhs, rhs),
            false => reference::narrow::<Self>(Self::wide_product(lhs, rhs), sum.dtype()),
        };
        Self::float_add(part, sum)
    }

    /// `x [T, in]` times the transpose of `weight [out, in]` (the layout of Hugging Face files): `[T, out]`.
    fn project(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::project::<Self>(x, weight)
    }

    /// [`project`](Self::project) of `normed`, which is [`rms_norm`](Self::rms_norm) of `x`. The backward pass may make it again
    /// from `x` and the norm's weight; `again` is shared by all projections of it, so that one does.
    fn project_normed(
        normed: FloatTensor<Self>,
        _x: FloatTensor<Self>,
        _norm_weight: FloatTensor<Self>,
        _epsilon: f32,
        _again: Again,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::project(normed, weight)
    }

    /// [`project`](Self::project) of [`swiglu`](Self::swiglu) of `gate` and `up`, which the backward pass may make again.
    fn project_gated(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::project(Self::swiglu(gate, up), weight)
    }

    /// The rows of `weight [vocab, d]` that `tokens [T]` name: `[T, d]`.
    fn embed(weight: FloatTensor<Self>, tokens: IntTensor<Self>) -> FloatTensor<Self> {
        Self::float_select(weight, 0, tokens)
    }

    /// Gradient of [`embed`](Self::embed) with respect to a weight of `vocab` rows: the rows of `grad [T, d]` added up by
    /// token.
    fn embed_backward(
        vocab: usize,
        tokens: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::embed_backward::<Self>(vocab, tokens, grad)
    }

    /// Zeros in f32 that the gradients of a parameter are added to.
    fn zeros_for_sum(parameter: &FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_zeros(parameter.shape(), &parameter.device(), FloatDType::F32)
    }

    /// The gradient of the embedding, added to `sum [vocab, d]`, the gradient from other uses of the weight. Where the
    /// embedding is the output projection too, that spares a gradient of its size.
    fn embed_backward_onto(
        sum: FloatTensor<Self>,
        tokens: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        reference::embed_backward_onto::<Self>(sum, tokens, grad)
    }

    /// Root-mean-square norm over the last dimension: `x / sqrt(mean(x^2) + epsilon) * weight`; `x [T, d]`, `weight [d]`.
    fn rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        reference::rms_norm::<Self>(x, weight, epsilon)
    }

    /// `x + y`, and its [`rms_norm`](Self::rms_norm); both are `[T, d]`.
    fn add_rms_norm(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let sum = Self::float_add(x, y);
        (sum.clone(), Self::rms_norm(sum, weight, epsilon))
    }

    /// Gradients of [`rms_norm`](Self::rms_norm) with respect to `x` and `weight`; the second is in f32 where the weight is of
    /// half precision.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::rms_norm_backward::<Self>(x, weight, grad, epsilon)
    }

    /// [`rms_norm_backward`](Self::rms_norm_backward) with the gradient of the weight added to `sum [d]`, in its type.
    fn rms_norm_backward_onto(
        sum: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (x_grad, part) = Self::rms_norm_backward(x, weight, grad, epsilon);
        let part = reference::narrow::<Self>(part, sum.dtype());
        (x_grad, Self::float_add(part, sum))
    }

    /// `silu(gate) * up`, element by element.
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::swiglu::<Self>(gate, up)
    }

    /// Gradients of [`swiglu`](Self::swiglu) with respect to `gate` and `up`.
    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::swiglu_backward::<Self>(gate, up, grad)
    }

    /// [`swiglu_backward`](Self::swiglu_backward), and [`swiglu`](Self::swiglu) once more.
    fn swiglu_backward_and_value(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let value = Self::swiglu(gate.clone(), up.clone());
        let (gate, up) = Self::swiglu_backward(gate, up, grad);
        (gate, up, value)
    }

    /// Rotary embedding of every head of `x [T, heads * head_dim]`, halves rotated against each other
    /// (pairs `(i, i + head_dim / 2)`); `cos` and `sin` are `[T, head_dim / 2]`. With `back` the rotation is by the opposite
    /// angles: its transpose.
    fn rotate(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        reference::rotate::<Self>(x, cos, sin, back)
    }

    /// Attention of every node's queries over the keys of its root path, causal, without a mask.
    ///
    /// `q [T, heads * head_dim]`, `k` and `v [T, kv_heads * head_dim]`; `table` and `spans` as [`Visibility`] has them.
    /// Returns the mixed values
    /// `[T, heads * head_dim]` and the log-sum-exp of the scores `[T, heads]`.
    fn tree_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        _table: IntTensor<Self>,
        spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::tree_attention::<Self>(q, k, v, &spans, shape)
    }

    /// Gradients of [`tree_attention`](Self::tree_attention) with respect to `q`, `k` and `v`. Scores are computed again
    /// from `q`, `k` and the log-sum-exp, so nothing of size queries x keys is kept between the passes.
    #[allow(clippy::too_many_arguments)]
    fn tree_attention_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        output: FloatTensor<Self>,
        log_sum_exp: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        _table: IntTensor<Self>,
        spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        reference::tree_attention_backward::<Self>(
            q,
            k,
            v,
            output,
            log_sum_exp,
            grad,
            &spans,
            shape,
        )
    }

    /// Writes `keys` and `values` `[T, kv_heads * head_dim]` to the rows `slots [T]` of caches `[tokens, kv_heads * head_dim]`.
    /// Has no backward pass.
    fn write_cache(
        cached_keys: FloatTensor<Self>,
        cached_values: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        slots: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        reference::write_cache::<Self>(cached_keys, cached_values, keys, values, slots)
    }

    /// Attention of one new token per sequence over its prompt and its own tokens, the new one included; the sequences of a
    /// group share their prompt's keys and values.
    ///
    /// `q [B, heads * head_dim]`; `keys` and `values` are caches `[blocks * BLOCK, kv_heads * head_dim]`; `table` and `spans` as
    /// [`DecodeStep`](decode::DecodeStep) has them. Returns `[B, heads * head_dim]`. Has no backward pass.
    fn decode_attention(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        _table: IntTensor<Self>,
        spans: Arc<DecodeSpans>,
        shape: AttentionShape,
    ) -> FloatTensor<Self> {
        reference::decode_attention::<Self>(q, keys, values, &spans, shape)
    }

    /// Draws a token from each row of `logits [B, vocab]`, float32; `settings` are the columns of [`Draw`](draw::Draw),
    /// `[4, B]`. Returns the tokens and their log-probs `[2, B]`. By default rows are read, and drawn from on the CPU: what
    /// kernels draw is that, but for rounding.
    fn draw(logits: FloatTensor<Self>, settings: FloatTensor<Self>) -> FloatTensor<Self> {
        reference::draw::<Self>(logits, settings)
    }
}

#[cfg(feature = "tch")]
impl ForestOps for burn::backend::LibTorch {}

/// See [`ForestOps::project`].
///
/// The gradient of a parameter in half precision comes out in f32, also here, in [`embed`], and for the weights of norms. burn's
/// own operations give one of the parameter's type and cannot add the two: do not use such a parameter in both.
pub fn project(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project(x.into_dispatch(), weight.into_dispatch()))
}

/// See [`ForestOps::project_normed`].
pub fn project_normed(normed: &Normed, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project_normed(
        normed.value.clone().into_dispatch(),
        normed.x.clone().into_dispatch(),
        normed.weight.clone().into_dispatch(),
        normed.epsilon,
        normed.again.clone(),
        weight.into_dispatch(),
    ))
}

/// See [`ForestOps::project_gated`].
pub fn project_gated(gate: Tensor<2>, up: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::project_gated(
        gate.into_dispatch(),
        up.into_dispatch(),
        weight.into_dispatch(),
    ))
}

/// See [`ForestOps::embed`].
pub fn embed(weight: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::embed(
        weight.into_dispatch(),
        tokens.into_dispatch(),
    ))
}

/// See [`ForestOps::rms_norm`].
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, epsilon: f32) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        epsilon,
    ))
}

/// See [`ForestOps::add_rms_norm`].
pub fn add_rms_norm(
    x: Tensor<2>,
    y: Tensor<2>,
    weight: Tensor<1>,
    epsilon: f32,
) -> (Tensor<2>, Tensor<2>) {
    let (sum, normed) = Dispatch::add_rms_norm(
        x.into_dispatch(),
        y.into_dispatch(),
        weight.into_dispatch(),
        epsilon,
    );
    (Tensor::from_dispatch(sum), Tensor::from_dispatch(normed))
}

/// See [`ForestOps::swiglu`].
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::swiglu(gate.into_dispatch(), up.into_dispatch()))
}

/// See [`ForestOps::rotate`].
pub fn rotate(x: Tensor<2>, cos: Tensor<2>, sin: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::rotate(
        x.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        false,
    ))
}

/// See [`ForestOps::tree_attention`].
pub fn tree_attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    visibility: &Visibility,
    shape: AttentionShape,
) -> Tensor<2> {
    let (output, _) = Dispatch::tree_attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        visibility.table.clone().into_dispatch(),
        visibility.spans.clone(),
        shape,
    );
    Tensor::from_dispatch(output)
}
