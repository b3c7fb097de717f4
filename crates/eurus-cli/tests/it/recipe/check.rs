//! `eurus recipe check`, where none of the data and no model is.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::common::{Workplace, ensure_says};

const PAPER: [&str; 12] = [
    "eurus-7b-sft",
    "eurus-7b-dpo",
    "eurus-7b-kto",
    "eurus-7b-nca",
    "eurus-70b-sft",
    "eurus-70b-kto",
    "eurus-70b-nca",
    "eurus-rm-7b",
    "eurus-rm-7b-without-ldr",
    "eurus-rm-7b-without-bt",
    "eurus-rm-7b-without-us",
    "eurus-rm-7b-without-uf-us",
];

fn checked(place: &Workplace, recipe: &str) -> Result<Value> {
    Ok(serde_json::from_str(
        &place.succeed(&format!("recipe check {recipe} --json"))?,
    )?)
}

fn stages(report: &Value) -> Result<Vec<Value>> {
    Ok(report["stages"].as_array().context("stages")?.clone())
}

#[test]
fn every_recipe_of_the_paper_is_checked_where_nothing_of_it_is() -> Result<()> {
    let place = Workplace::new()?;
    let listed = place.succeed("recipe list --json")?;
    for name in PAPER {
        ensure!(listed.contains(&format!("\"name\":\"{name}\"")), "{name}");
        let report = checked(&place, name)?;
        let training: Vec<Value> = stages(&report)?
            .into_iter()
            .filter(|it| it["steps"].is_number())
            .collect();
        ensure!(!training.is_empty());
        for stage in &training {
            let memory = &stage["memory"];
            let sum: u64 = ["weights", "moments", "gradients", "activations", "logits"]
                .iter()
                .filter_map(|item| memory[item].as_u64())
                .sum();
            ensure!(memory["total"] == sum, "{stage}");
            ensure!(
                stage["fits"].as_object().is_some_and(|it| it.len() == 5),
                "{stage}"
            );
            ensure!(stage["fits"]["GPU of 80 GB"] == false, "{stage}");
            let is_large = name.contains("70b");
            ensure!(stage["fits"]["GPU of 141 GB"] == !is_large, "{stage}");
            let why = stage["fits_nowhere"].as_str().unwrap_or_default();
            ensure!(
                why.is_empty() != is_large || why.contains("weights and gradients"),
                "{stage}"
            );
        }
        let missing = report["missing"].to_string();
        ensure_says(
            &missing,
            &[
                "data/ultrainteract-sft/*",
                "openbmb/UltraInteract_sft",
                "downloaded when it is needed",
            ],
        )?;
        let estimates = report["estimates"].to_string();
        ensure_says(
            &estimates,
            &["published_rows", "memory and time are estimates"],
        )?;
    }
    Ok(())
}

#[test]
fn a_twin_and_the_small_recipe_fit_anywhere_and_miss_nothing() -> Result<()> {
    let place = Workplace::new()?;
    for recipe in [
        "small-eurus",
        "eurus-7b-kto-small",
        "eurus-70b-sft --small",
        "eurus-rm-7b-small",
    ] {
        let report = checked(&place, recipe)?;
        ensure!(
            report["missing"] == Value::Array(Vec::new()),
            "{}",
            report["missing"]
        );
        for stage in stages(&report)? {
            let here = &stage["fits"]["this machine's CPU"];
            ensure!(*here == true || here.is_null(), "{stage}");
        }
    }
    Ok(())
}

#[test]
fn the_steps_that_are_checked_are_those_of_the_run() -> Result<()> {
    let place = Workplace::new()?;
    std::fs::create_dir(place.path("data"))?;
    std::fs::copy(place.path("sft.jsonl"), place.path("data/mine.jsonl"))?;
    let recipe = "name = \"mine\"\n[model]\nbase = \"model\"\n[data.sft]\nto = \"trl-messages\"\n\
                  [data.sft.sources.mine]\nfiles = \"mine.jsonl\"\npublished_rows = 6\ntokens_per_problem = 60\n\
                  [sft]\nlearning_rate = 1e-3\ntrees_per_step = 4\nepochs = 3\n";
    std::fs::write(place.path("mine.toml"), recipe)?;
    let report = checked(&place, "mine.toml")?;
    let stage = stages(&report)?[0].clone();
    let plan: Value = serde_json::from_str(&place.succeed(
        "plan sft --model model --data data/mine.jsonl --trees-per-step 4 --epochs 3 --json",
    )?)?;
    ensure!(stage["steps"] == plan["run"]["steps"], "{stage} {plan}");
    ensure!(stage["trees"] == plan["trees"], "{stage} {plan}");
    for item in ["parameters", "weights", "moments", "gradients"] {
        ensure!(
            stage["memory"][item] == plan["memory"][item],
            "{item}: {stage} {plan}"
        );
    }
    Ok(())
}

#[test]
fn what_is_unknown_is_said() -> Result<()> {
    let place = Workplace::new()?;
    let without_shape = "name = \"mine\"\n[model]\nbase = \"no/model\"\n[data.sft]\nto = \"trl-messages\"\n\
                         [data.sft.sources.mine]\nfiles = \"mine.jsonl\"\n[sft]\nlearning_rate = 1e-3\n";
    std::fs::write(place.path("mine.toml"), without_shape)?;
    ensure_says(
        &place.refusal("recipe check mine.toml")?,
        &[
            "the shape of the model `no/model` is unknown",
            "[model.shape]",
        ],
    )?;
    std::fs::write(
        place.path("mine.toml"),
        without_shape.replace("no/model", "model"),
    )?;
    ensure_says(
        &place.succeed("recipe check mine.toml")?,
        &[
            "how much source `mine` has is unknown",
            "data/mine.jsonl (step sft/data)",
            "memory",
        ],
    )
}
