//! Which sequences advance: a place that one leaves is taken by the next one at once.

use std::collections::VecDeque;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use token_forest::{PackedForest, TokenTree};

use super::super::row::{Asked, Observe, Row};
use super::super::sampling::{self, Choice};
use super::cache::Cache;
use super::rotation::{self, RotaryTable};
use crate::ops::decode::{CachedTokens, DecodeSpans, DecodeStep, PromptGroup};
use crate::ops::draw::{self, Draw};
use crate::ops::{self, AttentionShape};
use crate::{Decoder, Error, ForestBatch, ForestModel, Result, int_tensor, rope};

/// Tokens of prompts that are computed together, unless one alone has more.
const TOKENS_TOGETHER: usize = 4096;

/// A prompt with rows that advance, or wait to.
struct Prompt {
    /// The number of what is asked.
    number: usize,
    cached: CachedTokens,
    /// What its first tokens are drawn from, `[1, d]`.
    last: Tensor<2>,
}

/// A row that advances.
pub(super) struct Live {
    pub row: Row,
    /// Its drawn tokens that are cached.
    pub own: CachedTokens,
    /// The newest token, which no layer has seen yet.
    last: u32,
    /// Whether its logits were not finite.
    is_lost: bool,
}

/// Rows that advance, and those that wait to be let in.
pub struct Schedule {
    model: Box<Decoder>,
    device: Device,
    shape: AttentionShape,
    stop_tokens: Vec<u32>,
    /// Rows that advance together, at most.
    max_rows: usize,
    /// In the order of their prompts.
    pub(in super::super) waiting: VecDeque<Row>,
    /// In the order of their prompts, too.
    live: Vec<Live>,
    /// Those of live rows, and one of which samples may be waiting.
    prompts: Vec<Prompt>,
    cache: Cache,
    rotary: RotaryTable,
    settings: Settings,
    /// Rows whose logits were not finite, to be told of one after the other.
    failed: VecDeque<Error>,
}

impl Schedule {
    pub fn new(model: Box<Decoder>, stop_tokens: Vec<u32>, max_rows: usize) -> Self {
        let layers = &model.model.layers;
        let shape = layers.first().map(|layer| layer.attention_shape());
        Self {
            device: model.output_weight().device(),
            cache: Cache::new(layers.len()),
            shape: shape.unwrap_or(AttentionShape {
                heads: 1,
                kv_heads: 1,
                head_dim: 1,
                scale: 1.0,
                window: None,
            }),
            model,
            stop_tokens,
            max_rows,
            waiting: VecDeque::new(),
            live: Vec::new(),
            prompts: Vec::new(),
            rotary: RotaryTable::default(),
            settings: Settings::default(),
            failed: VecDeque::new(),
        }
    }

    pub fn rows(&self) -> usize {
        self.waiting.len() + self.live.len()
    }

    pub fn is_idle(&self) -> bool {
        self.rows() == 0 && self.failed.is_empty()
    }

    /// Forgets the rows of a prompt.
    pub fn abandon(&mut self, number: usize) {
        self.waiting.retain(|row| row.asked.number != number);
        self.leave(|live| live.row.asked.number == number);
    }

    /// Lets rows in and draws a token of every live one. Returns those that have ended.
    pub(in super::super) fn step(&mut self, observe: &mut Observe<'_>) -> Result<Vec<Row>> {
        let mut finished = Vec::new();
        if self.failed.is_empty() {
            let advanced = self.advance(&mut finished, observe);
            if advanced.is_err() {
                // The device has failed, and what it had is lost.
                self.leave(|_| true);
                advanced?;
            }
        }
        match self.failed.pop_front() {
            Some(error) => Err(error),
            None => Ok(finished),
        }
    }

    fn advance(&mut self, finished: &mut Vec<Row>, observe: &mut Observe<'_>) -> Result<()> {
        // Where frequencies change with the length, the rows of a prompt are to have the same one.
        if self.model.model.frequencies().are_fixed() || self.live.is_empty() {
            self.enter(finished, observe)?;
        }
        self.draw(finished, observe)
    }

    /// Lets waiting rows in while there is room. Their first tokens are drawn from what their prompts end with.
    fn enter(&mut self, finished: &mut Vec<Row>, observe: &mut Observe<'_>) -> Result<()> {
        loop {
            let mut entering = self.next_rows();
            if entering.is_empty() {
                return Ok(());
            }
            let last = self.compute_prompts(&mut entering)?;
            let chosen = choose(&self.model, &mut self.settings, last, entering.iter_mut())?;
            for (mut row, choice) in entering.into_iter().zip(chosen) {
                if let Err(error) = row.take(&choice, &self.stop_tokens, observe) {
                    self.failed.push_back(error);
                } else if row.done {
                    finished.push(row);
                } else {
                    self.live.push(Live {
                        row,
                        own: CachedTokens::default(),
                        last: choice.token,
                        is_lost: false,
                    });
                }
            }
            self.leave(|_| false);
        }
    }

