//! Drawing a token from logits.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::ops::softmax_row;

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 takes the likeliest token (the first of equals).
    pub temperature: f32,
    /// Keep the likeliest tokens whose probabilities add up to this; 1 keeps all.
    pub top_p: f32,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Most new tokens of a continuation.
    pub max_tokens: usize,
}

impl SamplingParams {
    /// The likeliest token at every step.
    pub fn greedy(max_tokens: usize) -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            max_tokens,
        }
    }

    /// Tokens drawn at a temperature.
    pub fn at_temperature(temperature: f32, max_tokens: usize) -> Self {
        Self {
            temperature,
            ..Self::greedy(max_tokens)
        }
    }
}

/// A drawn token.
pub struct Choice {
    pub token: u32,
    /// Under the model, at temperature 1.
    pub log_prob: f32,
}

/// The random stream of one sequence.
pub struct Sampler(ChaCha8Rng);

impl Sampler {
    pub fn new(seed: u64, sample: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(sample as u64);
        Self(rng)
    }
}

/// Draws one token per row of `logits [B, vocab]`, which are overwritten.
pub fn choose_all(
    logits: &mut [f32],
    vocab_size: usize,
    samplers: Vec<&mut Sampler>,
    params: &SamplingParams,
) -> Vec<Choice> {
    logits
        .par_chunks_mut(vocab_size)
        .zip(samplers)
        .map(|(logits, sampler)| choose(logits, &mut sampler.0, params))
        .collect()
}

fn choose(logits: &mut [f32], rng: &mut ChaCha8Rng, params: &SamplingParams) -> Choice {
    let original = logits.to_vec();
    let log_prob_of = |token: usize| {
        let mut weights = original.clone();
        original[token] - softmax_row(&mut weights)
    };
    if params.temperature <= 0.0 {
        let mut best = 0;
        for (token, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = token;
            }
        }
        return Choice {
            token: best as u32,
            log_prob: log_prob_of(best),
        };
    }
    for logit in logits.iter_mut() {
        *logit /= params.temperature;
    }
    softmax_row(logits);
    let probabilities = &*logits;
    let token = if params.top_p < 1.0 || params.top_k > 0 {
        let kept = likeliest(probabilities, params);
        let total: f32 = kept.iter().map(|&token| probabilities[token]).sum();
        pick(
            rng,
            total,
            kept.iter().map(|&token| (token, probabilities[token])),
        )
    } else {
        let total: f32 = probabilities.iter().sum();
        pick(rng, total, probabilities.iter().copied().enumerate())
    };
    Choice {
        token: token as u32,
        log_prob: log_prob_of(token),
    }
}

/// The tokens that `top_k` and `top_p` keep, likeliest first.
fn likeliest(probabilities: &[f32], params: &SamplingParams) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    if params.top_k > 0 {
        order.truncate(params.top_k);
    }
    let mut sum = 0.0;
    let kept = order
        .iter()
        .take_while(|&&token| {
            let before = sum;
            sum += probabilities[token];
            before < params.top_p
        })
        .count();
    order.truncate(kept.max(1));
    order
}

/// Draws an entry with probability `weight / total`.
fn pick(rng: &mut ChaCha8Rng, total: f32, entries: impl Iterator<Item = (usize, f32)>) -> usize {
    let mut threshold = rng.random::<f32>() * total;
    let mut last = 0;
    for (token, weight) in entries {
        if weight > 0.0 {
            last = token;
        }
        threshold -= weight;
        if threshold < 0.0 {
            return token;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_of_drawn_tokens_follow_the_softmax() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let params = SamplingParams::at_temperature(1.0, 1);
        let mut counts = [0usize; 3];
        let probabilities = [0.5f32, 0.3, 0.2];
        for _ in 0..20_000 {
            let mut logits = probabilities.map(f32::ln).to_vec();
            counts[choose(&mut logits, &mut rng, &params).token as usize] += 1;
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            assert!((*count as f32 / 20_000.0 - probability).abs() < 0.02);
        }
    }

    #[test]
    fn top_k_and_top_p_keep_the_likeliest() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let logits = [0.1f32, 3.0, 2.9, -1.0];
        for (top_k, top_p) in [(2, 1.0), (0, 0.9)] {
            let params = SamplingParams {
                top_k,
                top_p,
                ..SamplingParams::at_temperature(1.0, 1)
            };
            for _ in 0..200 {
                let token = choose(&mut logits.to_vec(), &mut rng, &params).token;
                assert!(token == 1 || token == 2);
            }
        }
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_its_log_prob() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let choice = choose(&mut [1.0, 2.0, 2.0], &mut rng, &SamplingParams::greedy(1));
        assert_eq!(choice.token, 1);
        assert!((choice.log_prob - (-0.861_995)).abs() < 1e-5);
    }
}
