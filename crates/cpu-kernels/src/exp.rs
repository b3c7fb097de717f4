/// `e^x` for `x <= 88`, to 1e-7 relative; 0 below -87, NaN for NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, a polynomial in `r`, and `2^n` put together from its bits. No branch and no
/// call, so loops over it vectorise.
#[inline(always)]
#[allow(clippy::excessive_precision)]
pub fn exp(x: f32) -> f32 {
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
    // Below -87 the exponent in `scale` would leave its range, and the bits would be those of another number.
    if x < -87.0 { 0.0 } else { fraction * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_1e_7_relative_over_its_whole_range() {
        let mut worst = 0.0f64;
        let mut bits = 1.0e-10f32.to_bits();
        while f32::from_bits(bits) <= 87.0 {
            let size = f32::from_bits(bits);
            for x in [-size, size] {
                let want = f64::from(x).exp();
                worst = worst.max((f64::from(exp(x)) - want).abs() / want);
            }
            bits += 211;
        }
        assert!(worst <= 1e-7, "worst relative error {worst:e}");
    }

    #[test]
    fn exp_of_zero_is_one_and_far_down_is_zero() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(-87.5), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    }

    #[test]
    fn nan_is_not_lost() {
        assert!(exp(f32::NAN).is_nan());
    }
}
