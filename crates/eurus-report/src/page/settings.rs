//! What the runs were made with, and where they differ.

use std::collections::BTreeSet;

use eurus_eval::Table;
use eurus_eval::report::Report;

use super::NONE;
use crate::runs::{Runs, Settings};

pub(super) fn add(report: &mut Report, runs: &Runs) {
    let known: Vec<(&str, &Settings)> = runs
        .folders()
        .iter()
        .filter_map(|it| Some((it.name(), it.settings()?)))
        .collect();
    let one = known.len() == 1;
    let caption = match known.len() {
        0 => return,
        1 => "What the run was made with.",
        _ => "Settings that differ.",
    };
    let headers = known.iter().map(|(name, _)| *name);
    let mut table = Table::new(caption).headers(std::iter::once("Setting").chain(headers));
    let names: BTreeSet<&String> = known.iter().flat_map(|(_, it)| it.options.keys()).collect();
    let options = names.into_iter().map(|name| {
        let values = known.iter().map(|(_, it)| it.options.get(name).cloned());
        (name.clone(), values.collect::<Vec<_>>())
    });
    // What the options name may have been found elsewhere.
    let found =
        |pick: fn(&Settings) -> Option<String>| known.iter().map(|(_, it)| pick(it)).collect();
    let stamps = [
        ("eurus".to_owned(), found(|it| it.version.clone())),
        (
            "model that was read".to_owned(),
            found(|it| it.model.clone()),
        ),
    ];
    let mut same = 0;
    for (name, values) in stamps.into_iter().chain(options) {
        let first = values.first();
        if !one && values.iter().all(|it| Some(it) == first) {
            same += 1;
            continue;
        }
        let cells = values
            .into_iter()
            .map(|it| it.unwrap_or_else(|| NONE.to_owned()));
        table = table.row(std::iter::once(name).chain(cells));
    }
    report.section("Settings");
    if table.rows.is_empty() {
        report.paragraph(format!("All {same} settings are the same in all of them."));
        return;
    }
    if same > 0 {
        table = table.note(format!(
            "{same} further settings are the same in all of them."
        ));
    }
    report.table(table);
}
