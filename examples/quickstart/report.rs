//! The tables and the page.

use std::collections::BTreeMap;

use anyhow::Result;
use eurus_eval::Table;
use eurus_eval::metrics::Estimate;
use eurus_eval::report::{Figure, Report, Series};
use eurus_eval::reranking::{Candidates, Method, RerankingReport};
use eurus_eval::reward_model::{RewardModelReport, comparison_table};
use eurus_examples::Scale;
use eurus_examples::evaluation::{Pass, PassRow};
use eurus_examples::policy::Habit;
use eurus_examples::preference::{BETA, DESIRABLE_WEIGHT, Learned};
use eurus_examples::run_folder::RunFolder;
use eurus_examples::trees::Trees;
use ultrainteract::{ActionSource, PreferenceTree};
use ultrainteract_synth::SynthStats;

/// Trees drawn in the report.
const TREES_DRAWN: usize = 4;

pub struct Results {
    pub seed: u64,
    /// Which problems all is judged on: "held-out" or "development".
    pub unseen: &'static str,
    pub parameters: usize,
    pub trees: Trees,
    pub learned: Vec<Learned>,
    pub pass: Pass,
    pub rewards: Vec<(&'static str, RewardModelReport)>,
    /// How often a judge who only sees whether there is code ranks a pair right; half a point where both or none have.
    pub programs_ranked_right: Option<f64>,
    pub candidates: Candidates,
    pub reranking: RerankingReport,
}

pub fn tables(results: &Results) -> [Table; 6] {
    [
        tree_table(&results.trees.stats),
        learning_table(&results.learned),
        pass_table(results.unseen, &results.pass.rows),
        mistake_table(&results.pass.mistakes),
        reward_table(results),
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
            run.name.clone(),
            format!("{:+.3}", run.late().chosen_reward),
            format!("{:+.3}", run.late().rejected_reward),
            format!("{:+.3}", run.late().margin),
            format!("{:.3}", run.late().accuracy.unwrap_or_default()),
            run.unique_tokens.to_string(),
            run.naive_tokens.to_string(),
        ]);
    }
    table
        .note("Unique tokens: each node of a tree once. As rows: every pair as two full sequences.")
}

fn pass_table(unseen: &str, rows: &[PassRow]) -> Table {
    let mut table = Table::new(format!("Greedy pass@1 on {unseen} problems.")).headers([
        "Policy",
        "Solved",
        "pass@1",
        "Gain over SFT",
        "Programs",
        "Characters",
        "Entropy",
    ]);
    for row in rows {
        table = table.row([
            row.rate.name.clone(),
            row.rate.solved.to_string(),
            row.rate.pass.to_string(),
            row.rate
                .over_baseline
                .as_ref()
                .map_or_else(|| "–".to_owned(), Estimate::in_points),
            format!("{:.0} %", 100.0 * row.programs),
            format!("{:.0}", row.characters),
            row.entropy
                .map_or_else(|| "–".to_owned(), |nats| format!("{nats:.1}")),
        ]);
    }
    table.note(
        "± is the standard error over problems. Gains are points of pass@1, paired problem by problem. Programs: share of \
         the solutions that are one. The best habit for each template of problems is the one with more right solutions of \
         the problems that trees were built for. Entropy: minus the log-prob of a solution drawn at temperature 1, in nats, \
         on average; ln 2 is 0.7.",
    )
}

fn mistake_table(mistakes: &BTreeMap<String, [usize; 2]>) -> Table {
    let mut table = Table::new("What is wrong with the solutions of the SFT policy.").headers([
        "The rule-based critic says",
        "Programs",
        "Sentences",
    ]);
    let mut sorted: Vec<_> = mistakes.iter().collect();
    sorted.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<usize>()));
    for (kind, [programs, sentences]) in sorted {
        table = table.row([kind.clone(), programs.to_string(), sentences.to_string()]);
    }
    table.note("Dots stand for the numbers in what it says.")
}

fn reward_table(results: &Results) -> Table {
    let rewards = results.rewards.iter().map(|(name, report)| (*name, report));
    let table = comparison_table(
        format!("Reward models on {} pairs.", results.unseen),
        rewards,
    );
    match results.programs_ranked_right {
        Some(share) => table.note(format!(
            "A judge who prefers programs to sentences, whatever they say, ranks {:.1} % of the pairs right.",
            100.0 * share
        )),
        None => table,
    }
}

/// Trees worth seeing: of those of two turns, of three and of one, the tree with most pairs that differ in how they are
/// written, since that is what there is to learn; and one where the annotated solution had to stand in.
fn examples(trees: &[PreferenceTree]) -> Vec<&PreferenceTree> {
    let has_fallback = |tree: &&PreferenceTree| {
        tree.nodes().any(|(_, node)| {
            node.action()
                .is_some_and(|action| action.source == ActionSource::GroundTruth)
        })
    };
    let habit = |tree: &PreferenceTree, id| {
        let action = tree.node(id).action()?;
        Habit::of(&action.text)
    };
    let choices = |tree: &PreferenceTree| {
        let pairs = tree.pairs().iter();
        pairs
            .filter(|pair| habit(tree, pair.chosen) != habit(tree, pair.rejected))
            .count()
    };
    let mut shown: Vec<&PreferenceTree> = Vec::new();
    for turns in [2, 3, 1] {
        let of_turns = trees
            .iter()
            .filter(|tree| tree.turns() == turns && !tree.pairs().is_empty())
            .filter(|tree| !has_fallback(tree));
        // The first of equals, so `rev`.
        shown.extend(of_turns.rev().max_by_key(|tree| choices(tree)));
    }
    shown.extend(trees.iter().find(has_fallback));
    shown.truncate(TREES_DRAWN);
    shown
}

