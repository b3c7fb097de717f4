//! One update of AdamW (arXiv 1711.05101), in place.

use burn_cubecl::tensor::CubeTensor;
use cpu_kernels::adamw::AdamWStep;
use cubecl::prelude::*;

use crate::halves::{aligned, as_words, bits_to_split, joined, nearest_of, words};
use crate::launch::{buffer, cubes_for, owned, row_of_units};

/// The numbers of an [`AdamWStep`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Step {
    gradient_factor: f32,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    decay: f32,
    step_size: f32,
    second_correction: f32,
    /// Not 0 where the moments are yet to begin.
    is_first: u32,
}

fn launched(step: AdamWStep) -> StepLaunch {
    StepLaunch::new(
        step.gradient_factor,
        step.beta_1,
        step.beta_2,
        step.epsilon,
        step.decay,
        step.step_size,
        step.second_correction,
        u32::from(step.is_first),
    )
}

/// Moves both moments of an element, and gives the moved parameter.
#[cube]
fn moved(
    parameter: f32,
    gradient: f32,
    first: &mut [f32],
    second: &mut [f32],
    i: usize,
    step: &Step,
) -> f32 {
    let g = gradient * step.gradient_factor;
    let is_first = step.is_first != 0u32;
    let m = step.beta_1 * select(is_first, 0.0f32, first[i]) + (1.0f32 - step.beta_1) * g;
    let v = step.beta_2 * select(is_first, 0.0f32, second[i]) + (1.0f32 - step.beta_2) * g * g;
    first[i] = m;
    second[i] = v;
    let denominator = v.sqrt() * step.second_correction + step.epsilon;
    step.decay * parameter - step.step_size * m / denominator
}

#[cube(launch_unchecked)]
fn update(
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: &Step,
) {
    let i = ABSOLUTE_POS;
    if i < parameter.len() {
        parameter[i] = moved(parameter[i], gradient[i], first, second, i, step);
    }
}

/// A unit has a word of each half: two parameters.
#[cube(launch_unchecked)]
fn update_halves(
    nearest: &mut [u32],
    remainders: &mut [u32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: &Step,
) {
    let word = ABSOLUTE_POS;
    if word < nearest.len() {
        let (upper, lower) = (nearest[word], remainders[word]);
        let i = 2 * word;
        let parameter = joined(upper & 0xffffu32, lower & 0xffffu32);
        let bits = bits_to_split(moved(parameter, gradient[i], first, second, i, step));
        let mut new_upper = nearest_of(bits);
        let mut new_lower = bits & 0xffffu32;
        if i + 1 < gradient.len() {
            let parameter = joined(upper >> 16u32, lower >> 16u32);
            let bits = bits_to_split(moved(
                parameter,
                gradient[i + 1],
                first,
                second,
                i + 1,
                step,
            ));
            new_upper |= nearest_of(bits) << 16u32;
            new_lower |= bits << 16u32;
        }
        nearest[word] = new_upper;
        remainders[word] = new_lower;
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
        let client = parameter.client.clone();
        // SAFETY: all tensors have as many elements as `parameter`, and no other index is used.
        unsafe {
            update::launch_unchecked(
                &client,
                cubes_for(&client, elements),
                row_of_units(),
                parameter.clone().into_buffer_arg(),
                buffer(gradient),
                first.clone().into_buffer_arg(),
                second.clone().into_buffer_arg(),
                launched(step),
            );
        }
    }
    (parameter, first, second)
}

/// [`step`] of parameters in [halves](crate::halves), all `[n]`: bfloat16s, 16-bit remainders, and the rest in float32.
pub fn step_of_halves(
    nearest: CubeTensor,
    remainders: CubeTensor,
    gradient: CubeTensor,
    first: CubeTensor,
    second: CubeTensor,
    step: AdamWStep,
) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
    let [nearest, remainders] = [nearest, remainders].map(|it| owned(aligned(it)));
    let [first, second] = [first, second].map(owned);
    let elements = nearest.meta.num_elements();
    if elements > 0 {
        let client = nearest.client.clone();
        // SAFETY: all tensors have as many elements as `nearest`; a unit has a word, and the elements of it that there are.
        unsafe {
            update_halves::launch_unchecked(
                &client,
                cubes_for(&client, words(elements)),
                row_of_units(),
                as_words(nearest.clone()),
                as_words(remainders.clone()),
                buffer(gradient),
                first.clone().into_buffer_arg(),
                second.clone().into_buffer_arg(),
                launched(step),
            );
        }
    }
    (nearest, remainders, first, second)
}
