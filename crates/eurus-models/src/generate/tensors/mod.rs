//! Generation with burn's tensors: on every device, for every model.

mod cache;
mod rotation;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::DType;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use token_forest::{PackedForest, TokenTree};

use super::row::{Observe, Row};
use super::{Drawing, sampling};
use crate::ops::{self, DecodeSpans, PromptGroup, Segment};
use crate::rope::Sequence;
use crate::{Decoder, Error, ForestBatch, ForestBody, ForestModel, Result, int_tensor};

use cache::Caches;

/// The batch is packed anew when fewer than this share of its rows is still going.
const REPACK_BELOW: f64 = 0.75;

/// Continues all rows, which are in the order of their prompts, batch after batch. A batch holds whole prompts, and its rows
/// advance together.
pub fn continue_all(
    model: &Decoder,
    drawing: &Drawing<'_>,
    rows: Vec<Row>,
    observe: &mut Observe<'_>,
) -> Result<Vec<Row>> {
    let mut finished = Vec::with_capacity(rows.len());
    let mut waiting = rows.into_iter().peekable();
    let mut first = 0;
    while first < drawing.prompts.len() {
        let mut rows = 0;
        let count = drawing.prompts[first..]
            .iter()
            .take_while(|prompt| {
                // A prompt with more samples than rows are allowed is a batch of its own.
                let fits = rows == 0 || rows + prompt.samples.len() <= drawing.max_rows;
                rows += prompt.samples.len();
                fits
            })
            .count();
        let batch = first..first + count;
        let mut rows = Vec::new();
        while let Some(row) = waiting.next_if(|row| row.prompt < batch.end) {
            rows.push(row);
        }
        if !rows.is_empty() {
            continue_batch(model, drawing, batch, &mut rows, &mut finished, observe)?;
        }
        finished.append(&mut rows);
        first += count;
    }
    Ok(finished)
}

/// See [`Generator::log_probs`](super::Generator::log_probs).
pub fn log_probs(model: &Decoder, prompt: &[u32], tokens: &[u32]) -> Result<Vec<f32>> {
    let mut tree = TokenTree::new(prompt.to_vec(), false);
    tree.push(0, tokens.to_vec(), true);
    let forest = PackedForest::from_trees([&tree])?;
    let device = model.output_weight().device();
    let batch = ForestBatch::new(forest, &device);
    let predictors: Vec<u32> = batch.forest.targets.iter().map(|it| it.predictor).collect();
    let hidden = model.hidden_states(&batch);
    let hidden = hidden.select(0, int_tensor(&predictors, &device));
    let logits = ops::project(hidden, model.output_weight()).cast(DType::F32);
    let targets = int_tensor(tokens, &device).unsqueeze_dim(1);
    let chosen = log_softmax(logits, 1).gather(1, targets);
    Ok(chosen.into_data().iter().collect())
}

/// Computes the prompts, then advances all rows until none is left.
fn continue_batch(
    model: &Decoder,
    drawing: &Drawing<'_>,
    batch: Range<usize>,
    rows: &mut Vec<Row>,
    finished: &mut Vec<Row>,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let device = model.output_weight().device();
    let trees: Vec<TokenTree> = drawing.prompts[batch.clone()]
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
    let (hidden, kept) = model
        .model
        .forward_keeping(&ForestBatch::new(forest, &device));
    let ends: Vec<u32> = rows
        .iter()
        .map(|row| {
            let segment = segments[row.prompt - batch.start];
            (segment.start + segment.len - 1) as u32
        })
        .collect();
    let hidden = hidden.select(0, int_tensor(&ends, &device));
    let mut last = choose(model, hidden, rows, drawing, observe)?;

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
        let groups = groups(rows, batch.start, &segments);
        caches.make_room(step);
        rotation::renew(model, drawing.prompts, rows, &groups, step, caches.layers())?;
        let spans = Arc::new(DecodeSpans {
            groups,
            steps: step + 1,
        });
        let positions: Vec<u32> = rows
            .iter()
            .map(|row| (segments[row.prompt - batch.start].len + step) as u32)
            .collect();
        let sequences: Vec<Sequence> = positions
            .iter()
            .map(|&position| Sequence {
                tokens: 1,
                length: position as usize + 1,
            })
            .collect();
        let output = model.model.forward_with(
            int_tensor(&last, &device),
            &positions,
            &sequences,
            |layer, queries, kv, shape| {
                let cache = caches.append(layer, kv, step);
                ops::decode_attention(queries, cache, &spans, shape)
            },
        );
        last = choose(model, output.hidden, rows, drawing, observe)?;
    }
    Ok(())
}

/// Draws the next token of every row from its hidden state, `[B, d]`, and notes it down.
fn choose(
    model: &Decoder,
    hidden: Tensor<2>,
    rows: &mut [Row],
    drawing: &Drawing<'_>,
    observe: &mut Observe<'_>,
) -> Result<Vec<u32>> {
    let logits = ops::project(hidden, model.output_weight());
    let vocab_size = logits.dims()[1];
    let logits = logits
        .into_data()
        .try_into_vec_as::<f32>()
        .map_err(|error| Error::Device {
            what: "logits",
            problem: format!("{error:?}"),
        })?;
    let samplers = rows.iter_mut().map(|row| &mut row.sampler);
    let chosen = sampling::choose_all(
        logits.chunks(vocab_size).zip(samplers).collect(),
        drawing.params,
    );
    for (row, choice) in rows.iter_mut().zip(&chosen) {
        if !row.done {
            row.take(choice, drawing.stop_tokens, observe)?;
        }
    }
    Ok(chosen.into_iter().map(|choice| choice.token).collect())
}

fn groups(rows: &[Row], first: usize, segments: &[Segment]) -> Vec<PromptGroup> {
    let mut groups: Vec<PromptGroup> = Vec::new();
    let mut current = None;
    for (index, row) in rows.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if current == Some(row.prompt) => group.rows.end = index + 1,
            _ => groups.push(PromptGroup {
                prompt: segments[row.prompt - first],
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
