//! Reward models with and without direct rewards: BT, LDR, BT+LDR, and BT+LDR on a mixture of which half is only ranked
//! (arXiv 2404.02078, section 3 and table 4); and whether the difference lasts over rounds in which the policy moves on.

mod grade;
mod rounds;

use anyhow::Result;
use clap::Parser;
use eurus_eval::metrics::rank_correlation;
use eurus_eval::reranking::Method;
use eurus_eval::reward_model::RewardModelReport;
use eurus_examples::evaluation::Samples;
use eurus_examples::experiment::{self, Measures, StartOptions, Unit, pass_at_1};
use eurus_examples::start::{Start, at_least_one};
use eurus_examples::{evaluation, reward};
use eurus_memory::{TrainingAllocator, keep_freed_memory};
use eurus_models::RewardModel;
use pref_losses::{BradleyTerryConfig, LdrConfig, RewardLossConfig, UltraInteractRewardConfig};
use token_forest::{Group, Label, TrainingTree};
use ultrainteract_synth::PythonEnvironment;

use rounds::Round;

#[global_allocator]
static ALLOCATOR: TrainingAllocator = TrainingAllocator;

/// Reward models with and without direct rewards, from one fine-tuned policy and the same pairs; and over rounds.
#[derive(Parser, Debug)]
#[command(
    name = "reward_model_ldr",
    after_help = "Examples:\n  cargo run --release --example reward_model_ldr\n  \
                  cargo run --release --example reward_model_ldr -- --rounds 1 --seeds 5"
)]
struct Arguments {
    #[command(flatten)]
    options: StartOptions,

    /// Rounds of policy, trees and reward model, with BT and with BT+LDR; with 1 there are none.
    #[arg(long, default_value_t = 3, value_parser = at_least_one())]
    rounds: usize,
}

fn main() -> Result<()> {
    keep_freed_memory();
    let arguments = Arguments::parse();
    experiment::run(
        "reward_model_ldr",
        &arguments.options,
        "Reward models with and without direct rewards.",
        "Half only ranked: every second tree's pairs count for BT alone, as data without absolute verdicts does in the paper's \
         mixture. Marks: rank correlation of reward and mark over all samples, and over the wrong ones; 4 for a right answer, 3 for \
         a number nearly right, 2 for another answer of the right kind, 1 for one of the wrong kind, 0 for none. Rounds: each on \
         problems of its own, an equal share of the tree problems; from the second on the policy learns (NCA) from what the last \
         reward model prefers, grows new trees, and a new reward model learns from these; each is judged on samples of its own \
         policy.",
        |start, environment, measures| {
            let settings = reward::settings(start.seed, &start.scale);
            let mut pairs = start.paired.clone();
            pairs.extend(start.first_answers(start.scale.samples_per_turn, environment)?);
            let half_ranked = pairs
                .iter()
                .enumerate()
                .map(|(index, tree)| match index % 2 {
                    0 => Ok(tree.clone()),
                    _ => only_ranked(tree),
                })
                .collect::<Result<Vec<_>>>()?;

            let samples = evaluation::sample(
                start,
                &start.policy,
                &start.unseen,
                start.scale.best_of,
                environment,
            )?;
            let unseen_pairs = samples.pairs(&start.unseen)?;
            let bt = RewardLossConfig::BradleyTerry(BradleyTerryConfig::default());
            let both = RewardLossConfig::UltraInteract(UltraInteractRewardConfig::default());
            let trained = [
                ("BT", bt.clone(), &pairs),
                ("LDR", RewardLossConfig::Ldr(LdrConfig::default()), &pairs),
                ("BT+LDR", both.clone(), &pairs),
                ("BT+LDR, half only ranked", both.clone(), &half_ranked),
            ];
            let pass = pass_at_1(start, &start.policy, environment)?;
            for (name, loss, pairs) in trained {
                let policy = start.policy.clone();
                let model =
                    reward::train(name, &loss, &settings, &policy, pairs, &mut start.folder)?;
                let report = evaluation::judge(&model, &unseen_pairs, &settings)?;
                measures.add(name, "Policy's pass@1", Unit::Share, pass);
                add(name, &model, report.as_ref(), &samples, start, measures)?;
            }
            if arguments.rounds > 1 {
                for (name, loss) in [("BT", &bt), ("BT+LDR", &both)] {
                    in_rounds(arguments.rounds, name, loss, start, environment, measures)?;
                }
            }
            Ok(())
        },
    )
}

