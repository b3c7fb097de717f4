//! The kernels beside stock operations on the CPU: values and gradients, on random trees. With `--nocapture` there is a table
//! of the largest differences.

#![allow(clippy::print_stdout, reason = "the table of differences")]

use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{PackedForest, TokenTree};

use crate::batch::int_tensor;
use crate::ops::{self, AttentionShape, ForestSpans, Normed, Visibility};

/// Of float32, relative to the largest number.
const TOLERANCE: f32 = 1e-4;
const EPSILON: f32 = 1e-5;

pub(super) fn device() -> Device {
    Device::wgpu(Default::default())
}

pub(super) fn noise<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let numbers = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0));
    let numbers: Vec<f32> = numbers.collect();
    Tensor::from_data(TensorData::new(numbers, shape), &Device::flex())
}

/// What a function of tensors gives on a device: its value, and the gradients of its inputs for a gradient of its value that
/// is the same everywhere.
fn value_and_gradients<const N: usize>(
    device: &Device,
    inputs: &[Tensor<2>; N],
    function: &dyn Fn([Tensor<2>; N]) -> Tensor<2>,
) -> Vec<Tensor<2>> {
    let device = device.clone().autodiff();
    let inputs = inputs
        .clone()
        .map(|input| Tensor::from_data(input.into_data(), &device).require_grad());
    let value = function(inputs.clone());
    let weights = Tensor::from_data(noise(value.dims(), 99).into_data(), &device);
    let grads = (value.clone() * weights).sum().backward();
    let to_cpu = |tensor: Tensor<2>| Tensor::from_data(tensor.into_data(), &Device::flex());
    let mut results = vec![to_cpu(value.inner())];
    for input in &inputs {
        results.push(to_cpu(input.grad(&grads).expect("it has one")));
    }
    results
}

/// Compares an operation on the device with its stock form on the CPU, and prints how far they are apart at most.
fn assert_same<const N: usize>(
    what: &str,
    inputs: [Tensor<2>; N],
    ours: &dyn Fn(&Device, [Tensor<2>; N]) -> Tensor<2>,
    stock: &dyn Fn(&Device, [Tensor<2>; N]) -> Tensor<2>,
) {
    let (gpu, cpu) = (device(), Device::flex());
    let ours = value_and_gradients(&gpu, &inputs, &|inputs| ours(&gpu, inputs));
    let stock = value_and_gradients(&cpu, &inputs, &|inputs| stock(&cpu, inputs));
    let mut line = format!("{what:62}");
    let mut largest = 0.0f32;
    for (ours, stock) in ours.into_iter().zip(stock) {
        let scale = stock.clone().abs().max().into_scalar::<f32>().max(1.0);
        let apart = (ours - stock).abs().max().into_scalar::<f32>() / scale;
        line += &format!(" {apart:9.1e}");
        largest = largest.max(apart);
    }
    println!("{line}");
    assert!(
        largest < TOLERANCE,
        "{line}: the value, then the gradients of the inputs"
    );
}

fn normed(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let mean_square = (x.clone() * x.clone()).mean_dim(1);
    x / (mean_square + EPSILON).sqrt() * weight
}

fn gated(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    silu(gate) * up
}

fn projected(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    x.matmul(weight.transpose())
}

fn flat(weight: Tensor<2>) -> Tensor<1> {
    let [_, width] = weight.dims();
    weight.reshape([width])
}

