//! Decoding beside the CPU: attention over blocks of a cache, writes to it, and drawn tokens.

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::tests::{device, noise};
use crate::ops::AttentionShape;
use crate::ops::decode::{BLOCK, CachedTokens, DecodeCache, DecodeSpans, DecodeStep, PromptGroup};
use crate::ops::draw::{self, Draw};

/// Of float32, relative to the largest number.
const TOLERANCE: f32 = 1e-4;

/// Prompts and rows of these lengths in blocks that are drawn at random.
fn groups(lengths: &[(usize, Vec<usize>)], seed: u64) -> (Vec<PromptGroup>, usize) {
    let all = lengths
        .iter()
        .flat_map(|(prompt, rows)| [prompt].into_iter().chain(rows));
    let count: usize = all.map(|len| len.div_ceil(BLOCK)).sum::<usize>() + 3;
    let mut blocks: Vec<u32> = (0..count as u32).collect();
    blocks.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut take = |len: usize| CachedTokens {
        blocks: blocks.split_off(blocks.len() - len.div_ceil(BLOCK)),
        len,
    };
    let groups = lengths.iter().map(|(prompt, rows)| PromptGroup {
        prompt: take(*prompt),
        rows: rows.iter().map(|&len| take(len)).collect(),
    });
    (groups.collect(), count)
}

/// How far the kernel's mixed values are from the CPU's, relative to the largest of these.
fn apart(lengths: &[(usize, Vec<usize>)], shape: AttentionShape, seed: u64) -> f32 {
    let (groups, blocks) = groups(lengths, seed);
    let rows: usize = lengths.iter().map(|(_, rows)| rows.len()).sum();
    let width = shape.kv_heads * shape.head_dim;
    let q = noise([rows, shape.heads * shape.head_dim], seed + 1);
    let cached = [2, 3].map(|it| noise::<2>([blocks * BLOCK, width], seed + it));
    let new = [4, 5].map(|it| noise::<2>([rows, width], seed + it));
    let compute = |device: Device| {
        let on = |tensor: &Tensor<2>| Tensor::from_data(tensor.clone().into_data(), &device);
        let spans = DecodeSpans::new(groups.clone(), shape);
        let step = DecodeStep::new(spans, &vec![1; rows], &device);
        let cache = DecodeCache {
            keys: on(&cached[0]),
            values: on(&cached[1]),
        };
        let cache = cache.write(on(&new[0]), on(&new[1]), step.slots());
        let mixed = cache.attention(on(&q), &step, shape).into_data();
        Tensor::<2>::from_data(mixed, &Device::flex())
    };
    let (ours, cpu) = (compute(device()), compute(Device::flex()));
    let scale = cpu.clone().abs().max().into_scalar::<f32>().max(1.0);
    (ours - cpu).abs().max().into_scalar::<f32>() / scale
}

fn shape(heads: usize, kv_heads: usize, head_dim: usize, window: Option<usize>) -> AttentionShape {
    AttentionShape {
        heads,
        kv_heads,
        head_dim,
        scale: 0.3,
        window,
    }
}

