//! Row kernels around `exp` that compilers turn into vector code.
//!
//! Each is compiled for several instruction sets and picked at run time, so a binary built for a
//! plain x86-64 still uses the wide registers of the machine it runs on.

use multiversion::multiversion;

/// Lanes of independent partial results. Wide enough for two 512-bit registers.
const LANES: usize = 32;
/// Elements that are summed in f32 before the sum goes into f64.
const BLOCK: usize = 16 * LANES;

/// `exp(x)` for `x <= 0`, to 1e-7 relative; 0 below -87, NaN for NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial in `r`, and `2^n` put together from its
/// bits. No branch and no call, so loops over it vectorise.
#[inline(always)]
#[allow(clippy::excessive_precision)]
fn exp_nonpositive(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts; n times the first is exact.
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_15e-4;
    p = p * r + 1.398_199_950_7e-3;
    p = p * r + 8.333_451_907_3e-3;
    p = p * r + 4.166_579_589_4e-2;
    p = p * r + 1.666_666_545_9e-1;
    p = p * r + 5.000_000_120_1e-1;
    let fraction = (p * (r * r) + r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { fraction * scale }
}

/// The largest element; NaN is passed over (it shows up in the sum instead).
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn max_of(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    let max = lanes.into_iter().fold(f32::NEG_INFINITY, larger);
    rest.iter().copied().fold(max, larger)
}

/// `sum(exp(x - max))` for a `max` that no element exceeds.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn sum_of_exp(row: &[f32], max: f32) -> f64 {
    let mut total = 0.0;
    for block in row.chunks(BLOCK) {
        let mut lanes = [0.0f32; LANES];
        let chunks = block.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (lane, &x) in lanes.iter_mut().zip(chunk) {
                *lane += exp_nonpositive(x - max);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += exp_nonpositive(x - max);
        }
        total += lanes.into_iter().map(f64::from).sum::<f64>();
    }
    total
}

/// Replaces each logit by `factor * softmax`, with `softmax = exp((x - max) - log_sum)`.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl",
    "x86_64+avx2+fma",
    "aarch64+neon"
))]
pub(super) fn scaled_softmax(row: &mut [f32], max: f32, log_sum: f32, factor: f32) {
    for x in row {
        *x = factor * exp_nonpositive((*x - max) - log_sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_1e_7_relative_over_its_whole_range() {
        let mut worst = 0.0f64;
        let mut bits = 1.0e-10f32.to_bits();
        while f32::from_bits(bits) <= 87.0 {
            let x = -f32::from_bits(bits);
            let want = f64::from(x).exp();
            worst = worst.max((f64::from(exp_nonpositive(x)) - want).abs() / want);
            bits += 211;
        }
        assert!(worst <= 1e-7, "worst relative error {worst:e}");
    }

    #[test]
    fn exp_of_zero_is_one_and_far_down_is_zero() {
        assert_eq!(exp_nonpositive(0.0), 1.0);
        assert_eq!(exp_nonpositive(-0.0), 1.0);
        assert_eq!(exp_nonpositive(-87.5), 0.0);
        assert_eq!(exp_nonpositive(-1e30), 0.0);
        assert_eq!(exp_nonpositive(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn nan_is_not_lost() {
        assert!(exp_nonpositive(f32::NAN).is_nan());
        assert!(sum_of_exp(&[-1.0, f32::NAN], 0.0).is_nan());
    }

    #[test]
    fn rows_of_any_length_are_summed_whole() {
        for len in [0, 1, 31, 32, 33, 511, 512, 513, 2000] {
            let row: Vec<f32> = (0..len).map(|i| -((i * 37 % 101) as f32) * 0.1).collect();
            let want: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            let got = sum_of_exp(&row, 0.0);
            assert!(
                (got - want).abs() <= 1e-6 * want.max(1.0),
                "{len}: {got} {want}"
            );
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max_of(&row), max);
        }
    }
}
