//! A tiny model, and trees to train it on.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use eurus_models::{Decoder, DecoderConfig, ForestBatch};
use eurus_train::log_probs::node_log_probs;
use eurus_train::{Ranks, TrainingConfig};
use token_forest::{Group, PackedForest, TokenTree, TrainingTree};

/// What sums in another order may change, relative to the larger number or to 1.
const ROUNDING: f64 = 1e-5;

/// Whether two numbers are sums of the same in f32, in whatever order.
pub fn same_but_for_rounding(a: f64, b: f64) -> bool {
    (a - b).abs() <= ROUNDING * (1.0 + a.abs().max(b.abs()))
}

/// For runs that compute the same in another order: weights then stay the same but for rounding.
///
/// AdamW divides a gradient by its size, so with the usual `epsilon` an entry whose gradient is only rounding moves as far
/// as any other, in a direction that is rounding too. With one as large as gradients, steps are nearly proportional to
/// them.
pub fn proportional_steps(settings: TrainingConfig) -> TrainingConfig {
    TrainingConfig {
        epsilon: 1.0,
        learning_rate: 0.3,
        ..settings
    }
}

pub fn model(seed: u64) -> Decoder {
    let mut config = DecoderConfig::llama(32, 24, 2, 4);
    config.initializer_range = 0.2;
    Decoder::init(&config, seed, &Device::flex())
}

/// Trees of two turns: two pairs, the first rejected action expanded.
pub fn trees(count: u32) -> Vec<TrainingTree> {
    (0..count)
        .map(|i| {
            let token = |offset: u32| 1 + (7 * i + offset) % 30;
            let mut tree = TokenTree::new(vec![token(0), token(3), 31], false);
            let chosen = tree.push(0, vec![token(1), token(4), 0], true);
            let rejected = tree.push(0, vec![token(2), 0], true);
            let observation = tree.push(rejected, vec![token(9), token(8), 31], false);
            let second_chosen = tree.push(observation, vec![token(1), token(5), token(6), 0], true);
            let second_rejected = tree.push(observation, vec![token(2), token(2), 0], true);
            tree.push(observation, vec![token(13), 0], true);
            let pairs = vec![
                Group::pair(chosen, rejected),
                Group::pair(second_chosen, second_rejected),
            ];
            TrainingTree::new(format!("tree-{i}"), &tree, pairs).expect("whole trees")
        })
        .collect()
}

/// The same trees, all actions of pairs to be imitated.
pub fn imitated(count: u32) -> Vec<TrainingTree> {
    trees(count)
        .into_iter()
        .map(|tree| TrainingTree::imitated(tree.id(), tree.tree()).expect("a whole tree"))
        .collect()
}

/// The log-prob of a node after its history, by itself.
pub fn log_prob_alone(model: &Decoder, tree: &TokenTree, node: usize) -> f32 {
    let path = tree.subtree(&[node]).expect("a node");
    let place = path.index_of(node).expect("kept");
    let mut tree = path.tree;
    for (index, node) in tree.nodes.iter_mut().enumerate() {
        node.trainable = index == place;
    }
    let forest = PackedForest::from_trees([&tree]).expect("a tree");
    let batch = ForestBatch::new(forest, &Device::flex());
    let log_probs = node_log_probs(model, &batch, 64).into_data();
    log_probs.iter::<f32>().nth(place).expect("the node")
}

/// Runs `work` on every rank, each in a thread.
pub fn on_ranks<T: Send>(size: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = Ranks::threads(size)
            .into_iter()
            .map(|ranks| scope.spawn(move || work(ranks)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, T>| thread.join().expect("a rank");
        threads.into_iter().map(join).collect()
    })
}

struct Weights(Vec<f32>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(param.val().into_data().iter::<f32>());
    }
}

/// All parameters, one after another.
pub fn weights<M: Module>(model: &M) -> Vec<f32> {
    let mut weights = Weights(Vec::new());
    model.visit(&mut weights);
    weights.0
}
