//! Fused, multi-threaded versions for the CPU backend. Tensors that are not f32 take the stock operations.

mod attention;
mod decode;
pub(crate) mod elementwise;
mod project;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::{DType, FloatDType, IntDType, TensorData};
use burn_flex::FlexTensor;
use cpu_kernels::flex::matmul;

use super::decode::DecodeSpans;
use super::{AttentionShape, ForestOps, ForestSpans, reference};

/// Elements a thread should have at least, so that starting it pays.
const ELEMENTS_PER_TASK: usize = 16 * 1024;

/// Contiguous f32 storage, or `None` for other types.
struct Values(FlexTensor);

impl Values {
    fn new(tensor: &FlexTensor) -> Option<Self> {
        (tensor.dtype() == DType::F32).then(|| Self(tensor.to_contiguous()))
    }

    fn as_slice(&self) -> &[f32] {
        self.0.as_slice().unwrap_or_default()
    }
}

fn to_tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn dims(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1]]
}

fn indices(tokens: FlexTensor) -> Vec<i64> {
    let tokens = Flex::int_cast(tokens, IntDType::I64).to_contiguous();
    tokens.as_slice().unwrap_or_default().to_vec()
}

impl ForestOps for Flex {
    fn product(lhs: FlexTensor, rhs: FlexTensor) -> FlexTensor {
        matmul(&lhs, &rhs).unwrap_or_else(|| Self::float_matmul(lhs, rhs))
    }

    fn project(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let [rows, inputs] = dims(&x);
        let [outputs, _] = dims(&weight);
        if rows > project::FEW_ROWS || rows == 0 || inputs == 0 || outputs == 0 {
            return Self::product(x, Self::float_transpose(weight));
        }
        let (Some(values), Some(weights)) = (Values::new(&x), Values::new(&weight)) else {
            return reference::project::<Self>(x, weight);
        };
        let out = project::project(values.as_slice(), weights.as_slice(), rows, inputs);
        to_tensor(out, [rows, outputs])
    }

    fn embed_backward(vocab: usize, tokens: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let [_, width] = dims(&grad);
        let Some(grads) = Values::new(&grad) else {
            return reference::embed_backward::<Self>(vocab, tokens, grad);
        };
        // Rows of tokens that are not there stay untouched zeros of the system.
        let mut out = vec![0.0; vocab * width];
        elementwise::add_rows(&mut out, width, &indices(tokens), grads.as_slice());
        to_tensor(out, [vocab, width])
    }

    fn embed_backward_onto(
        mut sum: FlexTensor,
        tokens: FlexTensor,
        grad: FlexTensor,
    ) -> FlexTensor {
        let [vocab, width] = dims(&sum);
        let is_plain = sum.dtype() == DType::F32
            && sum.layout().contiguous_offsets() == Some((0, vocab * width));
        let grad = match sum.dtype() {
            DType::F32 => Self::float_cast(grad, FloatDType::F32),
            _ => grad,
        };
        let Some(grads) = Values::new(&grad).filter(|_| is_plain) else {
            return reference::embed_backward_onto::<Self>(sum, tokens, grad);
        };
        let rows = &mut sum.storage_mut::<f32>()[..vocab * width];
        elementwise::add_rows(rows, width, &indices(tokens), grads.as_slice());
        sum
    }

    fn rms_norm(x: FlexTensor, weight: FlexTensor, epsilon: f32) -> FlexTensor {
        let (Some(values), Some(weights)) = (Values::new(&x), Values::new(&weight)) else {
            return reference::rms_norm::<Self>(x, weight, epsilon);
        };
        let out = elementwise::rms_norm(values.as_slice(), weights.as_slice(), epsilon);
        to_tensor(out, dims(&x))
    }

    fn rms_norm_backward(
        x: FlexTensor,
        weight: FlexTensor,
        grad: FlexTensor,
        epsilon: f32,
    ) -> (FlexTensor, FlexTensor) {
        let (Some(values), Some(weights), Some(grads)) =
            (Values::new(&x), Values::new(&weight), Values::new(&grad))
        else {
            return reference::rms_norm_backward::<Self>(x, weight, grad, epsilon);
        };
        let (x_grad, weight_grad) = elementwise::rms_norm_backward(
            values.as_slice(),
            weights.as_slice(),
            grads.as_slice(),
            epsilon,
        );
        let width = weight_grad.len();
        (to_tensor(x_grad, dims(&x)), to_tensor(weight_grad, [width]))
    }

