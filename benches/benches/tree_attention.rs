//! Attention over a packed forest in four forms, forward and forward with backward: fused per node, per node from stock
//! operations, one masked product per tree, and every path as a row of its own.
//!
//! The heads are those of SmolLM2-135M; the trees have the shape of multi-turn preference trees. Run with
//! `cargo bench -p eurus-benches --bench tree_attention`.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Distribution, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eurus_models::ops::{AttentionShape, ForestSpans, Segment, Visibility, tree_attention};
use token_forest::{PackedForest, TokenTree};

const SHAPE: AttentionShape = AttentionShape {
    heads: 9,
    kv_heads: 3,
    head_dim: 64,
    scale: 0.125,
    window: None,
};

/// `turns` turns of two actions each, the wrong one answered by an observation.
fn tree(turns: usize, [prompt, action, observation]: [usize; 3]) -> TokenTree {
    let mut tree = TokenTree::new(vec![0; prompt], false);
    let mut at = 0;
    for turn in 0..turns {
        tree.push(at, vec![0; action], true);
        let wrong = tree.push(at, vec![0; action + 10 * turn], true);
        if turn + 1 < turns {
            at = tree.push(wrong, vec![0; observation], false);
        }
    }
    tree
}

fn rows(x: &Tensor<2>, segment: Segment) -> Tensor<2> {
    x.clone().narrow(0, segment.start, segment.len)
}

/// `[n, heads * d]` to `[heads, n, d]`.
fn split(x: Tensor<2>, heads: usize) -> Tensor<3> {
    let [n, width] = x.dims();
    x.reshape([n, heads, width / heads]).swap_dims(0, 1)
}

/// Key heads repeated for the query heads that share them.
fn repeat(x: Tensor<3>) -> Tensor<3> {
    let [heads, n, d] = x.dims();
    x.reshape([heads, 1, n, d])
        .expand([heads, SHAPE.group(), n, d])
        .reshape([heads * SHAPE.group(), n, d])
}

fn join(x: Tensor<3>) -> Tensor<2> {
    let [heads, n, d] = x.dims();
    x.swap_dims(0, 1).reshape([n, heads * d])
}

/// Attention of `q [n, ..]` over `k`, `v [m, ..]` where `hidden [n, m]` says which keys a query does not see.
fn attend(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, hidden: Tensor<2, Bool>) -> Tensor<2> {
    let (k, v) = (split(k, SHAPE.kv_heads), split(v, SHAPE.kv_heads));
    let scores = split(q, SHAPE.heads).matmul(repeat(k).transpose()) * SHAPE.scale;
    let scores = scores.mask_fill(hidden.unsqueeze::<3>(), -1e30);
    join(softmax(scores, 2).matmul(repeat(v)))
}

type Masks = Vec<Tensor<2, Bool>>;

fn mask(
    visible: impl Fn(usize, usize) -> bool,
    n: usize,
    m: usize,
    device: &Device,
) -> Tensor<2, Bool> {
    let hidden: Vec<bool> = (0..n * m).map(|at| !visible(at / m, at % m)).collect();
    Tensor::from_data(TensorData::new(hidden, [n, m]), device)
}

fn causal(n: usize, m: usize, device: &Device) -> Tensor<2, Bool> {
    mask(|query, key| key <= m - n + query, n, m, device)
}

fn per_node(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    spans: &ForestSpans,
    masks: &Masks,
) -> Tensor<2> {
    let path = |x: &Tensor<2>, keys: &[Segment]| {
        Tensor::cat(keys.iter().map(|&part| rows(x, part)).collect(), 0)
    };
    let outputs = spans.nodes.iter().zip(masks).map(|(node, mask)| {
        let (k, v) = (path(k, &node.keys), path(v, &node.keys));
        attend(rows(q, node.queries), k, v, mask.clone())
    });
    Tensor::cat(outputs.collect(), 0)
}

/// The tokens of each tree.
fn tree_segments(spans: &ForestSpans) -> Vec<Segment> {
    let of_tree = |nodes: &std::ops::Range<usize>| {
        let (first, last) = (&spans.nodes[nodes.start], &spans.nodes[nodes.end - 1]);
        Segment {
            start: first.queries.start,
            len: last.queries.start + last.queries.len - first.queries.start,
        }
    };
    spans.trees.iter().map(of_tree).collect()
}

