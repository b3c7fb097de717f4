//! Rewards of turns against their verdicts.

use std::path::Path;

use eurus_eval::analyses::process_rewards::{
    ProcessRewardReport, Separation, comparison_table, response_table, turn_table,
};
use eurus_eval::report::{Dot, DotPlot, Report};

use crate::runs::{ProcessReward, Runs};

/// What one command said of some rewards, with the name of its file.
type File<'a> = (&'a str, &'a [ProcessReward]);

pub(super) fn add(report: &mut Report, runs: &Runs) {
    let folders = runs.folders().iter();
    let files: Vec<File<'_>> = folders
        .map(|it| (it.name(), it.process_rewards()))
        .filter(|(_, rewards)| !rewards.is_empty())
        .collect();
    if files.is_empty() {
        return;
    }
    let several = files.len() > 1;
    let (mut turns, mut responses) = (Vec::new(), Vec::new());
    let mut style = 0;
    for (file, rewards) in &files {
        let of_file = |what: String| match several {
            true => format!("{file}: {what}"),
            false => what,
        };
        for reward in *rewards {
            let name = of_file(named(reward));
            turns.extend(area(name.clone(), &reward.report.reward, style));
            for it in &reward.report.responses {
                let name = format!("{name}, {}", it.aggregation);
                responses.extend(area(name, &it.separation, style));
            }
            style += 1;
        }
        // What is known without any reward: it is the same for all rewards of the same trees.
        if let Some(first) = rewards.first() {
            if let Some(length) = &first.report.length_only {
                let name = of_file("Length alone".to_owned());
                turns.extend(area(name, length, style));
            }
            let name = of_file("Fewer turns alone".to_owned());
            responses.extend(area(name, &first.report.fewer_turns, style));
            style += 1;
        }
    }
    report.section("Rewards of turns");
    let plot = |caption: &str, dots| DotPlot {
        caption: caption.to_owned(),
        label: "AUC".to_owned(),
        dots,
    };
    report.dots(plot(
        "Rewards of turns against their verdicts: the chance that a right turn has a higher one than a wrong turn, with its 95 % \
         bootstrap interval over trees. One half is chance.",
        turns,
    ));
    report.dots(plot(
        "Rewards of whole responses, made of those of their turns, against the last verdict, with 95 % bootstrap intervals over \
         trees. One half is chance.",
        responses,
    ));
    for file in &files {
        add_tables(report, file);
    }
}

/// The stem of the file with the scores, and which of them.
fn named(reward: &ProcessReward) -> String {
    let stem = Path::new(&reward.file).file_stem();
    let stem = stem.unwrap_or_default().to_string_lossy();
    format!("{stem} ({})", reward.field)
}

fn area(name: String, separation: &Separation, style: usize) -> Option<Dot> {
    Some(Dot {
        name,
        value: separation.auc?,
        interval: separation.interval.map(|it| (it.low, it.high)),
        style,
    })
}

fn add_tables(report: &mut Report, (file, rewards): &File<'_>) {
    let named: Vec<(String, &ProcessRewardReport)> =
        rewards.iter().map(|it| (named(it), &it.report)).collect();
    let all = || named.iter().map(|(name, report)| (name.as_str(), *report));
    let caption = |what: &str| format!("{file}: {what}");
    let mut turns = comparison_table(caption("rewards of turns against their verdicts."), all());
    for it in rewards.iter().filter(|it| it.not_scored > 0) {
        turns = turns.note(format!(
            "{}: {} turns were too long to score and are left out.",
            it.file, it.not_scored
        ));
    }
    report
        .table(turns)
        .table(turn_table(caption("by turn."), all()))
        .table(response_table(
            caption("as rewards of whole responses, against the last verdict."),
            all(),
        ));
}
