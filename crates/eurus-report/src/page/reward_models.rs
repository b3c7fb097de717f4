//! Reward models on benchmarks.

use eurus_eval::Table;
use eurus_eval::metrics::{Interval, Proportion};
use eurus_eval::report::{Dot, DotPlot, Report};
use eurus_eval::reward_benches::pairs::PairGroup;
use eurus_eval::reward_benches::rewardbench::Section;

use crate::runs::{RewardModelResult, Runs};

/// Subsets of pairs that are drawn; the table has all.
const SUBSETS: usize = 12;
const CONFIDENCE: f64 = 0.95;

/// A result with the name of its run, and the place of that among the runs, which is its colour.
struct Named<'a> {
    place: usize,
    name: &'a str,
    of: &'a RewardModelResult,
}

/// A part of a benchmark with its score.
struct Part {
    name: String,
    score: f64,
    interval: Option<Interval>,
}

impl Part {
    fn new(name: impl ToString, score: f64, interval: Option<Interval>) -> Self {
        Self {
            name: name.to_string(),
            score,
            interval,
        }
    }

    fn of_counts(name: impl ToString, right: usize, of: usize) -> Option<Self> {
        let share = right as f64 / of as f64;
        let counted = Proportion {
            mean: share,
            standard_error: None,
            n: of,
        };
        // A file may say what no benchmark does.
        (right <= of).then(|| Self::new(name, share, counted.wilson(CONFIDENCE).ok()))
    }
}

pub(super) fn add(report: &mut Report, runs: &Runs) {
    let folders = runs.folders().iter().enumerate();
    let results: Vec<Named<'_>> = folders
        .filter_map(|(place, it)| {
            Some(Named {
                place,
                name: it.name(),
                of: it.reward_model()?,
            })
        })
        .collect();
    if results.is_empty() {
        return;
    }
    report.section("Reward models");
    for bench in [
        Benchmark::RewardBench,
        Benchmark::RewardBench2,
        Benchmark::AutoJ,
        Benchmark::MtBench,
        Benchmark::Pairs,
    ] {
        let of_bench: Vec<_> = results
            .iter()
            .filter(|it| Benchmark::of(it.of) == bench)
            .collect();
        if of_bench.is_empty() {
            continue;
        }
        report.dots(plot(bench, &of_bench));
        for it in of_bench {
            report.table(table(it.name, bench, it.of));
        }
    }
}

/// Which benchmark a result is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Benchmark {
    RewardBench,
    RewardBench2,
    AutoJ,
    MtBench,
    Pairs,
}

impl Benchmark {
    fn of(result: &RewardModelResult) -> Self {
        match result {
            RewardModelResult::RewardBench(_) => Self::RewardBench,
            RewardModelResult::RewardBench2(_) => Self::RewardBench2,
            RewardModelResult::AutoJ(_) => Self::AutoJ,
            RewardModelResult::MtBench(_) => Self::MtBench,
            RewardModelResult::Pairs(_) => Self::Pairs,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::RewardBench => "RewardBench",
            Self::RewardBench2 => "RewardBench 2",
            Self::AutoJ => "AutoJ",
            Self::MtBench => "MT-Bench",
            Self::Pairs => "Pairs",
        }
    }

    /// What is drawn of it, and what its intervals are.
    fn about(self) -> &'static str {
        match self {
            Self::RewardBench => {
                "pairs whose chosen response has the higher reward, with 95 % intervals that are combined from those of the \
                 subsets. Pairs are taken to be independent."
            }
            Self::RewardBench2 => {
                "prompts whose right response is the best of four, with the 95 % interval of Wilson. Ties is a composite, and has \
                 none; neither has the mean."
            }
            Self::AutoJ => {
                "pairs on which the rewards say what people say, with the 95 % interval of Wilson. The threshold of ties was chosen \
                 on the same pairs, which flatters."
            }
            Self::MtBench => {
                "votes of people with which the rewards agree, with the 95 % interval of Wilson, which takes votes to be \
                 independent: votes on one question are not, and the true intervals are wider."
            }
            Self::Pairs => {
                "pairs whose chosen response has the higher reward, with the 95 % interval of Wilson, which takes pairs to be \
                 independent."
            }
        }
    }
}

