//! A continuation in the making, and what its observer hears of it.

use super::sampling::{Choice, Sampler, SamplingParams};
use super::{Continuation, Finish, Flow, Prompt};
use crate::{Error, Result};

/// A sequence in the making.
pub(super) struct Row {
    /// The prompt, by its place in the list.
    pub prompt: usize,
    pub sample: usize,
    pub sampler: Sampler,
    pub continuation: Continuation,
    /// Most new tokens.
    pub limit: usize,
    pub done: bool,
}

/// What happens to a row.
pub(super) enum News {
    Token { log_prob: f32 },
    Ended,
}

/// Hears what happens to rows, and says whether they go on.
pub(super) type Observe<'a> = dyn FnMut(&Row, News) -> Flow + 'a;

impl Row {
    /// One for each sample of the prompts.
    pub fn of(prompts: &[Prompt], params: &SamplingParams, context: usize) -> Vec<Self> {
        let of_prompt = |(index, prompt): (usize, &Prompt)| {
            let limit = params.max_tokens.min(context - prompt.tokens.len());
            let row = |&sample: &usize| Self {
                prompt: index,
                sample,
                sampler: Sampler::new(prompt.seed, sample, &prompt.tokens),
                continuation: Continuation {
                    tokens: Vec::new(),
                    log_probs: Vec::new(),
                    finish: Finish::Length,
                },
                limit,
                done: false,
            };
            prompt.samples.iter().map(row).collect::<Vec<_>>()
        };
        prompts.iter().enumerate().flat_map(of_prompt).collect()
    }

    /// Notes down the next token.
    ///
    /// # Errors
    ///
    /// When the logits that it was drawn from were not finite.
    pub fn take(
        &mut self,
        choice: &Choice,
        stop_tokens: &[u32],
        observe: &mut Observe<'_>,
    ) -> Result<()> {
        if !choice.is_sound {
            return Err(Error::LogitsNotFinite {
                prompt: self.prompt,
                sample: self.sample,
                step: self.continuation.log_probs.len() + 1,
            });
        }
        self.continuation.log_probs.push(choice.log_prob);
        if stop_tokens.contains(&choice.token) {
            self.continuation.finish = Finish::Stop;
            self.done = true;
        } else {
            self.continuation.tokens.push(choice.token);
            self.done = self.continuation.tokens.len() >= self.limit;
            let log_prob = choice.log_prob;
            if observe(self, News::Token { log_prob }) == Flow::Stop {
                self.continuation.finish = Finish::Stop;
                self.done = true;
            }
        }
        if self.done {
            observe(self, News::Ended);
        }
        Ok(())
    }
}
