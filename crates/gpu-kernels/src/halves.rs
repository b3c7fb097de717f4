//! Numbers in single precision as a bfloat16 that computes and 16 bits more, as `cpu_kernels::halves`.
//!
//! Two bfloat16s are read and written as a word, and so are two remainders: every device has words of 32 bits.

use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{buffer, cubes_for, empty, row_of_units};

/// The number of a bfloat16 and a remainder, each in the lower 16 bits of a word.
#[cube]
pub(crate) fn joined(nearest: u32, remainder: u32) -> f32 {
    // One less where the remainder is negative.
    let upper = (nearest - (remainder >> 15u32)) << 16u32;
    f32::reinterpret(upper | remainder)
}

/// The bits of a number; every NaN is one that stays one when it is rounded.
#[cube]
pub(crate) fn bits_to_split(value: f32) -> u32 {
    let bits = u32::reinterpret(value);
    let is_nan = (bits & 0x7fff_ffffu32) > 0x7f80_0000u32;
    select(is_nan, (bits & 0x8000_0000u32) | 0x7fc0_0000u32, bits)
}

/// The nearest bfloat16 of a number's bits, in the lower 16 bits.
#[cube]
pub(crate) fn nearest_of(bits: u32) -> u32 {
    (bits + 0x8000u32) >> 16u32
}

/// A unit has a word: two numbers.
#[cube(launch_unchecked)]
fn split_pairs(values: &[f32], nearest: &mut [u32], remainders: &mut [u32]) {
    let word = ABSOLUTE_POS;
    if word < nearest.len() {
        let bits = bits_to_split(values[2 * word]);
        let mut upper = nearest_of(bits);
        let mut lower = bits & 0xffffu32;
        if 2 * word + 1 < values.len() {
            let bits = bits_to_split(values[2 * word + 1]);
            upper |= nearest_of(bits) << 16u32;
            lower |= bits << 16u32;
        }
        nearest[word] = upper;
        remainders[word] = lower;
    }
}

/// A unit has a word: two numbers.
#[cube(launch_unchecked)]
fn join_pairs(nearest: &[u32], remainders: &[u32], values: &mut [f32]) {
    let word = ABSOLUTE_POS;
    if word < nearest.len() {
        let (upper, lower) = (nearest[word], remainders[word]);
        values[2 * word] = joined(upper & 0xffffu32, lower & 0xffffu32);
        if 2 * word + 1 < values.len() {
            values[2 * word + 1] = joined(upper >> 16u32, lower >> 16u32);
        }
    }
}

/// Words of so many halves.
pub(crate) fn words(elements: usize) -> usize {
    elements.div_ceil(2)
}

/// The buffer of halves that lie one after another, as words.
///
/// # Safety
///
/// They begin with a word, and nobody else holds what is written to. The last word of an odd number of them has half a word behind
/// them, which is theirs: [`split`] makes them in whole words, and CUDA gives memory in blocks of such.
pub(crate) unsafe fn as_words(halves: CubeTensor) -> BufferArg {
    let words = words(halves.meta.num_elements());
    // SAFETY: see above.
    unsafe { BufferArg::from_raw_parts(halves.handle, words) }
}

/// Halves that lie one after another and begin with a word.
pub(crate) fn aligned(halves: CubeTensor) -> CubeTensor {
    let halves = into_contiguous(halves);
    match halves.handle.offset_start.unwrap_or(0).is_multiple_of(4) {
        true => halves,
        false => halves.copy(),
    }
}

/// As many halves as a tensor has elements, not filled, in whole words.
fn empty_halves(like: &CubeTensor, dtype: DType) -> CubeTensor {
    let elements = like.meta.num_elements();
    let handle = like.client.empty(words(elements) * size_of::<u32>());
    let (client, device) = (like.client.clone(), like.device.clone());
    CubeTensor::new_contiguous(client, device, Shape::from([elements]), handle, dtype)
}

/// The nearest bfloat16s and the remainders, as 16-bit integers, of `values [n]` in float32. Of two that are as near, it is the one
/// away from zero.
pub fn split(values: CubeTensor) -> (CubeTensor, CubeTensor) {
    let elements = values.meta.num_elements();
    let [nearest, remainders] = [DType::BF16, DType::I16].map(|it| empty_halves(&values, it));
    if elements > 0 {
        let client = values.client.clone();
        // SAFETY: a unit has a word, and the numbers of it that there are; both outputs have a buffer of their own.
        unsafe {
            split_pairs::launch_unchecked(
                &client,
                cubes_for(&client, words(elements)),
                row_of_units(),
                buffer(values),
                as_words(nearest.clone()),
                as_words(remainders.clone()),
            );
        }
    }
    (nearest, remainders)
}

/// The numbers of halves, `[n]`.
pub fn join(nearest: CubeTensor, remainders: CubeTensor) -> CubeTensor {
    let elements = nearest.meta.num_elements();
    let values = empty(&nearest, [elements], DType::F32);
    if elements > 0 {
        let client = nearest.client.clone();
        let [nearest, remainders] = [nearest, remainders].map(aligned);
        // SAFETY: a unit has a word, and the numbers of it that there are.
        unsafe {
            join_pairs::launch_unchecked(
                &client,
                cubes_for(&client, words(elements)),
                row_of_units(),
                as_words(nearest),
                as_words(remainders),
                buffer(values.clone()),
            );
        }
    }
    values
}
