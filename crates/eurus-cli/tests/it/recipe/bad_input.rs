//! Recipes that cannot be run as they are: one message with the place and the remedy, an exit code, and nothing lost.

use std::fs;

use anyhow::{Result, ensure};
use eurus::recipes::Recipe;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use test_support::count;

use super::run::{files, small};
use crate::common::{Workplace, ensure_says};

#[test]
fn a_recipe_that_cannot_be_run_is_refused_before_its_first_step() -> Result<()> {
    let place = Workplace::new()?;
    for (given, says) in [
        (
            "recipe run smal-eurus",
            &["did you mean `small-eurus`?"][..],
        ),
        (
            "recipe run small-eurus --set sft.lerning_rate=1",
            &["did you mean `sft.learning_rate`?"],
        ),
        (
            "recipe run small-eurus --set practice.problem=3",
            &["did you mean `practice.problems`?"],
        ),
        ("recipe run no.toml", &["no.toml", "cannot be read"]),
        (
            "recipe run eurus-7b-sft",
            &[
                "cannot be run, since this is missing",
                "data/ultrachat/*",
                "stingning/ultrachat",
                "benchmarks (step",
            ],
        ),
        (
            "recipe check eurus-7b-sft --set model.shape.heads=0",
            &["model.shape.heads", "must be 1 to"],
        ),
    ] {
        let output = place.run(given)?;
        let message = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{given}: {message}");
        ensure_says(&message, says)?;
        ensure!(message.matches("error: ").count() == 1, "{message}");
        ensure!(!place.path("runs").exists(), "{given}");
    }
    fs::write(place.path("file"), "")?;
    ensure_says(
        &place.refusal(&format!("{} --out file", small()))?,
        &["file", "cannot write there", "--out"],
    )
}

#[test]
fn what_no_recipe_made_and_records_of_another_format_stay_as_they_are() -> Result<()> {
    let place = Workplace::new()?;
    fs::create_dir_all(place.path("runs/practice/files"))?;
    fs::write(place.path("runs/practice/files/mine"), "mine")?;
    ensure_says(
        &place.refusal(&small())?,
        &["runs/practice/files", "no recipe made it", "move it away"],
    )?;
    ensure!(fs::read_to_string(place.path("runs/practice/files/mine"))? == "mine");
    fs::remove_dir_all(place.path("runs"))?;

    place.succeed(&small())?;
    let record = place.path("runs/sft/model.step.json");
    for broken in ["{\"format\": 9, \"program\": \"7.0.0\"}", "{", "", "[]"] {
        fs::write(&record, broken)?;
        let before = files(&place, "runs")?;
        ensure_says(
            &place.refusal(&small())?,
            &["runs/sft/model.step.json", "give another folder"],
        )?;
        ensure!(files(&place, "runs")? == before);
    }
    Ok(())
}

#[test]
fn a_step_that_fails_ends_the_run_with_its_exit_code_and_the_command_that_goes_on() -> Result<()> {
    let place = Workplace::new()?;
    fs::create_dir(place.path("data"))?;
    fs::write(place.path("data/mine.jsonl"), "no json\n")?;
    let recipe = "name = \"mine\"\n[model]\nbase = \"model\"\n[data.sft]\nto = \"trl-messages\"\n\
                  [data.sft.sources.mine]\nfiles = \"mine.jsonl\"\n[sft]\nlearning_rate = 1e-3\n";
    fs::write(place.path("mine.toml"), recipe)?;
    let output = place.run("recipe run mine.toml")?;
    let message = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1), "{message}");
    ensure_says(
        &message,
        &[
            "mine.jsonl",
            "step sft/data ended with exit code 1",
            "recipe run mine.toml",
        ],
    )?;
    fs::copy(place.path("sft.jsonl"), place.path("data/mine.jsonl"))?;
    place.succeed("recipe run mine.toml")?;
    // A value that its command refuses.
    let output = place.run("recipe run mine.toml --set sft.warmup_ratio=7")?;
    let message = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(2), "{message}");
    ensure_says(&message, &["ended with exit code 2"])
}

/// A recipe with some of its characters and lines changed.
fn broken(text: &str, rng: &mut ChaCha8Rng) -> String {
    const BITS: [&str; 12] = [
        "\"",
        "[",
        "]",
        "=",
        "\n",
        ".",
        "nan",
        "-1",
        "99999999999",
        "0",
        "é",
        "[sft]\n",
    ];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..lines.len());
        match rng.random_range(0..4) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at].clone()),
            2 => {
                let characters: Vec<char> = lines[at].chars().collect();
                let cut = rng.random_range(0..=characters.len());
                let bit = BITS.choose(rng).copied().unwrap_or_default();
                lines[at] = characters[..cut].iter().collect::<String>()
                    + bit
                    + &characters[cut..].iter().collect::<String>();
            }
            _ => {
                let digits = lines[at].replace(|c: char| c.is_ascii_digit(), "0");
                lines[at] = digits;
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\n")
}

#[test]
fn mutated_recipes_are_checked_and_refused_to_run_without_a_panic() -> Result<()> {
    let place = Workplace::new()?;
    let mut texts = Vec::new();
    for name in [
        "eurus-7b-kto",
        "eurus-70b-sft",
        "eurus-rm-7b",
        "eurus-7b-dpo-small",
    ] {
        texts.push(Recipe::built_in(name)?.resolved());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    for number in 0..count("EURUS_MUTATIONS", 40) {
        let text = texts
            .choose(&mut rng)
            .map(|text| broken(text, &mut rng.clone()))
            .unwrap_or_default();
        let _ = rng.random_range(0..9);
        fs::write(place.path("broken.toml"), &text)?;
        for command in ["check", "run"] {
            // Where data are missing nothing is begun, and what is practiced with is not made here.
            if command == "run" && text.contains("[practice]") {
                continue;
            }
            let output = place.run(&format!("recipe {command} broken.toml"))?;
            let message = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            ensure!(
                matches!(code, Some(0..=2)),
                "{number} {command}: {code:?} {message}\n{text}"
            );
            ensure!(
                !message.contains("panicked"),
                "{number} {command}: {message}\n{text}"
            );
            ensure!(
                (code == Some(0)) == message.is_empty() || !message.is_empty(),
                "{number}: {message}"
            );
        }
    }
    ensure!(!place.path("runs").exists(), "nothing was begun");
    Ok(())
}