/// Accuracy of each way to choose among the first N samples, for every N.
fn best_of_n(candidates: &Candidates) -> Result<Figure> {
    let count = candidates
        .problems()
        .iter()
        .map(Vec::len)
        .min()
        .unwrap_or(0);
    let reports = (1..=count)
        .map(|n| Ok(candidates.first(n)?.report()?))
        .collect::<Result<Vec<RerankingReport>>>()?;
    let methods = reports.iter().take(1).flat_map(|report| &report.rows);
    let methods = methods
        .map(|row| &row.method)
        .filter(|method| !matches!(method, Method::WeightedVote { .. }));
    let series = methods.map(|method| {
        let name = match method {
            Method::BestOfN { scorer } => format!("Best by {scorer}"),
            Method::PassAtN => "Any of them".to_owned(),
            method => method.to_string(),
        };
        let points = reports.iter().filter_map(|report| {
            let row = report.rows.iter().find(|row| row.method == *method)?;
            let error = row.accuracy.standard_error.unwrap_or_default();
            Some((report.n as f64, row.accuracy.mean, error))
        });
        Series::with_band(name, points)
    });
    let caption = "Problems solved by choosing one of the first N samples of the SFT policy, with the standard error over problems.";
    Ok(Figure::new(caption, "Samples, N", "Accuracy").panel("", series.collect()))
}

/// What was learned, in a paragraph made of the numbers.
fn story(results: &Results) -> String {
    let rows = &results.pass.rows;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut text = String::new();
    if let Some(sft) = rows.first() {
        text += &format!(
            "Of the {} problems the SFT policy solves {}; {} of its solutions are programs. ",
            results.unseen,
            percent(sft.rate.pass.mean),
            percent(sft.programs)
        );
    }
    let learned = rows
        .iter()
        .filter(|row| results.learned.iter().any(|run| run.name == row.rate.name));
    for row in learned {
        let Some(over) = &row.rate.over_baseline else {
            continue;
        };
        let verdict = match over.standard_error {
            Some(error) if over.mean.abs() > 2.0 * error => {
                format!("{:.0} standard errors", over.mean.abs() / error)
            }
            _ => "not significant".to_owned(),
        };
        text += &format!(
            "After {} it is {} ({:+.1} points, {verdict}), with {} programs. ",
            row.rate.name,
            percent(row.rate.pass.mean),
            100.0 * over.mean,
            percent(row.programs)
        );
    }
    let best = |row: &&PassRow| row.rate.name.starts_with("SFT, ");
    if let Some(fixed) = rows
        .iter()
        .filter(best)
        .max_by(|a, b| a.rate.pass.mean.total_cmp(&b.rate.pass.mean))
    {
        text += &format!(
            "No choice made in advance does better than {} (\u{201c}{}\u{201d}). ",
            percent(fixed.rate.pass.mean),
            fixed.rate.name
        );
    }
    for row in &results.reranking.rows {
        if let Method::BestOfN { scorer } = &row.method {
            text += &format!(
                "The best of {} samples by {scorer} is right for {}, {:+.1} points over a random one. ",
                results.reranking.n,
                percent(row.accuracy.mean),
                100.0 * row.over_random.mean
            );
        }
    }
    text.trim_end().to_owned()
}

/// Which way the rewards went, in a sentence for each algorithm.
fn movements(learned: &[Learned]) -> String {
    let direction = |reward: f64| match reward {
        up if up > 0.0 => "up",
        _ => "down",
    };
    let sentences = learned.iter().map(|run| {
        format!(
            "{} moved the chosen reward {} to {:+.2} and the rejected one {} to {:+.2}.",
            run.name,
            direction(run.late().chosen_reward),
            run.late().chosen_reward,
            direction(run.late().rejected_reward),
            run.late().rejected_reward
        )
    });
    sentences.collect::<Vec<_>>().join(" ")
}

pub fn write(results: &Results, scale: &Scale, folder: &RunFolder) -> Result<()> {
    let [trees, learning, pass, mistakes, rewards, reranking] = tables(results);
    let mut report = Report::new("Eurus in miniature");
    report
        .paragraph(story(results))
        .paragraph(format!(
            "A Llama-architecture model of {:.2} million parameters, trained from scratch on {} worked word problems, \
             acted on {} other ones for up to five turns with {} samples a turn; a Python interpreter executed what it \
             wrote. From the preference trees it learned with DPO, KTO and NCA, and two reward models were trained. \
             Everything is judged on {} {} problems that share no eight words in a row with the others. Seed {}.",
            results.parameters as f64 / 1e6,
            scale.training_problems - scale.tree_problems,
            scale.tree_problems,
            scale.samples_per_turn,
            scale.held_out_problems,
            results.unseen,
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
                    .map(|run| (run.name.as_str(), run.rewards.points())),
            )
            .smooth(2),
        )
        .paragraph(movements(&results.learned))
        .table(learning)
        .section("Unseen problems")
        .table(pass)
        .table(mistakes)
        .section("Reward models")
        .paragraph(
            "BT ranks chosen above rejected. LDR also pushes chosen rewards above zero and rejected ones below.",
        )
        .table(rewards)
        .table(reranking)
        .figure(best_of_n(&results.candidates)?)
        .section("Trees")
        .table(trees);
    for tree in examples(&results.trees.trees) {
        report.tree(tree);
    }
    report.write(folder.path("report.html"))?;
    Ok(())
}
