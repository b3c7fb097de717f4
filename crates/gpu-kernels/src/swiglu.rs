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
            cubes_for(elements),
            row_of_units(),
            buffer(gate),
            buffer(up),
            buffer(out.clone()),
            element,
        );
    }
    out
}

/// Gradients of [`forward`] with respect to `gate` and `up`.
pub fn backward(gate: CubeTensor, up: CubeTensor, grad: CubeTensor) -> (CubeTensor, CubeTensor) {
    let like = || empty(&gate, gate.meta.shape().clone(), gate.dtype);
    let (gate_grad, up_grad) = (like(), like());
    let elements = gate_grad.meta.num_elements();
    if elements == 0 {
        return (gate_grad, up_grad);
    }
    let (client, element) = (gate.client.clone(), element(&gate));
    // SAFETY: all tensors have as many elements as `gate_grad`, and no other index is used.
    unsafe {
        swiglu_backward::launch_unchecked(
            &client,
            cubes_for(elements),
            row_of_units(),
            buffer(gate),
            buffer(up),
            buffer(grad),
            buffer(gate_grad.clone()),
            buffer(up_grad.clone()),
            element,
        );
    }
    (gate_grad, up_grad)
}
