//! DPO, KTO and NCA from one SFT, at several learning rates: which way the rewards go, and what the policies solve
//! (arXiv 2404.02078, section 6.1 and figure 5).
//!
//! The paper's explanation of DPO's fall is that it pushes the reward of chosen actions down. The table has that reward beside
//! pass@1, at each learning rate.

use anyhow::Result;
use clap::Parser;
use eurus_examples::experiment::{self, Options, Unit, pass_at_1};
use eurus_examples::preference;
use eurus_train::TrainingConfig;
use process_memory::{TrainingAllocator, keep_freed_memory};

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// DPO, KTO and NCA from one fine-tuned policy and the same trees, at several learning rates.
#[derive(Parser, Debug)]
#[command(
    name = "preference_algorithms",
    after_help = "Examples:\n  cargo run --release --example preference_algorithms\n  \
                  cargo run --release --example preference_algorithms -- --seeds 5"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Learning rates to try, as factors of the quickstart's.
    #[arg(long, value_delimiter = ',', default_value = "0.2,1")]
    factors: Vec<f64>,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "preference_algorithms",
        &arguments.options,
        "DPO, KTO and NCA at several learning rates.",
        "Rewards are means over the last quarter of the steps.",
        |start, environment, measures| {
            let baseline = pass_at_1(start, &start.sft, environment)?;
            measures.add("SFT", "pass@1", Unit::Share, baseline);
            let settings = preference::settings(start.seed, &start.scale);
            let reference = preference::reference(&start.sft, &start.paired, &settings)?;
            for factor in &arguments.factors {
                let settings = TrainingConfig {
                    learning_rate: factor * settings.learning_rate,
                    ..settings.clone()
                };
                for (name, loss) in preference::algorithms() {
                    let run = preference::learn(
                        name,
                        &loss,
                        &settings,
                        &start.sft,
                        &start.paired,
                        &reference,
                        &mut start.folder,
                    )?;
                    let pass = pass_at_1(start, &run.model, environment)?;
                    let row = format!("{name}, learning rate {:.0e}", settings.learning_rate);
                    measures.add(&row, "pass@1", Unit::Share, pass);
                    measures.add(&row, "Gain over SFT", Unit::Points, pass - baseline);
                    let (chosen, rejected) = (run.late.chosen_reward, run.late.rejected_reward);
                    measures.add(&row, "Chosen reward", Unit::Number, chosen);
                    measures.add(&row, "Rejected reward", Unit::Number, rejected);
                    measures.add(&row, "Margin", Unit::Number, run.late.margin);
                }
            }
            Ok(())
        },
    )
}
