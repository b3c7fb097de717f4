//! The operations.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};
use eurus_models::int_tensor;
use eurus_models::ops::{self, AttentionShape, ForestOps as _, ForestSpans, Visibility};
use pref_losses::linear_log_probs::{WeightGradient, linear_log_probs, tied_linear_log_probs};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use token_forest::{PackedForest, TokenTree};

use crate::case::{Case, noise, wide};
use crate::{decode, optimizer};

/// How large the inputs are.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    most_tokens_of_node: usize,
    rows: usize,
    width: usize,
    vocab: u32,
    parameters: usize,
}

impl Size {
    /// Several tiles of everything.
    pub const WHOLE: Self = Self {
        most_tokens_of_node: 40,
        rows: 300,
        width: 576,
        vocab: 517,
        parameters: 10_007,
    };
    /// For a device whose units are threads of a CPU, compiled without optimizing them.
    pub const SMALL: Self = Self {
        most_tokens_of_node: 5,
        rows: 12,
        width: 24,
        vocab: 40,
        parameters: 600,
    };
}

/// All of them.
pub fn all(size: Size) -> Vec<Case> {
    let mut cases = row_wise(size);
    cases.extend(optimizer::cases(size.parameters));
    cases.extend(of_tokens(size));
    cases.extend(norms(size));
    cases.push(onto_sums(size));
    cases.extend(decode::cases(size.rows, size.vocab as usize));
    cases.extend((0..ATTENTION.len()).map(|index| attention(index, size)));
    cases
}

fn case(
    kernel: impl Into<String>,
    inputs: Vec<Tensor<2>>,
    function: impl Fn(&[Tensor<2>]) -> Tensor<2> + 'static,
) -> Case {
    Case {
        kernel: kernel.into(),
        inputs,
        function: Box::new(move |inputs| vec![function(inputs)]),
        is_differentiable: true,
    }
}

/// Heads, key/value heads, features of a head, window.
const ATTENTION: [(usize, usize, usize, Option<usize>); 7] = [
    (4, 4, 6, None),
    (4, 2, 40, Some(17)),
    (6, 1, 64, None),
    (8, 2, 128, None),
    (8, 2, 128, Some(33)),
    (2, 2, 160, Some(5)),
    (2, 1, 256, None),
];

/// Trees with nodes of up to so many tokens, deep and wide ones: in the attention kernels' terms, tiles that are full, empty and cut.
fn forest(seed: u64, most_tokens: usize) -> PackedForest {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let trees: Vec<TokenTree> = (0..rng.random_range(2..5))
        .map(|_| {
            let tokens = |rng: &mut ChaCha8Rng| vec![1; rng.random_range(1..=most_tokens)];
            let mut tree = TokenTree::new(tokens(&mut rng), false);
            for node in 0..rng.random_range(1..8) {
                let parent = rng.random_range(0..node + 1);
                tree.push(parent, tokens(&mut rng), true);
            }
            tree
        })
        .collect();
    PackedForest::from_trees(trees.iter())
        .unwrap_or_else(|error| unreachable!("trees that were pushed together are whole: {error}"))
}

fn attention(index: usize, size: Size) -> Case {
    let (heads, kv_heads, head_dim, window) = ATTENTION[index];
    let forest = forest(index as u64, size.most_tokens_of_node);
    let shape = AttentionShape {
        heads,
        kv_heads,
        head_dim,
        scale: (head_dim as f32).powf(-0.5),
        window,
    };
    let rows = forest.tokens.len();
    let of_window = window.map_or(String::new(), |window| format!(", window {window}"));
    let inputs = [(heads, 1), (kv_heads, 2), (kv_heads, 3)]
        .map(|(heads, seed)| noise([rows, heads * head_dim], 10 * index as u64 + seed));
    case(
        format!("tree attention {heads}/{kv_heads} x {head_dim}{of_window}"),
        inputs.to_vec(),
        move |inputs| {
            let [q, k, v] = [&inputs[0], &inputs[1], &inputs[2]].map(Tensor::clone);
            let visibility = Visibility::new(ForestSpans::new(&forest), &q.device());
            ops::tree_attention(q, k, v, &visibility, shape)
        },
    )
}

