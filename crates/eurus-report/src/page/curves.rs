//! Curves over the steps of training, with warnings marked on them.

use eurus_eval::Table;
use eurus_eval::report::{Figure, Mark, Panel, Report, RewardPoint, Scales, Series};

use crate::runs::{Step, TrainingKind, TrainingRun};

/// Warnings of one run that are marked and told; a run that has gone wrong has one at every step.
const MARKED: usize = 12;
/// Of the running mean, on both sides together.
const SMOOTHED_SHARE: usize = 40;
const WIDEST_MEAN: usize = 50;
/// Runs with fewer steps are drawn as they are.
const FEWEST_SMOOTHED: usize = 40;

/// The line of a run's rewards that warnings are marked by.
const CHOSEN: &str = "Chosen reward";

/// A curve: its title, the label of its axis, and where its numbers come from.
type Curve = (&'static str, &'static str, fn(&Step) -> f64);

const LEARNING: [Curve; 8] = [
    ("Loss", "Loss", |it| it.loss),
    ("Auxiliary loss", "Loss", |it| it.auxiliary_loss),
    ("Margin of rewards", "Chosen − rejected", |it| it.margin),
    ("Accuracy", "Share of pairs", |it| it.accuracy),
    ("Log-prob of chosen", "Nats", |it| it.chosen_log_prob),
    ("Log-prob of rejected", "Nats", |it| it.rejected_log_prob),
    ("KL estimate", "Nats", |it| it.kl),
    ("Gradient norm", "Norm", |it| it.grad_norm),
];

/// What a run sets, or counts up: it has no noise.
const EXACT: [&str; 2] = [LEARNING_RATE, MEMORY];
const LEARNING_RATE: &str = "Learning rate";
const MEMORY: &str = "Most memory so far";

const COSTS: [Curve; 5] = [
    (LEARNING_RATE, "Rate", |it| it.learning_rate),
    ("Tokens per second, each once", "Tokens/s", |it| {
        it.unique_tokens / it.seconds
    }),
    ("Tokens per second, as rows", "Tokens/s", |it| {
        it.naive_tokens / it.seconds
    }),
    ("How full forests are", "Share", |it| it.utilization),
    (MEMORY, "GiB", |it| {
        it.peak_resident_bytes / f64::from(1u32 << 30)
    }),
];

/// A run with its name.
type Named<'a> = (&'a str, &'a TrainingRun);

/// The runs whose curves are drawn.
pub(super) struct Curves<'a> {
    training: &'a [(String, &'a TrainingRun)],
    names: &'a [String],
    marks: Vec<Mark>,
}

