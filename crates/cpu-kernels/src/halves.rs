//! A number in single precision as a bfloat16 that computes and 16 bits more, which together are the number exactly.
//!
//! The bits of the number are those of the bfloat16, moved up by 16, plus the remainder: integers, with a sign. The bfloat16 is the
//! nearest one; of two that are as near, the one away from zero. To even, as bfloat16 is rounded to elsewhere, would not do: 65537
//! numbers are nearest to every even one, and 16 bits tell 65536 apart.

use half::bf16;

use crate::for_each_width::for_each_width;

const SIGN: u32 = 0x8000_0000;
const INFINITE: u32 = 0x7f80_0000;
const NOT_A_NUMBER: u32 = 0x7fc0_0000;

/// The nearest bfloat16, and what is left. A NaN stays one, with its sign; what else its bits say is not kept.
#[inline(always)]
pub fn split(value: f32) -> (bf16, i16) {
    let bits = value.to_bits();
    // A NaN whose bits are next to those of infinity, or the last ones, would be rounded to a number.
    let bits = match bits & !SIGN > INFINITE {
        true => bits & SIGN | NOT_A_NUMBER,
        false => bits,
    };
    let remainder = bits as u16 as i16;
    // One more where the remainder is negative.
    let nearest = bits.wrapping_add(0x8000) >> 16;
    (bf16::from_bits(nearest as u16), remainder)
}

/// The number that was [`split`].
#[inline(always)]
pub fn join(nearest: bf16, remainder: i16) -> f32 {
    let upper = u32::from(nearest.to_bits()) << 16;
    f32::from_bits(upper.wrapping_add_signed(i32::from(remainder)))
}

for_each_width! {
    /// [`split`] of all numbers, as far as the shortest slice goes.
    pub fn split_all(values: &[f32], nearest: &mut [bf16], remainders: &mut [i16]) {
        for (&value, (nearest, remainder)) in values.iter().zip(nearest.iter_mut().zip(remainders)) {
            (*nearest, *remainder) = split(value);
        }
    }

    /// [`join`] of all numbers, as far as the shortest slice goes.
    pub fn join_all(nearest: &[bf16], remainders: &[i16], values: &mut [f32]) {
        for (value, (&nearest, &remainder)) in values.iter_mut().zip(nearest.iter().zip(remainders)) {
            *value = join(nearest, remainder);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rejoined(value: f32) -> f32 {
        let (nearest, remainder) = split(value);
        join(nearest, remainder)
    }

    /// Whether no bfloat16 is nearer to a number.
    fn is_nearest(nearest: bf16, value: f32) -> bool {
        let apart = |it: bf16| (f64::from(it.to_f32()) - f64::from(value)).abs();
        let bits = nearest.to_bits();
        let neighbors = [bits.wrapping_sub(1), bits.wrapping_add(1)].map(bf16::from_bits);
        let neighbors = neighbors.into_iter().filter(|it| it.is_finite());
        neighbors.into_iter().all(|it| apart(nearest) <= apart(it))
    }

    #[test]
    fn every_pair_of_halves_is_another_number() {
        // Each bfloat16 that is a number, with remainders at the edges and between them.
        let edges = [
            i16::MIN,
            i16::MIN + 1,
            -257,
            -1,
            0,
            1,
            255,
            i16::MAX - 1,
            i16::MAX,
        ];
        for bits in 0..=u16::MAX {
            let upper = bf16::from_bits(bits);
            for remainder in edges {
                let value = join(upper, remainder);
                // Behind infinity there are NaNs alone, before zero of the other sign too.
                if !value.is_nan() && upper.is_finite() {
                    let is_wrapped = bits & 0x7fff == 0 && remainder < 0;
                    assert!(
                        is_wrapped || split(value) == (upper, remainder),
                        "{bits:x} {remainder}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_at_the_edges_are_kept_to_the_bit() {
        let largest = f32::MAX.to_bits();
        let bits = [
            0,
            1,
            0x7fff,
            0x8000,
            0x8001,
            0xffff,
            0x1_0000,
            0x1_7fff,
            0x1_8000,
            0x1_8001, // subnormal
            0x007f_7fff,
            0x007f_8000,
            0x007f_ffff,
            0x0080_0000, // the least normal one and those before it
            0x3f7f_ffff,
            0x3f80_0000,
            0x3f80_7fff,
            0x3f80_8000,
            0x3f80_8001,
            0x3f81_8000, // about 1, with ties
            largest,
            largest - 1,
            0x7f7f_8000,
            0x7f7f_7fff,
            INFINITE,
        ];
        for bits in bits {
            for bits in [bits, bits | SIGN] {
                assert_eq!(rejoined(f32::from_bits(bits)).to_bits(), bits, "{bits:x}");
            }
        }
        // What is nearest to no finite one computes as infinity, and is what it was.
        assert_eq!(split(f32::MAX).0, bf16::INFINITY);
        assert_eq!(split(f32::NEG_INFINITY), (bf16::NEG_INFINITY, 0));
    }

    #[test]
    fn every_nan_stays_one_in_both_halves_and_together() {
        for bits in [
            0x7f80_0001,
            0x7f80_8000,
            NOT_A_NUMBER,
            0x7fff_7fff,
            0x7fff_8000,
            0x7fff_ffff,
        ] {
            for bits in [bits, bits | SIGN] {
                let value = f32::from_bits(bits);
                assert!(
                    split(value).0.is_nan() && rejoined(value).is_nan(),
                    "{bits:x}"
                );
            }
        }
    }

    #[test]
    fn ties_go_away_from_zero() {
        for (bits, nearest) in [
            (0x3f80_8000, 0x3f81),
            (0xbf80_8000, 0xbf81),
            (0x3f81_8000, 0x3f82),
        ] {
            let tie = f32::from_bits(bits);
            assert_eq!(split(tie).0.to_bits(), nearest, "{bits:x}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_its_halves_and_the_upper_one_is_the_nearest(bits in any::<u32>()) {
            let value = f32::from_bits(bits);
            let (nearest, remainder) = split(value);
            if value.is_nan() {
                prop_assert!(nearest.is_nan() && join(nearest, remainder).is_nan());
            } else {
                prop_assert_eq!(join(nearest, remainder).to_bits(), bits);
                prop_assert!(!nearest.is_finite() || is_nearest(nearest, value));
                // The one to even but for ties.
                prop_assert!(nearest == bf16::from_f32(value) || bits & 0xffff == 0x8000);
            }
        }

        #[test]
        fn halves_of_many_are_those_of_each(bits in prop::collection::vec(any::<u32>(), 0..100)) {
            let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            let mut nearest = vec![bf16::ZERO; values.len()];
            let mut remainders = vec![0; values.len()];
            split_all(&values, &mut nearest, &mut remainders);
            let mut joined = vec![0.0; values.len()];
            join_all(&nearest, &remainders, &mut joined);
            for (place, &value) in values.iter().enumerate() {
                let (upper, remainder) = split(value);
                prop_assert_eq!((nearest[place].to_bits(), remainders[place]), (upper.to_bits(), remainder));
                prop_assert_eq!(joined[place].to_bits(), join(upper, remainder).to_bits());
            }
        }
    }
}
