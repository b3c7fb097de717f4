//! Evaluations, reward models, rerankings and the numbers of quickstarts.

use std::collections::BTreeSet;

use eurus_eval::Table;
use eurus_eval::report::{Dot, DotPlot, Report};
use eurus_eval::reranking::{CurvePoint, RerankingCurve};
use eurus_eval::runs::{SettingSummary, Summary};

use super::{NONE, number, process_rewards, reward_models};
use crate::runs::Runs;

pub(super) fn add(report: &mut Report, runs: &Runs) {
    add_evaluations(report, runs);
    reward_models::add(report, runs);
    process_rewards::add(report, runs);
    let rerankings = runs.folders().iter();
    let rerankings: Vec<(&str, &RerankingCurve)> = rerankings
        .filter_map(|it| Some((it.name(), it.reranking()?)))
        .collect();
    if !rerankings.is_empty() {
        report.section("Reranking");
    }
    for (name, curve) in rerankings {
        add_reranking(report, name, curve);
    }
    add_measures(report, runs);
}

/// Evaluations, those of one task and data together.
fn add_evaluations(report: &mut Report, runs: &Runs) {
    let evaluations = runs.folders().iter().enumerate();
    let evaluations: Vec<(usize, &str, &Summary)> = evaluations
        .filter_map(|(index, it)| Some((index, it.name(), it.evaluation()?)))
        .collect();
    if evaluations.is_empty() {
        return;
    }
    report.section("Evaluation");
    let task = |summary: &Summary| {
        (
            summary.run.task.name.clone(),
            summary.run.data.sha256.clone(),
        )
    };
    let tasks: BTreeSet<(String, String)> = evaluations.iter().map(|(_, _, it)| task(it)).collect();
    for of_task in tasks {
        let same = evaluations.iter().filter(|(_, _, it)| task(it) == of_task);
        let mut plot = DotPlot {
            caption: format!(
                "{}: right answers, with the 95 % interval of Wilson, which takes items to be independent.",
                of_task.0
            ),
            label: "Accuracy, %".to_owned(),
            dots: Vec::new(),
        };
        for (index, name, summary) in same.clone() {
            let dots = summary
                .settings
                .iter()
                .filter_map(|it| dot(*index, name, it));
            plot.dots.extend(dots);
        }
        if !plot.dots.is_empty() {
            report.dots(plot);
        }
        for (_, name, summary) in same {
            let mut table = summary.table();
            table.caption = format!("{name}: {}.", table.caption);
            report.table(table);
        }
    }
}

fn dot(style: usize, name: &str, setting: &SettingSummary) -> Option<Dot> {
    let percent = |share: f64| 100.0 * share;
    Some(Dot {
        name: format!("{name}, {}", setting.name),
        value: percent(setting.accuracy?.mean),
        interval: setting
            .interval
            .map(|it| (percent(it.low), percent(it.high))),
        style,
    })
}

fn add_reranking(report: &mut Report, name: &str, curve: &RerankingCurve) {
    let caption = format!("{name}: choosing among N samples.");
    report.table(curve.table(&caption));
    let most = curve.points.iter().max_by_key(|it| it.n);
    if let Some(point) = most {
        report.dots(of_point(name, curve, point));
    }
    if curve.points.len() > 1 {
        let bands = 100.0 * curve.confidence;
        report.figure(curve.figure(format!(
            "{caption} Bands: {bands} % bootstrap intervals over problems."
        )));
    }
}

fn of_point(name: &str, curve: &RerankingCurve, point: &CurvePoint) -> DotPlot {
    let rows = point.rows.iter().enumerate();
    DotPlot {
        caption: format!(
            "{name}: problems solved by choosing among {} samples, with the {} % bootstrap interval over problems.",
            point.n,
            100.0 * curve.confidence
        ),
        label: "Accuracy, %".to_owned(),
        dots: rows
            .map(|(style, row)| Dot {
                name: row.method.to_string(),
                value: 100.0 * row.accuracy.mean,
                interval: Some((100.0 * row.interval.low, 100.0 * row.interval.high)),
                style,
            })
            .collect(),
    }
}

/// The numbers of quickstarts side by side.
fn add_measures(report: &mut Report, runs: &Runs) {
    let with: Vec<_> = runs
        .folders()
        .iter()
        .filter(|it| !it.measures().is_empty())
        .collect();
    if with.is_empty() {
        return;
    }
    let headers = with.iter().map(|it| it.name());
    let mut table = Table::new("What the quickstart measured.")
        .headers(std::iter::once("Measure").chain(headers));
    let all: BTreeSet<&String> = with.iter().flat_map(|it| it.measures().keys()).collect();
    for measure in all {
        let values = with.iter().map(|it| {
            let value = it.measures().get(measure);
            value.map_or_else(|| NONE.to_owned(), |it| number(*it))
        });
        table = table.row(std::iter::once(measure.clone()).chain(values));
    }
    report.section("Measures").table(table.note(
        "Shares are between 0 and 1. The quickstart's own report.html has their standard errors.",
    ));
}
