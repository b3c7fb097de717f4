//! `silu(gate) * up`.

use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::ElemType;
use cubecl::prelude::*;

use crate::launch::{buffer, cubes_for, element, empty, owned, row_of_units};

#[cube(launch_unchecked)]
fn swiglu<F: Float>(gate: &[F], up: &[F], out: &mut [F], #[define(F)] _element: ElemType) {
    let i = ABSOLUTE_POS;
    if i < out.len() {
        let g = f32::cast_from(gate[i]);
        let sigmoid = 1.0f32 / (1.0f32 + (-g).exp());
        out[i] = F::cast_from(g * sigmoid * f32::cast_from(up[i]));
    }
}

/// Puts the gradients of `gate` and `up` in their places, and the value in that of its gradient.
#[cube(launch_unchecked)]
fn swiglu_backward<F: Float>(
    gate: &mut [F],
    up: &mut [F],
    grad: &mut [F],
    #[define(F)] _element: ElemType,
) {
    let i = ABSOLUTE_POS;
    if i < gate.len() {
        let (g, u) = (f32::cast_from(gate[i]), f32::cast_from(up[i]));
        let out_grad = f32::cast_from(grad[i]);
        let sigmoid = 1.0f32 / (1.0f32 + (-g).exp());
        let silu = g * sigmoid;
        gate[i] = F::cast_from(out_grad * u * (sigmoid + silu - sigmoid * silu));
        up[i] = F::cast_from(out_grad * silu);
        grad[i] = F::cast_from(silu * u);
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

/// Gradients of [`forward`], and its value, in the memory of the three tensors if nobody else holds them: where a layer's are
/// needed, the activations of all layers before it are still there.
pub fn backward(gate: CubeTensor, up: CubeTensor, grad: CubeTensor) -> Backward {
    let (client, element) = (gate.client.clone(), element(&gate));
    let elements = gate.meta.num_elements();
    let result = Backward {
        gate: owned(gate),
        up: owned(up),
        value: owned(grad),
    };
    if elements == 0 {
        return result;
    }
    // SAFETY: all tensors have as many elements as the gradient of `gate`, and no other index is used.
    unsafe {
        swiglu_backward::launch_unchecked(
            &client,
            cubes_for(&client, elements),
            row_of_units(),
            result.gate.clone().into_buffer_arg(),
            result.up.clone().into_buffer_arg(),
            result.value.clone().into_buffer_arg(),
            element,
        );
    }
    result
}
