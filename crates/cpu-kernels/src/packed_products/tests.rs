//! Against double precision, against each other, and what does not fit.

use proptest::prelude::*;

use super::*;

const ALL: [PackedType; 3] = [PackedType::F32, PackedType::Bf16, PackedType::Int8];

fn values(len: usize, seed: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((i * 7919 + seed * 104_729) % 199) as f32 / 99.0 - 1.0)
        .collect()
}

fn whole(weight: &PackedWeight, x: &[f32]) -> Vec<f32> {
    let x = Rows::new(x, weight.inputs());
    let mut out = vec![f32::NAN; x.count * weight.outputs()];
    weight.product(x, 0, Columns::new(&mut out, weight.outputs()));
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn products_are_those_of_the_kept_rows_in_double_precision(
        (rows, outputs, inputs) in (1..40_usize, 1..140_usize, 1..420_usize),
        chunk in 1..4_usize,
    ) {
        let (x, weight) = (values(rows * inputs, 1), values(outputs * inputs, 2));
        // Of a sum of so many terms.
        let rounding = inputs as f64 * f64::from(f32::EPSILON);
        for kept_as in ALL {
            let packed = PackedWeight::new(&weight, inputs, kept_as);
            let mut out = vec![f32::NAN; rows * outputs];
            for (first, part) in Columns::new(&mut out, outputs).chunks(chunk * PANEL) {
                packed.product(Rows::new(&x, inputs), first, part);
            }
            let mut kept = vec![0.0; inputs];
            for output in 0..outputs {
                packed.row(output, &mut kept);
                for (kept, &own) in kept.iter().zip(&weight[output * inputs..]) {
                    let error = match kept_as {
                        PackedType::F32 => 0.0,
                        PackedType::Bf16 => own.abs() / 256.0,
                        PackedType::Int8 => 0.5 / 127.0 + 1e-6,
                    };
                    prop_assert!((kept - own).abs() <= error, "{kept} for {own}");
                }
                for row in 0..rows {
                    let products = kept.iter().zip(&x[row * inputs..])
                        .map(|(&kept, &x)| f64::from(kept) * f64::from(x));
                    let (want, magnitude) = products.fold((0.0, 1.0), |(sum, magnitude), product| {
                        (sum + product, magnitude + product.abs())
                    });
                    let got = f64::from(out[row * outputs + output]);
                    prop_assert!((got - want).abs() <= rounding * magnitude, "{kept_as:?}: {got} for {want}");
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_whatever_rows_it_is_computed_with(
        (rows, outputs, inputs) in (1..40_usize, 1..80_usize, 1..420_usize),
    ) {
        let (x, weight) = (values(rows * inputs, 3), values(outputs * inputs, 4));
        for kept_as in ALL {
            let weight = PackedWeight::new(&weight, inputs, kept_as);
            let together = whole(&weight, &x);
            for (x, together) in x.chunks(inputs).zip(together.chunks(outputs)) {
                prop_assert_eq!(&whole(&weight, x), together);
            }
        }
    }

    #[test]
    fn bfloat16_is_the_nearest_one_and_the_even_of_two(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        let mut kept = [0.0f32];
        PackedWeight::new(&[value], 1, PackedType::Bf16).row(0, &mut kept);
        let rounded = (kept[0].to_bits() >> 16) as u16;
        let of = |half: u16| f64::from(f32::from_bits(u32::from(half) << 16));
        if value.is_nan() {
            prop_assert!(of(rounded).is_nan());
        } else if of(rounded).is_finite() {
            let error = |half: u16| (of(half) - f64::from(value)).abs();
            for other in [rounded.wrapping_sub(1), rounded.wrapping_add(1)] {
                if of(other).is_finite() && error(other) <= error(rounded) {
                    prop_assert!(error(other) == error(rounded) && rounded.is_multiple_of(2));
                }
            }
        }
    }
}

#[test]
fn weights_of_a_bfloat16_file_lose_nothing_in_it() {
    let weight: Vec<f32> = values(64 * 20, 5)
        .into_iter()
        .map(|value| f32::from_bits(value.to_bits() & 0xffff_0000))
        .collect();
    assert!(PackedWeight::is_bf16(&weight));
    let x = values(3 * 20, 6);
    let [exact, half] =
        [PackedType::F32, PackedType::Bf16].map(|kept| PackedWeight::new(&weight, 20, kept));
    assert_eq!(whole(&exact, &x), whole(&half, &x), "to the bit");
    assert!(half.bytes() * 2 == exact.bytes());
    assert!(!PackedWeight::is_bf16(&[0.1]));
}

#[test]
fn nan_is_not_lost() {
    for kept_as in ALL {
        let mut x = values(40, 5);
        x[37] = f32::NAN;
        let out = whole(&PackedWeight::new(&values(60, 6), 20, kept_as), &x);
        assert!(out[..3].iter().all(|value| value.is_finite()));
        assert!(out[3..].iter().all(|value| value.is_nan()));

        let mut weight = values(60, 6);
        weight[25] = f32::NAN;
        let out = whole(&PackedWeight::new(&weight, 20, kept_as), &values(20, 5));
        assert_eq!(
            out.iter().map(|x| x.is_nan()).collect::<Vec<_>>(),
            [false, true, false]
        );
    }
}

#[test]
fn a_row_of_zeros_gives_zeros() {
    let weight = PackedWeight::new(&[0.0; 40], 20, PackedType::Int8);
    assert_eq!(whole(&weight, &values(20, 1)), [0.0; 2]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let weight = PackedWeight::new(&values(40 * 3, 1), 3, PackedType::F32);
    let x = [0.0; 6];
    let refused = |x: Rows<'_>, first: usize, rows: usize, columns: usize| {
        let mut out = vec![0.0; rows * columns];
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            weight.product(x, first, Columns::new(&mut out, columns));
        }))
        .is_err()
    };
    assert!(!refused(Rows::new(&x, 3), 32, 2, 8));
    assert!(refused(Rows::new(&x, 3), 8, 2, 8), "inside a panel");
    assert!(refused(Rows::new(&x, 3), 32, 2, 9), "more than there are");
    assert!(refused(Rows::new(&x, 3), 0, 3, 8), "more rows");
    let outside = Rows {
        data: &x,
        count: 2,
        stride: 4,
    };
    assert!(refused(outside, 0, 2, 8), "rows outside their slice");
}
