//! A packed tree gives what each of its paths gives alone: log-probs and gradients, for every architecture.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor, TensorData};
use eurus_models::{Architecture, Biases, MixtureOfExperts, RopeScaling};
use eurus_models::{Decoder, DecoderConfig, ForestBatch, ForestBody, ForestModel, int_tensor};
use proptest::prelude::*;
use token_forest::{PackedForest, TokenTree};

pub const VOCAB: u32 = 40;

/// How exactly the two ways must agree: absolute on log-probs, relative to a parameter's largest entry on gradients.
#[derive(Clone, Copy)]
struct Precision {
    dtype: DType,
    tolerance: f64,
    /// Larger weights make sharper attention and larger gradients. In f32 they amplify the rounding of either way: with
    /// 0.3 both can be 1e-5 away from the values in f64.
    initializer_range: f64,
}

const SINGLE: Precision = Precision {
    dtype: DType::F32,
    tolerance: 1e-5,
    initializer_range: 0.15,
};

/// Nothing but the order of sums may differ, and in f64 that cannot be seen at this tolerance.
const DOUBLE: Precision = Precision {
    dtype: DType::F64,
    tolerance: 1e-11,
    initializer_range: 0.3,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Llama,
    GroupedHeadsAndScaledRotations,
    DynamicRotations,
    LongRope,
    SlidingWindow,
    Mixtral,
    Qwen2,
    Qwen3,
}

/// A tree of at most five turns with random branching and lengths.
pub fn trees() -> impl Strategy<Value = Vec<TokenTree>> {
    let node = (0usize..1000, prop::collection::vec(0..VOCAB, 1..9));
    let tree = prop::collection::vec(node, 1..10).prop_map(|nodes| {
        let mut depths = vec![0];
        let mut tree: Option<TokenTree> = None;
        for (parent, tokens) in nodes {
            match &mut tree {
                None => tree = Some(TokenTree::new(tokens, true)),
                Some(tree) => {
                    let shallow: Vec<usize> =
                        (0..depths.len()).filter(|&n| depths[n] < 10).collect();
                    let parent = shallow[parent % shallow.len()];
                    depths.push(depths[parent] + 1);
                    tree.push(parent, tokens, true);
                }
            }
        }
        tree.expect("at least one node")
    });
    prop::collection::vec(tree, 1..4)
}

fn config(kind: Kind) -> DecoderConfig {
    let mut config = DecoderConfig::llama(VOCAB as usize, 24, 2, 4);
    match kind {
        Kind::Llama => {}
        Kind::GroupedHeadsAndScaledRotations => {
            config.kv_heads = 2;
            config.tie_word_embeddings = false;
            config.rope_scaling = RopeScaling::Llama3 {
                factor: 8.0,
                low: 1.0,
                high: 4.0,
                original_positions: 16.0,
            };
        }
        Kind::DynamicRotations => {
            config.max_position_embeddings = 12;
            config.rope_scaling = RopeScaling::Dynamic { factor: 4.0 };
        }
        Kind::LongRope => {
            config.rope_scaling = RopeScaling::LongRope {
                short: vec![1.0, 1.1, 1.3],
                long: vec![1.0, 2.5, 6.0],
                original_positions: 12.0,
                attention_factor: 1.2,
            };
        }
        Kind::SlidingWindow => {
            config.architecture = Architecture::Mistral;
            config.kv_heads = 1;
            config.sliding_window = Some(5);
        }
        Kind::Mixtral => {
            config.architecture = Architecture::Mixtral;
            config.kv_heads = 2;
            config.mixture = Some(MixtureOfExperts {
                experts: 4,
                experts_per_token: 2,
                auxiliary_loss_coefficient: 0.0,
            });
        }
        Kind::Qwen2 => {
            config.architecture = Architecture::Qwen2;
            config.biases = Biases {
                queries_keys_values: true,
                ..Biases::default()
            };
            config.sliding_window = Some(6);
            config.full_attention_layers = 1;
        }
        Kind::Qwen3 => {
            config.architecture = Architecture::Qwen3;
            config.head_norms = true;
            config.kv_heads = 2;
        }
    }
    config
}

