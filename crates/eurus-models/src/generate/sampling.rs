//! Drawing a token from logits.

use chat_model::Sampling;
use cpu_kernels::rows::softmax;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{Error, Result};

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 takes the likeliest token (the first of equals).
    pub temperature: f32,
    /// Keep the likeliest tokens whose probabilities add up to this; 1 keeps all.
    pub top_p: f32,
    /// Keep this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Divides the positive logits, and multiplies the negative ones, of tokens that stand in the prompt or were drawn
    /// already (arXiv 1909.05858, section 4.1); 1 leaves them alone.
    pub repetition_penalty: f32,
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
            repetition_penalty: 1.0,
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

    /// Refuses what no token can be drawn with.
    pub(super) fn check(&self) -> Result<()> {
        let of_chat_models = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens: self.max_tokens,
            ..Sampling::default()
        };
        of_chat_models.check().map_err(Error::Sampling)?;
        if !self.repetition_penalty.is_finite() || self.repetition_penalty <= 0.0 {
            return Err(Error::Sampling(chat_model::Error::Sampling {
                setting: "repetition_penalty",
                value: self.repetition_penalty,
                problem: "a finite number above 0 is wanted; 1 changes nothing",
            }));
        }
        Ok(())
    }
}

/// A drawn token.
pub struct Choice {
    pub token: u32,
    /// Under the model: at temperature 1, without truncation or penalty.
    pub log_prob: f32,
    /// Whether the logits make a distribution. If not, the token means nothing.
    pub is_sound: bool,
}

/// The random stream of one sequence, and the tokens it has seen.
pub struct Sampler {
    rng: ChaCha8Rng,
    /// Ascending, each once.
    seen: Vec<u32>,
}

impl Sampler {
    pub fn new(seed: u64, sample: usize, prompt: &[u32]) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // A stream of its own, so that neither the batch nor other samples change what is drawn.
        rng.set_stream(sample as u64);
        let mut seen = prompt.to_vec();
        seen.sort_unstable();
        seen.dedup();
        Self { rng, seen }
    }

    /// Draws a token from a row of logits. `scratch` is room that is used again.
    fn choose(
        &mut self,
        logits: &[f32],
        params: &SamplingParams,
        scratch: &mut Vec<f32>,
    ) -> Choice {
        scratch.clear();
        scratch.extend_from_slice(logits);
        let log_sum_exp = softmax(scratch);
        let plain = params.temperature == 1.0 && params.repetition_penalty == 1.0;
        if !plain {
            scratch.copy_from_slice(logits);
            self.penalise(scratch, params.repetition_penalty);
        }
        let token = if params.temperature <= 0.0 {
            likeliest_token(scratch)
        } else {
            if !plain {
                for logit in scratch.iter_mut() {
                    *logit /= params.temperature;
                }
                softmax(scratch);
            }
            self.draw(scratch, params)
        };
        if let Err(place) = self.seen.binary_search(&(token as u32)) {
            self.seen.insert(place, token as u32);
        }
        Choice {
            token: token as u32,
            log_prob: logits[token] - log_sum_exp,
            is_sound: log_sum_exp.is_finite(),
        }
    }

    fn penalise(&self, logits: &mut [f32], penalty: f32) {
        if penalty == 1.0 {
            return;
        }
        for &token in &self.seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit *= if *logit > 0.0 { 1.0 / penalty } else { penalty };
            }
        }
    }

    fn draw(&mut self, probabilities: &[f32], params: &SamplingParams) -> usize {
        if params.top_p < 1.0 || params.top_k > 0 {
            let kept = likeliest(probabilities, params);
            let total: f32 = kept.iter().map(|&token| probabilities[token]).sum();
            let entries = kept.iter().map(|&token| (token, probabilities[token]));
            pick(&mut self.rng, total, entries)
        } else {
            // Summed and not taken for 1, from which rounding can move it.
            let total: f32 = probabilities.iter().sum();
            pick(
                &mut self.rng,
                total,
                probabilities.iter().copied().enumerate(),
            )
        }
    }
}

