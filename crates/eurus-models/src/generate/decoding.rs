//! Prompts that come while others are being continued.

use std::sync::Arc;

use super::row::{Asked, News, Observe, Row};
use super::{Engine, Flow, GenerationEvent, Generator, Prompt, SamplingParams, packed, tensors};
use crate::Result;

/// A prompt, and how it is continued.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What is continued.
    pub prompt: Prompt,
    /// How its tokens are drawn.
    pub params: SamplingParams,
    /// How many of the likeliest tokens are [told](GenerationEvent::Token) with each new one.
    pub likeliest: usize,
}

/// Sequences that advance together, into which prompts are let while others go on.
///
/// What a prompt gets is what [`Generator::generate`] gives it alone, to the bit where that holds of a batch. Orders may differ in
/// all their settings.
///
/// A step is one token of every sequence, and a place that one leaves is taken at once; where rotary frequencies change with the
/// length of a sequence, places are taken when all are free.
///
/// Where weights are packed (see [`Generator`]) the prompt that came last stays in memory, since what comes next may begin in the
/// same way.
///
/// ```
/// use burn::tensor::Device;
/// use eurus_models::generate::{Flow, GenerationEvent, Generator, Order, Prompt, SamplingParams};
/// use eurus_models::{Decoder, DecoderConfig};
///
/// let model = Decoder::init(&DecoderConfig::llama(40, 16, 2, 2), 5, &Device::flex());
/// let generator = Generator::new(&model, Vec::new());
/// let order = |tokens: Vec<u32>| Order {
///     prompt: Prompt::new(tokens, 1, 7),
///     params: SamplingParams::greedy(4),
///     likeliest: 0,
/// };
/// let mut decoding = generator.decoding();
/// decoding.add(order(vec![1, 2, 3]))?;
/// let mut ended = Vec::new();
/// for step in 0.. {
///     if step == 2 {
///         decoding.add(order(vec![4, 5]))?; // the first one is half done
///     }
///     if decoding.is_idle() {
///         break;
///     }
///     decoding.step(&mut |event| {
///         if let GenerationEvent::Ended { prompt, continuation, .. } = event {
///             ended.push((prompt, continuation.tokens.len()));
///         }
///         Flow::Continue
///     })?;
/// }
/// assert_eq!(ended, [(0, 4), (1, 4)]);
/// # Ok::<(), eurus_models::Error>(())
/// ```
pub struct Decoding {
    generator: Generator,
    next: usize,
    schedule: Schedule,
}

enum Schedule {
    Packed(Box<packed::Schedule>),
    Tensors(Box<tensors::Schedule>),
}

impl std::fmt::Debug for Decoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoding")
            .field("generator", &self.generator)
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

impl Decoding {
    pub(super) fn new(generator: Generator) -> Self {
        let (stop_tokens, max_rows) = (generator.stop_tokens.clone(), generator.max_rows);
        let schedule = match &generator.engine {
            Engine::Packed(decoder) => {
                let schedule = packed::Schedule::new(decoder.clone(), stop_tokens, max_rows);
                Schedule::Packed(Box::new(schedule))
            }
            Engine::Tensors(model) => {
                let schedule = tensors::Schedule::new(model.clone(), stop_tokens, max_rows);
                Schedule::Tensors(Box::new(schedule))
            }
        };
        Self {
            generator,
            next: 0,
            schedule,
        }
    }

    /// Takes an order; returns the number by which [events](GenerationEvent) name its prompt: 0, 1, 2 and so on.
    ///
    /// # Errors
    ///
    /// As [`Generator::generate`] for the prompt and its settings. What is under way goes on.
    pub fn add(&mut self, order: Order) -> Result<usize> {
        order.params.check()?;
        self.generator
            .check_prompt(self.next, &order.prompt.tokens)?;
        Ok(self.push(order))
    }

    /// The same for one that was checked.
    pub(super) fn push(&mut self, order: Order) -> usize {
        let number = self.next;
        self.next += 1;
        let Prompt {
            tokens,
            samples,
            seed,
        } = order.prompt;
        let asked = Arc::new(Asked {
            number,
            limit: (order.params.max_tokens).min(self.generator.context_length() - tokens.len()),
            tokens,
            seed,
            params: order.params,
            likeliest: order.likeliest,
        });
        let rows = samples.into_iter().map(|sample| Row::new(&asked, sample));
        match &mut self.schedule {
            Schedule::Packed(schedule) => schedule.waiting.extend(rows),
            Schedule::Tensors(schedule) => schedule.waiting.extend(rows),
        }
        number
    }

    /// Gives up a prompt: its sequences are forgotten, and no event tells of them any more.
    pub fn abandon(&mut self, prompt: usize) {
        match &mut self.schedule {
            Schedule::Packed(schedule) => schedule.abandon(prompt),
            Schedule::Tensors(schedule) => schedule.abandon(prompt),
        }
    }

    /// Sequences that go on or wait for a place.
    pub fn rows(&self) -> usize {
        match &self.schedule {
            Schedule::Packed(schedule) => schedule.rows(),
            Schedule::Tensors(schedule) => schedule.rows(),
        }
    }

    /// Whether a step would do nothing.
    pub fn is_idle(&self) -> bool {
        match &self.schedule {
            Schedule::Packed(schedule) => schedule.is_idle(),
            Schedule::Tensors(schedule) => schedule.is_idle(),
        }
    }

    /// Lets in what waits, as far as there is room, and advances all sequences. `observe` hears of every token and every end, and
    /// can end a sequence, as with [`Generator::generate`]; it does not hear when a prompt is [finished](GenerationEvent::Finished).
    ///
    /// # Errors
    ///
    /// When the logits of a sequence are not finite, which is lost then; the error names its prompt. The others are as they would
    /// be, and the next step goes on with them. When nothing can be read from the device, all that advance are lost.
    pub fn step(&mut self, observe: &mut dyn FnMut(GenerationEvent<'_>) -> Flow) -> Result<()> {
        self.advance(&mut |row, news| observe(event(row, news)))?;
        Ok(())
    }

    /// The same; returns the sequences that have ended.
    pub(super) fn advance(&mut self, observe: &mut Observe<'_>) -> Result<Vec<Row>> {
        match &mut self.schedule {
            Schedule::Packed(schedule) => schedule.step(observe),
            Schedule::Tensors(schedule) => schedule.step(observe),
        }
    }
}

/// News of a row, for those outside.
pub(super) fn event<'a>(row: &'a Row, news: News<'a>) -> GenerationEvent<'a> {
    let (prompt, sample, continuation) = (row.asked.number, row.sample, &row.continuation);
    match news {
        News::Token {
            log_prob,
            likeliest,
        } => GenerationEvent::Token {
            prompt,
            sample,
            tokens: &continuation.tokens,
            log_prob,
            likeliest,
        },
        News::Ended { likeliest } => GenerationEvent::Ended {
            prompt,
            sample,
            continuation,
            likeliest,
        },
    }
}