impl<'a> Curves<'a> {
    pub fn new(training: &'a [(String, &'a TrainingRun)], names: &'a [String]) -> Self {
        let mut marks: Vec<Mark> = Vec::new();
        for (name, run) in training {
            for remark in run.remarks.iter().take(MARKED) {
                marks.push(Mark {
                    at: remark.step as f64,
                    series: name.clone(),
                    label: (marks.len() + 1).to_string(),
                    about: format!("{name}, step {}: {}", remark.step, remark.text),
                });
            }
        }
        Self {
            training,
            names,
            marks,
        }
    }

    pub fn add(&self, report: &mut Report) {
        if self.training.iter().all(|(_, run)| run.steps.is_empty()) {
            return;
        }
        if let Some(rewards) = self.rewards() {
            report.section("Rewards").figure(rewards);
        }
        let kinds = [
            TrainingKind::Sft,
            TrainingKind::Preference,
            TrainingKind::Reward,
        ];
        let of_kinds = kinds.map(|kind| (kind, self.of_kind(kind)));
        let there: Vec<_> = of_kinds
            .into_iter()
            .filter(|(_, of_it)| !of_it.is_empty())
            .collect();
        let title = |what: &str, kind: TrainingKind| match there.len() {
            1 => what.to_owned(),
            _ => format!("{what}: {}", kind.name()),
        };
        for (kind, of_it) in &there {
            report.section(title("Learning", *kind)).figure(self.figure(
                "Learning, step by step.",
                &LEARNING,
                of_it,
                &self.marks,
            ));
        }
        self.add_warnings(report);
        for (kind, of_it) in &there {
            let caption = "Learning rate and costs, step by step. Tokens each once are those that went through the model; as \
                           rows are those that every path as a sequence of its own would have had.";
            report
                .section(title("Pace and memory", *kind))
                .figure(self.figure(caption, &COSTS, of_it, &[]));
        }
    }

    /// Runs of one kind: their losses are of one scale, and their lengths are alike.
    fn of_kind(&self, kind: TrainingKind) -> Vec<Named<'a>> {
        let of_kind = self
            .training
            .iter()
            .filter(|(_, run)| run.kind == Some(kind));
        let with_steps = of_kind.filter(|(_, run)| !run.steps.is_empty());
        with_steps
            .map(|(name, run)| (name.as_str(), *run))
            .collect()
    }

    /// Chosen reward, rejected reward and margin, a chart for each run, on the same axes.
    fn rewards(&self) -> Option<Figure> {
        let has_rewards = |run: &TrainingRun| {
            let mut rewards = run
                .steps
                .iter()
                .map(|it| (it.chosen_reward, it.rejected_reward));
            rewards.any(|(chosen, rejected)| chosen.is_finite() || rejected.is_finite())
        };
        let with: Vec<_> = self
            .training
            .iter()
            .filter(|(_, run)| has_rewards(run))
            .collect();
        let longest = with.iter().map(|(_, run)| run.steps.len()).max()?;
        let caption = "Rewards of chosen and rejected responses and their margin (figure 5 of arXiv 2404.02078). The reward of \
                       a policy is beta times the log-ratio to its reference. A chosen reward that falls below 0 says that \
                       good responses are unlearned.";
        let algorithms = with
            .iter()
            .map(|(name, run)| (name.as_str(), rewards_of(run)));
        let mut figure = smoothed(Figure::reward_trajectories(caption, algorithms), longest);
        figure.scales = Scales::SharedXy;
        for (panel, (name, _)) in figure.panels.iter_mut().zip(&with) {
            let of_run = self.marks.iter().filter(|mark| mark.series == *name);
            let marks = of_run.map(|mark| Mark {
                series: CHOSEN.to_owned(),
                ..mark.clone()
            });
            panel.marks = marks.collect();
        }
        Some(figure)
    }

    /// A chart for each curve that some of these runs has, with a line for each of them.
    fn figure(
        &self,
        caption: &str,
        curves: &[Curve],
        runs: &[Named<'_>],
        marks: &[Mark],
    ) -> Figure {
        let longest = runs.iter().map(|(_, run)| run.steps.len()).max();
        let mut figure = Figure::new(caption, "Optimizer step", "");
        figure = smoothed(figure, longest.unwrap_or_default());
        figure.scales = Scales::Own;
        figure.names = self.names.to_vec();
        for (title, label, pick) in curves {
            let lines = runs.iter().map(|(name, run)| (*name, points(run, *pick)));
            let known = lines.filter(|(_, points)| points.iter().any(|(_, y)| y.is_finite()));
            let series: Vec<Series> = known
                .map(|(name, points)| Series::new(name, points))
                .collect();
            if series.is_empty() {
                continue;
            }
            let is_drawn = |mark: &&Mark| series.iter().any(|it| it.name == mark.series);
            figure.panels.push(Panel {
                title: (*title).to_owned(),
                y_label: Some((*label).to_owned()),
                marks: marks.iter().filter(is_drawn).cloned().collect(),
                exact: EXACT.contains(title),
                series,
            });
        }
        figure
    }

    /// The table that the marks' numbers are of.
    fn add_warnings(&self, report: &mut Report) {
        if self.marks.is_empty() {
            return;
        }
        let mut table = Table::new("Warnings, by the numbers on the curves.")
            .headers(["", "Run", "Step", "What"]);
        let remarks = self
            .training
            .iter()
            .flat_map(|(name, run)| run.remarks.iter().take(MARKED).map(move |it| (name, it)));
        for (index, (name, remark)) in remarks.enumerate() {
            table = table.row([
                (index + 1).to_string(),
                name.clone(),
                remark.step.to_string(),
                remark.text.clone(),
            ]);
        }
        for (name, run) in self
            .training
            .iter()
            .filter(|(_, run)| run.remarks.len() > MARKED)
        {
            let more = run.remarks.len() - MARKED;
            table = table.note(format!("{name}: {more} further ones are in its metrics."));
        }
        report.table(table);
    }
}

fn rewards_of(run: &TrainingRun) -> Vec<RewardPoint> {
    let point = |it: &Step| RewardPoint {
        step: usize::try_from(it.step).unwrap_or(usize::MAX),
        chosen: it.chosen_reward,
        rejected: it.rejected_reward,
    };
    run.steps.iter().map(point).collect()
}

fn points(run: &TrainingRun, pick: fn(&Step) -> f64) -> Vec<(f64, f64)> {
    run.steps
        .iter()
        .map(|it| (it.step as f64, pick(it)))
        .collect()
}

/// Draws a running mean where there are enough steps for one.
fn smoothed(figure: Figure, steps: usize) -> Figure {
    match steps < FEWEST_SMOOTHED {
        true => figure,
        false => figure.smooth((steps / SMOOTHED_SHARE).clamp(1, WIDEST_MEAN)),
    }
}
