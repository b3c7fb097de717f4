//! The command line, and how large everything is.

use std::path::PathBuf;

use clap::Parser;

/// The whole Eurus recipe in miniature, on a laptop CPU and without a network.
///
/// Makes math word problems, trains a tokenizer and a small Llama-architecture model on worked solutions, lets it
/// build preference trees with a real Python interpreter, learns from them with DPO, KTO and NCA, trains two reward
/// models, and compares everything on held-out problems.
#[derive(Parser, Debug)]
#[command(
    name = "quickstart",
    after_help = "Examples:\n  cargo run --release --example quickstart\n  cargo run --release --example quickstart -- --quick --out target/quick\n\n\
                  Open report.html in the output folder when it is done."
)]
pub struct Options {
    /// Seed of everything: problems, weights, sampling, order. The same seed gives the same numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// How many seeds to run, one after the other from the first on, each in a folder of its own below --out; at the end, means
    /// over them with standard errors.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// Folder for checkpoints, data, metrics and the report; replaced if it is one of this program's.
    #[arg(long, default_value = "target/quickstart")]
    pub out: PathBuf,

    /// Evaluate on the development problems: settings are chosen by them, so that the held-out ones stay unseen.
    #[arg(long)]
    pub development: bool,

    /// A run of about a minute that touches every part. Its reward models learn to choose, its policies hardly.
    #[arg(long)]
    pub quick: bool,
}

/// How large everything is.
#[derive(Debug, Clone)]
pub struct Scale {
    pub training_problems: usize,
    /// The largest term of a sum in the problems, and the largest factor of a product.
    pub largest_number: u32,
    pub largest_factor: u32,
    pub held_out_problems: usize,
    /// Problems that trees are built for, the last of the training problems; the others are fine-tuned on.
    pub tree_problems: usize,
    pub vocabulary: usize,
    pub hidden_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub sft_epochs: usize,
    pub sft_learning_rate: f64,
    pub sft_trees_per_step: usize,
    pub sft_beta_2: f32,
    pub initializer_range: f64,
    pub preference_epochs: usize,
    pub preference_learning_rate: f64,
    pub preference_trees_per_step: usize,
    pub reward_epochs: usize,
    pub reward_learning_rate: f64,
    pub samples_per_turn: usize,
    pub samples_per_round: usize,
    /// Samples of every unseen problem, and of how many of them the tables choose the best.
    pub candidates: usize,
    pub best_of: usize,
}

impl Scale {
    pub fn full() -> Self {
        Self {
            training_problems: 6300,
            largest_number: 20,
            largest_factor: 9,
            held_out_problems: 200,
            tree_problems: 300,
            // More than there are merges to make: every number is one token.
            vocabulary: 800,
            hidden_size: 128,
            layers: 2,
            heads: 8,
            kv_heads: 8,
            // Many problems rather than many epochs: with fewer the model learns numbers by heart instead of copying them.
            sft_epochs: 4,
            sft_learning_rate: 1.5e-3,
            sft_trees_per_step: 6,
            sft_beta_2: 0.95,
            initializer_range: 0.1,
            preference_epochs: 6,
            preference_learning_rate: 5e-4,
            preference_trees_per_step: 6,
            reward_epochs: 2,
            reward_learning_rate: 1e-3,
            samples_per_turn: 10,
            samples_per_round: 5,
            candidates: 16,
            best_of: 8,
        }
    }

    pub fn quick() -> Self {
        Self {
            training_problems: 2000,
            largest_number: 10,
            largest_factor: 6,
            held_out_problems: 100,
            tree_problems: 100,
            hidden_size: 96,
            sft_learning_rate: 2e-3,
            samples_per_turn: 5,
            candidates: 8,
            ..Self::full()
        }
    }
}
