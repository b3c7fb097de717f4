//! A checkpoint in this process as a chat model: it can act, criticise and be evaluated.

mod streaming;
mod text;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chat_model::{Capability, ChatModel, ChatRequest, Completion, Piece, Sampling, TokenLogProb};
use token_forest::ChatTokenizer;

use crate::Decoder;
use crate::generate::{Continuation, Flow, GenerationEvent, Generator, Prompt, SamplingParams};

pub use streaming::TextStream;

/// A decoder with its tokenizer. Requests of a batch advance together, and the samples of a request share their prompt.
#[derive(Debug, Clone)]
pub struct LocalChatModel {
    name: String,
    identity: Option<String>,
    generator: Generator,
    tokenizer: ChatTokenizer,
    stop: Option<Arc<AtomicBool>>,
}

impl LocalChatModel {
    /// Makes a chat model; a completion ends at the tokenizer's end-of-turn token.
    pub fn new(name: impl Into<String>, model: &Decoder, tokenizer: ChatTokenizer) -> Self {
        Self::from_generator(name, Generator::new(model, Vec::new()), tokenizer)
    }

    /// The same with a generator that was made, and perhaps keeps its weights in a way of its own.
    pub fn from_generator(
        name: impl Into<String>,
        generator: Generator,
        tokenizer: ChatTokenizer,
    ) -> Self {
        Self {
            name: name.into(),
            identity: None,
            generator: generator.with_stop_tokens([tokenizer.eos_id()]),
            tokenizer,
            stop: None,
        }
    }

    /// Sets what tells its answers from those of others, such as the same model on another device, which rounds otherwise: the
    /// [identity](ChatModel::identity). Without it that is the name.
    pub fn with_identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Lets completions end at these tokens too, such as [those that the checkpoint lists](crate::EosTokenIds).
    pub fn with_stop_tokens(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.generator = self.generator.with_stop_tokens(ids);
        self
    }

    /// Sets how many sequences advance together.
    pub fn with_max_rows(mut self, max_rows: usize) -> Self {
        self.generator = self.generator.with_max_rows(max_rows);
        self
    }

    /// Ends the drawing once this is set: what has ended by then is handed over, and nothing that has not.
    pub fn with_stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &ChatTokenizer {
        &self.tokenizer
    }

    /// What draws tokens.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    fn is_stopped(&self) -> bool {
        let stop = self.stop.as_ref();
        stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    fn error(&self, problem: impl ToString) -> chat_model::Error {
        chat_model::Error::Local {
            model: self.name.clone(),
            message: problem.to_string(),
        }
    }

    /// What the generator refuses.
    fn failed(&self, error: crate::Error) -> chat_model::Error {
        match error {
            crate::Error::PromptTooLong {
                tokens, context, ..
            } => chat_model::Error::TooLong {
                model: self.name.clone(),
                tokens,
                context,
            },
            other => self.error(other),
        }
    }

    fn prompt(&self, request: &ChatRequest, samples: &[usize]) -> chat_model::Result<Prompt> {
        request.check(self)?;
        Ok(Prompt {
            tokens: self.before_completion(request)?.tokens,
            samples: samples.to_vec(),
            seed: request.sampling.seed,
        })
    }

    fn completion(
        &self,
        continuation: &Continuation,
        request: &ChatRequest,
        prompt_tokens: usize,
    ) -> chat_model::Result<Completion> {
        let (text, finish) = self.text_of(continuation, &request.sampling.stop)?;
        Ok(Completion {
            prompt_tokens,
            logprobs: request.logprobs.then(|| self.logprobs(continuation)),
            ..Completion::new(text, finish, continuation.tokens.len())
        })
    }

    /// The tokens with their log-probabilities. That of the token that ended the completion, whichever it was, stands under the
    /// end of a turn; what was drawn of a stop text is among them too.
    fn logprobs(&self, continuation: &Continuation) -> Vec<TokenLogProb> {
        let end = [self.tokenizer.eos_id()];
        let tokens = continuation.tokens.iter().chain(&end);
        tokens
            .zip(&continuation.log_probs)
            .map(|(&token, &log_prob)| self.log_prob(token, log_prob))
            .collect()
    }

