//! Reward models with and without direct rewards: BT, LDR, BT+LDR, and BT+LDR on a mixture of which half is only ranked
//! (arXiv 2404.02078, section 3 and table 4).

use anyhow::Result;
use clap::Parser;
use eurus_eval::reranking::Method;
use eurus_examples::experiment::{self, Options, Unit};
use eurus_examples::start::problems_of;
use eurus_examples::{evaluation, reward};
use pref_losses::{BradleyTerryConfig, LdrConfig, RewardLossConfig, UltraInteractRewardConfig};
use process_memory::{TrainingAllocator, keep_freed_memory};
use token_forest::{Label, TrainingTree};

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// Reward models with and without direct rewards, from one fine-tuned policy and the same pairs.
#[derive(Parser, Debug)]
#[command(
    name = "reward_model_ldr",
    after_help = "Examples:\n  cargo run --release --example reward_model_ldr\n  \
                  cargo run --release --example reward_model_ldr -- --seeds 5"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "reward_model_ldr",
        &arguments.options,
        "Reward models with and without direct rewards.",
        "Half only ranked: every second tree's pairs count for BT alone, as data without absolute verdicts does in the paper's \
         mixture.",
        |start, environment, measures| {
            let (seed, scale) = (start.seed, start.scale.clone());
            let mut pairs = start.paired.clone();
            pairs.extend(start.first_answers(scale.samples_per_turn, environment)?);
            let half_ranked = pairs
                .iter()
                .enumerate()
                .map(|(index, tree)| match index % 2 {
                    0 => Ok(tree.clone()),
                    _ => only_ranked(tree),
                })
                .collect::<Result<Vec<_>>>()?;

            let unseen = problems_of(&start.unseen);
            let samples = evaluation::sample(
                seed,
                &start.sft,
                &start.corpus.tokenizer,
                &unseen,
                scale.best_of,
                environment,
            )?;
            let unseen_pairs = samples.pairs(&unseen)?;
            let settings = reward::settings(seed, &scale);
            let both = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
            let models = [
                (
                    "BT",
                    RewardLossConfig::BradleyTerry(BradleyTerryConfig::default()),
                    &pairs,
                ),
                ("LDR", RewardLossConfig::Ldr(LdrConfig::default()), &pairs),
                ("BT+LDR", both.clone(), &pairs),
                ("BT+LDR, half only ranked", both, &half_ranked),
            ];
            for (name, loss, pairs) in models {
                let model =
                    reward::train(name, &loss, &settings, &start.sft, pairs, &mut start.folder)?;
                if !unseen_pairs.is_empty() {
                    let report = evaluation::judge(&model, &unseen_pairs, &settings)?;
                    let mut add = |column, unit, value| measures.add(name, column, unit, value);
                    add("Pairs ranked right", Unit::Share, report.accuracy.mean);
                    add("Chosen reward", Unit::Number, report.mean_chosen);
                    add("Rejected reward", Unit::Number, report.mean_rejected);
                    add("AUC", Unit::Number, report.auc);
                }
                let best = format!("Best of {} over random", scale.best_of);
                let ranked = samples.candidates(&[(name, &model)], &settings)?.report()?;
                for row in &ranked.rows {
                    if matches!(row.method, Method::BestOfN { .. }) {
                        let gain = row.over_random.mean;
                        measures.add(name, &best, Unit::Points, gain);
                    }
                }
            }
            Ok(())
        },
    )
}

/// The same tree with pairs that say which answer is better, and not that either is good or bad.
fn only_ranked(tree: &TrainingTree) -> Result<TrainingTree> {
    let groups = tree.groups().iter().cloned().map(|mut group| {
        if let Label::Pair { rank_only, .. } = &mut group.label {
            *rank_only = true;
        }
        group
    });
    Ok(TrainingTree::new(tree.id(), tree.tree(), groups.collect())?)
}
