//! Drawing a token from logits.

use chat_model::Sampling;
use cpu_kernels::vocabulary::max_of;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::row::Row;
use crate::ops::draw::{Draw, Normalizer};
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

/// How likely a token of a text is.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScore {
    /// Log-probability of the token under the model, at temperature 1.
    pub log_prob: f32,
    /// The likeliest tokens in its place with their log-probabilities, likeliest first.
    pub likeliest: Vec<(u32, f32)>,
}

impl TokenScore {
    /// The score of a token in a row of logits, with so many of the likeliest.
    pub(super) fn of(logits: &[f32], token: u32, likeliest: usize) -> Self {
        let normalizer = Normalizer::of(logits);
        Self {
            log_prob: normalizer.log_prob(logits[token as usize]),
            likeliest: largest(&normalizer, logits, likeliest),
        }
    }
}

/// A drawn token.
pub struct Choice {
    pub token: u32,
    /// Under the model: at temperature 1, without truncation or penalty.
    pub log_prob: f32,
    /// The likeliest tokens with their log-probabilities, as many as were asked for.
    pub likeliest: Vec<(u32, f32)>,
    /// Whether the logits make a distribution. If not, the token means nothing.
    pub is_sound: bool,
}

/// The tokens with the largest logits, and their log-probabilities; of equals, those with lower ids first.
fn largest(normalizer: &Normalizer, logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    if count == 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let descending = |a: &usize, b: &usize| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count - 1, descending);
        order.truncate(count);
    }
    order.sort_unstable_by(descending);
    order
        .into_iter()
        .map(|token| (token as u32, normalizer.log_prob(logits[token])))
        .collect()
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

    /// What the next token is drawn by.
    pub fn next(&mut self, params: &SamplingParams) -> Draw {
        Draw {
            temperature: params.temperature,
            top_p: params.top_p,
            top_k: params.top_k,
            uniform: match params.temperature > 0.0 {
                true => self.rng.random(),
                false => 0.0,
            },
        }
    }

    /// Notes down a token.
    pub fn see(&mut self, token: u32) {
        if let Err(place) = self.seen.binary_search(&token) {
            self.seen.insert(place, token);
        }
    }

    /// Draws a token from a row of logits. `scratch` is room that is used again.
    fn choose(
        &mut self,
        draw: Draw,
        logits: &[f32],
        penalty: f32,
        likeliest: usize,
        scratch: &mut Vec<f32>,
    ) -> Choice {
        let normalizer = Normalizer::of(logits);
        let token = if penalty == 1.0 {
            draw.token(logits, normalizer.max, scratch)
        } else {
            let mut penalised = logits.to_vec();
            self.penalise(&mut penalised, penalty);
            draw.token(&penalised, max_of(&penalised), scratch)
        };
        self.see(token as u32);
        Choice {
            token: token as u32,
            log_prob: normalizer.log_prob(logits[token]),
            likeliest: largest(&normalizer, logits, likeliest),
            is_sound: normalizer.is_sound(),
        }
    }

    fn penalise(&self, logits: &mut [f32], penalty: f32) {
        for &token in &self.seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit *= if *logit > 0.0 { 1.0 / penalty } else { penalty };
            }
        }
    }
}

/// Draws a token for every row from its logits `[vocab]`.
pub(super) fn choose_all<'a>(
    logits: impl Iterator<Item = &'a [f32]>,
    rows: impl Iterator<Item = &'a mut Row>,
) -> Vec<Choice> {
    let drawn = rows.map(|row| (row.sampler.next(&row.asked.params), row));
    choose_by(logits.zip(drawn))
}