struct Cast(DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let dtype = self.0;
        param.map(|tensor| tensor.cast(dtype).detach().set_require_grad(true))
    }
}

fn model(kind: Kind, precision: Precision, device: &Device) -> Decoder {
    let mut config = config(kind);
    config.initializer_range = precision.initializer_range;
    Decoder::init(&config, 11, device).map(&mut Cast(precision.dtype))
}

/// Log-probs of the forest's targets, in order.
fn target_log_probs(model: &Decoder, forest: PackedForest, device: &Device) -> Tensor<1> {
    let predictors: Vec<u32> = forest.targets.iter().map(|t| t.predictor).collect();
    let tokens: Vec<u32> = forest.targets.iter().map(|t| t.token).collect();
    let hidden = model.hidden_states(&ForestBatch::new(forest, device));
    let chosen = hidden.select(0, int_tensor(&predictors, device));
    let log_probs = log_softmax(chosen.matmul(model.output_weight().transpose()), 1);
    log_probs
        .gather(1, int_tensor(&tokens, device).unsqueeze_dim(1))
        .squeeze_dim(1)
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

struct Gradients<'a> {
    of: &'a burn::tensor::Gradients,
    values: Vec<Vec<f64>>,
}

impl ModuleVisitor for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // An expert that no token goes through has none.
        let gradient = param.val().grad(self.of);
        self.values.push(gradient.map_or_else(Vec::new, values));
    }
}

pub fn gradients<M: Module>(model: &M, loss: Tensor<1>) -> Vec<Vec<f64>> {
    let grads = loss.backward();
    let mut visitor = Gradients {
        of: &grads,
        values: Vec::new(),
    };
    model.visit(&mut visitor);
    visitor.values
}

fn leaves(tree: &TokenTree) -> Vec<usize> {
    (0..tree.nodes.len())
        .filter(|&n| tree.nodes.iter().all(|child| child.parent != Some(n)))
        .collect()
}

fn path(tree: &TokenTree, leaf: usize) -> Vec<usize> {
    let mut path = vec![leaf];
    while let Some(parent) = tree.nodes[path[path.len() - 1]].parent {
        path.push(parent);
    }
    path.reverse();
    path
}

