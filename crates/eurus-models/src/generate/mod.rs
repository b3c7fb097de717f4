//! Generation with a key/value cache: many prompts at once, each prompt computed once for all its samples.

mod decoding;
mod packed;
mod row;
mod sampling;
mod statistics;
mod tensors;

use std::sync::Arc;

use burn::module::Module;

use crate::{Decoder, Error, ForestModel, Result};

pub use decoding::{Decoding, Order};
pub use packed::DecodeWeights;
use packed::PackedDecoder;
use row::{News, Observe, Row};
pub use sampling::{SamplingParams, TokenScore};
pub use statistics::{GenerationStatistics, REPEATED};

/// A prompt to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids, template and generation prompt included.
    pub tokens: Vec<u32>,
    /// Continuations wanted, by their numbers: `0..8` for eight, `[3, 5]` for two of them.
    pub samples: Vec<usize>,
    /// Seed of the prompt's samples; sample `i` depends on this and `i` alone.
    pub seed: u64,
}

impl Prompt {
    /// A prompt with so many continuations, numbered from 0.
    pub fn new(tokens: Vec<u32>, samples: usize, seed: u64) -> Self {
        Self {
            tokens,
            samples: (0..samples).collect(),
            seed,
        }
    }
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A stop token came, or the observer ended it.
    Stop,
    /// The limit of new tokens was reached, or the end of the model's context.
    Length,
}

/// Events while prompts are continued.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GenerationEvent<'a> {
    /// A sequence got a token; the answer says whether it goes on.
    Token {
        /// The prompt, by its place in the list.
        prompt: usize,
        /// The sample of that prompt.
        sample: usize,
        /// The new tokens of the sequence so far, this one last. A stop token is not among them and makes no event.
        tokens: &'a [u32],
        /// Log-probability of this one.
        log_prob: f32,
        /// The likeliest tokens in its place with their log-probabilities, likeliest first: as many as were
        /// [asked for](Order::likeliest), none with [`Generator::generate`].
        likeliest: &'a [(u32, f32)],
    },
    /// A sequence has ended; the answer is not looked at.
    Ended {
        /// The prompt, by its place in the list.
        prompt: usize,
        /// The sample of that prompt.
        sample: usize,
        /// All of it.
        continuation: &'a Continuation,
        /// The likeliest tokens in the place of the stop token, where one ended it.
        likeliest: &'a [(u32, f32)],
    },
    /// A prompt has all its continuations; the answer is not looked at.
    Finished {
        /// How many prompts have.
        prompts: usize,
    },
}

/// Whether a sequence goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It ends here, as if a stop token had come.
    Stop,
}

/// One continuation.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// New token ids, without the stop token.
    pub tokens: Vec<u32>,
    /// Log-probability of each new token under the model at temperature 1, the stop token's last.
    pub log_probs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Continues prompts with a decoder.
///
/// Prompts are packed without padding and computed once each; the samples of a prompt share its keys and values. Up to
/// [`DEFAULT_MAX_ROWS`] sequences advance together, unless told otherwise. A continuation ends with the model's context at the
/// latest.
///
/// Finished sequences make room for the next ones at once. On the CPU the weights are copied and rearranged for decoding
/// ([`DecodeWeights`]), and what prompts begin with in common, such as worked examples, is computed once. What is drawn does not
/// depend on what it is drawn together with, to the bit. Elsewhere, and for mixtures of experts, adapters that are not merged and
/// frequencies that change with the length of a sequence, burn's tensors are used, and what is drawn together changes how
/// numbers are rounded.
///
/// On a GPU keys and values stay where they were written, in blocks that sequences take and give back, and tokens are drawn
/// there by the random numbers of the CPU: read are the tokens and their log-probabilities, and the logits of those sequences
/// alone that have a repetition penalty or ask for the [likeliest](Order::likeliest) tokens.
///
/// Where rotary frequencies change with the length of a sequence, every token is drawn as a pass over the text so far would
/// draw it: what is cached is computed anew when the frequencies change, which is once with LongRoPE, and for every token
/// beyond the original context with dynamic scaling. Whole prompts are let in then, and others when all of these have ended.
#[derive(Debug, Clone)]
pub struct Generator {
    engine: Engine,
    stop_tokens: Vec<u32>,
    max_rows: usize,
}

#[derive(Debug, Clone)]
enum Engine {
    Packed(Arc<PackedDecoder>),
    Tensors(Box<Decoder>),
}

impl Engine {
    /// Packed where that can be, and burn's tensors otherwise.
    fn exact(model: Decoder) -> Self {
        match PackedDecoder::new(model, DecodeWeights::Exact) {
            Ok(packed) => Self::Packed(Arc::new(packed)),
            Err((model, _)) => Self::Tensors(Box::new(model.valid())),
        }
    }

    fn context_length(&self) -> usize {
        match self {
            Self::Packed(decoder) => decoder.context_length(),
            Self::Tensors(model) => model.model.context_length(),
        }
    }

    fn vocab_size(&self) -> usize {
        match self {
            Self::Packed(decoder) => decoder.vocab_size(),
            Self::Tensors(model) => model.output_weight().dims()[0],
        }
    }
}

/// Sequences that advance together by default.
pub const DEFAULT_MAX_ROWS: usize = 1024;

impl Generator {
    /// Makes a generator that ends a continuation at any of `stop_tokens`. What it draws is the model's, exactly
    /// ([`DecodeWeights::Exact`]).
    pub fn new(model: &Decoder, stop_tokens: Vec<u32>) -> Self {
        Self::of(Engine::exact(model.clone()), stop_tokens)
    }

