//! What generation computes: attention over blocks of a cache, and drawn tokens.

use burn::tensor::{DType, Tensor, TensorData};
use eurus_models::ops::AttentionShape;
use eurus_models::ops::decode::{
    BLOCK, CachedTokens, DecodeCache, DecodeSpans, DecodeStep, PromptGroup,
};
use eurus_models::ops::draw::{Draw, draw, settings};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::case::{Case, noise};

/// Prompts, and of each the lengths of what its samples have of their own.
type Lengths = &'static [(usize, &'static [usize])];

/// Heads, key/value heads, features of a head, window; prompts and their samples.
const ATTENTION: [(usize, usize, usize, Option<usize>, Lengths); 3] = [
    (8, 2, 16, None, &[(130, &[1, 64, 3, 65, 2]), (7, &[40])]),
    (4, 1, 128, None, &[(65, &[2, 66])]),
    (4, 2, 40, Some(100), &[(150, &[1, 3, 70]), (20, &[90])]),
];

/// A token for each sequence of prompts whose blocks lie anywhere in a cache. Its own key and value are written first.
fn attention(index: usize) -> Case {
    let (heads, kv_heads, head_dim, window, lengths) = ATTENTION[index];
    let shape = AttentionShape {
        heads,
        kv_heads,
        head_dim,
        scale: (head_dim as f32).powf(-0.5),
        window,
    };
    let of_all = lengths
        .iter()
        .flat_map(|(prompt, rows)| [prompt].into_iter().chain(*rows));
    let count: usize = of_all.map(|len| len.div_ceil(BLOCK)).sum();
    let mut blocks: Vec<u32> = (0..count as u32).collect();
    blocks.shuffle(&mut ChaCha8Rng::seed_from_u64(index as u64));
    let mut take = |len: usize| CachedTokens {
        blocks: blocks.split_off(blocks.len() - len.div_ceil(BLOCK)),
        len,
    };
    let groups: Vec<PromptGroup> = lengths
        .iter()
        .map(|(prompt, rows)| PromptGroup {
            prompt: take(*prompt),
            rows: rows.iter().map(|&len| take(len)).collect(),
        })
        .collect();
    let rows: usize = lengths.iter().map(|(_, rows)| rows.len()).sum();
    let width = kv_heads * head_dim;
    let cached = count * BLOCK;
    let sizes = [
        [rows, heads * head_dim],
        [cached, width],
        [cached, width],
        [rows, width],
        [rows, width],
    ];
    let inputs = sizes
        .into_iter()
        .zip(100..)
        .map(|(size, seed)| noise(size, seed));
    let of_window = window.map_or(String::new(), |window| format!(", window {window}"));
    Case {
        kernel: format!("decoding attention {heads}/{kv_heads} x {head_dim}{of_window}"),
        inputs: inputs.collect(),
        is_differentiable: false,
        function: Box::new(move |it| {
            let [q, keys, values, new_keys, new_values] =
                [0, 1, 2, 3, 4].map(|index| it[index].clone());
            let spans = DecodeSpans::new(groups.clone(), shape);
            let step = DecodeStep::new(spans, &vec![1; rows], &q.device());
            let cache = DecodeCache { keys, values }.write(new_keys, new_values, step.slots());
            vec![cache.attention(q, &step, shape), cache.keys, cache.values]
        }),
    }
}

/// Tokens of rows of logits, as ones among zeros, and their log-probs.
fn drawing(rows: usize, vocab: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let draws: Vec<Draw> = (0..rows)
        .map(|row| Draw {
            temperature: [0.0, 1.0, 0.3, 2.0][row % 4],
            top_p: [1.0, 0.9, 0.3][row / 4 % 3],
            top_k: [0, 1, 5][row / 2 % 3],
            uniform: rng.random(),
        })
        .collect();
    Case {
        kernel: "drawing".into(),
        inputs: vec![noise([rows, vocab], 1)],
        is_differentiable: false,
        function: Box::new(move |it| {
            let device = it[0].device();
            let logits = it[0].clone().cast(DType::F32);
            // Without tokens there is no result, which is as far from one as can be.
            let drawn = draw(logits, settings(&draws, &device)).unwrap_or_default();
            let mut tokens = vec![0.0f32; drawn.len() * vocab];
            for (row, (token, _)) in drawn.iter().enumerate() {
                tokens[row * vocab + *token as usize] = 1.0;
            }
            let log_probs: Vec<f32> = drawn.iter().map(|&(_, log_prob)| log_prob).collect();
            let on = |values, shape: [usize; 2]| {
                Tensor::<2>::from_data(TensorData::new(values, shape), &device)
            };
            match drawn.len() {
                0 => Vec::new(),
                rows => vec![on(tokens, [rows, vocab]), on(log_probs, [rows, 1])],
            }
        }),
    }
}

/// All of them.
pub fn cases(rows: usize, vocab: usize) -> Vec<Case> {
    let attention = (0..ATTENTION.len()).map(attention);
    attention.chain([drawing(rows, vocab)]).collect()
}