fn check(trees: &[TokenTree], kind: Kind, precision: Precision) {
    let device = Device::flex().autodiff();
    let model = model(kind, precision, &device);
    let tolerance = precision.tolerance;
    let forest = PackedForest::from_trees(trees).expect("trees are whole");

    // Every path alone: its log-probs, and how often each node counts in the sum over paths.
    let mut alone: Vec<Vec<Vec<f64>>> = trees
        .iter()
        .map(|t| vec![Vec::new(); t.nodes.len()])
        .collect();
    let mut uses: Vec<Vec<f64>> = trees.iter().map(|t| vec![0.0; t.nodes.len()]).collect();
    let mut alone_loss = Tensor::<1>::zeros([1], &device).cast(precision.dtype);
    for (index, tree) in trees.iter().enumerate() {
        for (order, leaf) in leaves(tree).into_iter().enumerate() {
            let weight = 1.0 + order as f64;
            let nodes = path(tree, leaf);
            let tokens: Vec<u32> = nodes
                .iter()
                .flat_map(|&n| tree.nodes[n].tokens.clone())
                .collect();
            let single = TokenTree::new(tokens, true);
            let mut single = PackedForest::from_trees([&single]).expect("a path is a tree");
            // Where frequencies depend on lengths, that of the tree decides.
            single.longest_paths = vec![tree.longest_path_tokens() as u32];
            if single.targets.is_empty() {
                continue;
            }
            let log_probs = target_log_probs(&model, single, &device);
            let mut rest = values(log_probs.clone());
            alone_loss = alone_loss + log_probs.sum() * weight;
            for (position, &node) in nodes.iter().enumerate() {
                let count = tree.nodes[node].tokens.len() - usize::from(position == 0);
                alone[index][node] = rest.drain(..count).collect();
                uses[index][node] += weight;
            }
        }
    }
    if forest.targets.is_empty() {
        return;
    }

    let of_target: Vec<(usize, usize)> = forest
        .targets
        .iter()
        .map(|target| {
            let node = &forest.nodes[target.node as usize];
            (node.tree as usize, node.tree_node as usize)
        })
        .collect();
    let weights: Vec<f64> = of_target
        .iter()
        .map(|&(tree, node)| uses[tree][node])
        .collect();
    let log_probs = target_log_probs(&model, forest, &device);
    let packed = values(log_probs.clone());
    let mut cursor = std::collections::HashMap::new();
    for ((tree, node), packed) in of_target.into_iter().zip(packed) {
        let position = cursor.entry((tree, node)).or_insert(0usize);
        let alone = alone[tree][node][*position];
        *position += 1;
        assert!(
            (packed - alone).abs() < tolerance,
            "tree {tree}, node {node}: {packed} packed, {alone} alone"
        );
    }

    let weights = Tensor::<1>::from_data(
        TensorData::from(weights.as_slice()),
        (&device, precision.dtype),
    );
    let packed_loss = (log_probs * weights).sum();
    let packed = gradients(&model, packed_loss);
    let alone = gradients(&model, alone_loss);
    for (packed, alone) in packed.iter().zip(&alone) {
        // An expert that only sees tokens without a target has a gradient of zeros in the forest, and none alone.
        if packed.is_empty() || alone.is_empty() {
            let rest = packed.iter().chain(alone);
            assert!(rest.into_iter().all(|value| *value == 0.0));
            continue;
        }
        let largest = alone.iter().fold(1.0f64, |a, b| a.max(b.abs()));
        for (packed, alone) in packed.iter().zip(alone) {
            assert!(
                (packed - alone).abs() < tolerance * largest,
                "gradient {packed} packed, {alone} alone, largest {largest}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_llama_path_in_a_packed_tree_equals_the_path_alone(trees in trees()) {
        check(&trees, Kind::Llama, SINGLE);
    }

    #[test]
    fn grouped_heads_and_scaled_rotations_equal_the_path_alone(trees in trees()) {
        check(&trees, Kind::GroupedHeadsAndScaledRotations, SINGLE);
    }

    #[test]
    fn rotations_by_length_are_those_of_the_trees_longest_path_whatever_it_is_packed_with(trees in trees()) {
        check(&trees, Kind::DynamicRotations, SINGLE);
        check(&trees, Kind::LongRope, SINGLE);
    }

    #[test]
    fn a_sliding_window_counts_along_the_path(trees in trees()) {
        check(&trees, Kind::SlidingWindow, SINGLE);
    }

    #[test]
    fn a_mixture_of_experts_treats_a_token_as_on_its_path_alone(trees in trees()) {
        check(&trees, Kind::Mixtral, SINGLE);
    }

    #[test]
    fn biases_and_windows_of_some_layers_equal_the_path_alone(trees in trees()) {
        check(&trees, Kind::Qwen2, SINGLE);
    }

    #[test]
    fn normed_heads_equal_the_path_alone(trees in trees()) {
        check(&trees, Kind::Qwen3, SINGLE);
    }

    #[test]
    fn in_double_precision_packing_changes_nothing(trees in trees()) {
        for kind in [
            Kind::Llama,
            Kind::GroupedHeadsAndScaledRotations,
            Kind::SlidingWindow,
            Kind::Mixtral,
            Kind::Qwen2,
            Kind::Qwen3,
        ] {
            check(&trees, kind, DOUBLE);
        }
    }
}
