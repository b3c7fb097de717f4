//! Cosines and sines of decoding steps, and caches of models whose rotary frequencies change with the length of a sequence.

use burn::tensor::Device;
use token_forest::{PackedForest, TokenTree};

use super::cache::Cache;
use super::schedule::Live;
use crate::decoder::Rotary;
use crate::ops::decode::{CachedTokens, DecodeStep};
use crate::rope::Sequence;
use crate::{Decoder, ForestBatch, Result, int_tensor};

/// Positions that a table has at first.
const FIRST_POSITIONS: usize = 1024;

/// Cosines and sines of all positions that came, on the device: a step looks up its own.
#[derive(Default)]
pub(super) struct RotaryTable {
    positions: usize,
    values: Option<Rotary>,
}

impl RotaryTable {
    /// Those of a step's tokens, for frequencies that are the same for all lengths.
    pub fn of_step(&mut self, model: &Decoder, step: &DecodeStep) -> Rotary {
        let lengths = step.spans.sequences();
        let longest = lengths.map(|(prompt, own)| prompt.len + own.len).max();
        let longest = longest.unwrap_or(0);
        let table = match self.values.take() {
            Some(table) if longest <= self.positions => table,
            _ => {
                self.positions = longest.next_power_of_two().max(FIRST_POSITIONS);
                let positions: Vec<u32> = (0..self.positions as u32).collect();
                let together = Sequence {
                    tokens: positions.len(),
                    length: 0,
                };
                model.model.rotary(&positions, &[together])
            }
        };
        let positions = step.positions();
        let rotary = Rotary {
            cos: table.cos.clone().select(0, positions.clone()),
            sin: table.sin.clone().select(0, positions),
        };
        self.values = Some(table);
        rotary
    }
}

/// Those of a step's tokens, for frequencies that change with the length of a sequence.
pub(super) fn of_lengths(model: &Decoder, step: &DecodeStep) -> Rotary {
    let lengths: Vec<usize> = step
        .spans
        .sequences()
        .map(|(prompt, own)| prompt.len + own.len)
        .collect();
    let positions: Vec<u32> = lengths.iter().map(|&length| length as u32 - 1).collect();
    let sequences: Vec<Sequence> = lengths
        .into_iter()
        .map(|length| Sequence { tokens: 1, length })
        .collect();
    model.model.rotary(&positions, &sequences)
}

/// Computes the keys and values of a prompt and its continuations anew where the next token makes the frequencies others,
/// so that every token is drawn as a pass over the whole text so far would draw it. The rows are all that continue the prompt,
/// and have as many tokens, the next one of each counted already.
pub(super) fn renew(
    model: &Decoder,
    device: &Device,
    prompt: &CachedTokens,
    rows: &[Live],
    cache: &mut Cache,
) -> Result<()> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let step = first.own.len - 1;
    let cached = prompt.len + step;
    if model.model.frequencies().are_shared([cached, cached + 1]) {
        return Ok(());
    }
    let mut tree = TokenTree::new(first.row.asked.tokens.clone(), false);
    let mut slots: Vec<u32> = (0..prompt.len).map(|token| prompt.slot(token)).collect();
    // Before the first step there is nothing but the prompt.
    for live in rows.iter().filter(|_| step > 0) {
        tree.push(0, live.row.continuation.tokens[..step].to_vec(), false);
        slots.extend((0..step).map(|token| live.own.slot(token)));
    }
    let mut forest = PackedForest::from_trees([&tree])?;
    forest.longest_paths = vec![cached as u32 + 1];
    let batch = ForestBatch::new(forest, device);
    let slots = int_tensor(&slots, device);
    let (_, kept) = model.model.forward_keeping(&batch);
    for (layer, of) in kept.into_iter().enumerate() {
        cache.write(layer, of, &slots);
    }
    Ok(())
}