fn plot(bench: Benchmark, results: &[&Named<'_>]) -> DotPlot {
    let parts: Vec<(&Named<'_>, Vec<Part>)> = results
        .iter()
        .map(|&result| (result, parts(result.of)))
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for part in parts.iter().flat_map(|(_, parts)| parts) {
        if !names.contains(&part.name.as_str()) {
            names.push(&part.name);
        }
    }
    // Those of one part stand together: they are what one compares.
    let dots = names.iter().flat_map(|name| {
        parts.iter().filter_map(|(result, parts)| {
            let part = parts.iter().find(|it| it.name == *name)?;
            Some(Dot {
                name: match results.len() {
                    1 => part.name.clone(),
                    _ => format!("{}: {}", part.name, result.name),
                },
                value: 100.0 * part.score,
                interval: part.interval.map(|it| (100.0 * it.low, 100.0 * it.high)),
                style: result.place,
            })
        })
    });
    DotPlot {
        caption: format!("{}: {}", bench.name(), bench.about()),
        label: "Percent".to_owned(),
        dots: dots.collect(),
    }
}

fn parts(result: &RewardModelResult) -> Vec<Part> {
    match result {
        RewardModelResult::RewardBench(report) => {
            let sections = Section::ALL.into_iter().filter_map(|section| {
                let score = *report.sections.get(&section)?;
                Some(Part::new(section, score, report.section_interval(section)))
            });
            let mean = report.average.map(|average| {
                Part::new("Mean of the sections", average, report.average_interval())
            });
            sections.chain(mean).collect()
        }
        RewardModelResult::RewardBench2(report) => {
            let interval = |name: &String| report.intervals.get(name).copied();
            let subsets = report.subsets.iter();
            let subsets = subsets.map(|(name, score)| Part::new(name, *score, interval(name)));
            let mean = Part::new("Mean of the subsets", report.average, None);
            subsets.chain([mean]).collect()
        }
        RewardModelResult::AutoJ(sweep) => {
            let groups = sweep.best.groups.iter();
            let groups =
                groups.filter_map(|(group, of)| Part::of_counts(group, of.agreed, of.pairs));
            let all = sweep.best.overall;
            groups
                .chain(Part::of_counts("Overall", all.agreed, all.pairs))
                .collect()
        }
        RewardModelResult::MtBench(report) => {
            let ties = [
                ("with ties", &report.with_ties),
                ("without ties", &report.without_ties),
            ];
            let turns = ties.into_iter().flat_map(|(ties, turns)| {
                turns.iter().filter_map(move |(turn, of)| {
                    let of = of.judge_human;
                    Part::of_counts(format!("Turn {turn}, {ties}"), of.agreed, of.total)
                })
            });
            turns.collect()
        }
        RewardModelResult::Pairs(report) => {
            let of = |name: String, group: &PairGroup| {
                Part::new(name, group.accuracy.mean, Some(group.interval))
            };
            let all = of("All".to_owned(), &report.overall);
            let subsets = report.subsets.iter().take(SUBSETS);
            let subsets = subsets.map(|group| of(group.name.clone(), group));
            let turns = report.turns.iter();
            let turns = turns.map(|group| of(format!("Turn {}", group.name), group));
            [all].into_iter().chain(subsets).chain(turns).collect()
        }
    }
}

fn table(name: &str, bench: Benchmark, result: &RewardModelResult) -> Table {
    let caption = format!("{name}: {}.", bench.name());
    match result {
        RewardModelResult::RewardBench(report) => report.table(caption),
        RewardModelResult::RewardBench2(report) => report.table(caption),
        RewardModelResult::AutoJ(sweep) => sweep.best.table(format!(
            "{name}: AutoJ, ties up to a difference of {}.",
            sweep.best_threshold
        )),
        RewardModelResult::MtBench(report) => report.table(caption),
        RewardModelResult::Pairs(report) => report.table(caption),
    }
}