    /// Takes out rows that there is room for.
    fn next_rows(&mut self) -> Vec<Row> {
        let room = self.max_rows.saturating_sub(self.live.len());
        if self.model.model.frequencies().are_fixed() {
            return self.waiting.drain(..room.min(self.waiting.len())).collect();
        }
        // Whole prompts, one at least.
        let mut rows: Vec<Row> = Vec::new();
        while let Some(next) = self.waiting.front() {
            let number = next.asked.number;
            let same = |row: &&Row| row.asked.number == number;
            let samples = self.waiting.iter().take_while(same).count();
            let is_first = rows.is_empty() && self.live.is_empty();
            if !is_first && rows.len() + samples > room {
                break;
            }
            rows.extend(self.waiting.drain(..samples));
        }
        rows
    }

    /// Computes the prompts of rows, and gives what comes out of the last norm for the end of each row's prompt, `[B, d]`. Rows
    /// whose prompts would be too many tokens at once are left waiting.
    fn compute_prompts(&mut self, entering: &mut Vec<Row>) -> Result<Tensor<2>> {
        let mut new: Vec<Arc<Asked>> = Vec::new();
        let (mut tokens, mut rows) = (0, 0);
        for row in entering.iter() {
            let number = row.asked.number;
            let is_there = self.prompts.iter().any(|prompt| prompt.number == number);
            if !is_there && new.last().is_none_or(|last| last.number != number) {
                if !new.is_empty() && tokens + row.asked.tokens.len() > TOKENS_TOGETHER {
                    break;
                }
                tokens += row.asked.tokens.len();
                new.push(row.asked.clone());
            }
            rows += 1;
        }
        for row in entering.drain(rows..).rev() {
            self.waiting.push_front(row);
        }
        if !new.is_empty() {
            self.compute(&new)?;
        }
        let of_rows = entering.iter().filter_map(|row| {
            let mut prompts = self.prompts.iter();
            prompts.find(|prompt| prompt.number == row.asked.number)
        });
        Ok(Tensor::cat(of_rows.map(|it| it.last.clone()).collect(), 0))
    }

    /// Computes prompts in one pass.
    fn compute(&mut self, new: &[Arc<Asked>]) -> Result<()> {
        let trees: Vec<TokenTree> = new
            .iter()
            .map(|asked| TokenTree::new(asked.tokens.clone(), false))
            .collect();
        let forest = PackedForest::from_trees(&trees)?;
        let sequences = rope::sequences(&forest);
        let batch = ForestBatch::new(forest, &self.device);
        let (mut slots, mut end) = (Vec::new(), 0);
        let mut computed = Vec::new();
        for asked in new {
            let mut cached = CachedTokens::default();
            self.cache.extend(&mut cached, asked.tokens.len());
            slots.extend((0..cached.len).map(|token| cached.slot(token)));
            end += cached.len;
            computed.push((asked.number, cached, end - 1));
        }
        let slots = int_tensor(&slots, &self.device);
        let (model, cache) = (&self.model.model, &mut self.cache);
        let positions = &batch.forest.positions;
        let output = model.forward_with(
            batch.tokens.clone(),
            positions,
            &sequences,
            |layer, queries, of, shape| {
                cache.write(layer, of.clone(), &slots);
                ops::tree_attention(queries, of.keys, of.values, &batch.visibility, shape)
            },
        );
        let computed = computed.into_iter().map(|(number, cached, end)| Prompt {
            number,
            cached,
            last: output.hidden.clone().narrow(0, end, 1),
        });
        self.prompts.extend(computed);
        Ok(())
    }

    /// Draws the next token of every live row.
    fn draw(&mut self, finished: &mut Vec<Row>, observe: &mut Observe<'_>) -> Result<()> {
        if self.live.is_empty() {
            return Ok(());
        }
        for live in &mut self.live {
            self.cache.extend(&mut live.own, 1);
        }
        let is_fixed = self.model.model.frequencies().are_fixed();
        let mut groups = Vec::new();
        for rows in self.live.chunk_by(|a, b| a.number() == b.number()) {
            let mut prompts = self.prompts.iter();
            let Some(prompt) = prompts.find(|prompt| prompt.number == rows[0].number()) else {
                continue; // every live row has one
            };
            if !is_fixed {
                let (model, device) = (&self.model, &self.device);
                rotation::renew(model, device, &prompt.cached, rows, &mut self.cache)?;
            }
            groups.push(PromptGroup {
                prompt: prompt.cached.clone(),
                rows: rows.iter().map(|live| live.own.clone()).collect(),
            });
        }
        let tokens: Vec<u32> = self.live.iter().map(|live| live.last).collect();
        let step = DecodeStep::new(DecodeSpans::new(groups, self.shape), &tokens, &self.device);
        let rotary = match is_fixed {
            true => self.rotary.of_step(&self.model, &step),
            false => rotation::of_lengths(&self.model, &step),
        };
        let slots = step.slots();
        let cache = &mut self.cache;
        let output = self.model.model.forward_rotated(
            step.tokens(),
            &rotary,
            |layer, queries, of, shape| {
                let cache = cache.write(layer, of, &slots);
                cache.attention(queries, &step, shape)
            },
        );
        let rows = self.live.iter_mut().map(|live| &mut live.row);
        let chosen = choose(&self.model, &mut self.settings, output.hidden, rows)?;
        for (live, choice) in self.live.iter_mut().zip(chosen) {
            if let Err(error) = live.row.take(&choice, &self.stop_tokens, observe) {
                self.failed.push_back(error);
                live.is_lost = true;
            }
            live.last = choice.token;
        }
        finished.extend(self.leave(|live| live.row.done));
        Ok(())
    }

