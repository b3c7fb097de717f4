//! One update of AdamW (arXiv 1711.05101), in place.

use burn_cubecl::tensor::CubeTensor;
use cpu_kernels::adamw::AdamWStep;
use cubecl::prelude::*;

use crate::launch::{buffer, cubes_for, owned, row_of_units};

#[cube(launch_unchecked)]
fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient_factor: f32,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    decay: f32,
    step_size: f32,
    second_correction: f32,
) {
    let i = ABSOLUTE_POS;
    if i < parameter.len() {
        let g = gradient[i] * gradient_factor;
        let m = beta_1 * first[i] + (1.0f32 - beta_1) * g;
        let v = beta_2 * second[i] + (1.0f32 - beta_2) * g * g;
        first[i] = m;
        second[i] = v;
        let denominator = v.sqrt() * second_correction + epsilon;
        parameter[i] = decay * parameter[i] - step_size * m / denominator;
    }
}

/// Moves `parameter` and both moments, all `[n]` in float32. What nobody else holds is changed where it lies.
pub fn step(
    parameter: CubeTensor,
    gradient: CubeTensor,
    first: CubeTensor,
    second: CubeTensor,
    step: AdamWStep,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [parameter, first, second] = [parameter, first, second].map(owned);
    let elements = parameter.meta.num_elements();
    if elements > 0 {
        // SAFETY: all tensors have as many elements as `parameter`, and no other index is used.
        unsafe {
            update::launch_unchecked(
                &parameter.client.clone(),
                cubes_for(elements),
                row_of_units(),
                parameter.clone().into_buffer_arg(),
                buffer(gradient),
                first.clone().into_buffer_arg(),
                second.clone().into_buffer_arg(),
                step.gradient_factor,
                step.beta_1,
                step.beta_2,
                step.epsilon,
                step.decay,
                step.step_size,
                step.second_correction,
            );
        }
    }
    (parameter, first, second)
}
