//! Trees in the shape of UltraInteract, drawn by a generator that also says what they cost: training plans the same tokens,
//! and its forests are full. Without the generator (see `test_support::folders`) the tests say so and pass.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use eurus_tests::workload;
use eurus_train::{TrainingConfig, plan};
use serde_json::Value;
use test_support::folders;
use token_forest::{TrainingTree, pack, utilization};

/// Trees drawn with these options, and what the generator says of them.
fn drawn(generator: &Path, options: &str) -> Result<(Vec<TrainingTree>, Value)> {
    let folder = tempfile::tempdir()?;
    let output = Command::new("python3")
        .arg(generator.join("gen_workload.py"))
        .args(options.split_whitespace())
        .args(["--no-text", "--out"])
        .arg(folder.path())
        .output()
        .context("python3")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    let trees = workload::read(folder.path())?;
    let stats = std::fs::read_to_string(folder.path().join("stats.json"))?;
    Ok((trees, serde_json::from_str(&stats)?))
}

#[test]
fn planned_tokens_are_those_that_the_generator_predicts() -> Result<()> {
    let Some(generator) = folders::bench() else {
        return Ok(());
    };
    for options in [
        "--part multiturn --trees 12 --seed 182 --scale-tokens 0.125",
        "--part multiturn --trees 12 --seed 182 --scale-tokens 0.25",
        "--part all --trees 18 --seed 293 --scale-tokens 0.125",
    ] {
        let (trees, stats) = drawn(&generator, options)?;
        let settings = TrainingConfig::default();
        let (mut unique, mut naive) = (0, 0);
        for step in plan::steps(&trees, &settings)? {
            let step = step?;
            unique += step.unique_tokens();
            naive += step.naive_tokens;
        }
        let tokens = &stats["costs"]["whole mixture"]["tokens"];
        for (what, planned, predicted) in [
            ("unique", unique, &tokens["c"]),
            ("naive", naive, &tokens["a"]),
        ] {
            let predicted = predicted.as_f64().context("a count")?;
            let error = (planned as f64 - predicted).abs() / predicted;
            ensure!(
                error < 0.01,
                "{options}: {planned} {what} tokens, {predicted} predicted"
            );
        }
    }
    Ok(())
}

#[test]
fn forests_are_at_least_95_percent_full() -> Result<()> {
    let Some(generator) = folders::bench() else {
        return Ok(());
    };
    let (trees, _) = drawn(&generator, "--part all --trees 400 --seed 11")?;
    let budget = 8192;

    let mut pieces = Vec::new();
    for tree in &trees {
        let parts = tree.tree().split(budget, &[])?;
        pieces.extend(parts.into_iter().map(|piece| piece.subtree.tree));
    }
    let at_once = utilization(&pieces, &pack(&pieces, budget)?, budget);
    ensure!(at_once >= 0.95, "{at_once} packed at once");

    let settings = TrainingConfig {
        token_budget: budget,
        max_path_tokens: budget,
        forests_per_step: Some(4),
        ..TrainingConfig::default()
    };
    let (mut tokens, mut forests) = (0, 0);
    for step in plan::steps(&trees, &settings)? {
        let step = step?;
        tokens += step.unique_tokens();
        forests += step.forests.len();
    }
    let in_steps = tokens as f64 / (forests * budget) as f64;
    ensure!(in_steps >= 0.95, "{in_steps} in steps of four forests");
    Ok(())
}
