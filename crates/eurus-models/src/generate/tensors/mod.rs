//! Generation with burn's tensors: on every device, for every model.

mod cache;
mod rotation;

use std::collections::VecDeque;
use std::sync::Arc;

use burn::tensor::DType;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use token_forest::{PackedForest, TokenTree};

use super::row::{Asked, Observe, Row};
use super::sampling::{self, TokenScore};
use crate::ops::{self, DecodeSpans, PromptGroup, Segment};
use crate::rope::Sequence;
use crate::{Decoder, Error, ForestBatch, ForestBody, ForestModel, Result, int_tensor};

use cache::Caches;

/// The batch is packed anew when fewer than this share of its rows is still going.
const REPACK_BELOW: f64 = 0.75;

/// Rows that wait to be continued, batch after batch. A batch holds whole prompts, and its rows advance together.
pub struct Schedule {
    model: Box<Decoder>,
    stop_tokens: Vec<u32>,
    max_rows: usize,
    /// In the order of their prompts.
    pub(super) waiting: VecDeque<Row>,
}

/// A batch that is being continued.
struct Batch<'a> {
    model: &'a Decoder,
    stop_tokens: &'a [u32],
    prompts: Vec<Arc<Asked>>,
}

impl Schedule {
    pub fn new(model: Box<Decoder>, stop_tokens: Vec<u32>, max_rows: usize) -> Self {
        Self {
            model,
            stop_tokens,
            max_rows,
            waiting: VecDeque::new(),
        }
    }

    /// Continues the next batch to its end.
    pub(super) fn step(&mut self, observe: &mut Observe<'_>) -> Result<Vec<Row>> {
        let mut finished = Vec::new();
        let mut rows = self.next_batch();
        let mut prompts: Vec<Arc<Asked>> = rows.iter().map(|row| row.asked.clone()).collect();
        prompts.dedup_by_key(|asked| asked.number);
        if !rows.is_empty() {
            let batch = Batch {
                model: &self.model,
                stop_tokens: &self.stop_tokens,
                prompts,
            };
            continue_batch(&batch, &mut rows, &mut finished, observe)?;
        }
        finished.append(&mut rows);
        Ok(finished)
    }

    /// The rows of as many whole prompts as are allowed together, of one at least.
    fn next_batch(&mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        while let Some(next) = self.waiting.front() {
            let number = next.asked.number;
            let same = |row: &&Row| row.asked.number == number;
            let samples = self.waiting.iter().take_while(same).count();
            // A prompt with more samples than rows are allowed is a batch of its own.
            if !rows.is_empty() && rows.len() + samples > self.max_rows {
                break;
            }
            rows.extend(self.waiting.drain(..samples));
        }
        rows
    }
}

/// See [`Generator::scores`](super::Generator::scores).
pub fn scores(
    model: &Decoder,
    prompt: &[u32],
    tokens: &[u32],
    likeliest: usize,
) -> Result<Vec<TokenScore>> {
    let mut tree = TokenTree::new(prompt.to_vec(), false);
    tree.push(0, tokens.to_vec(), true);
    let forest = PackedForest::from_trees([&tree])?;
    let device = model.output_weight().device();
    let batch = ForestBatch::new(forest, &device);
    let predictors: Vec<u32> = batch.forest.targets.iter().map(|it| it.predictor).collect();
    let hidden = model.hidden_states(&batch);
    let hidden = hidden.select(0, int_tensor(&predictors, &device));
    let log_probs = log_softmax(
        ops::project(hidden, model.output_weight()).cast(DType::F32),
        1,
    );
    let targets = int_tensor(tokens, &device).unsqueeze_dim(1);
    let chosen = log_probs.clone().gather(1, targets).into_data();
    let mut scores: Vec<TokenScore> = chosen
        .iter()
        .map(|log_prob| TokenScore {
            log_prob,
            likeliest: Vec::new(),
        })
        .collect();
    let likeliest = likeliest.min(log_probs.dims()[1]);
    if likeliest > 0 {
        let (values, ids) = log_probs.topk_with_indices(likeliest, 1);
        let values: Vec<f32> = values.into_data().iter().collect();
        let ids: Vec<i64> = ids.into_data().iter().collect();
        let both: Vec<(u32, f32)> = ids.iter().map(|&id| id as u32).zip(values).collect();
        for (score, likeliest) in scores.iter_mut().zip(both.chunks(likeliest)) {
            score.likeliest = likeliest.to_vec();
        }
    }
    Ok(scores)
}

/// Computes the prompts, then advances all rows until none is left.
fn continue_batch(
    batch: &Batch<'_>,
    rows: &mut Vec<Row>,
    finished: &mut Vec<Row>,
    observe: &mut Observe<'_>,
) -> Result<()> {
    let model = batch.model;
    let device = model.output_weight().device();
    let trees: Vec<TokenTree> = batch
        .prompts
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
            let segment = segments[batch.place(row)];
            (segment.start + segment.len - 1) as u32
        })
        .collect();
    let hidden = hidden.select(0, int_tensor(&ends, &device));
    let mut last = choose(batch, hidden, rows, observe)?;

    let longest = rows.iter().map(|row| row.asked.limit).max().unwrap_or(0);
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
        let groups = groups(batch, rows, &segments);
        caches.make_room(step);
        rotation::renew(model, rows, &groups, step, caches.layers())?;
        let spans = Arc::new(DecodeSpans {
            groups,
            steps: step + 1,
        });
        let positions: Vec<u32> = rows
            .iter()
            .map(|row| (segments[batch.place(row)].len + step) as u32)
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
        last = choose(batch, output.hidden, rows, observe)?;
    }
    Ok(())
}

/// Draws the next token of every row from its hidden state, `[B, d]`, and notes it down.
fn choose(
    batch: &Batch<'_>,
    hidden: Tensor<2>,
    rows: &mut [Row],
    observe: &mut Observe<'_>,
) -> Result<Vec<u32>> {
    let logits = ops::project(hidden, batch.model.output_weight());
    let vocab_size = logits.dims()[1];
    let logits = logits
        .into_data()
        .try_into_vec_as::<f32>()
        .map_err(|error| Error::Device {
            what: "logits",
            problem: format!("{error:?}"),
        })?;
    let chosen = sampling::choose_all(logits.chunks(vocab_size), rows.iter_mut());
    for (row, choice) in rows.iter_mut().zip(&chosen) {
        if !row.done {
            row.take(choice, batch.stop_tokens, observe)?;
        }
    }
    Ok(chosen.into_iter().map(|choice| choice.token).collect())
}

impl Batch<'_> {
    /// The place of a row's prompt among those of the batch.
    fn place(&self, row: &Row) -> usize {
        self.prompts
            .partition_point(|prompt| prompt.number < row.asked.number)
    }
}

fn groups(batch: &Batch<'_>, rows: &[Row], segments: &[Segment]) -> Vec<PromptGroup> {
    let mut groups: Vec<PromptGroup> = Vec::new();
    let mut current = None;
    for (index, row) in rows.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if current == Some(row.asked.number) => group.rows.end = index + 1,
            _ => groups.push(PromptGroup {
                prompt: segments[batch.place(row)],
                rows: index..index + 1,
            }),
        }
        current = Some(row.asked.number);
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