/// All rounds with one loss.
fn in_rounds(
    rounds: usize,
    name: &str,
    loss: &RewardLossConfig,
    start: &mut Start,
    environment: &PythonEnvironment,
    measures: &mut Measures,
) -> Result<()> {
    let mut before: Option<Round> = None;
    for (index, problems) in rounds::shares(start, rounds)?.iter().enumerate() {
        let row = format!("{name}, round {}", index + 1);
        let round = match &before {
            None => rounds::first(start, &row, loss, problems, environment)?,
            Some(before) => rounds::next(start, &row, loss, before, problems, environment)?,
        };
        let pass = pass_at_1(start, &round.policy, environment)?;
        measures.add(&row, "Policy's pass@1", Unit::Share, pass);
        let report = round.report.as_ref();
        add(&row, &round.model, report, &round.samples, start, measures)?;
        before = Some(round);
    }
    Ok(())
}

/// What a reward model is worth, by its report on pairs and by samples to choose from.
fn add(
    row: &str,
    model: &RewardModel,
    report: Option<&RewardModelReport>,
    samples: &Samples,
    start: &Start,
    measures: &mut Measures,
) -> Result<()> {
    let settings = &reward::settings(start.seed, &start.scale);
    if let Some(report) = report {
        let mut add = |column, unit, value| measures.add(row, column, unit, value);
        add("Pairs ranked right", Unit::Share, report.accuracy.mean);
        add("Chosen reward", Unit::Reward, report.mean_chosen);
        add("Rejected reward", Unit::Reward, report.mean_rejected);
        add("AUC", Unit::Number, report.auc);
    }
    let mut marked: Vec<(u8, f64)> = Vec::new();
    let rewards = samples.rewards(model, settings)?;
    for ((problem, answers), rewards) in start.unseen.iter().zip(&samples.answered).zip(rewards) {
        for (answer, reward) in answers.iter().zip(rewards) {
            marked.push((grade::grade(problem, answer), f64::from(reward)));
        }
    }
    let correlation = |marked: &[(u8, f64)]| -> Result<Option<f64>> {
        let (marks, rewards): (Vec<f64>, Vec<f64>) = marked
            .iter()
            .map(|&(mark, reward)| (f64::from(mark), reward))
            .unzip();
        match marks.is_empty() {
            true => Ok(None),
            false => Ok(rank_correlation(&marks, &rewards)?),
        }
    };
    if let Some(rho) = correlation(&marked)? {
        measures.add(row, "Marks", Unit::Number, rho);
    }
    marked.retain(|&(mark, _)| mark != grade::RIGHT);
    if let Some(rho) = correlation(&marked)? {
        measures.add(row, "of wrong ones", Unit::Number, rho);
    }
    let best = format!("Best of {}", start.scale.best_of);
    let ranked = samples.candidates(&[("RM", model)], settings)?.report()?;
    for ranked in &ranked.rows {
        if matches!(ranked.method, Method::BestOfN { .. }) {
            measures.add(row, &best, Unit::Share, ranked.accuracy.mean);
            measures.add(row, "over random", Unit::Points, ranked.over_random.mean);
        }
    }
    Ok(())
}

/// The same tree with pairs that say which answer is better, and not that either is good or bad.
fn only_ranked(tree: &TrainingTree) -> Result<TrainingTree> {
    let only_ranked = |_, group: &Group| {
        let mut label = group.label.clone();
        if let Label::Pair { rank_only, .. } = &mut label {
            *rank_only = true;
        }
        label
    };
    Ok(tree.clone().with_labels(only_ranked)?)
}
