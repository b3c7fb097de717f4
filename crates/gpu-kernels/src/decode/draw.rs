//! Drawing a token from every row of logits.
//!
//! One random number a row, below 1, decides: its share of the kept probability is counted off, in the order of the ids where
//! all tokens are kept, likeliest first where some are. So a row gives the token that the same rule gives on a CPU, but for
//! rounding where the number falls between two tokens. Nothing is sorted: what is looked for is found by halving.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use crate::launch::{buffer, dims, empty, max_over_units, row_of, sum_over_units, waiting_units};

/// Numbers that say how the token of a row is drawn: the temperature, 0 for the likeliest token; the share of the probability
/// that is kept; the number of tokens that are kept, 0 for all; the random number.
pub const SETTINGS: usize = 4;

/// A number that orders logits as they are.
#[cube]
fn order_of(logit: f32) -> u32 {
    let bits = u32::reinterpret(logit);
    let mut order = bits | 0x8000_0000u32;
    if bits >= 0x8000_0000u32 {
        order = !bits;
    }
    order
}

/// Which weights are counted off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Weights {
    /// `exp((logit - max) / temperature)`.
    Probabilities,
    /// 1 for every token of the order that is looked for.
    OfOrder,
}

#[cube]
fn weight(logit: f32, max: f32, temperature: f32, order: u32, #[comptime] weights: Weights) -> f32 {
    let mut weight = f32::new(0.0f32);
    if comptime!(weights == Weights::Probabilities) {
        weight = ((logit - max) / temperature).exp();
    } else if order_of(logit) == order {
        weight = f32::new(1.0f32);
    }
    weight
}

/// The token in whose weight the threshold lies when weights are counted off in the order of the ids; `is_share`: the threshold
/// is a share of all of them.
#[cube]
fn by_id(
    logits: &[f32],
    first: usize,
    vocab: usize,
    max: f32,
    temperature: f32,
    order: u32,
    threshold: f32,
    parts: &mut Shared<[f32]>,
    #[comptime] weights: Weights,
    #[comptime] is_share: bool,
    #[comptime] units: usize,
) -> usize {
    let unit = UNIT_POS as usize;
    let mut rest = threshold;
    let mut low = comptime!(0usize).runtime();
    let mut high = vocab;
    let mut is_first = true;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let mut left = f32::new(0.0f32);
        let mut right = f32::new(0.0f32);
        let mut token = low + unit;
        while token < high {
            let of_token = weight(logits[first + token], max, temperature, order, weights);
            if token < middle {
                left += of_token;
            } else {
                right += of_token;
            }
            token += units;
        }
        let left = sum_over_units(left, parts, units);
        let right = sum_over_units(right, parts, units);
        if comptime!(is_share) {
            if is_first {
                rest *= left + right;
            }
            is_first = false;
        }
        // Rounding can leave a little of the threshold at the end; the last token that has a weight is taken then.
        if rest < left || right <= 0.0f32 {
            high = middle;
        } else {
            rest -= left;
            low = middle;
        }
    }
    low
}

/// How many tokens are above an order, and the sum of their weights.
#[cube]
fn above(
    logits: &[f32],
    first: usize,
    vocab: usize,
    max: f32,
    temperature: f32,
    order: u32,
    parts: &mut Shared<[f32]>,
    #[comptime] units: usize,
) -> (f32, f32) {
    let mut count = f32::new(0.0f32);
    let mut sum = f32::new(0.0f32);
    let mut token = UNIT_POS as usize;
    while token < vocab {
        let logit = logits[first + token];
        if order_of(logit) > order {
            count += 1.0f32;
            sum += ((logit - max) / temperature).exp();
        }
        token += units;
    }
    let count = sum_over_units(count, parts, units);
    let sum = sum_over_units(sum, parts, units);
    (count, sum)
}

