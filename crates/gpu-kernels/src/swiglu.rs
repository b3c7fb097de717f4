//! `silu(gate) * up`.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{buffer, cubes_for, element, empty, row_of_units};

#[cube(launch_unchecked)]
fn swiglu<F: Float>(gate: &[F], up: &[F], out: &mut [F], #[define(F)] _element: ElemType) {
    let i = ABSOLUTE_POS;
    if i < out.len() {
        let g = f32::cast_from(gate[i]);
        let sigmoid = 1.0f32 / (1.0f32 + (-g).exp());
        out[i] = F::cast_from(g * sigmoid * f32::cast_from(up[i]));
    }
}

#[cube(launch_unchecked)]
fn swiglu_backward<F: Float>(
    gate: &[F],
    up: &[F],
    grad: &[F],
    gate_grad: &mut [F],
    up_grad: &mut [F],
    value: &mut [F],
    #[define(F)] _element: ElemType,
) {
    let i = ABSOLUTE_POS;
    if i < gate_grad.len() {
        let (g, u) = (f32::cast_from(gate[i]), f32::cast_from(up[i]));
        let out_grad = f32::cast_from(grad[i]);
        let sigmoid = 1.0f32 / (1.0f32 + (-g).exp());
        let silu = g * sigmoid;
        gate_grad[i] = F::cast_from(out_grad * u * (sigmoid + silu - sigmoid * silu));
        up_grad[i] = F::cast_from(out_grad * silu);
        value[i] = F::cast_from(silu * u);
    }
}

/// `silu(gate) * up`, element by element.
pub fn forward(gate: CubeTensor, up: CubeTensor) -> CubeTensor {
    let out = empty(&gate, gate.meta.shape().clone(), gate.dtype);
    let elements = out.meta.num_elements();
    if elements == 0 {
        return out;
    }
    let (client, element) = (gate.client.clone(), element(&gate));
    // SAFETY: all tensors have as many elements as `out`, and no other index is used.
    unsafe {
        swiglu::launch_unchecked(
            &client,
            cubes_for(&client, elements),
            row_of_units(),
            buffer(gate),
            buffer(up),
            buffer(out.clone()),
            element,
        );
    }
    out
}

/// What [`backward`] computes.
#[derive(Debug)]
pub struct Backward {
    /// The gradient of `gate`.
    pub gate: CubeTensor,
    /// The gradient of `up`.
    pub up: CubeTensor,
    /// `silu(gate) * up` once more, for those who did not keep it.
    pub value: CubeTensor,
}

/// Gradients of [`forward`], and its value.
pub fn backward(gate: CubeTensor, up: CubeTensor, grad: CubeTensor) -> Backward {
    let like = || empty(&gate, gate.meta.shape().clone(), gate.dtype);
    let result = Backward {
        gate: like(),
        up: like(),
        value: like(),
    };
    let elements = result.value.meta.num_elements();
    if elements == 0 {
        return result;
    }
    let (client, element) = (gate.client.clone(), element(&gate));
    // SAFETY: all tensors have as many elements as the gradient of `gate`, and no other index is used.
    unsafe {
        swiglu_backward::launch_unchecked(
            &client,
            cubes_for(&client, elements),
            row_of_units(),
            buffer(gate),
            buffer(up),
            buffer(grad),
            buffer(result.gate.clone()),
            buffer(result.up.clone()),
            buffer(result.value.clone()),
            element,
        );
    }
    result
}