/// Draws a token from every row of logits `[vocab]`.
pub fn choose_all(rows: Vec<(&[f32], &mut Sampler)>, params: &SamplingParams) -> Vec<Choice> {
    rows.into_par_iter()
        .map_init(Vec::new, |scratch, (logits, sampler)| {
            sampler.choose(logits, params, scratch)
        })
        .collect()
}

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
fn likeliest(probabilities: &[f32], params: &SamplingParams) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    // Ties go to the lower id: without a rule the unstable sorts below would decide.
    let descending = |a: &usize, b: &usize| {
        let by_probability = probabilities[*b].total_cmp(&probabilities[*a]);
        by_probability.then(a.cmp(b))
    };
    let most = match params.top_k {
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
                before < params.top_p
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

/// Draws an entry with probability `weight / total`.
fn pick(rng: &mut ChaCha8Rng, total: f32, entries: impl Iterator<Item = (usize, f32)>) -> usize {
    let mut threshold = rng.random::<f32>() * total;
    // Rounding can leave a little of the threshold at the end; the last token that has a weight is taken then.
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
    use proptest::prelude::*;

    use super::*;

    fn sampler() -> Sampler {
        Sampler::new(3, 0, &[])
    }

    #[test]
    fn frequencies_of_drawn_tokens_follow_the_softmax() {
        let mut sampler = sampler();
        let params = SamplingParams::at_temperature(1.0, 1);
        let mut counts = [0usize; 3];
        let probabilities = [0.5f32, 0.3, 0.2];
        let logits = probabilities.map(f32::ln);
        for _ in 0..20_000 {
            counts[sampler.choose(&logits, &params, &mut Vec::new()).token as usize] += 1;
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            assert!((*count as f32 / 20_000.0 - probability).abs() < 0.02);
        }
    }

    #[test]
    fn top_k_and_top_p_keep_the_likeliest() {
        let mut sampler = sampler();
        let logits = [0.1f32, 3.0, 2.9, -1.0];
        for (top_k, top_p) in [(2, 1.0), (0, 0.9)] {
            let params = SamplingParams {
                top_k,
                top_p,
                ..SamplingParams::at_temperature(1.0, 1)
            };
            for _ in 0..200 {
                let token = sampler.choose(&logits, &params, &mut Vec::new()).token;
                assert!(token == 1 || token == 2);
            }
        }
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_its_log_prob() {
        let choice = sampler().choose(
            &[1.0, 2.0, 2.0],
            &SamplingParams::greedy(1),
            &mut Vec::new(),
        );
        assert_eq!(choice.token, 1);
        assert!((choice.log_prob - (-0.861_995)).abs() < 1e-5);
    }

    #[test]
    fn the_log_prob_is_the_models_at_any_temperature_and_penalty() {
        let logits = [1.0f32, 2.0, -3.0];
        let mut params = SamplingParams::at_temperature(0.7, 1);
        params.repetition_penalty = 1.3;
        let choice = Sampler::new(3, 0, &[0, 1]).choose(&logits, &params, &mut Vec::new());
        let sum: f32 = logits.iter().map(|logit| logit.exp()).sum();
        let wanted = logits[choice.token as usize] - sum.ln();
        assert!((choice.log_prob - wanted).abs() < 1e-5);
    }

    #[test]
    fn the_penalty_turns_to_a_token_not_seen_yet() {
        let params = SamplingParams {
            repetition_penalty: 2.0,
            ..SamplingParams::greedy(1)
        };
        let logits = [3.0f32, 2.0, -1.0];
        let mut sampler = Sampler::new(3, 0, &[]);
        let drawn: Vec<u32> = (0..2)
            .map(|_| sampler.choose(&logits, &params, &mut Vec::new()).token)
            .collect();
        assert_eq!(drawn, [0, 1], "3 / 2 is less than 2");
        let negative = [-1.0f32, -1.5];
        let mut sampler = Sampler::new(3, 0, &[0]);
        assert_eq!(
            sampler.choose(&negative, &params, &mut Vec::new()).token,
            1,
            "-1 * 2 is less than -1.5"
        );
    }

    proptest! {
        #[test]
        fn the_short_head_keeps_what_sorting_everything_keeps(
            weights in prop::collection::vec(0u32..50, 1..1200),
            top_p in 0.01f32..1.0,
            top_k in prop_oneof![Just(0usize), 1usize..600],
        ) {
            let total: u32 = weights.iter().sum::<u32>().max(1);
            let probabilities: Vec<f32> = weights.iter().map(|&w| w as f32 / total as f32).collect();
            let params = SamplingParams { top_p, top_k, ..SamplingParams::at_temperature(1.0, 1) };

            let mut all: Vec<usize> = (0..probabilities.len()).collect();
            all.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]).then(a.cmp(&b)));
            if top_k > 0 {
                all.truncate(top_k);
            }
            let mut sum = 0.0;
            let kept = all.iter().take_while(|&&t| { let before = sum; sum += probabilities[t]; before < top_p }).count();
            all.truncate(kept.max(1));
            prop_assert_eq!(likeliest(&probabilities, &params), all);
        }
    }
}
