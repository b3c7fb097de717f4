//! The kernels of GPUs.

#[cfg(all(test, feature = "wgpu"))]
mod decode_tests;
#[cfg(all(test, feature = "wgpu"))]
mod tests;

use std::sync::Arc;

use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use gpu_kernels::{attention, decode, embedding, product, rms_norm, rotary, sums, swiglu};

use super::decode::DecodeSpans;
use super::{AttentionShape, ForestOps, ForestSpans, Visibility};

/// The kernels read the table that is made here.
const _: () = assert!(Visibility::COARSE_ROWS == attention::COARSE_ROWS);
const _: () = assert!(super::decode::BLOCK == decode::attention::BLOCK);
const _: () = assert!(super::decode::QUERIES == decode::attention::QUERIES);
const _: () = assert!(super::decode::ENTRIES_OF_PIECE == decode::attention::ENTRIES_OF_PIECE);

impl From<AttentionShape> for attention::AttentionShape {
    fn from(shape: AttentionShape) -> Self {
        Self {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            head_dim: shape.head_dim,
            scale: shape.scale,
            window: shape.window,
        }
    }
}

/// The type of a gradient that is not to be rounded.
fn wide(dtype: DType) -> DType {
    match dtype {
        DType::BF16 | DType::F16 => DType::F32,
        other => other,
    }
}

impl ForestOps for CubeBackend {
    const MAKES_AGAIN: bool = true;

    fn product(lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
        let dtype = lhs.dtype;
        product::product(lhs, rhs, dtype)
    }

    fn wide_product(lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
        let dtype = wide(lhs.dtype);
        product::product_for_sum(lhs, rhs, dtype)
    }

    fn product_onto(sum: CubeTensor, lhs: CubeTensor, rhs: CubeTensor) -> CubeTensor {
        product::product_onto(sum, lhs, rhs)
    }

    fn project(x: CubeTensor, weight: CubeTensor) -> CubeTensor {
        // A transposed view, which a product reads as it lies.
        Self::product(x, Self::float_transpose(weight))
    }

    fn embed_backward(vocab: usize, tokens: CubeTensor, grad: CubeTensor) -> CubeTensor {
        let width = grad.meta.shape()[1];
        let zeros = Self::float_zeros(Shape::from([vocab, width]), &grad.device, grad.dtype.into());
        embedding::add_rows(zeros, tokens, grad)
    }

    fn zeros_for_sum(parameter: &CubeTensor) -> CubeTensor {
        sums::zeros(parameter, DType::F32)
    }

    fn embed_backward_onto(sum: CubeTensor, tokens: CubeTensor, grad: CubeTensor) -> CubeTensor {
        embedding::add_rows(sum, tokens, grad)
    }

    fn rms_norm(x: CubeTensor, weight: CubeTensor, epsilon: f32) -> CubeTensor {
        rms_norm::forward(x, weight, epsilon)
    }

    fn add_rms_norm(
        x: CubeTensor,
        y: CubeTensor,
        weight: CubeTensor,
        epsilon: f32,
    ) -> (CubeTensor, CubeTensor) {
        rms_norm::add_forward(x, y, weight, epsilon)
    }

    fn rms_norm_backward(
        x: CubeTensor,
        weight: CubeTensor,
        grad: CubeTensor,
        epsilon: f32,
    ) -> (CubeTensor, CubeTensor) {
        let dtype = wide(weight.dtype);
        rms_norm::backward(x, weight, grad, None, dtype, epsilon)
    }

    fn rms_norm_backward_onto(
        sum: CubeTensor,
        x: CubeTensor,
        weight: CubeTensor,
        grad: CubeTensor,
        epsilon: f32,
    ) -> (CubeTensor, CubeTensor) {
        let dtype = sum.dtype;
        rms_norm::backward(x, weight, grad, Some(sum), dtype, epsilon)
    }

    fn swiglu(gate: CubeTensor, up: CubeTensor) -> CubeTensor {
        swiglu::forward(gate, up)
    }

    fn swiglu_backward(
        gate: CubeTensor,
        up: CubeTensor,
        grad: CubeTensor,
    ) -> (CubeTensor, CubeTensor) {
        let gradients = swiglu::backward(gate, up, grad);
        (gradients.gate, gradients.up)
    }

    fn swiglu_backward_and_value(
        gate: CubeTensor,
        up: CubeTensor,
        grad: CubeTensor,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let result = swiglu::backward(gate, up, grad);
        (result.gate, result.up, result.value)
    }

    fn rotate(x: CubeTensor, cos: CubeTensor, sin: CubeTensor, back: bool) -> CubeTensor {
        rotary::rotate(x, cos, sin, back)
    }

    fn tree_attention(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        table: CubeTensor,
        _spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (CubeTensor, CubeTensor) {
        attention::forward(q, k, v, table, shape.into())
    }

    fn tree_attention_backward(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        output: CubeTensor,
        log_sum_exp: CubeTensor,
        grad: CubeTensor,
        table: CubeTensor,
        _spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        attention::backward(q, k, v, output, log_sum_exp, grad, table, shape.into())
    }

    fn write_cache(
        cached_keys: CubeTensor,
        cached_values: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        slots: CubeTensor,
    ) -> (CubeTensor, CubeTensor) {
        decode::cache::write(cached_keys, cached_values, keys, values, slots)
    }

    fn decode_attention(
        q: CubeTensor,
        keys: CubeTensor,
        values: CubeTensor,
        table: CubeTensor,
        spans: Arc<DecodeSpans>,
        shape: AttentionShape,
    ) -> CubeTensor {
        let size = decode::attention::TableSize {
            rows: spans.rows(),
            pieces: spans.pieces(),
            parts: spans.parts(),
        };
        decode::attention::attention(q, keys, values, table, size, shape.into())
    }

    fn draw(logits: CubeTensor, settings: CubeTensor) -> CubeTensor {
        decode::draw::draw(logits, settings)
    }
}