    fn log_prob(&self, token: u32, log_prob: f32) -> TokenLogProb {
        TokenLogProb {
            token: (self.tokenizer.decode_with_special_tokens(&[token])).unwrap_or_default(),
            log_prob: f64::from(log_prob),
        }
    }

    /// Draws samples of requests that are drawn the same way, together.
    fn draw_alike(
        &self,
        wanted: &[Wanted<'_>],
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> chat_model::Result<()> {
        self.draw(wanted, &mut |_, _, _| {}, on_sample)
    }

    /// The same, and hands over all tokens of a sample so far when one more has come, by the place of the request.
    fn draw(
        &self,
        wanted: &[Wanted<'_>],
        on_token: &mut dyn FnMut(usize, usize, &[u32]),
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> chat_model::Result<()> {
        let Some(first) = wanted.first() else {
            return Ok(());
        };
        let prompts = wanted
            .iter()
            .map(|it| self.prompt(it.request, it.samples))
            .collect::<chat_model::Result<Vec<_>>>()?;
        let params = SamplingParams::from(&first.request.sampling);
        let mut failed = None;
        // Whether the sequence that is told of next was cut off and is no sample.
        let mut is_cut = false;
        let mut observe = |event: GenerationEvent<'_>| match event {
            GenerationEvent::Token { .. } if self.is_stopped() => {
                is_cut = true;
                Flow::Stop
            }
            GenerationEvent::Ended { .. } if std::mem::take(&mut is_cut) => Flow::Stop,
            GenerationEvent::Token {
                prompt,
                sample,
                tokens,
                ..
            } => {
                on_token(wanted[prompt].place, sample, tokens);
                match self.ends_with_stop(tokens, &wanted[prompt].request.sampling.stop) {
                    true => Flow::Stop,
                    false => Flow::Continue,
                }
            }
            GenerationEvent::Ended {
                prompt,
                sample,
                continuation,
                ..
            } => {
                let (request, length) = (wanted[prompt].request, prompts[prompt].tokens.len());
                match self.completion(continuation, request, length) {
                    Ok(completion) => on_sample(wanted[prompt].place, sample, completion),
                    Err(error) => failed = Some(error),
                }
                Flow::Continue
            }
            GenerationEvent::Finished { .. } => Flow::Continue,
        };
        self.generator
            .generate(&prompts, &params, &mut observe)
            .map_err(|error| self.failed(error))?;
        match failed {
            Some(error) => Err(error),
            None if self.is_stopped() => Err(chat_model::Error::Stopped),
            None => Ok(()),
        }
    }
}

/// Samples of a request, by their numbers.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Place of the request among those of the caller.
    place: usize,
    request: &'a ChatRequest,
    samples: &'a [usize],
}

/// Whether two requests can be drawn in one batch: all but the seed and the stop texts agree.
fn alike(a: &Sampling, b: &Sampling) -> bool {
    a.temperature == b.temperature && a.top_p == b.top_p && a.max_tokens == b.max_tokens
}

impl ChatModel for LocalChatModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        self.identity.as_ref().unwrap_or(&self.name).clone()
    }

    fn can(&self, capability: Capability) -> bool {
        matches!(
            capability,
            Capability::RawPrompt
                | Capability::AnswerPrefix
                | Capability::LogProbs
                | Capability::Streaming
                | Capability::Scoring
        )
    }

