//! A continuation in the making, and what its observer hears of it.

use std::sync::Arc;

use super::sampling::{Choice, Sampler, SamplingParams};
use super::{Continuation, Finish, Flow};
use crate::{Error, Result};

/// A prompt, and how it is continued.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its place among all prompts.
    pub number: usize,
    pub tokens: Vec<u32>,
    pub seed: u64,
    pub params: SamplingParams,
    /// How many of the likeliest tokens are told with each new one.
    pub likeliest: usize,
    /// Most new tokens.
    pub limit: usize,
}

/// A sequence in the making.
pub(super) struct Row {
    pub asked: Arc<Asked>,
    pub sample: usize,
    pub sampler: Sampler,
    pub continuation: Continuation,
    pub done: bool,
}

/// What happens to a row.
#[derive(Clone, Copy)]
pub(super) enum News<'a> {
    Token {
        log_prob: f32,
        likeliest: &'a [(u32, f32)],
    },
    Ended {
        likeliest: &'a [(u32, f32)],
    },
}

/// Hears what happens to rows, and says whether they go on.
pub(super) type Observe<'a> = dyn FnMut(&Row, News<'_>) -> Flow + 'a;

impl Row {
    /// One sample of a prompt.
    pub fn new(asked: &Arc<Asked>, sample: usize) -> Self {
        Self {
            sampler: Sampler::new(asked.seed, sample, &asked.tokens),
            asked: asked.clone(),
            sample,
            continuation: Continuation {
                tokens: Vec::new(),
                log_probs: Vec::new(),
                finish: Finish::Length,
            },
            done: false,
        }
    }

    /// Notes down the next token.
    ///
    /// # Errors
    ///
    /// When the logits that it was drawn from were not finite. The row is done then.
    pub fn take(
        &mut self,
        choice: &Choice,
        stop_tokens: &[u32],
        observe: &mut Observe<'_>,
    ) -> Result<()> {
        if !choice.is_sound {
            self.done = true;
            return Err(Error::LogitsNotFinite {
                prompt: self.asked.number,
                sample: self.sample,
                step: self.continuation.log_probs.len() + 1,
            });
        }
        self.continuation.log_probs.push(choice.log_prob);
        let is_stop = stop_tokens.contains(&choice.token);
        if is_stop {
            self.continuation.finish = Finish::Stop;
            self.done = true;
        } else {
            self.continuation.tokens.push(choice.token);
            self.done = self.continuation.tokens.len() >= self.asked.limit;
            let news = News::Token {
                log_prob: choice.log_prob,
                likeliest: &choice.likeliest,
            };
            if observe(self, news) == Flow::Stop {
                self.continuation.finish = Finish::Stop;
                self.done = true;
            }
        }
        if self.done {
            let likeliest: &[_] = if is_stop { &choice.likeliest } else { &[] };
            observe(self, News::Ended { likeliest });
        }
        Ok(())
    }
}
