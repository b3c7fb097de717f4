//! How a token is drawn from a row of logits with one random number.

use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData};
use cpu_kernels::rows::softmax;
use cpu_kernels::vocabulary::{max_of, scaled_softmax, sum_of_exp};

use super::ForestOps;

/// What a token is drawn by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Divides the logits; 0 takes the likeliest token (the first of equals).
    pub temperature: f32,
    /// Keep the likeliest tokens whose probabilities add up to this; 1 keeps all.
    pub top_p: f32,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// A random number, below 1: its share of the kept probability is counted off, in the order of the ids where all tokens are
    /// kept, likeliest first where some are.
    pub uniform: f32,
}

/// Tokens drawn from rows of logits `[B, vocab]` in float32, and their log-probs at temperature 1, which are not finite where
/// the logits make no distribution. See [`ForestOps::draw`].
///
/// # Errors
///
/// When they cannot be read back.
pub fn draw(logits: Tensor<2>, settings: Tensor<2>) -> crate::Result<Vec<(u32, f32)>> {
    let drawn = Dispatch::draw(logits.into_dispatch(), settings.into_dispatch());
    let drawn = Tensor::<2>::from_dispatch(drawn).into_data();
    let drawn = drawn
        .try_into_vec_as::<f32>()
        .map_err(|error| crate::Error::Device {
            what: "drawn tokens",
            problem: format!("{error:?}"),
        })?;
    let (tokens, log_probs) = drawn.split_at(drawn.len() / 2);
    let tokens = tokens.iter().map(|&token| token as u32);
    Ok(tokens.zip(log_probs.iter().copied()).collect())
}

/// The settings of rows for [`draw`], `[4, B]`.
pub fn settings(draws: &[Draw], device: &burn::tensor::Device) -> Tensor<2> {
    let columns: [fn(&Draw) -> f32; 4] = [
        |draw| draw.temperature,
        |draw| draw.top_p,
        |draw| draw.top_k as f32,
        |draw| draw.uniform,
    ];
    let values: Vec<f32> = columns.iter().flat_map(|of| draws.iter().map(of)).collect();
    Tensor::from_data(TensorData::new(values, [4, draws.len()]), device)
}

/// What makes log-probabilities of a row of logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalizer {
    /// The largest logit.
    pub max: f32,
    /// Logarithm of the sum of `exp(logit - max)`.
    pub log_sum: f64,
}

impl Normalizer {
    /// That of a row.
    pub fn of(logits: &[f32]) -> Self {
        let max = max_of(logits);
        Self {
            max,
            log_sum: sum_of_exp(logits, max).ln(),
        }
    }

    /// The log-probability of a token with this logit.
    pub fn log_prob(&self, logit: f32) -> f32 {
        (f64::from(logit - self.max) - self.log_sum) as f32
    }

    /// Whether the logits make a distribution.
    pub fn is_sound(&self) -> bool {
        self.log_sum.is_finite() && self.max.is_finite()
    }
}

impl Draw {
    /// The settings of a column of [`settings`].
    pub(super) fn of_settings(settings: &[f32], row: usize) -> Self {
        let rows = settings.len() / 4;
        let at = |index: usize| settings[index * rows + row];
        Self {
            temperature: at(0),
            top_p: at(1),
            top_k: at(2) as usize,
            uniform: at(3),
        }
    }

    /// Draws a token from logits, the largest of which is `max`. `scratch` is room that is used again.
    pub fn token(&self, logits: &[f32], max: f32, scratch: &mut Vec<f32>) -> usize {
        if self.temperature <= 0.0 {
            likeliest_token(logits)
        } else if self.top_p < 1.0 || self.top_k > 0 {
            scratch.clear();
            scratch.extend(logits.iter().map(|logit| logit / self.temperature));
            softmax(scratch);
            self.truncated(scratch)
        } else {
            self.untruncated(logits, max, scratch)
        }
    }

