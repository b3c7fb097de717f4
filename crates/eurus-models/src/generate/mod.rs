//! Generation with a key/value cache: many prompts at once, each prompt computed once for all its samples.

mod cache;
mod rotation;
mod sampling;
mod statistics;

use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Tensor};
use token_forest::{PackedForest, TokenTree};

use crate::ops::{self, DecodeSpans, PromptGroup, Segment};
use crate::rope::Sequence;
use crate::{Decoder, Error, ForestBatch, ForestBody, ForestModel, Result, int_tensor};

use cache::Caches;
use sampling::Sampler;
pub use sampling::SamplingParams;
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
    },
    /// A sequence has ended; the answer is not looked at.
    Ended {
        /// The prompt, by its place in the list.
        prompt: usize,
        /// The sample of that prompt.
        sample: usize,
        /// All of it.
        continuation: &'a Continuation,
    },
    /// A batch is finished; the answer is not looked at.
    Finished {
        /// Prompts finished so far.
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
/// Prompts are packed without padding and computed once each; all samples of all prompts of a batch then advance
/// together, and finished sequences leave the batch. A continuation ends with the model's context at the latest, and the
/// cache of keys and values grows with the longest one.
///
/// Where rotary frequencies change with the length of a sequence, every token is drawn as a pass over the text so far would
/// draw it: what is cached is computed anew when the frequencies change, which is once with LongRoPE, and for every token
/// beyond the original context with dynamic scaling.
#[derive(Debug, Clone)]
pub struct Generator {
    model: Decoder,
    stop_tokens: Vec<u32>,
    max_rows: usize,
}

/// Sequences that advance together by default.
pub const DEFAULT_MAX_ROWS: usize = 1024;

/// The batch is packed anew when fewer than this share of its rows is still going.
const REPACK_BELOW: f64 = 0.75;

/// A sequence in the making.
struct Row {
    prompt: usize,
    sample: usize,
    sampler: Sampler,
    continuation: Continuation,
    /// Most new tokens.
    limit: usize,
    done: bool,
}

/// What happens to a row.
enum News {
    Token { log_prob: f32 },
    Ended,
}

impl Generator {
    /// Makes a generator that ends a continuation at any of `stop_tokens`.
    pub fn new(model: &Decoder, stop_tokens: Vec<u32>) -> Self {
        use burn::module::Module;
        Self {
            model: model.valid(),
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
        let mut results = Vec::with_capacity(prompts.len());
        while results.len() < prompts.len() {
            let first = results.len();
            let mut rows = 0;
            let count = prompts[first..]
                .iter()
                .take_while(|prompt| {
                    // A prompt with more samples than rows are allowed is a batch of its own.
                    let fits = rows == 0 || rows + prompt.samples.len() <= self.max_rows;
                    rows += prompt.samples.len();
                    fits
                })
                .count();
            let batch = &prompts[first..first + count];
            results.extend(self.continue_batch(batch, first, params, observe)?);
            observe(GenerationEvent::Finished {
                prompts: results.len(),
            });
        }
        Ok(results)
    }

    /// The log-probability of each token of a text that goes on from a prompt.
    ///
    /// # Errors
    ///
    /// When the prompt is empty, both together are longer than the model's context, or a token id is outside the vocabulary.
    pub fn log_probs(&self, prompt: &[u32], tokens: &[u32]) -> Result<Vec<f32>> {
        let mut tree = TokenTree::new(prompt.to_vec(), false);
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        self.check_prompt(0, &[prompt, &tokens[..tokens.len() - 1]].concat())?;
        self.check_tokens(tokens)?;
        tree.push(0, tokens.to_vec(), true);
        let device = self.model.output_weight().device();
        let batch = ForestBatch::new(PackedForest::from_trees([&tree])?, &device);
        let predictors: Vec<u32> = batch.forest.targets.iter().map(|it| it.predictor).collect();
        let hidden = self.model.hidden_states(&batch);
        let hidden = hidden.select(0, int_tensor(&predictors, &device));
        let logits = ops::project(hidden, self.model.output_weight()).cast(DType::F32);
        let targets = int_tensor(tokens, &device).unsqueeze_dim(1);
        let chosen = log_softmax(logits, 1).gather(1, targets);
        Ok(chosen.into_data().iter().collect())
    }

    fn check_prompt(&self, prompt: usize, tokens: &[u32]) -> Result<()> {
        let context = self.model.model.context_length();
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
        let vocab_size = self.model.output_weight().dims()[0];
        match tokens.iter().find(|&&token| token as usize >= vocab_size) {
            Some(&token) => Err(Error::TokenOutOfRange { token, vocab_size }),
            None => Ok(()),
        }
    }

    fn continue_batch(
        &self,
        prompts: &[Prompt],
        first: usize,
        params: &SamplingParams,
        observe: &mut dyn FnMut(GenerationEvent<'_>) -> Flow,
    ) -> Result<Vec<Vec<Continuation>>> {
        let context = self.model.model.context_length();
        let mut rows: Vec<Row> = prompts
            .iter()
            .enumerate()
            .flat_map(|(index, prompt)| {
                prompt.samples.iter().map(move |&sample| Row {
                    prompt: index,
                    sample,
                    sampler: Sampler::new(prompt.seed, sample, &prompt.tokens),
                    continuation: Continuation {
                        tokens: Vec::new(),
                        log_probs: Vec::new(),
                        finish: Finish::Length,
                    },
                    limit: params.max_tokens.min(context - prompt.tokens.len()),
                    done: false,
                })
            })
            .collect();
        let mut finished: Vec<Row> = Vec::with_capacity(rows.len());
        if !rows.is_empty() {
            let mut observe = |row: &Row, news: News| {
                let (prompt, sample) = (first + row.prompt, row.sample);
                observe(match news {
                    News::Token { log_prob } => GenerationEvent::Token {
                        prompt,
                        sample,
                        tokens: &row.continuation.tokens,
                        log_prob,
                    },
                    News::Ended => GenerationEvent::Ended {
                        prompt,
                        sample,
                        continuation: &row.continuation,
                    },
                })
            };
            let drawn = self.run(prompts, &mut rows, &mut finished, params, &mut observe);
            drawn.map_err(|mut error| {
                if let Error::LogitsNotFinite { prompt, .. } = &mut error {
                    *prompt += first;
                }
                error
            })?;
        }
        finished.append(&mut rows);
        finished.sort_by_key(|row| (row.prompt, row.sample));
        let mut results: Vec<Vec<Continuation>> = prompts.iter().map(|_| Vec::new()).collect();
        for row in finished {
            results[row.prompt].push(row.continuation);
        }
        Ok(results)
    }

    /// Computes the prompts, then advances all rows until none is left.
    fn run(
        &self,
        prompts: &[Prompt],
        rows: &mut Vec<Row>,
        finished: &mut Vec<Row>,
        params: &SamplingParams,
        observe: &mut dyn FnMut(&Row, News) -> Flow,
    ) -> Result<()> {
        let device = self.model.output_weight().device();
        let trees: Vec<TokenTree> = prompts
            .iter()
            .map(|prompt| TokenTree::new(prompt.tokens.clone(), false))
            .collect();
        let forest = PackedForest::from_trees(&trees)?;
        let segments: Vec<Segment> = forest
            .nodes
            .iter()
            .map(|node| Segment {
                start: node.start as usize,
                len: node.len as usize,
            })
            .collect();
        let (hidden, kept) = self
            .model
            .model
            .forward_keeping(&ForestBatch::new(forest, &device));
        let ends: Vec<u32> = rows
            .iter()
            .map(|row| {
                let segment = segments[row.prompt];
                (segment.start + segment.len - 1) as u32
            })
            .collect();
        let hidden = hidden.select(0, int_tensor(&ends, &device));
        let mut last = self.choose(hidden, rows, params, observe)?;

        let longest = rows.iter().map(|row| row.limit).max().unwrap_or(0);
        // The last token of a continuation is drawn and not read.
        let mut caches = Caches::new(kept, rows.len(), longest - 1);
        for step in 0..longest - 1 {
            let live = rows.iter().filter(|row| !row.done).count();
            if live == 0 {
                break;
            }
            if (live as f64) < REPACK_BELOW * rows.len() as f64 {
                last = repack(rows, finished, last, &mut caches);
            }
            let groups = groups(rows, &segments);
            caches.make_room(step);
            rotation::renew(&self.model, prompts, rows, &groups, step, caches.layers())?;
            let spans = Arc::new(DecodeSpans {
                groups,
                steps: step + 1,
            });
            let positions: Vec<u32> = rows
                .iter()
                .map(|row| (segments[row.prompt].len + step) as u32)
                .collect();
            let sequences: Vec<Sequence> = positions
                .iter()
                .map(|&position| Sequence {
                    tokens: 1,
                    length: position as usize + 1,
                })
                .collect();
            let output = self.model.model.forward_with(
                int_tensor(&last, &device),
                &positions,
                &sequences,
                |layer, queries, kv, shape| {
                    let cache = caches.append(layer, kv, step);
                    ops::decode_attention(queries, cache, &spans, shape)
                },
            );
            last = self.choose(output.hidden, rows, params, observe)?;
        }
        Ok(())
    }

    /// Draws the next token of every row from its hidden state, `[B, d]`, and notes it down.
    fn choose(
        &self,
        hidden: Tensor<2>,
        rows: &mut [Row],
        params: &SamplingParams,
        observe: &mut dyn FnMut(&Row, News) -> Flow,
    ) -> Result<Vec<u32>> {
        let logits = ops::project(hidden, self.model.output_weight());
        let vocab_size = logits.dims()[1];
        let logits = logits
            .into_data()
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::Device {
                what: "logits",
                problem: format!("{error:?}"),
            })?;
        let chosen = sampling::choose_all(
            &logits,
            vocab_size,
            rows.iter_mut().map(|row| &mut row.sampler).collect(),
            params,
        );
        for (row, choice) in rows.iter_mut().zip(&chosen) {
            if row.done {
                continue;
            }
            if !choice.is_sound {
                return Err(Error::LogitsNotFinite {
                    prompt: row.prompt,
                    sample: row.sample,
                    step: row.continuation.log_probs.len() + 1,
                });
            }
            row.continuation.log_probs.push(choice.log_prob);
            if self.stop_tokens.contains(&choice.token) {
                row.continuation.finish = Finish::Stop;
                row.done = true;
            } else {
                row.continuation.tokens.push(choice.token);
                row.done = row.continuation.tokens.len() >= row.limit;
                let log_prob = choice.log_prob;
                if observe(row, News::Token { log_prob }) == Flow::Stop {
                    row.continuation.finish = Finish::Stop;
                    row.done = true;
                }
            }
            if row.done {
                observe(row, News::Ended);
            }
        }
        Ok(chosen.into_iter().map(|choice| choice.token).collect())
    }
}

fn groups(rows: &[Row], segments: &[Segment]) -> Vec<PromptGroup> {
    let mut groups: Vec<PromptGroup> = Vec::new();
    let mut current = None;
    for (index, row) in rows.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if current == Some(row.prompt) => group.rows.end = index + 1,
            _ => groups.push(PromptGroup {
                prompt: segments[row.prompt],
                rows: index..index + 1,
            }),
        }
        current = Some(row.prompt);
    }
    groups
}

/// Takes the finished rows out of the batch and its caches.
fn repack(
    rows: &mut Vec<Row>,
    finished: &mut Vec<Row>,
    last: Vec<u32>,
    caches: &mut Caches,
) -> Vec<u32> {
    let kept: Vec<u32> = (0..rows.len() as u32)
        .filter(|&index| !rows[index as usize].done)
        .collect();
    let last = kept.iter().map(|&index| last[index as usize]).collect();
    let (done, live): (Vec<Row>, Vec<Row>) = rows.drain(..).partition(|row| row.done);
    finished.extend(done);
    *rows = live;
    caches.keep(&kept);
    last
}