    /// Makes a generator that keeps weights in a way of its own. It takes the model: what nothing else holds on to is freed as
    /// soon as it is packed.
    ///
    /// # Errors
    ///
    /// When other weights than exact ones are asked for where burn's tensors have to be used.
    pub fn with_weights(
        model: Decoder,
        weights: DecodeWeights,
        stop_tokens: Vec<u32>,
    ) -> Result<Self> {
        let engine = match weights {
            DecodeWeights::Exact => Engine::exact(model),
            _ => match PackedDecoder::new(model, weights) {
                Ok(packed) => Engine::Packed(Arc::new(packed)),
                Err((_, obstacle)) => return Err(Error::DecodeWeights { weights, obstacle }),
            },
        };
        Ok(Self::of(engine, stop_tokens))
    }

    fn of(engine: Engine, stop_tokens: Vec<u32>) -> Self {
        Self {
            engine,
            stop_tokens,
            max_rows: DEFAULT_MAX_ROWS,
        }
    }

    /// Lets a continuation end at these tokens too.
    pub fn with_stop_tokens(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.stop_tokens.extend(ids);
        self
    }

    /// Sets how many sequences advance together; more is faster until memory runs out.
    pub fn with_max_rows(mut self, max_rows: usize) -> Self {
        self.max_rows = max_rows.max(1);
        self
    }

    /// Continues every prompt. Returns one list per prompt with a continuation for each of its `samples`, by their numbers.
    ///
    /// `observe` hears of every new token, as it comes, and can end the sequence there, and of every sequence that ended.
    ///
    /// # Errors
    ///
    /// When a setting cannot be right, a prompt is empty, leaves no room for a token in the model's context or has a token id
    /// outside the vocabulary, or logits are not finite.
    pub fn generate(
        &self,
        prompts: &[Prompt],
        params: &SamplingParams,
        observe: &mut dyn FnMut(GenerationEvent<'_>) -> Flow,
    ) -> Result<Vec<Vec<Continuation>>> {
        params.check()?;
        for (index, prompt) in prompts.iter().enumerate() {
            self.check_prompt(index, &prompt.tokens)?;
        }
        let mut going: Vec<usize> = prompts.iter().map(|it| it.samples.len()).collect();
        let mut complete = going.iter().filter(|&&samples| samples == 0).count();
        let observe: &mut Observe<'_> = &mut |row, news| {
            let flow = observe(decoding::event(row, news));
            if matches!(news, News::Ended { .. }) {
                let going = &mut going[row.asked.number];
                *going -= 1;
                if *going == 0 {
                    complete += 1;
                    observe(GenerationEvent::Finished { prompts: complete });
                }
            }
            flow
        };
        let mut decoding = self.decoding();
        for prompt in prompts {
            decoding.push(Order {
                prompt: prompt.clone(),
                params: params.clone(),
                likeliest: 0,
            });
        }
        let mut rows: Vec<Row> = Vec::new();
        while !decoding.is_idle() {
            rows.extend(decoding.advance(observe)?);
        }
        rows.sort_by_key(|row| (row.asked.number, row.sample));
        let mut results: Vec<Vec<Continuation>> = prompts.iter().map(|_| Vec::new()).collect();
        for row in rows {
            results[row.asked.number].push(row.continuation);
        }
        Ok(results)
    }

    /// Sequences that advance together, none yet, into which prompts can be let at any time.
    pub fn decoding(&self) -> Decoding {
        Decoding::new(self.clone())
    }

    /// Sequences that advance together, at most.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// Tokens of the longest text that the model reads.
    pub fn context_length(&self) -> usize {
        self.engine.context_length()
    }

    /// The log-probability of each token of a text that goes on from a prompt.
    ///
    /// # Errors
    ///
    /// When the prompt is empty, both together are longer than the model's context, or a token id is outside the vocabulary.
    pub fn log_probs(&self, prompt: &[u32], tokens: &[u32]) -> Result<Vec<f32>> {
        let scores = self.scores(prompt, tokens, 0)?;
        Ok(scores.into_iter().map(|score| score.log_prob).collect())
    }

    /// The same, with so many of the likeliest tokens in each place.
    ///
    /// # Errors
    ///
    /// As [`log_probs`](Self::log_probs).
    pub fn scores(
        &self,
        prompt: &[u32],
        tokens: &[u32],
        likeliest: usize,
    ) -> Result<Vec<TokenScore>> {
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        self.check_prompt(0, prompt)?;
        self.check_prompt(0, &[prompt, &tokens[..tokens.len() - 1]].concat())?;
        self.check_tokens(tokens)?;
        match &self.engine {
            Engine::Packed(decoder) => Ok(decoder.scores(prompt, tokens, likeliest)),
            Engine::Tensors(model) => tensors::scores(model, prompt, tokens, likeliest),
        }
    }

    fn check_prompt(&self, prompt: usize, tokens: &[u32]) -> Result<()> {
        let context = self.engine.context_length();
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt { prompt });
        }
        if tokens.len() >= context {
            return Err(Error::PromptTooLong {
                prompt,
                tokens: tokens.len(),
                context,
            });
        }
        self.check_tokens(tokens)
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<()> {
        let vocab_size = self.engine.vocab_size();
        match tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(&token) => Err(Error::TokenOutOfRange { token, vocab_size }),
            None => Ok(()),
        }
    }
}
