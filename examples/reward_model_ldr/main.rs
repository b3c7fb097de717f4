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
use eurus_examples::start::Start;
use eurus_examples::{evaluation, reward};
use eurus_models::{Decoder, RewardModel};
use eurus_train::TrainingConfig;
use pref_losses::{BradleyTerryConfig, LdrConfig, RewardLossConfig, UltraInteractRewardConfig};
use process_memory::{TrainingAllocator, keep_freed_memory};
use token_forest::{Label, TrainingTree};
use ultrainteract_synth::PythonEnvironment;

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

    /// Rounds of policy, trees and reward model, with BT and with BT+LDR; 1 is the start alone.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
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
         the right operations with a slip, 2 for a wrong operation, 1 for an answer of the wrong kind, 0 for none. Rounds: the \
         policy learns (NCA) from what the last reward model prefers, grows new trees, and a new reward model learns from these; \
         each is judged on samples of its own policy.",
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
            let mut models = Vec::new();
            for (name, loss, pairs) in trained {
                let policy = start.policy.clone();
                let model =
                    reward::train(name, &loss, &settings, &policy, pairs, &mut start.folder)?;
                let report = match unseen_pairs.is_empty() {
                    true => None,
                    false => Some(evaluation::judge(&model, &unseen_pairs, &settings)?),
                };
                measures.add(name, "Policy's pass@1", Unit::Share, pass);
                add(
                    name,
                    &model,
                    report.as_ref(),
                    &samples,
                    start,
                    &settings,
                    measures,
                )?;
                models.push(model);
            }
            for (name, loss, model) in [("BT", &bt, &models[0]), ("BT+LDR", &both, &models[2])] {
                let first = (start.policy.clone(), model.clone());
                in_rounds(
                    arguments.rounds,
                    name,
                    loss,
                    first,
                    start,
                    environment,
                    measures,
                )?;
            }
            Ok(())
        },
    )
}

/// The rounds after the first, each on its share of the tree problems.
fn in_rounds(
    rounds: u64,
    name: &'static str,
    loss: &RewardLossConfig,
    first: (Decoder, RewardModel),
    start: &mut Start,
    environment: &PythonEnvironment,
    measures: &mut Measures,
) -> Result<()> {
    let settings = reward::settings(start.seed, &start.scale);
    let (mut policy, mut model) = first;
    let problems = start.tree_problems.clone();
    let share = problems.len().div_ceil(rounds.max(1) as usize).max(1);
    for (round, problems) in (2..=rounds).zip(problems.chunks(share).skip(1)) {
        let last = rounds::next(start, name, loss, (&policy, &model), problems, environment)?;
        let row = format!("{name}, round {round}");
        let pass = pass_at_1(start, &last.policy, environment)?;
        measures.add(&row, "Policy's pass@1", Unit::Share, pass);
        let report = last.report.as_ref();
        add(
            &row,
            &last.model,
            report,
            &last.samples,
            start,
            &settings,
            measures,
        )?;
        (policy, model) = (last.policy, last.model);
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
    settings: &TrainingConfig,
    measures: &mut Measures,
) -> Result<()> {
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
            marked.push((grade::grade(problem, answer)?, f64::from(reward)));
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
    let groups = tree.groups().iter().cloned().map(|mut group| {
        if let Label::Pair { rank_only, .. } = &mut group.label {
            *rank_only = true;
        }
        group
    });
    Ok(TrainingTree::new(tree.id(), tree.tree(), groups.collect())?)
}