    /// Takes rows out. Their blocks are free again, and those of prompts that nobody continues any more.
    fn leave(&mut self, leaves: impl Fn(&Live) -> bool) -> Vec<Row> {
        let left: Vec<Live> = self.live.extract_if(.., |live| leaves(live)).collect();
        let mut rows = Vec::with_capacity(left.len());
        for live in left {
            self.cache.release(live.own);
            if !live.is_lost {
                rows.push(live.row);
            }
        }
        let waits = self.waiting.front().map(|row| row.asked.number);
        let Self {
            live,
            prompts,
            cache,
            ..
        } = self;
        let is_needed = |prompt: &Prompt| {
            waits == Some(prompt.number) || live.iter().any(|live| live.number() == prompt.number)
        };
        for prompt in prompts.extract_if(.., |prompt| !is_needed(prompt)) {
            cache.release(prompt.cached);
        }
        rows
    }
}

impl Live {
    fn number(&self) -> usize {
        self.row.asked.number
    }
}

/// The settings that tokens were drawn by last, on the device: those of greedy rows are the same token after token.
#[derive(Default)]
struct Settings {
    last: Option<(Vec<Draw>, Tensor<2>)>,
}

impl Settings {
    fn of(&mut self, draws: Vec<Draw>, device: &Device) -> Tensor<2> {
        match &self.last {
            Some((last, settings)) if *last == draws => settings.clone(),
            _ => {
                let settings = draw::settings(&draws, device);
                self.last = Some((draws, settings.clone()));
                settings
            }
        }
    }
}

/// Draws the next token of every row from its hidden state, `[B, d]`.
///
/// What is read from the device is the tokens and their log-probabilities; of rows whose logits are penalised, or whose
/// likeliest tokens are asked for, the logits are.
fn choose<'a>(
    model: &Decoder,
    settings: &mut Settings,
    hidden: Tensor<2>,
    rows: impl Iterator<Item = &'a mut Row>,
) -> Result<Vec<Choice>> {
    let logits = ops::project(hidden, model.output_weight()).cast(DType::F32);
    let device = &logits.device();
    let (mut read, mut drawn) = (Vec::new(), Vec::new());
    for (place, row) in rows.enumerate() {
        let draw = row.sampler.next(&row.asked.params);
        let is_plain = row.asked.params.repetition_penalty == 1.0 && row.asked.likeliest == 0;
        match is_plain {
            true => drawn.push((place, draw)),
            false => read.push((place, (draw, row))),
        }
    }
    let select = |places: Vec<u32>| match places.len() == logits.dims()[0] {
        true => logits.clone(),
        false => logits.clone().select(0, int_tensor(&places, device)),
    };
    let mut chosen: Vec<(usize, Choice)> = Vec::new();
    if !drawn.is_empty() {
        let logits = select(drawn.iter().map(|(place, _)| *place as u32).collect());
        let draws: Vec<Draw> = drawn.iter().map(|(_, draw)| *draw).collect();
        let tokens = draw::draw(logits, settings.of(draws, device))?;
        let tokens = tokens.into_iter().map(|(token, log_prob)| Choice {
            token,
            log_prob,
            likeliest: Vec::new(),
            is_sound: log_prob.is_finite(),
        });
        chosen.extend(drawn.iter().map(|(place, _)| *place).zip(tokens));
    }
    if !read.is_empty() {
        let vocab_size = logits.dims()[1];
        let logits = select(read.iter().map(|(place, _)| *place as u32).collect());
        let data = logits.into_data();
        let logits = data
            .try_into_vec_as::<f32>()
            .map_err(|error| Error::Device {
                what: "logits",
                problem: format!("{error:?}"),
            })?;
        let (places, rows): (Vec<usize>, Vec<_>) = read.into_iter().unzip();
        let choices = sampling::choose_by(logits.chunks(vocab_size).zip(rows));
        chosen.extend(places.into_iter().zip(choices));
    }
    chosen.sort_by_key(|(place, _)| *place);
    Ok(chosen.into_iter().map(|(_, choice)| choice).collect())
}
