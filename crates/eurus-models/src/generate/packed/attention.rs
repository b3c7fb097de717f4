//! Attention of a decoding step. The sequences of a prompt go over its keys together; the result of one does not depend on the
//! others.

use std::ops::Range;

use cpu_kernels::packed_products::Columns;
use cpu_kernels::row_products::{Rows, row_product};
use cpu_kernels::rows;
use rayon::prelude::*;

use crate::ops::AttentionShape;

/// Sequences that go over the keys of their prompt together, at most: their scores are to stay in the cache.
const TOGETHER: usize = 8;

/// Keys and values of tokens in a row, `[tokens, kv_heads * head_dim]` each.
#[derive(Debug, Default, Clone)]
pub struct KeysValues {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
}

/// Sequences that follow each other in the batch and continue one prompt.
pub struct Group<'a> {
    pub prompt: &'a KeysValues,
    /// Of the tokens that were drawn, the newest included, sequence by sequence.
    pub drawn: Vec<&'a KeysValues>,
}

/// One key/value head of some sequences of a group.
struct Task<'a> {
    prompt: &'a KeysValues,
    drawn: &'a [&'a KeysValues],
    queries: Rows<'a>,
    kv_head: usize,
    mixed: Columns<'a>,
}

/// Mixes the values that the newest token of every sequence sees. `queries` and `mixed` are `[B, heads * head_dim]`.
pub fn attention(
    queries: &[f32],
    groups: &[Group<'_>],
    shape: AttentionShape,
    mixed: &mut Vec<f32>,
) {
    let width = shape.heads * shape.head_dim;
    mixed.clear();
    mixed.resize(queries.len(), 0.0);
    let mut tasks = Vec::new();
    let (mut queries, mut mixed) = (queries, mixed.as_mut_slice());
    for group in groups {
        let parts = rayon::current_num_threads().min(group.drawn.len());
        let together = group.drawn.len().div_ceil(parts).min(TOGETHER);
        for drawn in group.drawn.chunks(together) {
            let own;
            (own, queries) = queries.split_at(drawn.len() * width);
            let part;
            (part, mixed) = mixed.split_at_mut(drawn.len() * width);
            let of_heads = Columns::new(part, width).chunks(shape.group() * shape.head_dim);
            tasks.extend(of_heads.map(|(first, mixed)| Task {
                prompt: group.prompt,
                drawn,
                queries: Rows {
                    data: &own[first..],
                    count: drawn.len(),
                    stride: width,
                },
                kv_head: first / (shape.group() * shape.head_dim),
                mixed,
            }));
        }
    }
    tasks
        .into_par_iter()
        .for_each_init(Room::default, |room, task| task.run(room, shape));
}

/// What tasks write to, used again.
#[derive(Default)]
struct Room {
    queries: Vec<f32>,
    scores: Vec<f32>,
}

impl Task<'_> {
    fn run(mut self, room: &mut Room, shape: AttentionShape) {
        let (d, group) = (shape.head_dim, shape.group());
        let width = shape.kv_heads * d;
        let offset = self.kv_head * d;
        let rows_of = |data, range: &Range<usize>| rows_of(data, range, width, offset);
        let prompt_len = self.prompt.keys.len() / width;
        let visible = |row: usize| {
            let drawn = self.drawn[row].keys.len() / width;
            shape.visible(prompt_len + drawn - 1)
        };
        // Of the prompt, what any sequence sees: those with fewer drawn tokens see more of it.
        let first = (0..self.drawn.len()).map(|row| visible(row).start).min();
        let of_prompt = first.unwrap_or(0).min(prompt_len)..prompt_len;

        room.queries.clear();
        for row in 0..self.queries.count {
            let queries = &self.queries.data[row * self.queries.stride..][..group * d];
            room.queries.extend_from_slice(queries);
        }
        let drawn = self.drawn.iter().map(|drawn| drawn.keys.len() / width);
        let most = of_prompt.len() + drawn.max().unwrap_or(0);
        // Scores of all keys of the prompt, then of the drawn ones.
        room.scores.resize(self.drawn.len() * group * most, 0.0);
        let keys = rows_of(&self.prompt.keys, &of_prompt);
        row_product(&mut room.scores, most, Rows::new(&room.queries, d), keys, d);
        for (row, drawn) in self.drawn.iter().enumerate() {
            let visible = visible(row);
            let of_drawn = visible.start.saturating_sub(prompt_len)..drawn.keys.len() / width;
            let skipped = visible.start.clamp(of_prompt.start, prompt_len) - of_prompt.start;
            let queries = &room.queries[row * group * d..][..group * d];
            let scores = &mut room.scores[row * group * most..][..group * most];
            let keys = rows_of(&drawn.keys, &of_drawn);
            let place = of_prompt.len();
            row_product(&mut scores[place..], most, Rows::new(queries, d), keys, d);
            let mixed = self.mixed.row_mut(row);
            for (scores, mixed) in scores.chunks_mut(most).zip(mixed.chunks_mut(d)) {
                let scores = &mut scores[skipped..place + of_drawn.len()];
                for score in scores.iter_mut() {
                    *score *= shape.scale;
                }
                rows::softmax(scores);
                let (prompt, own) = scores.split_at(place - skipped);
                let seen = of_prompt.start + skipped..prompt_len;
                rows::add_weighted(
                    mixed,
                    prompt,
                    rows_of(&self.prompt.values, &seen).data,
                    width,
                );
                rows::add_weighted(mixed, own, rows_of(&drawn.values, &of_drawn).data, width);
            }
        }
    }
}

/// One head of some tokens.
fn rows_of<'a>(data: &'a [f32], tokens: &Range<usize>, width: usize, offset: usize) -> Rows<'a> {
    Rows {
        data: &data[(tokens.start * width + offset).min(data.len())..],
        count: tokens.len(),
        stride: width,
    }
}
