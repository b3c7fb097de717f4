//! Models of one's own: those over padded rows, and those that break the rules of forests.

use burn::module::Module;
use burn::tensor::activation::{silu, softmax};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use eurus_models::layers::{FeedForward, Layer};
use eurus_models::{
    Decoder, DecoderConfig, ForestBatch, ForestBody, ForestModel, FromRows, PaddedRows,
    RewardModel, RowModel, contract,
};
use proptest::prelude::*;
use token_forest::{PackedForest, TokenTree};

use crate::packed_trees::{VOCAB, gradients, trees, values};

/// The decoder's weights in a model as one would write it without this workspace: rows, a causal mask, stock operations.
#[derive(Module, Debug)]
struct Padded {
    decoder: Decoder,
}

/// `x [rows, time, heads * head_dim]`, rotated by position, as `[rows, heads, time, head_dim]`.
fn heads(x: Tensor<3>, head_dim: usize, rotate_by: Option<&[f64]>) -> Tensor<4> {
    let [rows, time, width] = x.dims();
    let device = x.device();
    let x = x
        .reshape([rows, time, width / head_dim, head_dim])
        .swap_dims(1, 2);
    let Some(frequencies) = rotate_by else {
        return x;
    };
    let half = head_dim / 2;
    let table = |of: fn(f64) -> f64| {
        let positions = (0..time).flat_map(|p| frequencies.iter().map(move |f| of(p as f64 * f)));
        let numbers: Vec<f32> = positions.map(|it| it as f32).collect();
        Tensor::<4>::from_data(TensorData::new(numbers, [1, 1, time, half]), &device)
    };
    let (cos, sin) = (table(f64::cos), table(f64::sin));
    let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
    Tensor::cat(vec![first, b * cos + a * sin], 3)
}

fn layer(layer: &Layer, x: Tensor<3>, frequencies: &[f64], hidden: Tensor<4, Bool>) -> Tensor<3> {
    let [rows, time, width] = x.dims();
    let flat = |x: Tensor<3>| x.reshape([rows * time, width]);
    let deep = |x: Tensor<2>| {
        let features = x.dims()[1];
        x.reshape([rows, time, features])
    };
    let shape = layer.attention_shape();
    let attention = &layer.self_attn;
    let normed = layer.input_layernorm.forward(flat(x.clone()));
    let q = deep(attention.q_proj.forward(normed.clone()));
    let k = deep(attention.k_proj.forward(normed.clone()));
    let v = deep(attention.v_proj.forward(normed));
    let q = heads(q, shape.head_dim, Some(frequencies));
    let repeated = |x: Tensor<4>| {
        let [rows, kv, time, d] = x.dims();
        let x = x
            .reshape([rows, kv, 1, time * d])
            .repeat_dim(2, shape.group());
        x.reshape([rows, shape.heads, time, d])
    };
    let k = repeated(heads(k, shape.head_dim, Some(frequencies)));
    let v = repeated(heads(v, shape.head_dim, None));
    let scores = q.matmul(k.swap_dims(2, 3)) * shape.scale;
    let mixed = softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 3).matmul(v);
    let mixed = mixed
        .swap_dims(1, 2)
        .reshape([rows * time, shape.heads * shape.head_dim]);
    let x = x + deep(attention.o_proj.forward(mixed));
    let FeedForward::Mlp(mlp) = &layer.feed_forward else {
        panic!("a dense model");
    };
    let normed = layer.post_attention_layernorm.forward(flat(x.clone()));
    let gate = silu(mlp.gate_proj.forward(normed.clone()));
    x + deep(mlp.down_proj.forward(gate * mlp.up_proj.forward(normed)))
}

