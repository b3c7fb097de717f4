//! Policies that learned from whole trajectories' preferences as judges of every turn: beta times the log-ratio of DPO, KTO and
//! NCA to the SFT that they began with (arXiv 2412.01981), held against the verdicts of trees of unseen problems.
//!
//! Beside them a reward model that learned from the same pairs, what SFT itself finds likely, and what length alone tells. The
//! trees are of SFT's own actions, so that none of the judges has seen them. On a model of your own:
//! `eurus score --policy ... --reference ... --data trees.jsonl`, then `eurus eval process`.

mod judges;

use anyhow::Result;
use clap::Parser;
use eurus_eval::analyses::process_rewards::{
    ProcessRewardReport, Separation, evaluate_process_rewards,
};
use eurus_examples::experiment::{self, Measures, StartOptions, Unit};
use eurus_examples::{preference, reward};
use eurus_memory::{TrainingAllocator, keep_freed_memory};

use judges::UnseenTrees;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// The implicit rewards of DPO, KTO and NCA at every turn of unseen trees, against the verdicts.
#[derive(Parser, Debug)]
#[command(
    name = "process_rewards",
    after_help = "Examples:\n  cargo run --release --example process_rewards\n  \
                  cargo run --release --example process_rewards -- --seeds 5 --from target/quickstart"
)]
struct Arguments {
    #[command(flatten)]
    options: StartOptions,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "process_rewards",
        &arguments.options,
        "Rewards of turns against the verdicts of unseen trees.",
        "AUC: the chance that a correct action has the higher reward than an incorrect one of any tree; siblings: answers to the same \
         history. First wrong turn: trajectories of two turns or more whose least reward is there. Sum, mean, minimum and last: \
         pairs of whole responses of one tree, ranked by that of the rewards of their turns. One half is chance.",
        |start, environment, measures| {
            let unseen = UnseenTrees::grow(start, environment)?;
            let settings = preference::settings(start.seed, &start.scale);
            let paired = preference::with_mismatched(&start.paired, start.seed)?;
            let reference = preference::reference(&start.policy, &paired, &settings)?;
            let before = unseen.log_probs(&start.policy, &settings)?;
            let mut length_only = None;
            for (name, loss) in preference::algorithms() {
                let policy = &start.policy;
                let folder = &mut start.folder;
                let run =
                    preference::learn(name, &loss, &settings, policy, &paired, &reference, folder)?;
                let after = unseen.log_probs(&run.model, &settings)?;
                let judged = unseen.judged(|tree, node| {
                    preference::BETA * (after[tree][node] - before[tree][node])
                });
                let report = evaluate_process_rewards(&judged)?;
                add(name, &report, measures);
                length_only = report.length_only;
            }

            let settings = reward::settings(start.seed, &start.scale);
            for (name, loss) in reward::losses() {
                let policy = &start.policy;
                let folder = &mut start.folder;
                let pairs = &start.paired;
                let model = reward::train(name, &loss, &settings, policy, pairs, folder)?;
                let rewards = unseen.rewards(&model, &settings)?;
                let judged = unseen.judged(|tree, node| rewards[tree][node]);
                add(name, &evaluate_process_rewards(&judged)?, measures);
            }

            let judged = unseen.judged(|tree, node| before[tree][node]);
            let likely = evaluate_process_rewards(&judged)?;
            add("SFT's log-prob", &likely, measures);
            if let Some(length_only) = &length_only {
                add_turns("Length alone", length_only, measures);
            }
            if let Some(pairs) = likely.fewer_turns.pair_accuracy {
                let column = "Responses by sum";
                measures.add("Fewer turns alone", column, Unit::Share, pairs.mean);
            }
            if let Some(error) = likely.first_error {
                let column = "First wrong turn found";
                measures.add("By chance", column, Unit::Share, error.chance);
            }
            Ok(())
        },
    )
}

/// How well a reward tells right turns from wrong ones.
fn add_turns(row: &str, of: &Separation, measures: &mut Measures) {
    if let Some(auc) = of.auc {
        measures.add(row, "AUC", Unit::Number, auc);
    }
    if let Some(pairs) = of.pair_accuracy {
        measures.add(row, "Siblings ranked right", Unit::Share, pairs.mean);
    }
}

/// The same, at which turn, and what it is worth for whole responses.
fn add(row: &str, report: &ProcessRewardReport, measures: &mut Measures) {
    add_turns(row, &report.reward, measures);
    for (it, column) in report.by_turn.iter().zip(["AUC, turn 1", "turn 2"]) {
        if let Some(auc) = it.separation.auc {
            measures.add(row, column, Unit::Number, auc);
        }
    }
    if let Some(error) = report.first_error {
        let column = "First wrong turn found";
        measures.add(row, column, Unit::Share, error.found.mean);
    }
    for it in &report.responses {
        if let Some(pairs) = it.separation.pair_accuracy {
            let column = format!("Responses by {}", it.aggregation);
            measures.add(row, &column, Unit::Share, pairs.mean);
        }
    }
}
