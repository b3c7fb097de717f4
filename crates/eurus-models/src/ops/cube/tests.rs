//! The kernels beside the CPU: values and gradients, on random trees.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{PackedForest, TokenTree};

use crate::batch::int_tensor;
use crate::ops::{self, AttentionShape, ForestSpans, Visibility};

/// Of float32, relative to the largest number.
const TOLERANCE: f32 = 1e-4;

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

fn assert_same<const N: usize>(
    what: &str,
    inputs: [Tensor<2>; N],
    on_device: &dyn Fn(&Device, [Tensor<2>; N]) -> Tensor<2>,
) {
    let compute = |device: Device| {
        value_and_gradients(&device, &inputs, &|inputs| on_device(&device, inputs))
    };
    let (ours, cpu) = (compute(device()), compute(Device::flex()));
    for (index, (ours, cpu)) in ours.into_iter().zip(cpu).enumerate() {
        let scale = cpu.clone().abs().max().into_scalar::<f32>().max(1.0);
        let apart = (ours - cpu).abs().max().into_scalar::<f32>() / scale;
        assert!(
            apart < TOLERANCE,
            "{what}: result {index} (0 is the value) is {apart} apart"
        );
    }
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

#[test]
fn tree_attention_on_random_trees_is_that_of_the_cpu() {
    for seed in 0..6 {
        let forest = forest(seed);
        let tokens = forest.tokens.len();
        let (heads, kv_heads) = [(4, 4), (4, 2), (6, 1)][seed as usize % 3];
        let head_dim = [6, 40][seed as usize / 3];
        let shape = AttentionShape {
            heads,
            kv_heads,
            head_dim,
            scale: 0.3,
            window: [None, Some(17)][seed as usize % 2],
        };
        let inputs = [heads, kv_heads, kv_heads]
            .map(|heads| noise([tokens, heads * head_dim], seed + heads as u64));
        assert_same(
            &format!(
                "seed {seed} T {tokens} heads {heads}/{kv_heads} d {head_dim} {:?}",
                shape.window
            ),
            inputs,
            &|device, [q, k, v]| {
                let visibility =
                    Visibility::new(ForestSpans::new(&forest), &device.clone().autodiff());
                ops::tree_attention(q, k, v, &visibility, shape)
            },
        );
    }
}

#[test]
fn norms_activations_and_rotations_are_those_of_the_cpu() {
    for (seed, [rows, width]) in [(1, [1, 2]), (2, [7, 48]), (3, [300, 576])] {
        let matrices = || [noise([rows, width], seed), noise([rows, width], seed + 10)];
        assert_same("swiglu", matrices(), &|_, [gate, up]| ops::swiglu(gate, up));
        let inputs = [noise([rows, width], seed), noise([1, width], seed + 10)];
        assert_same("rms_norm", inputs, &|_, [x, weight]| {
            ops::rms_norm(x, weight.reshape([width]), 1e-5)
        });
        let angles = noise([rows, width / 2], seed + 20).into_data();
        assert_same("rotate", [noise([rows, width], seed)], &|device, [x]| {
            let angles = Tensor::from_data(angles.clone(), &device.clone().autodiff());
            ops::rotate(x, angles.clone().cos(), angles.sin())
        });
    }
}

#[test]
fn gradients_of_an_embedding_are_added_up_by_token() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let tokens: Vec<u32> = (0..100).map(|_| rng.random_range(0..13)).collect();
    assert_same("embed", [noise([17, 300], 1)], &|device, [weight]| {
        ops::embed(weight, int_tensor(&tokens, &device.clone().autodiff()))
    });
    // The embedding is the output projection as well.
    assert_same("tied", [noise([17, 30], 1)], &|device, [weight]| {
        let device = device.clone().autodiff();
        let hidden = ops::embed(weight.clone(), int_tensor(&tokens, &device));
        ops::project(hidden, weight)
    });
}
