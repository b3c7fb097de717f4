//! `eurus eval list`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::common::{Workplace, ensure_says};

#[test]
fn all_tasks_of_the_paper_are_listed_with_their_data() -> Result<()> {
    let place = Workplace::new()?;
    let text = place.succeed("eval list")?;
    ensure_says(
        &text,
        &[
            "humaneval",
            "svamp",
            "SVAMP.json",
            "cot, pot",
            "14042",
            "mtbench",
        ],
    )?;
    let lines = place.succeed("eval list --json")?;
    let tasks = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Value>, _>>()?;
    ensure!(tasks.len() == 14);
    let svamp = tasks.iter().find(|task| task["name"] == "svamp");
    let svamp = &svamp.context("SVAMP")?["file"];
    ensure!(svamp["published"][0]["model"] == "Eurus-7B-SFT", "{svamp}");
    ensure!(svamp["settings"]["pot"]["decoding"]["max_tokens"] == 2048);
    Ok(())
}
