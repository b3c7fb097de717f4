//! The tables and the page.

use anyhow::Result;
use eurus_eval::Table;
use eurus_eval::metrics::Estimate;
use eurus_eval::report::{Figure, Report};
use eurus_eval::reranking::RerankingReport;
use eurus_eval::reward_model::{RewardModelReport, comparison_table};
use ultrainteract::{ActionSource, PreferenceTree};
use ultrainteract_synth::SynthStats;

use crate::evaluation::PassRow;
use crate::options::Scale;
use crate::preference::{BETA, DESIRABLE_WEIGHT, Learned};
use crate::run_folder::RunFolder;
use crate::trees::Trees;

/// Trees drawn in the report.
const TREES_DRAWN: usize = 4;

pub struct Results {
    pub seed: u64,
    pub parameters: usize,
    pub trees: Trees,
    pub learned: Vec<Learned>,
    pub pass: Vec<PassRow>,
    pub rewards: Vec<(&'static str, RewardModelReport)>,
    pub reranking: RerankingReport,
}

pub fn tables(results: &Results) -> [Table; 5] {
    [
        tree_table(&results.trees.stats),
        learning_table(&results.learned),
        pass_table(&results.pass),
        comparison_table(
            "Reward models on held-out pairs.",
            results.rewards.iter().map(|(name, report)| (*name, report)),
        ),
        results.reranking.table(format!(
            "Choosing one of {} samples of the SFT policy.",
            results.reranking.n
        )),
    ]
}

fn tree_table(stats: &SynthStats) -> Table {
    let mut table = Table::new("Actions by turn.").headers([
        "Turn",
        "Problems",
        "Sampled",
        "Repeated",
        "Not Python",
        "Too long",
        "Correct",
        "Incorrect",
        "Pairs",
        "Fallbacks",
    ]);
    for turn in &stats.turns {
        let c = &turn.counts;
        table = table.row(
            [
                turn.turn,
                turn.problems,
                c.sampled,
                c.dropped.duplicate,
                c.dropped.syntax,
                c.dropped.length,
                c.correct,
                c.incorrect,
                c.pairs,
                c.fallbacks,
            ]
            .map(|number| number.to_string()),
        );
    }
    table.note("A fallback pairs the annotated solution with an incorrect action, where no correct one was found.")
}

fn learning_table(learned: &[Learned]) -> Table {
    let mut table = Table::new("Preference learning: means over the last quarter of the steps.")
        .headers([
            "Algorithm",
            "Chosen reward",
            "Rejected reward",
            "Margin",
            "Accuracy",
            "Unique tokens",
            "As rows",
        ]);
    for run in learned {
        table = table.row([
            run.name.to_owned(),
            format!("{:+.3}", run.late.chosen_reward),
            format!("{:+.3}", run.late.rejected_reward),
            format!("{:+.3}", run.late.margin),
            format!("{:.3}", run.late.accuracy.unwrap_or_default()),
            run.unique_tokens.to_string(),
            run.naive_tokens.to_string(),
        ]);
    }
    table
        .note("Unique tokens: each node of a tree once. As rows: every pair as two full sequences.")
}

fn pass_table(rows: &[PassRow]) -> Table {
    let mut table = Table::new("Greedy pass@1 on held-out problems.").headers([
        "Policy",
        "Solved",
        "pass@1",
        "Gain over SFT",
    ]);
    for row in rows {
        table = table.row([
            row.name.to_owned(),
            row.solved.to_string(),
            row.pass.to_string(),
            row.over_sft
                .as_ref()
                .map_or_else(|| "–".to_owned(), Estimate::in_points),
        ]);
    }
    table.note(
        "± is the standard error over problems. Gains are points of pass@1, paired problem by problem.",
    )
}

/// Trees worth seeing: long ones, with a fallback among them if there is one.
fn examples(trees: &[PreferenceTree]) -> Vec<&PreferenceTree> {
    let has_fallback = |tree: &&PreferenceTree| {
        tree.nodes().any(|(_, node)| {
            node.action()
                .is_some_and(|action| action.source == ActionSource::GroundTruth)
        })
    };
    let mut shown: Vec<&PreferenceTree> = Vec::new();
    for turns in [2, 3, 1] {
        shown.extend(
            trees.iter().find(|tree| {
                tree.turns() == turns && !tree.pairs().is_empty() && !has_fallback(tree)
            }),
        );
    }
    shown.extend(trees.iter().find(has_fallback));
    shown.truncate(TREES_DRAWN);
    shown
}

pub fn write(results: &Results, scale: &Scale, folder: &RunFolder) -> Result<()> {
    let [trees, learning, pass, rewards, reranking] = tables(results);
    let mut report = Report::new("Eurus in miniature");
    report
        .paragraph(format!(
            "A Llama-architecture model of {:.2} million parameters, trained from scratch on {} worked word problems, \
             acted on {} other ones for up to five turns with {} samples a turn; a Python interpreter executed what it \
             wrote. From the preference trees it learned with DPO, KTO and NCA, and two reward models were trained. \
             Everything is judged on {} held-out problems that share no eight words in a row with the others. Seed {}.",
            results.parameters as f64 / 1e6,
            scale.training_problems - scale.tree_problems,
            scale.tree_problems,
            scale.samples_per_turn,
            scale.held_out_problems,
            results.seed,
        ))
        .section("Preference learning")
        .paragraph(format!(
            "All three start from the same checkpoint and use the same pairs, beta {BETA}, and for KTO a weight of \
             {DESIRABLE_WEIGHT} on correct actions. A reward is beta times the log-ratio of policy and reference."
        ))
        .figure(
            Figure::reward_trajectories(
                "Rewards of chosen and rejected actions and their margin, by optimizer step.",
                results
                    .learned
                    .iter()
                    .map(|run| (run.name, run.trajectory.clone())),
            )
            .smooth(2),
        )
        .table(learning)
        .section("Held-out problems")
        .table(pass)
        .section("Reward models")
        .paragraph(
            "BT ranks chosen above rejected. LDR also pushes chosen rewards above zero and rejected ones below.",
        )
        .table(rewards)
        .table(reranking)
        .section("Trees")
        .table(trees);
    for tree in examples(&results.trees.trees) {
        report.tree(tree);
    }
    report.write(folder.path("report.html"))?;
    Ok(())
}
