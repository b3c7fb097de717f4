//! One update of AdamW (arXiv 1711.05101), and the sum of squares that gradients are clipped by.

use half::bf16;

use crate::for_each_width::for_each_width;
use crate::halves::{join, split};

/// Numbers of one update.
#[derive(Debug, Clone, Copy)]
pub struct AdamWStep {
    /// Multiplies the gradient first: the clipping.
    pub gradient_factor: f32,
    /// Decay of the mean of the gradients.
    pub beta_1: f32,
    /// Decay of the mean of their squares.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// `1 - lr * weight decay`.
    pub decay: f32,
    /// `lr / (1 - b1^t)`.
    pub step_size: f32,
    /// `1 / sqrt(1 - b2^t)`.
    pub second_correction: f32,
    /// Whether both moments are zeros, whatever is given as them: memory that is not filled yet will do.
    pub is_first: bool,
}

/// Sums that go on side by side, so that the processor adds many at a time.
const LANES: usize = 32;
/// Squares that are added in single precision: so few that nothing is lost that matters.
const BLOCK: usize = LANES * LANES;

/// Moves both moments, and returns the moved parameter.
#[inline(always)]
fn moved(parameter: f32, first: &mut f32, second: &mut f32, gradient: f32, step: AdamWStep) -> f32 {
    let gradient = gradient * step.gradient_factor;
    if step.is_first {
        (*first, *second) = (0.0, 0.0);
    }
    *first = step.beta_1 * *first + (1.0 - step.beta_1) * gradient;
    *second = step.beta_2 * *second + (1.0 - step.beta_2) * gradient * gradient;
    let denominator = second.sqrt() * step.second_correction + step.epsilon;
    step.decay * parameter - step.step_size * *first / denominator
}

for_each_width! {
    /// Updates parameters and both moments in place, as far as the shortest slice goes.
    pub fn update(
        parameter: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        gradients: &[f32],
        step: AdamWStep,
    ) {
        let moments = first.iter_mut().zip(second);
        for ((parameter, (first, second)), &gradient) in
            parameter.iter_mut().zip(moments).zip(gradients)
        {
            *parameter = moved(*parameter, first, second, gradient, step);
        }
    }

    /// [`update`] of parameters that are kept in [halves](crate::halves): the same numbers, to the bit.
    pub fn update_halves(
        nearest: &mut [bf16],
        remainders: &mut [i16],
        first: &mut [f32],
        second: &mut [f32],
        gradients: &[f32],
        step: AdamWStep,
    ) {
        let halves = nearest.iter_mut().zip(remainders);
        let moments = first.iter_mut().zip(second);
        for (((nearest, remainder), (first, second)), &gradient) in
            halves.zip(moments).zip(gradients)
        {
            let parameter = join(*nearest, *remainder);
            (*nearest, *remainder) = split(moved(parameter, first, second, gradient, step));
        }
    }

    /// The sum of the squares, added up in double precision every 1024 values.
    pub fn sum_of_squares(values: &[f32]) -> f64 {
        let mut total = 0.0;
        for block in values.chunks(BLOCK) {
            let mut sums = [0.0_f32; LANES];
            let (lines, rest) = block.as_chunks::<LANES>();
            for line in lines {
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += value * value;
                }
            }
            let rest: f64 = rest.iter().map(|&value| f64::from(value * value)).sum();
            total += sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() + rest;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::halves::{join_all, split_all};

    proptest! {
        #[test]
        fn updates_of_halves_are_those_of_whole_numbers_to_the_bit(
            bits in prop::collection::vec(any::<[u32; 4]>(), 0..70),
            decay in 0.9_f32..=1.0,
            step_size in 1e-8_f32..1e-1,
            is_first in any::<bool>(),
        ) {
            let step = AdamWStep {
                gradient_factor: 0.5,
                beta_1: 0.9,
                beta_2: 0.99,
                epsilon: 1e-8,
                decay,
                step_size,
                second_correction: 1.7,
                is_first,
            };
            let column = |place: usize| -> Vec<f32> {
                bits.iter().map(|row| f32::from_bits(row[place])).collect()
            };
            let (mut parameters, gradients) = (column(0), column(1));
            let (mut first, mut second) = (column(2), column(3));
            let (mut same_first, mut same_second) = (first.clone(), second.clone());
            let mut nearest = vec![bf16::ZERO; bits.len()];
            let mut remainders = vec![0; bits.len()];
            split_all(&parameters, &mut nearest, &mut remainders);
            for _ in 0..3 {
                update(&mut parameters, &mut first, &mut second, &gradients, step);
                update_halves(&mut nearest, &mut remainders, &mut same_first, &mut same_second, &gradients, step);
            }
            let mut joined = vec![0.0; bits.len()];
            join_all(&nearest, &remainders, &mut joined);
            for (whole, halves) in [(parameters, joined), (first, same_first), (second, same_second)] {
                for (a, b) in whole.into_iter().zip(halves) {
                    prop_assert!(a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(), "{} {}", a, b);
                }
            }
        }
    }

    #[test]
    fn squares_are_summed_over_all_elements() {
        for len in [0, 1, 31, 33, 1023, 1025, 5000] {
            assert_eq!(sum_of_squares(&vec![2.0; len]), 4.0 * len as f64);
        }
    }

    #[test]
    fn moments_that_are_yet_to_begin_are_zeros() {
        let step = |is_first| AdamWStep {
            gradient_factor: 1.0,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-8,
            decay: 1.0,
            step_size: 1e-3,
            second_correction: 1.0,
            is_first,
        };
        let updated = |moment, is_first| {
            let (mut p, mut m, mut v) = ([0.5], [moment], [moment]);
            update(&mut p, &mut m, &mut v, &[0.25], step(is_first));
            [p, m, v]
        };
        assert_eq!(updated(f32::NAN, true), updated(0.0, false));
    }

    #[test]
    fn nan_is_not_lost() {
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }
}
