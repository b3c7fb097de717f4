//! `eurus recipe run`: what is done is skipped, what has changed is done again, and nothing is lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::common::{Workplace, ensure_says, events};

/// `small-eurus` in seconds.
pub const SIZES: &str = "--set practice.problems=24 --set practice.held_out=2 --set practice.hidden_size=32 \
     --set practice.heads=2 --set practice.vocabulary=400 --set practice.context=400 --set sft.epochs=1 \
     --set sft.trees_per_step=4 --set sft.snapshot_every=2 --set sft.max_path_tokens=400 \
     --set data.preference.sources.ultrainteract.take=24 --set preference.trees_per_step=4 \
     --set preference.snapshot_every=2 --set preference.max_path_tokens=400 \
     --set data.reward.sources.ultrainteract.take=24 --set data.reward.sources.augmented.take=8 --set reward.epochs=1 \
     --set reward.trees_per_step=4 --set reward.snapshot_every=2 --set reward.max_path_tokens=400";

/// The command that walks it, into `runs`.
pub fn small() -> String {
    format!("recipe run small-eurus {SIZES}")
}

/// All files of a run by their paths, with what time and chance do not change.
pub fn files(place: &Workplace, folder: &str) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    walk(&place.path(folder), "", &mut found)?;
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .context("a name")?
            .to_string_lossy()
            .into_owned();
        let key = format!("{prefix}{name}");
        match path.is_dir() {
            true => walk(&path, &format!("{key}/"), found)?,
            false => {
                let content = lasting(&path, &name)?;
                found.insert(key, content);
            }
        }
    }
    Ok(())
}

/// What a file says beside times, speeds and how often it was gone on with.
fn lasting(path: &Path, name: &str) -> Result<Vec<u8>> {
    Ok(match name {
        "metrics.jsonl" => {
            let mut steps = events(path)?;
            steps.retain(|event| event["grad_norm"].is_number());
            let numbers = steps
                .iter()
                .map(|step| format!("{} {}\n", step["loss"], step["grad_norm"]));
            numbers.collect::<String>().into_bytes()
        }
        // The last has digests of the others.
        "run.json" | "times.jsonl" | "summary.json" | "report.html" | "report.html.step.json" => {
            Vec::new()
        }
        _ => fs::read(path)?,
    })
}

/// Checks that two runs have the same files.
pub fn ensure_same(
    one: &BTreeMap<String, Vec<u8>>,
    other: &BTreeMap<String, Vec<u8>>,
) -> Result<()> {
    let alone = |these: &BTreeMap<String, Vec<u8>>, those: &BTreeMap<String, Vec<u8>>| {
        let names = these.keys().filter(|name| !those.contains_key(*name));
        names.cloned().collect::<Vec<_>>()
    };
    let (missing, new) = (alone(one, other), alone(other, one));
    ensure!(
        missing.is_empty() && new.is_empty(),
        "missing {missing:?}, new {new:?}"
    );
    let different: Vec<&String> = one
        .keys()
        .filter(|name| one[*name] != other[*name])
        .collect();
    ensure!(different.is_empty(), "{different:?}");
    Ok(())
}