/// A token of those that are kept, drawn likeliest first; of equals the lower ids come first.
#[cube]
fn truncated(
    logits: &[f32],
    first: usize,
    vocab: usize,
    max: f32,
    temperature: f32,
    top_p: f32,
    top_k: f32,
    uniform: f32,
    parts: &mut Shared<[f32]>,
    #[comptime] units: usize,
) -> usize {
    let mut min = f32::new(f32::MIN);
    let mut token = UNIT_POS as usize;
    while token < vocab {
        min = f32::max(min, -logits[first + token]);
        token += units;
    }
    let min = -max_over_units(min, parts, units);
    let nothing = comptime!(0u32).runtime();
    let (_count, total) = above(
        logits,
        first,
        vocab,
        max,
        temperature,
        nothing,
        parts,
        units,
    );
    let mass = top_p * total;
    // The last order that is kept: so few tokens are above it, and they have so little of the probability.
    let mut low = order_of(min);
    let mut high = order_of(max);
    while low < high {
        let middle = low + (high - low) / 2;
        let (count, sum) = above(logits, first, vocab, max, temperature, middle, parts, units);
        if count < top_k && sum < mass {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let last = high;
    let (count, sum) = above(logits, first, vocab, max, temperature, last, parts, units);
    let (with_equals, with_their_sum) = above(
        logits,
        first,
        vocab,
        max,
        temperature,
        last - 1,
        parts,
        units,
    );
    let equals = with_equals - count;
    let of_equal = (with_their_sum - sum) / equals;
    let fitting = f32::min(top_k - count, ((mass - sum) / of_equal).ceil());
    let kept = f32::max(1.0f32, f32::min(equals, fitting));
    let threshold = uniform * (sum + kept * of_equal);

    // The order in which the threshold lies.
    let mut low = last;
    let mut high = order_of(max);
    while low < high {
        let middle = low + (high - low) / 2;
        let (_, sum) = above(logits, first, vocab, max, temperature, middle, parts, units);
        if sum <= threshold {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    let order = high;
    let (count, sum) = above(logits, first, vocab, max, temperature, order, parts, units);
    let (with_equals, with_their_sum) = above(
        logits,
        first,
        vocab,
        max,
        temperature,
        order - 1,
        parts,
        units,
    );
    let equals = with_equals - count;
    let of_equal = (with_their_sum - sum) / equals;
    let mut most = equals;
    if order == last {
        most = kept;
    }
    let place = f32::max(
        0.0f32,
        f32::min(((threshold - sum) / of_equal).floor(), most - 1.0f32),
    );
    by_id(
        logits,
        first,
        vocab,
        max,
        temperature,
        order,
        place + 0.5f32,
        parts,
        Weights::OfOrder,
        false,
        units,
    )
}

/// A cube has one row.
#[cube(launch_unchecked)]
fn draw_rows(
    logits: &[f32],
    how: &[f32],
    out: &mut [f32],
    vocab: usize,
    rows: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    let first = row * vocab;
    let unit = UNIT_POS as usize;
    let mut parts = Shared::<[f32]>::new_slice(units);
    let mut max = f32::new(f32::MIN);
    let mut token = unit;
    while token < vocab {
        max = f32::max(max, logits[first + token]);
        token += units;
    }
    let max = max_over_units(max, &mut parts, units);
    let mut sum = f32::new(0.0f32);
    let mut token = unit;
    while token < vocab {
        sum += (logits[first + token] - max).exp();
        token += units;
    }
    let sum = sum_over_units(sum, &mut parts, units);

    let temperature = how[row];
    let top_p = how[rows + row];
    let top_k = how[2 * rows + row];
    let uniform = how[3 * rows + row];
    // The first of the largest.
    let mut to_the_end = f32::new(0.0f32);
    let mut token = unit;
    while token < vocab {
        if logits[first + token] >= max {
            to_the_end = f32::max(to_the_end, f32::cast_from(vocab - token));
        }
        token += units;
    }
    let to_the_end = max_over_units(to_the_end, &mut parts, units);
    let mut chosen = usize::min(vocab - usize::cast_from(to_the_end), vocab - 1);
    if temperature > 0.0f32 {
        if top_p < 1.0f32 || top_k > 0.0f32 {
            let mut most = top_k;
            if most <= 0.0f32 {
                most = f32::cast_from(vocab);
            }
            chosen = truncated(
                logits,
                first,
                vocab,
                max,
                temperature,
                top_p,
                most,
                uniform,
                &mut parts,
                units,
            );
        } else {
            let nothing = comptime!(0u32).runtime();
            chosen = by_id(
                logits,
                first,
                vocab,
                max,
                temperature,
                nothing,
                uniform,
                &mut parts,
                Weights::Probabilities,
                true,
                units,
            );
        }
    }
    if unit == 0 {
        out[row] = f32::cast_from(chosen);
        out[rows + row] = logits[first + chosen] - max - sum.ln();
    }
}

/// The tokens `[0]` and their log-probs `[1]`, `[2, B]` in float32, which has all token ids below 2^24. `logits [B, vocab]` and
/// `settings` `[SETTINGS, B]` in float32. Log-probs are those at temperature 1 without truncation, and not finite where the
/// logits are not.
pub fn draw(logits: CubeTensor, settings: CubeTensor) -> CubeTensor {
    let [rows, vocab] = dims(&logits);
    let out = empty(&logits, [2, rows], DType::F32);
    if rows * vocab == 0 {
        return out;
    }
    let client = logits.client.clone();
    let units = waiting_units(&client);
    // SAFETY: there are as many cubes as rows, which stay in their row; chosen tokens are below `vocab`.
    unsafe {
        draw_rows::launch_unchecked(
            &client,
            CubeCount::Static(rows as u32, 1, 1),
            row_of(units),
            buffer(logits),
            buffer(settings),
            out.clone().into_buffer_arg(),
            vocab,
            rows,
            units,
        );
    }
    out
}
