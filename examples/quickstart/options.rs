//! The command line.

use std::path::PathBuf;

use clap::Parser;
use eurus_examples::start::RunOptions;

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
    #[command(flatten)]
    pub run: RunOptions,

    /// Folder for checkpoints, data, metrics and the report, with several seeds a folder of its own for each below it; replaced
    /// if it is one of this program's.
    #[arg(long, default_value = "target/quickstart")]
    pub out: PathBuf,
}
