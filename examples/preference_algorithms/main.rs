//! DPO, KTO and NCA from one SFT, at several learning rates: which way the rewards go, and what the policies solve
//! (arXiv 2404.02078, section 6.1 and figure 5).
//!
//! The paper's explanation of DPO's fall is that it pushes the reward of chosen actions down. The table has that reward beside
//! pass@1, at each learning rate.

use anyhow::{Result, ensure};
use clap::Parser;
use eurus_eval::analyses::reward_trajectory::reward_pass_correlation;
use eurus_examples::experiment::{self, StartOptions, Unit, pass_at_1};
use eurus_examples::preference;
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_train::TrainingConfig;

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
    options: StartOptions,

    /// Learning rates to try, as factors of the usual one.
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.3,1", value_parser = factor)]
    factors: Vec<f64>,
}

fn factor(text: &str) -> Result<f64> {
    let factor: f64 = text.parse()?;
    ensure!(
        factor.is_finite() && factor > 0.0,
        "a factor must be above zero"
    );
    Ok(factor)
}

const QUARTERS: [&str; 4] = ["Chosen reward, 1st quarter", "2nd", "3rd", "last"];

/// A learning rate as it is written: 1.5e-4 and not 1.4999999999999999e-4.
fn rate(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.3e}").parse().unwrap_or(rate);
    format!("{rounded:e}")
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "preference_algorithms",
        &arguments.options,
        "DPO, KTO and NCA at several learning rates.",
        "Rewards: means over the pairs of each quarter of the steps.",
        |start, environment, measures| {
            let baseline = pass_at_1(start, &start.policy, environment)?;
            measures.add("SFT", "pass@1", Unit::Share, baseline);
            let settings = preference::settings(start.seed, &start.scale);
            let mut runs = Vec::new();
            let paired = preference::with_mismatched(&start.paired, start.seed)?;
            let reference = preference::reference(&start.policy, &paired, &settings)?;
            for factor in &arguments.factors {
                let settings = TrainingConfig {
                    learning_rate: factor * settings.learning_rate,
                    ..settings.clone()
                };
                for (name, loss) in preference::algorithms() {
                    let row = format!("{name}, learning rate {}", rate(settings.learning_rate));
                    let run = preference::learn(
                        &row,
                        &loss,
                        &settings,
                        &start.policy,
                        &paired,
                        &reference,
                        &mut start.folder,
                    )?;
                    let pass = pass_at_1(start, &run.model, environment)?;
                    measures.add(&row, "pass@1", Unit::Share, pass);
                    measures.add(&row, "Gain over SFT", Unit::Points, pass - baseline);
                    for (column, quarter) in QUARTERS.into_iter().zip(&run.rewards.quarters) {
                        measures.add(&row, column, Unit::Reward, quarter.chosen_reward);
                    }
                    let late = run.late();
                    measures.add(&row, "Rejected, last", Unit::Reward, late.rejected_reward);
                    runs.push((run.rewards, pass));
                }
            }
            let of_runs = runs.iter().map(|(rewards, pass)| (rewards, *pass));
            if let Some(rho) = reward_pass_correlation(of_runs)? {
                let column = "Last chosen reward with pass@1";
                measures.add("Rank correlation over all runs", column, Unit::Number, rho);
            }
            Ok(())
        },
    )
}