impl RowModel for Padded {
    fn hidden_states(&self, rows: &PaddedRows) -> Tensor<3> {
        let body = &self.decoder.model;
        let [count, time] = rows.tokens.dims();
        let device = rows.device();
        let later = Tensor::<2, Bool>::triu_mask([time, time], 1, &device).bool_not();
        let later = later
            .reshape([1, 1, time, time])
            .expand([count, 1, time, time]);
        let padded = rows
            .padding()
            .reshape([count, 1, 1, time])
            .expand([count, 1, time, time]);
        let heads = body.layers[0].attention_shape().heads;
        let hidden = later.bool_or(padded).expand([count, heads, time, time]);
        let embedded = body.embed_tokens.weight.val();
        let width = embedded.dims()[1];
        let tokens = rows.tokens.clone().reshape([count * time]);
        let x = embedded.select(0, tokens).reshape([count, time, width]);
        let frequencies = body.frequencies().of_length(time);
        let run = |x, of: &Layer| layer(of, x, &frequencies, hidden.clone());
        let x = body.layers.iter().fold(x, run);
        let x = body.norm.forward(x.reshape([count * time, width]));
        x.reshape([count, time, width])
    }

    fn output_weight(&self) -> Tensor<2> {
        self.decoder.output_weight()
    }
}

fn decoder(device: &Device) -> Decoder {
    let mut config = DecoderConfig::llama(VOCAB as usize, 24, 2, 4);
    config.kv_heads = 2;
    config.initializer_range = 0.15;
    Decoder::init(&config, 11, device)
}

/// As in `packed_trees.rs`: sums in another order.
const TOLERANCE: f64 = 1e-5;

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_model_over_padded_rows_is_the_packed_decoder_in_values_and_gradients(trees in trees()) {
        let device = Device::flex().autodiff();
        let packed = decoder(&device);
        let padded = FromRows::new(Padded { decoder: packed.clone() });
        let forest = PackedForest::from_trees(&trees).expect("trees are whole");
        let batch = ForestBatch::new(forest, &device);
        let (a, b) = (packed.hidden_states(&batch), padded.hidden_states(&batch));
        prop_assert_eq!(a.dims(), b.dims());
        prop_assert!(largest_difference(&values(a.clone()), &values(b.clone())) < TOLERANCE);
        // A loss that weighs every number in another way.
        let numbers: usize = a.dims().iter().product();
        let weights: Vec<f32> = (0..numbers).map(|it| ((it * 37) % 11) as f32 - 5.0).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, a.dims()), &device);
        let of = |states: Tensor<2>| (states * weights.clone()).sum();
        let expected = gradients(&packed, of(a));
        let got = gradients(&padded, of(b));
        prop_assert_eq!(expected.len(), got.len());
        for (expected, got) in expected.iter().zip(&got) {
            let largest = expected.iter().fold(1.0f64, |most, it| most.max(it.abs()));
            prop_assert!(largest_difference(expected, got) < TOLERANCE * largest);
        }
    }
}

/// The ways in which a model over forests is got wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The whole forest is one sequence.
    OneSequence,
    /// Every tree is one sequence.
    TreesAsSequences,
    /// Every node is a tree.
    NodesAlone,
    /// Tokens see their whole node.
    NotCausal,
    /// Positions count along the packed sequence.
    PackedPositions,
    /// The last token is left out.
    RowMissing,
    Random,
    NotFinite,
    OutputTransposed,
}

#[derive(Module, Debug)]
struct Faulty {
    decoder: Decoder,
    #[module(skip)]
    fault: Fault,
}