/// What goes over rows or elements.
fn row_wise(size: Size) -> Vec<Case> {
    let shape = [size.rows, size.width];
    let angles = noise([size.rows, size.width / 2], 3).into_data();
    vec![
        case("SwiGLU", vec![noise(shape, 1), noise(shape, 2)], |it| {
            ops::swiglu(it[0].clone(), it[1].clone())
        }),
        case("rotary", vec![noise(shape, 1)], move |it| {
            // Angles are not rounded to half precision.
            let dtype = wide(it[0].clone()).dtype();
            let options = (&it[0].device(), dtype);
            let angles = Tensor::<2>::from_data(angles.clone().convert_dtype(dtype), options);
            ops::rotate(it[0].clone(), angles.clone().cos(), angles.sin())
        }),
        case(
            "product",
            vec![noise(shape, 1), noise([size.vocab as usize, size.width], 2)],
            |it| ops::project(it[0].clone(), it[1].clone()),
        ),
    ]
}

fn norms(size: Size) -> Vec<Case> {
    let shape = [size.rows, size.width];
    let inputs = vec![noise(shape, 1), noise([1, size.width], 2), noise(shape, 3)];
    let flat = |weight: &Tensor<2>| weight.clone().flatten::<1>(0, 1);
    vec![
        case("RMSNorm", inputs[..2].to_vec(), move |it| {
            ops::rms_norm(it[0].clone(), flat(&it[1]), 1e-5)
        }),
        case("RMSNorm of a sum", inputs, move |it| {
            let (sum, normed) = ops::add_rms_norm(it[0].clone(), it[2].clone(), flat(&it[1]), 1e-5);
            Tensor::cat(vec![sum, normed], 1)
        }),
    ]
}

/// Gradients of weights that are added to sums: of a product, of a norm and of an embedding.
fn onto_sums(size: Size) -> Case {
    let (rows, width, vocab) = (size.rows, size.width, size.vocab as usize);
    let shapes = [
        [rows, width],
        [rows, width],
        [width, width],
        [1, width],
        [1, width],
        [vocab, width],
    ];
    let inputs = shapes
        .into_iter()
        .zip(200..)
        .map(|(shape, seed)| noise(shape, seed));
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let tokens: Vec<u32> = (0..rows).map(|_| rng.random_range(0..size.vocab)).collect();
    Case {
        kernel: "gradients, onto sums".into(),
        inputs: inputs.collect(),
        is_differentiable: false,
        function: Box::new(move |it| {
            let (x, grad, weight) = (it[0].clone(), it[1].clone(), it[3].clone());
            let sum = |index: usize| wide(it[index].clone());
            let tokens: Tensor<1, Int> = int_tensor(&tokens, &x.device());
            let of_product = Dispatch::product_onto(
                sum(2).into_dispatch(),
                grad.clone().transpose().into_dispatch(),
                x.clone().into_dispatch(),
            );
            let (_, of_norm) = Dispatch::rms_norm_backward_onto(
                sum(4).flatten::<1>(0, 1).into_dispatch(),
                x.into_dispatch(),
                weight.flatten::<1>(0, 1).into_dispatch(),
                grad.clone().into_dispatch(),
                1e-5,
            );
            let of_embedding = Dispatch::embed_backward_onto(
                sum(5).into_dispatch(),
                tokens.into_dispatch(),
                grad.into_dispatch(),
            );
            vec![
                Tensor::from_dispatch(of_product),
                Tensor::<1>::from_dispatch(of_norm).unsqueeze(),
                Tensor::from_dispatch(of_embedding),
            ]
        }),
    }
}

/// What goes by token ids.
fn of_tokens(size: Size) -> Vec<Case> {
    let vocab = size.vocab as usize;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let tokens: Vec<u32> = (0..size.rows)
        .map(|_| rng.random_range(0..size.vocab))
        .collect();
    let ids = move |like: &Tensor<2>| -> Tensor<1, Int> { int_tensor(&tokens, &like.device()) };
    let (of_embedding, of_tied, of_head, of_tied_head) =
        (ids.clone(), ids.clone(), ids.clone(), ids);
    let embedding = || noise([vocab, 48], 1);
    let hidden = || noise([size.rows, 48], 2);
    vec![
        case("embedding", vec![embedding()], move |it| {
            ops::embed(it[0].clone(), of_embedding(&it[0]))
        }),
        case("embedding, tied", vec![embedding()], move |it| {
            let hidden = ops::embed(it[0].clone(), of_tied(&it[0]));
            ops::project(hidden, it[0].clone())
        }),
        case(
            "log-probs",
            vec![hidden(), noise([48, vocab], 1)],
            move |it| {
                linear_log_probs(it[0].clone(), it[1].clone(), of_head(&it[0]), 64).unsqueeze()
            },
        ),
        case("log-probs, tied", vec![hidden(), embedding()], move |it| {
            tied_linear_log_probs(
                it[0].clone(),
                it[1].clone(),
                of_tied_head(&it[0]),
                64,
                WeightGradient::OfWeight,
            )
            .unsqueeze()
        }),
    ]
}
