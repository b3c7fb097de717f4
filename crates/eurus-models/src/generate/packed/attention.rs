//! Attention in which the result of a token does not depend, to the bit, on the tokens it is computed with: neither on other
//! sequences, nor on how its own is shared out between passes.
//!
//! Scores are products of rows, softmax goes over all keys of a token at once, and values are added up in the order of the
//! keys. So it makes no difference whether a key was computed as part of a prompt, of a prefix that prompts share, or as the
//! last token of an answer.

use cpu_kernels::packed_products::Columns;
use cpu_kernels::row_products::{Rows, row_product};
use cpu_kernels::rows;
use rayon::prelude::*;

use crate::ops::AttentionShape;

/// Tokens that go over keys together, at most: their scores are to stay in the cache.
pub const TOGETHER: usize = 8;

/// Keys and values of tokens in a row, `[tokens, kv_heads * head_dim]` each.
#[derive(Debug, Default, Clone)]
pub struct KeysValues {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
}

/// Some of those tokens.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    tokens: usize,
}

impl KeysValues {
    /// `tokens` of them from `first` on; a token has `width` values.
    pub fn some(&self, first: usize, tokens: usize, width: usize) -> Seen<'_> {
        let range = first * width..(first + tokens) * width;
        Seen {
            keys: &self.keys[range.clone()],
            values: &self.values[range],
            tokens,
        }
    }

    pub fn all(&self, width: usize) -> Seen<'_> {
        self.some(0, self.keys.len() / width, width)
    }
}

impl<'a> Seen<'a> {
    /// One head of the tokens from `first` on.
    fn head(&self, of: &'a [f32], first: usize, width: usize, offset: usize) -> Rows<'a> {
        Rows {
            data: &of[(first * width + offset).min(of.len())..],
            count: self.tokens - first,
            stride: width,
        }
    }
}

/// Tokens that follow each other in the batch and have most of what they see in common.
pub struct Group<'a> {
    /// What all of them see, in order.
    pub shared: Vec<Seen<'a>>,
    /// What each sees after that, the token itself at the end.
    pub own: Vec<Seen<'a>>,
}

/// One key/value head of some tokens of a group.
struct Task<'a> {
    shared: &'a [Seen<'a>],
    own: &'a [Seen<'a>],
    queries: Rows<'a>,
    kv_head: usize,
    mixed: Columns<'a>,
}

/// Mixes the values that every token sees. `queries` and `mixed` are `[B, heads * head_dim]`.
pub fn attention(
    queries: &[f32],
    groups: &[Group<'_>],
    shape: AttentionShape,
    mixed: &mut Vec<f32>,
) {
    let width = shape.heads * shape.head_dim;
    let of_head = shape.group() * shape.head_dim;
    mixed.clear();
    mixed.resize(queries.len(), 0.0);
    let threads = rayon::current_num_threads();
    let mut tasks = Vec::new();
    let (mut queries, mut mixed) = (queries, mixed.as_mut_slice());
    for group in groups {
        let together = group.own.len().div_ceil(threads).clamp(1, TOGETHER);
        for own in group.own.chunks(together) {
            let of_queries;
            (of_queries, queries) = queries.split_at(own.len() * width);
            let part;
            (part, mixed) = mixed.split_at_mut(own.len() * width);
            let of_heads = Columns::new(part, width).chunks(of_head);
            tasks.extend(of_heads.map(|(first, mixed)| Task {
                shared: &group.shared,
                own,
                queries: Rows {
                    data: &of_queries[first..],
                    count: own.len(),
                    stride: width,
                },
                kv_head: first / of_head,
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
        let (width, offset) = (shape.kv_heads * d, self.kv_head * d);
        room.queries.clear();
        for row in 0..self.queries.count {
            let queries = &self.queries.data[row * self.queries.stride..][..group * d];
            room.queries.extend_from_slice(queries);
        }
        let shared: usize = self.shared.iter().map(|seen| seen.tokens).sum();
        let most = shared + self.own.iter().map(|seen| seen.tokens).max().unwrap_or(0);
        // The first key that a token sees.
        let start = |own: &Seen<'_>| shape.visible(shared + own.tokens - 1).start;
        let first = self.own.iter().map(start).min().unwrap_or(0);
        room.scores.resize(self.own.len() * group * most, 0.0);
        let mut place = 0;
        for seen in self.shared {
            let skipped = first.saturating_sub(place).min(seen.tokens);
            row_product(
                &mut room.scores[place + skipped..],
                most,
                Rows::new(&room.queries, d),
                seen.head(seen.keys, skipped, width, offset),
                d,
            );
            place += seen.tokens;
        }
        for (row, own) in self.own.iter().enumerate() {
            let start = start(own);
            let skipped = start.saturating_sub(shared);
            let queries = Rows::new(&room.queries[row * group * d..][..group * d], d);
            let scores = &mut room.scores[row * group * most..][..group * most];
            let keys = own.head(own.keys, skipped, width, offset);
            row_product(&mut scores[shared + skipped..], most, queries, keys, d);
            let mixed = self.mixed.row_mut(row);
            for (scores, mixed) in scores.chunks_mut(most).zip(mixed.chunks_mut(d)) {
                let weights = &mut scores[start..shared + own.tokens];
                for score in weights.iter_mut() {
                    *score *= shape.scale;
                }
                rows::softmax(weights);
                let mut place = 0;
                for seen in self.shared.iter().chain([own]) {
                    let skipped = start.saturating_sub(place).min(seen.tokens);
                    let weights = &scores[place + skipped..place + seen.tokens];
                    let values = seen.head(seen.values, skipped, width, offset);
                    rows::add_weighted(mixed, weights, values.data, width);
                    place += seen.tokens;
                }
            }
        }
    }
}