impl ForestBody for Faulty {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        let forest = &batch.forest;
        let device = batch.tokens.device();
        let of_trees = |trees: Vec<TokenTree>| {
            let forest = PackedForest::from_trees(&trees).expect("trees are whole");
            self.decoder
                .hidden_states(&ForestBatch::new(forest, &device))
        };
        let of_runs = |runs: Vec<Vec<u32>>| {
            let trees = runs.into_iter().map(|it| TokenTree::new(it, false));
            of_trees(trees.collect())
        };
        let sound = || self.decoder.hidden_states(batch);
        match self.fault {
            Fault::None | Fault::OutputTransposed => sound(),
            Fault::OneSequence => of_runs(vec![forest.tokens.clone()]),
            Fault::TreesAsSequences => {
                let mut runs = vec![Vec::new(); forest.tree_count()];
                for (&token, &node) in forest.tokens.iter().zip(&forest.node_of) {
                    runs[forest.nodes[node as usize].tree as usize].push(token);
                }
                of_runs(runs)
            }
            Fault::NodesAlone => of_runs(
                (0..forest.node_count())
                    .map(|node| forest.tokens[forest.tokens_of(node)].to_vec())
                    .collect(),
            ),
            Fault::NotCausal => {
                let states = sound();
                let of_node = |node: usize| {
                    let tokens = forest.tokens_of(node);
                    let states = states.clone().narrow(0, tokens.start, tokens.len());
                    states.clone() + states.mean_dim(0)
                };
                Tensor::cat((0..forest.node_count()).map(of_node).collect(), 0)
            }
            Fault::PackedPositions => {
                let mut forest = PackedForest::clone(forest);
                forest.positions = (0..forest.len() as u32).collect();
                self.decoder
                    .hidden_states(&ForestBatch::new(forest, &device))
            }
            Fault::RowMissing => sound().narrow(0, 0, forest.len() - 1),
            Fault::Random => {
                let states = sound();
                let noise =
                    Tensor::random(states.dims(), burn::tensor::Distribution::Default, &device);
                states + noise
            }
            Fault::NotFinite => sound() / 0.0,
        }
    }

    fn vocab_size(&self) -> usize {
        self.decoder.vocab_size()
    }
}

impl ForestModel for Faulty {
    fn output_weight(&self) -> Tensor<2> {
        let weight = self.decoder.output_weight();
        match self.fault {
            Fault::OutputTransposed => weight.transpose(),
            _ => weight,
        }
    }
}

#[test]
fn models_that_keep_the_rules_pass() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let packed = decoder(&device);
        contract::check_model(&packed).expect("the decoder");
        contract::check_reward_model(&RewardModel::from_decoder(packed.clone())).expect("rewards");
        contract::check_model(&FromRows::new(Padded {
            decoder: packed.clone(),
        }))
        .expect("rows");
        let sound = Faulty {
            decoder: packed,
            fault: Fault::None,
        };
        contract::check_model(&sound).expect("no fault");
    }
}

#[test]
fn a_model_that_breaks_a_rule_is_told_which_and_where() {
    for (fault, rule, found) in [
        (
            Fault::OneSequence,
            "a token does not see other trees; mask by `ForestBatch::visibility`",
            "the state of token 0 of node 0 in tree 1 changes with token 0 of node 0 in tree 0",
        ),
        (
            Fault::TreesAsSequences,
            "a token does not see other branches of its tree; mask by `ForestBatch::visibility`",
            "the state of token 0 of node 2 in tree 0 changes with token 0 of node 1 in tree 0",
        ),
        (
            Fault::NodesAlone,
            "a token sees all tokens before it on its path, those of its node's ancestors too",
            "the state of token 0 of node 1 in tree 0 does not change with token 0 of node 0 in tree 0",
        ),
        (
            Fault::NotCausal,
            "a token does not see those after it on its path; is the causal mask missing?",
            "the state of token 0 of node 0 in tree 0 changes with token 1 of node 0 in tree 0",
        ),
        (
            Fault::PackedPositions,
            "positions count along the path (`PackedForest::positions`)",
            "token 0 of node 2 in tree 0, at position 3 of its path, has another state than alone",
        ),
        (
            Fault::RowMissing,
            "a row for every token of the packed forest, in its order",
            "a forest of 11 tokens gave 10 rows",
        ),
        (
            Fault::Random,
            "two passes over one forest",
            "is dropout left on?",
        ),
        (
            Fault::NotFinite,
            "states are finite numbers",
            "token 0 of node 0 in tree 0",
        ),
        (
            Fault::OutputTransposed,
            "`ForestModel::output_weight` is `[vocab_size, d]`",
            "it is [24, 40]",
        ),
    ] {
        let model = Faulty {
            decoder: decoder(&Device::flex()),
            fault,
        };
        let error = contract::check_model(&model)
            .expect_err("a fault")
            .to_string();
        assert!(
            error.starts_with("the model breaks a rule of packed forests: "),
            "{error}"
        );
        assert!(error.contains(rule), "{fault:?}: {error}");
        assert!(error.contains(found), "{fault:?}: {error}");
    }
}