/// The cases of the table: what is special, heads and sizes, prompts with the lengths of their rows.
type Case = (&'static str, AttentionShape, Vec<(usize, Vec<usize>)>);

fn cases() -> Vec<Case> {
    vec![
        (
            "one row, one token",
            shape(2, 2, 8, None),
            vec![(1, vec![1])],
        ),
        (
            "every head its own keys",
            shape(4, 4, 16, None),
            vec![(130, vec![1, 64, 65]), (7, vec![40])],
        ),
        (
            "grouped heads, many samples",
            shape(8, 2, 64, None),
            vec![(200, vec![3; 9]), (1, vec![1]), (64, vec![100, 1])],
        ),
        (
            "one key/value head",
            shape(7, 1, 40, None),
            vec![(90, vec![5, 70])],
        ),
        (
            "heads of 128",
            shape(4, 1, 128, None),
            vec![(65, vec![2, 66, 1, 9, 8])],
        ),
        (
            "heads of 256",
            shape(2, 1, 256, None),
            vec![(33, vec![2, 66])],
        ),
        (
            "a window within the own tokens",
            shape(4, 2, 16, Some(5)),
            vec![(300, vec![1, 3, 70]), (2, vec![1])],
        ),
        (
            "a window over the end of the prompt",
            shape(4, 2, 16, Some(100)),
            vec![(300, vec![1, 3, 70, 140]), (20, vec![90])],
        ),
        (
            "pieces of several blocks",
            shape(4, 4, 8, None),
            vec![(9000, vec![700; 40])],
        ),
    ]
}

#[test]
#[allow(clippy::print_stderr, reason = "a table for `--nocapture`")]
fn decode_attention_is_that_of_the_cpu() {
    for (what, shape, lengths) in cases() {
        let apart = apart(&lengths, shape, 7);
        let (heads, kv_heads, d) = (shape.heads, shape.kv_heads, shape.head_dim);
        let (window, rows) = (
            shape.window,
            lengths.iter().map(|it| it.1.len()).sum::<usize>(),
        );
        let line = format!(
            "{what}: heads {heads}/{kv_heads} of {d}, window {window:?}, {rows} rows: {apart:.1e} apart"
        );
        eprintln!("{line}");
        assert!(apart < TOLERANCE, "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn decode_attention_of_any_shape_is_that_of_the_cpu(
        (kv_heads, group, head_dim) in (1usize..4, 1usize..9, 1usize..20),
        window in prop_oneof![Just(None), (1usize..200).prop_map(Some)],
        lengths in prop::collection::vec((1usize..260, prop::collection::vec(1usize..150, 1..12)), 1..4),
        seed in 0u64..99,
    ) {
        let shape = shape(kv_heads * group, kv_heads, 2 * head_dim, window);
        let apart = apart(&lengths, shape, seed);
        prop_assert!(apart < TOLERANCE, "{apart} apart");
    }
}

/// Rows of logits with equal ones among them, and one that is far above the others.
fn logits(rows: usize, vocab: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..rows * vocab)
        .map(|at| match at % vocab {
            0 if at / vocab % 3 == 2 => 30.0,
            _ => rng.random_range(-40..40) as f32 / 8.0,
        })
        .collect()
}

#[test]
fn tokens_are_drawn_as_on_the_cpu_by_the_same_numbers() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (vocab, seed) in [(1, 1), (7, 2), (255, 3), (3000, 4)] {
        let draws: Vec<Draw> = (0..48)
            .map(|row| Draw {
                temperature: [0.0, 1.0, 0.3, 2.0][row % 4],
                top_p: [1.0, 0.9, 0.3][row / 4 % 3],
                top_k: [0, 1, 5, 40][row / 12 % 4],
                uniform: rng.random(),
            })
            .collect();
        let logits = logits(draws.len(), vocab, seed);
        let drawn = |device: Device| {
            let data = TensorData::new(logits.clone(), [draws.len(), vocab]);
            let logits = Tensor::from_data(data, &device);
            draw::draw(logits, draw::settings(&draws, &device)).expect("they are read")
        };
        let (ours, cpu) = (drawn(device()), drawn(Device::flex()));
        for ((draw, ours), cpu) in draws.iter().zip(ours).zip(cpu) {
            assert_eq!(ours.0, cpu.0, "{draw:?} of {vocab}");
            assert!((ours.1 - cpu.1).abs() < TOLERANCE, "{draw:?} of {vocab}");
        }
    }
}

#[test]
fn logits_that_are_no_distribution_have_no_log_prob() {
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut logits = vec![0.5f32; 40];
        logits[33] = wrong;
        for (temperature, top_p) in [(0.0, 1.0), (1.0, 1.0), (1.0, 0.5)] {
            let draw = Draw {
                temperature,
                top_p,
                top_k: 0,
                uniform: 0.4,
            };
            let data = TensorData::new(logits.clone(), [1, 40]);
            let drawn = draw::draw(
                Tensor::from_data(data, &device()),
                draw::settings(&[draw], &device()),
            );
            let (token, log_prob) = drawn.expect("it is read")[0];
            assert!(token < 40 && !log_prob.is_finite(), "{wrong} {draw:?}");
        }
    }
}