    /// Draws from all tokens. A block of the vocabulary is chosen by its sum, then a token of the block: nothing as long as the
    /// row is written.
    fn untruncated(&self, logits: &[f32], max: f32, scratch: &mut Vec<f32>) -> usize {
        let scaled = |block: &[f32], scratch: &mut Vec<f32>| {
            scratch.clear();
            scratch.extend(block.iter().map(|logit| (logit - max) / self.temperature));
        };
        let sums: Vec<f32> = logits
            .chunks(BLOCK)
            .map(|block| {
                scaled(block, scratch);
                sum_of_exp(scratch, 0.0) as f32
            })
            .collect();
        let total: f32 = sums.iter().sum();
        let mut threshold = self.uniform * total;
        let chosen = pick(&mut threshold, sums.iter().copied().enumerate());
        scaled(
            &logits[chosen * BLOCK..][..BLOCK.min(logits.len() - chosen * BLOCK)],
            scratch,
        );
        scaled_softmax(scratch, 0.0, 0.0, 1.0);
        chosen * BLOCK + pick(&mut threshold, scratch.iter().copied().enumerate())
    }

    fn truncated(&self, probabilities: &[f32]) -> usize {
        let kept = likeliest(probabilities, self.top_p, self.top_k);
        let total: f32 = kept.iter().map(|&token| probabilities[token]).sum();
        let mut threshold = self.uniform * total;
        let entries = kept.iter().map(|&token| (token, probabilities[token]));
        pick(&mut threshold, entries)
    }
}

/// Tokens whose probabilities are added up before one of them is looked for.
pub(crate) const BLOCK: usize = 512;

/// The first of the largest.
fn likeliest_token(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

/// The tokens that `top_k` and `top_p` keep, likeliest first.
fn likeliest(probabilities: &[f32], top_p: f32, top_k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    // Ties go to the lower id: without a rule the unstable sorts below would decide.
    let descending = |a: &usize, b: &usize| {
        let by_probability = probabilities[*b].total_cmp(&probabilities[*a]);
        by_probability.then(a.cmp(b))
    };
    let most = match top_k {
        0 => order.len(),
        top_k => top_k.min(order.len()),
    };
    // Few tokens hold most of the probability: a short sorted head decides almost always.
    let mut head = FIRST_HEAD.min(most);
    loop {
        if head < order.len() {
            order.select_nth_unstable_by(head - 1, descending);
        }
        order[..head].sort_unstable_by(descending);
        let mut sum = 0.0;
        let kept = order[..head]
            .iter()
            .take_while(|&&token| {
                let before = sum;
                sum += probabilities[token];
                before < top_p
            })
            .count();
        if kept < head || head == most {
            order.truncate(kept.max(1));
            return order;
        }
        head = (8 * head).min(most);
    }
}

/// Tokens that are sorted first when truncating.
const FIRST_HEAD: usize = 256;

/// The entry in which the threshold lies, from which the weights of those before are taken off.
fn pick(threshold: &mut f32, entries: impl Iterator<Item = (usize, f32)>) -> usize {
    // Rounding can leave a little of the threshold at the end; the last entry that has a weight is taken then.
    let mut last = 0;
    for (entry, weight) in entries {
        if weight > 0.0 {
            last = entry;
        }
        if *threshold < weight {
            return entry;
        }
        *threshold -= weight;
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_short_head_keeps_what_sorting_everything_keeps(
            weights in prop::collection::vec(0u32..50, 1..1200),
            top_p in 0.01f32..1.0,
            top_k in prop_oneof![Just(0usize), 1usize..600],
        ) {
            let total: u32 = weights.iter().sum::<u32>().max(1);
            let probabilities: Vec<f32> = weights.iter().map(|&w| w as f32 / total as f32).collect();

            let mut all: Vec<usize> = (0..probabilities.len()).collect();
            all.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
            if top_k > 0 {
                all.truncate(top_k);
            }
            let mut sum = 0.0;
            let kept = all.iter().take_while(|&&t| { let before = sum; sum += probabilities[t]; before < top_p }).count();
            all.truncate(kept.max(1));
            prop_assert_eq!(likeliest(&probabilities, top_p, top_k), all);
        }
    }
}