/// Trees with nodes of 1 to 25 tokens, deep and wide ones.
fn forest(seed: u64) -> PackedForest {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let trees: Vec<TokenTree> = (0..rng.random_range(1..4))
        .map(|_| {
            let tokens = |rng: &mut ChaCha8Rng| vec![1; rng.random_range(1..26)];
            let mut tree = TokenTree::new(tokens(&mut rng), false);
            for node in 0..rng.random_range(0..7) {
                let parent = rng.random_range(0..node + 1);
                tree.push(parent, tokens(&mut rng), true);
            }
            tree
        })
        .collect();
    PackedForest::from_trees(trees.iter()).expect("whole trees")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn tree_attention_on_random_trees_is_that_of_the_cpu(
        seed in 0u64..1 << 32,
        (heads, kv_heads) in prop::sample::select(vec![(4, 4), (4, 2), (6, 1)]),
        head_dim in prop::sample::select(vec![6, 40]),
        window in prop::sample::select(vec![None, Some(17)]),
    ) {
        let forest = forest(seed);
        let tokens = forest.tokens.len();
        let shape = AttentionShape { heads, kv_heads, head_dim, scale: 0.3, window };
        let inputs = [heads, kv_heads, kv_heads]
            .map(|heads| noise([tokens, heads * head_dim], seed + heads as u64));
        let attend = |device: &Device, [q, k, v]: [Tensor<2>; 3]| {
            let spans = ForestSpans::new(&forest);
            let visibility = Visibility::new(spans, &device.clone().autodiff());
            ops::tree_attention(q, k, v, &visibility, shape)
        };
        let what = format!("tree attention, T {tokens} heads {heads}/{kv_heads} d {head_dim} {window:?}");
        // The fused form of the CPU, which its own tests hold against the stock form node by node.
        assert_same(&what, inputs, &attend, &attend);
    }

    #[test]
    fn operations_of_a_layer_are_their_stock_forms(
        rows in 1usize..300,
        half in 1usize..40,
        outputs in 1usize..50,
        seed in 0u64..1 << 32,
    ) {
        let width = 2 * half;
        let of = |what: &str| format!("{what}, T {rows} d {width} out {outputs}");
        let x = |place| noise([rows, width], seed + place);
        let row = || noise([1, width], seed + 10);
        let weight = |place| noise([outputs, width], seed + 20 + place);

        let swiglu = |_: &Device, [gate, up]: [Tensor<2>; 2]| ops::swiglu(gate, up);
        assert_same(&of("swiglu"), [x(0), x(1)], &swiglu, &|_, [gate, up]| gated(gate, up));

        let norm = |_: &Device, [x, weight]: [Tensor<2>; 2]| ops::rms_norm(x, flat(weight), EPSILON);
        assert_same(&of("rms_norm"), [x(0), row()], &norm, &|_, [x, weight]| normed(x, weight));

        let add_norm = |_: &Device, [x, y, weight]: [Tensor<2>; 3]| {
            let (sum, normed) = ops::add_rms_norm(x, y, flat(weight), EPSILON);
            Tensor::cat(vec![sum, normed], 1)
        };
        let stock = |_: &Device, [x, y, weight]: [Tensor<2>; 3]| {
            let sum = x + y;
            Tensor::cat(vec![sum.clone(), normed(sum, weight)], 1)
        };
        assert_same(&of("add_rms_norm"), [x(0), x(1), row()], &add_norm, &stock);

        // Two projections share a norm that is made again; of the second weight there are two gradients.
        let project_normed = |_: &Device, [x, y, norm, first, second]: [Tensor<2>; 5]| {
            let (sum, normed) = Normed::of_sum(x, y, flat(norm), EPSILON);
            let first = ops::project_normed(&normed, first);
            let again = ops::project(sum, second.clone());
            first * ops::project_normed(&normed, second) + again
        };
        let stock = |_: &Device, [x, y, norm, first, second]: [Tensor<2>; 5]| {
            let sum = x + y;
            let normed = normed(sum.clone(), norm);
            let again = projected(sum, second.clone());
            projected(normed.clone(), first) * projected(normed, second) + again
        };
        let inputs = [x(0), x(1), row(), weight(0), weight(1)];
        assert_same(&of("project_normed"), inputs, &project_normed, &stock);

        let project_gated =
            |_: &Device, [gate, up, weight]: [Tensor<2>; 3]| ops::project_gated(gate, up, weight);
        let stock = |_: &Device, [gate, up, weight]: [Tensor<2>; 3]| projected(gated(gate, up), weight);
        assert_same(&of("project_gated"), [x(0), x(1), weight(0)], &project_gated, &stock);

        let angles = noise([rows, half], seed + 30).into_data();
        let rotate = |device: &Device, [x]: [Tensor<2>; 1]| {
            let angles = Tensor::from_data(angles.clone(), &device.clone().autodiff());
            ops::rotate(x, angles.clone().cos(), angles.sin())
        };
        let stock = |device: &Device, [x]: [Tensor<2>; 1]| {
            let angles = Tensor::<2>::from_data(angles.clone(), &device.clone().autodiff());
            let (cos, sin) = (angles.clone().cos(), angles.sin());
            let (first, second) = (x.clone().narrow(1, 0, half), x.narrow(1, half, half));
            let turned_first = first.clone() * cos.clone() - second.clone() * sin.clone();
            Tensor::cat(vec![turned_first, second * cos + first * sin], 1)
        };
        assert_same(&of("rotate"), [x(0)], &rotate, &stock);
    }
}

#[test]
fn gradients_of_an_embedding_are_added_up_by_token() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let tokens: Vec<u32> = (0..100).map(|_| rng.random_range(0..13)).collect();
    let indices = |device: &Device| int_tensor(&tokens, &device.clone().autodiff());
    assert_same(
        "embed",
        [noise([17, 300], 1)],
        &|device, [weight]| ops::embed(weight, indices(device)),
        &|device, [weight]| weight.select(0, indices(device)),
    );
    // The embedding is the output projection as well.
    assert_same(
        "embed, and project with the same weight",
        [noise([17, 30], 1)],
        &|device, [weight]| {
            let hidden = ops::embed(weight.clone(), indices(device));
            ops::project(hidden, weight)
        },
        &|device, [weight]| {
            let hidden = weight.clone().select(0, indices(device));
            projected(hidden, weight)
        },
    );
}