    fn swiglu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        let (Some(gates), Some(ups)) = (Values::new(&gate), Values::new(&up)) else {
            return reference::swiglu::<Self>(gate, up);
        };
        let out = elementwise::swiglu(gates.as_slice(), ups.as_slice());
        to_tensor(out, dims(&gate))
    }

    fn swiglu_backward(
        gate: FlexTensor,
        up: FlexTensor,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let (Some(gates), Some(ups), Some(grads)) =
            (Values::new(&gate), Values::new(&up), Values::new(&grad))
        else {
            return reference::swiglu_backward::<Self>(gate, up, grad);
        };
        let (gate_grad, up_grad) =
            elementwise::swiglu_backward(gates.as_slice(), ups.as_slice(), grads.as_slice());
        let shape = dims(&gate);
        (to_tensor(gate_grad, shape), to_tensor(up_grad, shape))
    }

    fn rotate(x: FlexTensor, cos: FlexTensor, sin: FlexTensor, back: bool) -> FlexTensor {
        if back {
            return Self::rotate(x, cos, Self::float_neg(sin), false);
        }
        let (Some(values), Some(cosines), Some(sines)) =
            (Values::new(&x), Values::new(&cos), Values::new(&sin))
        else {
            return reference::rotate::<Self>(x, cos, sin, false);
        };
        let [_, width] = dims(&x);
        let [_, half] = dims(&cos);
        let out = elementwise::rotate(
            values.as_slice(),
            cosines.as_slice(),
            sines.as_slice(),
            width,
            half,
        );
        to_tensor(out, dims(&x))
    }

    fn tree_attention(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        _table: FlexTensor,
        spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (FlexTensor, FlexTensor) {
        let (Some(queries), Some(keys), Some(values)) =
            (Values::new(&q), Values::new(&k), Values::new(&v))
        else {
            return reference::tree_attention::<Self>(q, k, v, &spans, shape);
        };
        let (output, log_sum_exp) = attention::forward(
            queries.as_slice(),
            keys.as_slice(),
            values.as_slice(),
            &spans,
            shape,
        );
        (
            to_tensor(output, [spans.tokens, shape.heads * shape.head_dim]),
            to_tensor(log_sum_exp, [spans.tokens, shape.heads]),
        )
    }

    fn tree_attention_backward(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        output: FlexTensor,
        log_sum_exp: FlexTensor,
        grad: FlexTensor,
        _table: FlexTensor,
        spans: Arc<ForestSpans>,
        shape: AttentionShape,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let tensors = [&q, &k, &v, &output, &log_sum_exp, &grad].map(Values::new);
        let [
            Some(queries),
            Some(keys),
            Some(values),
            Some(outputs),
            Some(lse),
            Some(grads),
        ] = tensors
        else {
            return reference::tree_attention_backward::<Self>(
                q,
                k,
                v,
                output,
                log_sum_exp,
                grad,
                &spans,
                shape,
            );
        };
        let (q_grad, k_grad, v_grad) = attention::backward(
            &attention::BackwardInputs {
                q: queries.as_slice(),
                k: keys.as_slice(),
                v: values.as_slice(),
                output: outputs.as_slice(),
                log_sum_exp: lse.as_slice(),
                grad: grads.as_slice(),
            },
            &spans,
            shape,
        );
        let kv = [spans.tokens, shape.kv_heads * shape.head_dim];
        (
            to_tensor(q_grad, [spans.tokens, shape.heads * shape.head_dim]),
            to_tensor(k_grad, kv),
            to_tensor(v_grad, kv),
        )
    }

    fn write_cache(
        cached_keys: FlexTensor,
        cached_values: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        slots: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let [tokens, width] = dims(&cached_keys);
        let is_plain = |cache: &FlexTensor| {
            let place = cache.layout().contiguous_offsets();
            cache.dtype() == DType::F32 && place == Some((0, tokens * width))
        };
        let (Some(new_keys), Some(new_values)) = (Values::new(&keys), Values::new(&values)) else {
            return reference::write_cache::<Self>(cached_keys, cached_values, keys, values, slots);
        };
        if !is_plain(&cached_keys) || !is_plain(&cached_values) {
            return reference::write_cache::<Self>(cached_keys, cached_values, keys, values, slots);
        }
        let slots = indices(slots);
        let write = |mut cache: FlexTensor, rows: &[f32]| {
            let cached = cache.storage_mut::<f32>();
            for (row, &slot) in rows.chunks(width.max(1)).zip(&slots) {
                cached[slot as usize * width..][..width].copy_from_slice(row);
            }
            cache
        };
        (
            write(cached_keys, new_keys.as_slice()),
            write(cached_values, new_values.as_slice()),
        )
    }

    fn decode_attention(
        q: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        _table: FlexTensor,
        spans: Arc<DecodeSpans>,
        shape: AttentionShape,
    ) -> FlexTensor {
        let tensors = [&q, &keys, &values].map(Values::new);
        let [Some(queries), Some(of_keys), Some(of_values)] = tensors else {
            return reference::decode_attention::<Self>(q, keys, values, &spans, shape);
        };
        let output = decode::attention(
            &decode::Inputs {
                q: queries.as_slice(),
                keys: of_keys.as_slice(),
                values: of_values.as_slice(),
            },
            &spans,
            shape,
        );
        to_tensor(output, dims(&q))
    }
}
