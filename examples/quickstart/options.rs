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