#[test]
fn a_recipe_runs_whole_without_a_file_of_the_user_and_is_skipped_the_second_time() -> Result<()> {
    let place = Workplace::new()?;
    let done = place.succeed(&small())?;
    ensure_says(
        &done,
        &[
            "small-eurus: all 11 steps are done",
            "reward/model  runs/reward/model",
        ],
    )?;
    for result in ["sft/model", "preference/model", "reward/model"] {
        ensure!(
            place
                .path("runs")
                .join(result)
                .join("model.safetensors")
                .is_file()
        );
        let recipe = fs::read_to_string(place.path("runs").join(format!("{result}.recipe.toml")))?;
        ensure_says(
            &recipe,
            &[
                "name = \"small-eurus\"",
                "problems = 24  # ours: overridden",
            ],
        )?;
    }
    let judged: Value = serde_json::from_slice(&fs::read(place.path("runs/eval/rm-pairs.json"))?)?;
    ensure!(judged["overall"]["accuracy"]["n"] == 2, "{judged}");
    ensure!(place.path("runs/eval/gsm8k/summary.json").is_file());

    let before = files(&place, "runs")?;
    let said = place.told(&small().replace("recipe run", "recipe run --out ./runs/"))?;
    ensure!(said.matches("nothing has changed").count() == 11, "{said}");
    ensure_same(&before, &files(&place, "runs")?)?;
    // The recipe beside a result is one that can be run: then nothing has changed either.
    let said = place.told("recipe run runs/sft/model.recipe.toml")?;
    ensure!(said.matches("nothing has changed").count() == 11, "{said}");
    Ok(())
}

#[test]
fn what_has_changed_is_run_again_with_what_depends_on_it_and_the_reason_is_said() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&small())?;
    let first = fs::read(place.path("runs/preference/model/model.safetensors"))?;

    let said = place.told(&format!("{} --set preference.beta=0.3", small()))?;
    ensure_says(
        &said,
        &[
            "sft/model: nothing has changed",
            "preference/model: runs again: `--beta 0.3` instead of `--beta 0.1`",
            "preference/model: what was there is runs/preference/model.before-1 now",
            "reward/model: nothing has changed",
            "eval/gsm8k: runs again: the result of preference/model changed",
        ],
    )?;
    let aside = place.path("runs/preference/model.before-1/model.safetensors");
    ensure!(fs::read(aside)? == first, "what was made before is kept");

    fs::remove_file(place.path("runs/sft/data.jsonl"))?;
    let said = place.told(&format!("{} --set preference.beta=0.3", small()))?;
    ensure_says(
        &said,
        &[
            "sft/data: runs again: its result is gone",
            "sft/model: nothing has changed",
        ],
    )?;

    let record = place.path("runs/sft/model.step.json");
    let text = fs::read_to_string(&record)?;
    let version = format!("\"program\": \"{}\"", env!("CARGO_PKG_VERSION"));
    ensure!(text.contains(&version), "{text}");
    fs::write(&record, text.replace(&version, "\"program\": \"0.0.1\""))?;
    let said = place.told(&format!("{} --set preference.beta=0.3", small()))?;
    ensure_says(
        &said,
        &[
            "sft/model: runs again: it was made by version 0.0.1",
            // The same weights again, so that nothing after it need be.
            "preference/model: nothing has changed",
        ],
    )
}

#[test]
fn a_recipe_of_ones_own_runs_on_files_of_ones_own() -> Result<()> {
    let place = Workplace::new()?;
    fs::create_dir(place.path("data"))?;
    fs::copy(place.path("sft.jsonl"), place.path("data/mine.jsonl"))?;
    let recipe = "name = \"mine\"\n[model]\nbase = \"model\"\n[data.sft]\nto = \"trl-messages\"\n\
                  [data.sft.sources.mine]\nfiles = \"mine.jsonl\"\n[sft]\nlearning_rate = 1e-3\ntrees_per_step = 3\n";
    fs::write(place.path("mine.toml"), recipe)?;
    place.succeed("recipe run mine.toml --out out")?;
    ensure!(place.path("out/sft/model/model.safetensors").is_file());
    // Another row is other data.
    let mut rows = fs::read_to_string(place.path("data/mine.jsonl"))?;
    rows.push_str("{\"instruction\": \"What is 1 + 1?\", \"response\": \"2\"}\n");
    fs::write(place.path("data/mine.jsonl"), rows)?;
    let said = place.told("recipe run mine.toml --out out")?;
    ensure_says(
        &said,
        &[
            "sft/data: runs again: data/mine.jsonl changed",
            "sft/model: runs again: the result of sft/data changed",
        ],
    )
}
