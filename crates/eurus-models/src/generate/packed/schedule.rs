//! Which sequences advance: a place that one leaves is taken by the next one at once.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::Drawing;
use super::super::row::{Observe, Row};
use super::super::sampling;
use super::attention::{Group, KeysValues, attention};
use super::prompts::ComputedPrompt;
use super::{Buffers, PackedDecoder};
use crate::Result;

/// A prompt whose samples are entering.
#[derive(Clone)]
struct Entering {
    /// Its place in the list.
    index: usize,
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

/// Continues all rows, which are in the order of their prompts.
pub fn continue_all(
    decoder: &PackedDecoder,
    drawing: &Drawing<'_>,
    rows: Vec<Row>,
    observe: &mut Observe<'_>,
) -> Result<Vec<Row>> {
    let mut schedule = Schedule {
        decoder,
        drawing,
        finished: Vec::with_capacity(rows.len()),
        waiting: rows.into(),
        current: None,
        live: Vec::new(),
        buffers: Buffers::default(),
        logits: Vec::new(),
    };
    while !schedule.waiting.is_empty() || !schedule.live.is_empty() {
        schedule.enter(observe)?;
        schedule.step(observe)?;
    }
    Ok(schedule.finished)
}

struct Schedule<'a> {
    decoder: &'a PackedDecoder,
    drawing: &'a Drawing<'a>,
    waiting: VecDeque<Row>,
    /// The prompt that came last, of which samples may be waiting.
    current: Option<Entering>,
    live: Vec<Live>,
    finished: Vec<Row>,
    buffers: Buffers,
    logits: Vec<f32>,
}

impl Schedule<'_> {
    /// Lets waiting rows in while there is room. Their first tokens are drawn from what their prompts end with.
    fn enter(&mut self, observe: &mut Observe<'_>) -> Result<()> {
        while self.live.len() < self.drawing.max_rows && !self.waiting.is_empty() {
            let room = self.drawing.max_rows - self.live.len();
            let mut entering: Vec<Row> =
                self.waiting.drain(..room.min(self.waiting.len())).collect();
            let prompts = self.compute_prompts(&mut entering);
            let samplers = entering.iter_mut().map(|row| &mut row.sampler);
            let logits = prompts.iter().map(|of| &*of.logits);
            let chosen = sampling::choose_all(logits.zip(samplers).collect(), self.drawing.params);
            for ((mut row, of), choice) in entering.into_iter().zip(prompts).zip(chosen) {
                let prompt = of.prompt;
                row.take(&choice, self.drawing.stop_tokens, observe)?;
                if row.done {
                    self.finished.push(row);
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
        Ok(())
    }

    /// The prompt of every row. Rows whose prompts are not computed yet are left waiting.
    fn compute_prompts(&mut self, entering: &mut Vec<Row>) -> Vec<Entering> {
        let known = self.current.as_ref().map(|current| current.index);
        let mut new: Vec<usize> = entering.iter().map(|row| row.prompt).collect();
        new.dedup();
        new.retain(|&prompt| known != Some(prompt));
        let mut there: VecDeque<Entering> = self.current.take().into_iter().collect();
        if !new.is_empty() {
            let prompts = new.iter().map(|&it| &*self.drawing.prompts[it].tokens);
            let prompts: Vec<&[u32]> = prompts.collect();
            let before = there.front().map(|current| &*current.prompt);
            let (decoder, buffers) = (self.decoder, &mut self.buffers);
            let computed = rayon::scope(|_| decoder.compute_prompts(&prompts, before, buffers));
            let computed = new.into_iter().zip(computed);
            there.extend(computed.map(|(index, (prompt, logits))| Entering {
                index,
                prompt: Arc::new(prompt),
                logits: logits.into(),
            }));
        }
        let mut of_rows = Vec::with_capacity(entering.len());
        for row in entering.iter() {
            while there.len() > 1 && there[0].index != row.prompt {
                there.pop_front();
            }
            let of = there.front().filter(|it| it.index == row.prompt);
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
    fn step(&mut self, observe: &mut Observe<'_>) -> Result<()> {
        if self.live.is_empty() {
            return Ok(());
        }
        let tokens: Vec<u32> = self.live.iter().map(|live| live.last).collect();
        let positions: Vec<u32> = self
            .live
            .iter()
            .map(|live| live.position() as u32)
            .collect();
        let Self {
            decoder,
            drawing,
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
            let samplers = live.iter_mut().map(|live| &mut live.row.sampler);
            let logits = logits.chunks(decoder.vocab_size());
            sampling::choose_all(logits.zip(samplers).collect(), drawing.params)
        });
        for (live, choice) in self.live.iter_mut().zip(chosen) {
            live.row.take(&choice, self.drawing.stop_tokens, observe)?;
            live.last = choice.token;
        }
        let finished = self.live.extract_if(.., |live| live.row.done);
        self.finished.extend(finished.map(|live| live.row));
        Ok(())
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
