//! Judgements of the model during training, and what it wrote.

use std::collections::{BTreeMap, BTreeSet};

use eurus_eval::Table;
use eurus_eval::report::{Figure, Panel, PromptSamples, Report, Scales, Series, StepSample};

use super::number;
use crate::runs::TrainingRun;

/// Prompts of one run that are shown.
const PROMPTS: usize = 12;
/// Steps of one prompt that are shown: the first, the last and some between them.
const STEPS: usize = 9;
/// Metrics that have a chart.
const METRICS: usize = 24;

pub(super) fn add(report: &mut Report, training: &[(String, &TrainingRun)], names: &[String]) {
    let judged: Vec<_> = training
        .iter()
        .filter(|(_, run)| !run.judged.is_empty())
        .collect();
    if judged.is_empty() {
        return;
    }
    report.section("Judgements during training");
    let all: BTreeSet<&String> = judged
        .iter()
        .flat_map(|(_, run)| run.judged.iter().flat_map(|it| it.metrics.keys()))
        .collect();
    let mut caption = "Numbers on rows that are not trained on, by the steps taken.".to_owned();
    if all.len() > METRICS {
        caption.push_str(&format!(" The first {METRICS} of {} by name.", all.len()));
    }
    let mut figure = Figure::new(caption, "Optimizer step", "");
    figure.scales = Scales::Own;
    figure.names = names.to_vec();
    let metrics: Vec<&String> = all.into_iter().take(METRICS).collect();
    for &metric in &metrics {
        let series = judged.iter().map(|(name, run)| {
            let values = run.judged.iter();
            let points = values.filter_map(|it| Some((it.step as f64, *it.metrics.get(metric)?)));
            Series::new(name, points)
        });
        let title = metric.replace('_', " ");
        figure.panels.push(Panel {
            y_label: Some(title.clone()),
            title,
            series: series.filter(|it| !it.points.is_empty()).collect(),
            ..Panel::default()
        });
    }
    report.figure(figure).table(table(&judged, &metrics));
    for (name, run) in judged {
        let (prompts, more) = prompts(run);
        if prompts.is_empty() {
            continue;
        }
        let caption = match more {
            0 => format!("What {name} wrote as its training went on."),
            _ => format!(
                "What {name} wrote as its training went on; {more} further prompts are in its metrics."
            ),
        };
        report.samples(caption, prompts);
    }
}

/// The best and the last judgement of each run.
fn table(judged: &[&(String, &TrainingRun)], metrics: &[&String]) -> Table {
    let headers = metrics.iter().map(|name| name.replace('_', " "));
    let first = ["Run", "Which", "Step"].map(str::to_owned);
    let mut table = Table::new("The best judgement and the last one.")
        .headers(first.into_iter().chain(headers));
    for (name, run) in judged {
        let best = run.judged.iter().rev().find(|it| it.best);
        for (which, judged) in [("best", best), ("last", run.judged.last())] {
            let Some(judged) = judged else { continue };
            let first = [name.clone(), which.to_owned(), judged.step.to_string()];
            let of = |metric: &&String| judged.metrics.get(*metric).copied();
            let numbers = metrics.iter().map(|it| number(of(it).unwrap_or(f64::NAN)));
            table = table.row(first.into_iter().chain(numbers));
        }
    }
    table
}

/// What a run wrote to each prompt, and how many prompts are left out.
fn prompts(run: &TrainingRun) -> (Vec<PromptSamples>, usize) {
    let mut order: Vec<&str> = Vec::new();
    let mut samples: BTreeMap<&str, Vec<StepSample>> = BTreeMap::new();
    for judged in &run.judged {
        for sample in &judged.samples {
            let of_prompt = samples.entry(&sample.prompt).or_insert_with(|| {
                order.push(&sample.prompt);
                Vec::new()
            });
            of_prompt.push(StepSample {
                step: usize::try_from(judged.step).unwrap_or(usize::MAX),
                text: sample.response.clone(),
            });
        }
    }
    let more = order.len().saturating_sub(PROMPTS);
    let shown = order.into_iter().take(PROMPTS).map(|prompt| PromptSamples {
        prompt: prompt.to_owned(),
        samples: some_of(samples.remove(prompt).unwrap_or_default()),
    });
    (shown.collect(), more)
}

/// The first, the last and some between them.
fn some_of(samples: Vec<StepSample>) -> Vec<StepSample> {
    if samples.len() <= STEPS {
        return samples;
    }
    let last = samples.len() - 1;
    let places: BTreeSet<usize> = (0..STEPS).map(|index| index * last / (STEPS - 1)).collect();
    let samples = samples.into_iter().enumerate();
    samples
        .filter(|(index, _)| places.contains(index))
        .map(|(_, sample)| sample)
        .collect()
}
