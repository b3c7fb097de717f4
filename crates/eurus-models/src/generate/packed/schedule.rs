//! Which sequences advance: a place that one leaves is taken by the next one at once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::row::{Asked, Observe, Row};
use super::super::sampling;
use super::attention::{Group, KeysValues, attention};
use super::prompts::ComputedPrompt;
use super::{Buffers, PackedDecoder};
use crate::{Error, Result};

/// A prompt whose samples are entering.
#[derive(Clone)]
struct Entering {
    /// The number of what is asked.
    number: usize,
    prompt: Arc<ComputedPrompt>,
    /// What first tokens are drawn from.
    logits: Arc<[f32]>,
}

/// A row that advances.
struct Live {
    row: Row,
    prompt: Arc<ComputedPrompt>,
    /// Of the drawn tokens, layer by layer.
    drawn: Vec<KeysValues>,
    /// The newest token, which no layer has seen yet.
    last: u32,
}

/// Rows that advance, and those that wait to be let in.
pub struct Schedule {
    decoder: Arc<PackedDecoder>,
    stop_tokens: Vec<u32>,
    /// Rows that advance together, at most.
    max_rows: usize,
    /// In the order of their prompts.
    pub(in super::super) waiting: VecDeque<Row>,
    /// The prompt that came last, of which samples may be waiting.
    current: Option<Entering>,
    live: Vec<Live>,
    /// Rows whose logits were not finite, to be told of one after the other.
    failed: VecDeque<Error>,
    buffers: Buffers,
    logits: Vec<f32>,
}

impl Schedule {
    pub fn new(decoder: Arc<PackedDecoder>, stop_tokens: Vec<u32>, max_rows: usize) -> Self {
        Self {
            decoder,
            stop_tokens,
            max_rows,
            waiting: VecDeque::new(),
            current: None,
            live: Vec::new(),
            failed: VecDeque::new(),
            buffers: Buffers::default(),
            logits: Vec::new(),
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
        self.live.retain(|live| live.row.asked.number != number);
    }

    /// Lets rows in and draws a token of every live one. Returns those that have ended.
    pub(in super::super) fn step(&mut self, observe: &mut Observe<'_>) -> Result<Vec<Row>> {
        let mut finished = Vec::new();
        if self.failed.is_empty() {
            self.enter(&mut finished, observe);
            self.draw(&mut finished, observe);
        }
        match self.failed.pop_front() {
            Some(error) => Err(error),
            None => Ok(finished),
        }
    }

    /// Lets waiting rows in while there is room. Their first tokens are drawn from what their prompts end with.
    fn enter(&mut self, finished: &mut Vec<Row>, observe: &mut Observe<'_>) {
        while self.live.len() < self.max_rows && !self.waiting.is_empty() {
            let room = self.max_rows - self.live.len();
            let mut entering: Vec<Row> =
                self.waiting.drain(..room.min(self.waiting.len())).collect();
            let prompts = self.compute_prompts(&mut entering);
            let logits = prompts.iter().map(|of| &*of.logits);
            let chosen = sampling::choose_all(logits, entering.iter_mut());
            for ((mut row, of), choice) in entering.into_iter().zip(prompts).zip(chosen) {
                let prompt = of.prompt;
                if let Err(error) = row.take(&choice, &self.stop_tokens, observe) {
                    self.failed.push_back(error);
                } else if row.done {
                    finished.push(row);
                } else {
                    let drawn = vec![KeysValues::default(); self.decoder.layers.len()];
                    self.live.push(Live {
                        row,
                        prompt,
                        drawn,
                        last: choice.token,
                    });
                }
            }
        }
    }

    /// The prompt of every row. Rows whose prompts are not computed yet are left waiting.
    fn compute_prompts(&mut self, entering: &mut Vec<Row>) -> Vec<Entering> {
        let known = self.current.as_ref().map(|current| current.number);
        let mut new: Vec<Arc<Asked>> = entering.iter().map(|row| row.asked.clone()).collect();
        new.dedup_by_key(|asked| asked.number);
        new.retain(|asked| known != Some(asked.number));
        let mut there: VecDeque<Entering> = self.current.take().into_iter().collect();
        if !new.is_empty() {
            let prompts: Vec<&[u32]> = new.iter().map(|asked| &*asked.tokens).collect();
            let before = there.front().map(|current| &*current.prompt);
            let (decoder, buffers) = (&self.decoder, &mut self.buffers);
            let computed = rayon::scope(|_| decoder.compute_prompts(&prompts, before, buffers));
            let computed = new.iter().zip(computed);
            there.extend(computed.map(|(asked, (prompt, logits))| Entering {
                number: asked.number,
                prompt: Arc::new(prompt),
                logits: logits.into(),
            }));
        }
        let mut of_rows = Vec::with_capacity(entering.len());
        for row in entering.iter() {
            while there.len() > 1 && there[0].number != row.asked.number {
                there.pop_front();
            }
            let of = there.front().filter(|it| it.number == row.asked.number);
            let Some(of) = of else { break };
            of_rows.push(of.clone());
        }
        for row in entering.drain(of_rows.len()..).rev() {
            self.waiting.push_front(row);
        }
        self.current = there.pop_back();
        of_rows
    }

    /// Draws the next token of every live row.
    fn draw(&mut self, finished: &mut Vec<Row>, observe: &mut Observe<'_>) {
        if self.live.is_empty() {
            return;
        }
        let tokens: Vec<u32> = self.live.iter().map(|live| live.last).collect();
        let positions: Vec<u32> = self
            .live
            .iter()
            .map(|live| live.position() as u32)
            .collect();
        let Self {
            decoder,
            live,
            buffers,
            logits,
            ..
        } = self;
        // On a thread of the pool: every product would change threads otherwise, there and back.
        let chosen = rayon::scope(|_| {
            let hidden =
                decoder.forward(&tokens, &positions, buffers, |layer, of, shape, mixed| {
                    let width = shape.kv_heads * shape.head_dim;
                    let news = of.keys.chunks(width).zip(of.values.chunks(width));
                    for (live, (keys, values)) in live.iter_mut().zip(news) {
                        live.drawn[layer].keys.extend_from_slice(keys);
                        live.drawn[layer].values.extend_from_slice(values);
                    }
                    attention(of.queries, &groups(live, layer, width), shape, mixed);
                });
            decoder.logits(&hidden, logits);
            let rows = live.iter_mut().map(|live| &mut live.row);
            sampling::choose_all(logits.chunks(decoder.vocab_size()), rows)
        });
        let mut failed = Vec::new();
        for (place, (live, choice)) in self.live.iter_mut().zip(chosen).enumerate() {
            if let Err(error) = live.row.take(&choice, &self.stop_tokens, observe) {
                self.failed.push_back(error);
                failed.push(place);
            }
            live.last = choice.token;
        }
        for place in failed.into_iter().rev() {
            self.live.remove(place);
        }
        let done = self.live.extract_if(.., |live| live.row.done);
        finished.extend(done.map(|live| live.row));
    }
}

impl Live {
    /// Of the newest token.
    fn position(&self) -> usize {
        self.prompt.len() + self.row.continuation.tokens.len() - 1
    }
}

/// Rows that follow each other and continue the same prompt.
fn groups(live: &[Live], layer: usize, width: usize) -> Vec<Group<'_>> {
    live.chunk_by(|a, b| Arc::ptr_eq(&a.prompt, &b.prompt))
        .map(|rows| Group {
            shared: rows[0].prompt.seen(layer, width),
            own: rows
                .iter()
                .map(|live| live.drawn[layer].all(width))
                .collect(),
        })
        .collect()
}
