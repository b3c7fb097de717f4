//! One update of AdamW (arXiv 1711.05101), and the sum of squares that gradients are clipped by.

use crate::for_each_width::for_each_width;

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
}

/// Sums that go on side by side, so that the processor adds many at a time.
const LANES: usize = 32;
/// Squares that are added in single precision: so few that nothing is lost that matters.
const BLOCK: usize = LANES * LANES;

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
            let gradient = gradient * step.gradient_factor;
            *first = step.beta_1 * *first + (1.0 - step.beta_1) * gradient;
            *second = step.beta_2 * *second + (1.0 - step.beta_2) * gradient * gradient;
            let denominator = second.sqrt() * step.second_correction + step.epsilon;
            *parameter = step.decay * *parameter - step.step_size * *first / denominator;
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
    use super::*;

    #[test]
    fn squares_are_summed_over_all_elements() {
        for len in [0, 1, 31, 33, 1023, 1025, 5000] {
            assert_eq!(sum_of_squares(&vec![2.0; len]), 4.0 * len as f64);
        }
    }

    #[test]
    fn nan_is_not_lost() {
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }
}