    fn complete(&self, request: &ChatRequest) -> chat_model::Result<Vec<Completion>> {
        let mut completed = self.complete_batch(std::slice::from_ref(request));
        completed.pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    fn complete_batch(&self, requests: &[ChatRequest]) -> Vec<chat_model::Result<Vec<Completion>>> {
        let wanted: Vec<Vec<usize>> = requests
            .iter()
            .map(|it| (0..it.samples).collect())
            .collect();
        let mut drawn: Vec<Vec<(usize, Completion)>> = vec![Vec::new(); requests.len()];
        let ended =
            self.complete_batch_each(requests, &wanted, &mut |place, sample, completion| {
                drawn[place].push((sample, completion));
            });
        let drawn = drawn.into_iter().map(|mut samples| {
            samples.sort_by_key(|(sample, _)| *sample);
            samples
                .into_iter()
                .map(|(_, completion)| completion)
                .collect()
        });
        let both = ended.into_iter().zip(drawn);
        both.map(|(ended, drawn)| ended.map(|()| drawn)).collect()
    }

    fn complete_each(
        &self,
        request: &ChatRequest,
        wanted: &[usize],
        on_sample: &mut dyn FnMut(usize, Completion),
    ) -> chat_model::Result<()> {
        let wanted = [Wanted {
            place: 0,
            request,
            samples: wanted,
        }];
        self.draw_alike(&wanted, &mut |_, sample, completion| {
            on_sample(sample, completion)
        })
    }

    fn complete_batch_each(
        &self,
        requests: &[ChatRequest],
        wanted: &[Vec<usize>],
        on_sample: &mut dyn FnMut(usize, usize, Completion),
    ) -> Vec<chat_model::Result<()>> {
        let all: Vec<Wanted<'_>> = requests
            .iter()
            .zip(wanted)
            .enumerate()
            .map(|(place, (request, samples))| Wanted {
                place,
                request,
                samples,
            })
            .collect();
        let mut ended: Vec<chat_model::Result<()>> = all.iter().map(|_| Ok(())).collect();
        let together =
            |a: &Wanted<'_>, b: &Wanted<'_>| alike(&a.request.sampling, &b.request.sampling);
        for group in all.chunk_by(together) {
            let mut handed: Vec<HashSet<usize>> = vec![HashSet::new(); group.len()];
            let first = group.first().map_or(0, |it| it.place);
            let drawn = self.draw_alike(group, &mut |place, sample, completion| {
                handed[place - first].insert(sample);
                on_sample(place, sample, completion);
            });
            if drawn.is_ok() {
                continue;
            }
            if self.is_stopped() {
                for it in group {
                    ended[it.place] = Err(chat_model::Error::Stopped);
                }
                continue;
            }
            // Each on its own: one of them is at fault and the others are not.
            for (it, handed) in group.iter().zip(&handed) {
                let rest = it.samples.iter().filter(|sample| !handed.contains(sample));
                let rest: Vec<usize> = rest.copied().collect();
                ended[it.place] =
                    self.complete_each(it.request, &rest, &mut |sample, completion| {
                        on_sample(it.place, sample, completion);
                    });
            }
        }
        ended
    }

    fn stream(
        &self,
        request: &ChatRequest,
        on_piece: &mut dyn FnMut(Piece<'_>),
    ) -> chat_model::Result<Vec<Completion>> {
        let samples: Vec<usize> = (0..request.samples).collect();
        let wanted = [Wanted {
            place: 0,
            request,
            samples: &samples,
        }];
        let stop = &request.sampling.stop;
        let mut drawn: Vec<(usize, Completion)> = Vec::new();
        let on_piece = RefCell::new(on_piece);
        let hand_over = |sample, text: &str| {
            if !text.is_empty() {
                on_piece.borrow_mut()(Piece::Text { sample, text });
            }
        };
        let streams: RefCell<HashMap<usize, TextStream>> = RefCell::default();
        self.draw(
            &wanted,
            &mut |_, sample, tokens| {
                let mut streams = streams.borrow_mut();
                let stream = streams.entry(sample).or_default();
                hand_over(sample, &stream.push(tokens, &self.tokenizer, stop));
            },
            &mut |_, sample, completion| {
                let stream = streams.borrow_mut().remove(&sample).unwrap_or_default();
                hand_over(sample, stream.finish(&completion.text));
                drawn.push((sample, completion));
            },
        )?;
        drawn.sort_by_key(|(sample, _)| *sample);
        Ok(drawn
            .into_iter()
            .map(|(_, completion)| completion)
            .collect())
    }

    fn log_probs_of(
        &self,
        request: &ChatRequest,
        completion: &str,
    ) -> chat_model::Result<Vec<TokenLogProb>> {
        request.check(self)?;
        let before = self.before_completion(request)?;
        let tokens = self.after(&before.text, completion)?;
        let log_probs = self
            .generator
            .log_probs(&before.tokens, &tokens)
            .map_err(|error| self.failed(error))?;
        let rows = tokens.into_iter().zip(log_probs);
        Ok(rows
            .map(|(token, log_prob)| self.log_prob(token, log_prob))
            .collect())
    }
}