/// The same with random numbers that are drawn already.
pub(super) fn choose_by<'a>(
    rows: impl Iterator<Item = (&'a [f32], (Draw, &'a mut Row))>,
) -> Vec<Choice> {
    let rows: Vec<(&[f32], (Draw, &mut Row))> = rows.collect();
    rows.into_par_iter()
        .map_init(Vec::new, |scratch, (logits, (draw, row))| {
            let Row { sampler, asked, .. } = row;
            let penalty = asked.params.repetition_penalty;
            sampler.choose(draw, logits, penalty, asked.likeliest, scratch)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::draw::BLOCK;

    fn sampler() -> Sampler {
        Sampler::new(3, 0, &[])
    }

    fn choose(
        sampler: &mut Sampler,
        logits: &[f32],
        params: &SamplingParams,
        likeliest: usize,
    ) -> Choice {
        let draw = sampler.next(params);
        let penalty = params.repetition_penalty;
        sampler.choose(draw, logits, penalty, likeliest, &mut Vec::new())
    }

    #[test]
    fn frequencies_of_drawn_tokens_follow_the_softmax() {
        let mut sampler = sampler();
        let params = SamplingParams::at_temperature(1.0, 1);
        let mut counts = [0usize; 3];
        let probabilities = [0.5f32, 0.3, 0.2];
        let logits = probabilities.map(f32::ln);
        for _ in 0..20_000 {
            counts[choose(&mut sampler, &logits, &params, 0).token as usize] += 1;
        }
        for (count, probability) in counts.iter().zip(probabilities) {
            assert!((*count as f32 / 20_000.0 - probability).abs() < 0.02);
        }
    }

    #[test]
    fn tokens_of_every_block_are_drawn_as_often_as_they_are_likely_at_any_temperature() {
        // The same four logits all over four blocks, the last of which is short.
        let len = 3 * BLOCK + 40;
        let logits: Vec<f32> = (0..len)
            .map(|token| [0.0, 1.0, 2.0, -40.0][token % 4])
            .collect();
        for temperature in [1.0f32, 0.5] {
            let weights: Vec<f64> = logits
                .iter()
                .map(|&logit| f64::from(logit / temperature).exp())
                .collect();
            let total: f64 = weights.iter().sum();
            let params = SamplingParams::at_temperature(temperature, 1);
            let mut sampler = Sampler::new(7, 0, &[]);
            let (mut by_kind, mut by_block) = ([0.0; 4], [0.0; 4]);
            for _ in 0..20_000 {
                let choice = choose(&mut sampler, &logits, &params, 0);
                by_kind[choice.token as usize % 4] += 1.0 / 20_000.0;
                by_block[choice.token as usize / BLOCK] += 1.0 / 20_000.0;
            }
            for kind in 0..4 {
                let want: f64 = weights.iter().skip(kind).step_by(4).sum::<f64>() / total;
                assert!((by_kind[kind] - want).abs() < 0.015, "{by_kind:?}");
                let want: f64 = weights
                    .chunks(BLOCK)
                    .nth(kind)
                    .into_iter()
                    .flatten()
                    .sum::<f64>()
                    / total;
                assert!((by_block[kind] - want).abs() < 0.015, "{by_block:?}");
            }
            assert_eq!(by_kind[3], 0.0);
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
                let token = choose(&mut sampler, &logits, &params, 0).token;
                assert!(token == 1 || token == 2);
            }
        }
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_its_log_prob() {
        let choice = choose(
            &mut sampler(),
            &[1.0, 2.0, 2.0],
            &SamplingParams::greedy(1),
            2,
        );
        assert_eq!(choice.token, 1);
        assert!((choice.log_prob - (-0.861_995)).abs() < 1e-5);
        let same = choice.log_prob;
        assert_eq!(choice.likeliest, [(1, same), (2, same)]);
    }

    #[test]
    fn the_log_prob_is_the_models_at_any_temperature_and_penalty() {
        let logits = [1.0f32, 2.0, -3.0];
        let mut params = SamplingParams::at_temperature(0.7, 1);
        params.repetition_penalty = 1.3;
        let choice = choose(&mut Sampler::new(3, 0, &[0, 1]), &logits, &params, 0);
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
            .map(|_| choose(&mut sampler, &logits, &params, 0).token)
            .collect();
        assert_eq!(drawn, [0, 1], "3 / 2 is less than 2");
        let negative = [-1.0f32, -1.5];
        let mut sampler = Sampler::new(3, 0, &[0]);
        assert_eq!(
            choose(&mut sampler, &negative, &params, 0).token,
            1,
            "-1 * 2 is less than -1.5"
        );
    }
}