/// Which keys of its tree each token does not see.
fn tree_masks(spans: &ForestSpans, device: &Device) -> Masks {
    let of_tree = |(nodes, tree): (&std::ops::Range<usize>, Segment)| {
        let mut visible = vec![false; tree.len * tree.len];
        for node in &spans.nodes[nodes.clone()] {
            for row in 0..node.queries.len {
                let query = node.queries.start + row - tree.start;
                for part in &node.keys {
                    for key in part.start..part.start + part.len {
                        visible[query * tree.len + key - tree.start] =
                            key <= node.queries.start + row;
                    }
                }
            }
        }
        mask(
            |query, key| visible[query * tree.len + key],
            tree.len,
            tree.len,
            device,
        )
    };
    spans
        .trees
        .iter()
        .zip(tree_segments(spans))
        .map(of_tree)
        .collect()
}

fn masked(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    spans: &ForestSpans,
    masks: &Masks,
) -> Tensor<2> {
    let outputs = tree_segments(spans)
        .into_iter()
        .zip(masks)
        .map(|(tree, mask)| attend(rows(q, tree), rows(k, tree), rows(v, tree), mask.clone()));
    Tensor::cat(outputs.collect(), 0)
}

fn forest(trees: &[TokenTree]) -> PackedForest {
    PackedForest::from_trees(trees).expect("whole trees")
}

fn inputs(tokens: usize, device: &Device) -> [Tensor<2>; 3] {
    [SHAPE.heads, SHAPE.kv_heads, SHAPE.kv_heads].map(|heads| {
        let shape = [tokens, heads * SHAPE.head_dim];
        let values = Tensor::random(shape, Distribution::Normal(0.0, 1.0), device);
        if values.is_autodiff() {
            values.require_grad()
        } else {
            values
        }
    })
}

fn attention(criterion: &mut Criterion) {
    let workloads = [
        (
            "multi_turn",
            vec![tree(4, [300, 120, 90]), tree(3, [250, 160, 80])],
        ),
        ("one_turn", (0..4).map(|_| tree(1, [200, 150, 0])).collect()),
    ];
    for (workload, trees) in workloads {
        let packed = forest(&trees);
        let tokens = packed.tokens.len();
        let spans = ForestSpans::new(&packed);
        let paths: Vec<TokenTree> = trees
            .iter()
            .flat_map(|tree| tree.paths())
            .map(|path| TokenTree::new(path, true))
            .collect();
        let paths = forest(&paths);
        let path_tokens = paths.tokens.len();
        let path_spans = ForestSpans::new(&paths);

        for backward in [false, true] {
            let device = if backward {
                Device::flex().autodiff()
            } else {
                Device::flex()
            };
            let node_masks: Masks = spans
                .nodes
                .iter()
                .map(|node| {
                    let keys = node.keys.iter().map(|part| part.len).sum();
                    causal(node.queries.len, keys, &device)
                })
                .collect();
            let tree_masks = tree_masks(&spans, &device);
            let visibility = Visibility::new(spans.clone(), &device);
            let path_visibility = Visibility::new(path_spans.clone(), &device);
            let [q, k, v] = inputs(tokens, &device);
            let [path_q, path_k, path_v] = inputs(path_tokens, &device);
            let pass = if backward { "backward" } else { "forward" };
            let mut group =
                criterion.benchmark_group(format!("tree_attention/{workload}_{tokens}/{pass}"));
            group
                .sample_size(10)
                .warm_up_time(Duration::from_secs(1))
                .measurement_time(Duration::from_secs(5))
                .throughput(Throughput::Elements(tokens as u64));
            let mut measure = |form: &str, run: &dyn Fn() -> Tensor<2>| {
                group.bench_function(form, |bencher| {
                    bencher.iter(|| {
                        let output = run();
                        if backward {
                            black_box(output.sum().backward());
                        } else {
                            black_box(output.into_data());
                        }
                    });
                });
            };
            measure("fused_per_node", &|| {
                tree_attention(q.clone(), k.clone(), v.clone(), &visibility, SHAPE)
            });
            measure("stock_per_node", &|| {
                per_node(&q, &k, &v, &spans, &node_masks)
            });
            measure("stock_masked_tree", &|| {
                masked(&q, &k, &v, &spans, &tree_masks)
            });
            measure("fused_paths_alone", &|| {
                tree_attention(
                    path_q.clone(),
                    path_k.clone(),
                    path_v.clone(),
                    &path_visibility,
                    SHAPE,
                )
            });
            // The forms must agree, or the times mean nothing.
            let fused = tree_attention(q.clone(), k.clone(), v.clone(), &visibility, SHAPE);
            for other in [
                per_node(&q, &k, &v, &spans, &node_masks),
                masked(&q, &k, &v, &spans, &tree_masks),
            ] {
                let apart = (fused.clone() - other).abs().max().into_scalar::<f32>();
                assert!(apart < 1e-4, "the forms differ by {apart}");
            }
        }
    }
}

criterion_group!(benches, attention);
criterion_main!(benches);
