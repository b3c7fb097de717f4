//! An option is spelled and takes the same everywhere. What of it differs on purpose stands, with the reason, beside the
//! commands (`an_option_is_the_same_everywhere` in the program's own tests looks at types and defaults, too).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use crate::leaves::{all, examples};

/// Options whose value has another name in some command, and why.
const DIFFERENT: [(&str, &str); 7] = [
    (
        "--data",
        "a benchmark has one file or folder, other commands any number of files",
    ),
    ("--field", "of the rows that the command reads"),
    ("--kind", "of pairs, or of what a store exports"),
    ("--out", "a folder for a model or a run, a file for rows"),
    (
        "--sandbox",
        "a level for programs of answers, or what synth.toml says",
    ),
    ("--scores", "one file is judged, several are compared"),
    ("--to", "every format, or pairs by default"),
];

/// The long options of a help, with the names of their values.
fn options(help: &str) -> Vec<(String, String)> {
    let (before, _) = help.rsplit_once("\nExample").unwrap_or((help, ""));
    let lines = before
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    let long = lines.filter_map(|line| line.split_once("--"));
    let options = long.map(|(_, rest)| {
        let rest = rest.split("  ").next().unwrap_or_default();
        let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
        (format!("--{name}"), value.to_owned())
    });
    // A line of prose may begin with the name of an option.
    options
        .filter(|(_, value)| value.is_empty() || value.starts_with('<'))
        .collect()
}

#[test]
fn every_command_shows_an_example_of_itself() -> Result<()> {
    for leaf in all(false)? {
        let words = format!("eurus {}", leaf.words.join(" "));
        let shown = examples(&leaf.help)?;
        ensure!(
            shown.iter().any(|it| it.contains(&words)),
            "{words}: {shown:?}"
        );
    }
    Ok(())
}

#[test]
fn an_option_takes_the_same_in_every_command() -> Result<()> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for leaf in all(false)? {
        let found = options(&leaf.help);
        ensure!(
            found.iter().any(|(name, _)| name == "--help"),
            "{:?}",
            leaf.words
        );
        for (name, value) in found {
            values.entry(name).or_default().insert(value);
        }
    }
    values.retain(|name, values| {
        values.len() > 1 && !DIFFERENT.iter().any(|(known, _)| known == name)
    });
    ensure!(values.is_empty(), "{values:#?}");
    Ok(())
}
