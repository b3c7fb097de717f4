//! What makes a run the run that it is: what is kept of it, and what it goes on with.

use std::fs;

use crate::common::{Workplace, ensure_says, events};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm dpo --trees-per-step 1 \
                      --learning-rate 1e-3";

fn steps(place: &Workplace, out: &str) -> Result<Vec<Value>> {
    let mut steps = events(&place.path(out).join("metrics.jsonl"))?;
    steps.retain(|event| event["grad_norm"].is_number());
    Ok(steps)
}

#[test]
fn other_adapters_are_refused_before_rows_are_read_each_with_both_values() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --out out --snapshot-every 3");
    let adapters = "--lora-rank 4 --lora-alpha 8";
    place.succeed(&format!("{run} {adapters}"))?;
    for (other, differences) in [
        (
            "--lora-rank 4 --lora-alpha 64",
            &["adapters.alpha was 8.0 and is 64.0"][..],
        ),
        (
            "--lora-rank 4 --lora-alpha 8 --lora-dropout 0.1",
            &["adapters.dropout was 0.0 and is 0.1"],
        ),
        (
            "--lora-rank 2 --lora-alpha 8 --seed 3",
            &["adapters.rank was 4 and is 2", "seed was 0 and is 3"],
        ),
        (
            "--lora-rank 4 --lora-alpha 8 --lora-targets q_proj",
            &["adapters.targets was [\"q_proj\",", "and is [\"q_proj\"]"],
        ),
        ("", &["adapters was {", "and is null"]),
    ] {
        let message = place.refusal(&format!("{run} --overwrite {other} --resume"))?;
        ensure_says(&message, &["out.snapshots/step-00000006 is of another run"])?;
        ensure_says(&message, differences)?;
        ensure!(!message.contains("trees, "), "rows were read:\n{message}");
    }
    place.succeed(&format!("{run} --overwrite {adapters} --resume"))?;
    Ok(())
}

#[test]
fn every_setting_that_changes_the_numbers_is_told_before_rows_are_read() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --out out --lora-rank 2 --snapshot-every 3");
    place.succeed(&run)?;
    for (other, difference) in [
        ("--precision bf16", r#"precision was "full" and is "bf16""#),
        (
            "--optimizer adafactor",
            r#"optimizer was "adamw" and is "adafactor""#,
        ),
        ("--adam-beta1 0.8", "beta_1 was 0.9 and is 0.8"),
        ("--adam-beta2 0.95", "beta_2 was 0.999 and is 0.95"),
        ("--weight-decay 0.1", "weight_decay was 0.0 and is 0.1"),
        ("--max-grad-norm 0.5", "max_grad_norm was 1.0 and is 0.5"),
        ("--beta 0.2", "beta was 0.1 and is 0.2"),
        (
            "--modules-to-save embed_tokens",
            r#"adapters.modules_to_save was [] and is ["embed_tokens"]"#,
        ),
    ] {
        let message = place.refusal(&format!("{run} --overwrite {other} --resume"))?;
        ensure_says(
            &message,
            &["out.snapshots/step-00000006 is of another run", difference],
        )?;
        ensure!(!message.contains("rows read"), "{message}");
    }
    Ok(())
}

#[test]
fn another_reference_is_refused_by_its_hash() -> Result<()> {
    let place = Workplace::new()?;
    for (name, rate) in [("one", "1e-2"), ("other", "2e-2")] {
        place.succeed(&format!(
            "sft --model model --data sft.jsonl --learning-rate {rate} --out {name}"
        ))?;
    }
    let run = format!("{PREFER} --out out --snapshot-every 3");
    place.succeed(&format!("{run} --reference one"))?;
    for (reference, difference) in [
        (
            "--reference other",
            "reference_files.model.safetensors was \"",
        ),
        ("", "reference_files was {"),
    ] {
        let message = place.refusal(&format!("{run} {reference} --overwrite --resume"))?;
        ensure_says(&message, &[difference])?;
        ensure!(!message.contains("rows read"), "{message}");
    }
    place.succeed(&format!("{run} --reference one --overwrite --resume"))?;
    Ok(())
}

#[test]
fn another_model_is_refused_by_its_hash() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed("sft --model model --data sft.jsonl --learning-rate 1e-2 --out other")?;
    let run = "reward --data pairs.jsonl --trees-per-step 1 --out out --snapshot-every 3";
    place.succeed(&format!("{run} --model model"))?;
    let message = place.refusal(&format!("{run} --model other --overwrite --resume"))?;
    ensure_says(
        &message,
        &["weight_files.model.safetensors was \"", "\" and is \""],
    )?;
    // Its place does not matter.
    fs::rename(place.path("model"), place.path("moved"))?;
    place.succeed(&format!("{run} --model moved --overwrite --resume"))?;
    Ok(())
}

/// A template that tells the day.
const DATED: &str = "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}<|im_start|>{{ m.role }}\n\
                     {{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}\
                     <|im_start|>assistant\n{% endif %}";

/// What a command writes to standard error at a place that is a day behind or ahead.
fn on_day(place: &Workplace, zone: &str, arguments: &str) -> Result<String> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let output = place.command(&words).env("TZ", zone).output()?;
    let message = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{arguments}: {message}");
    Ok(message)
}

/// At every moment these two have another date; no data base of time zones is needed to know them.
const ZONES: [&str; 2] = ["<-12>12", "<+14>-14"];

#[test]
fn a_run_goes_on_another_day_with_the_date_that_it_began_with() -> Result<()> {
    let place = Workplace::new()?;
    fs::write(place.path("dated.jinja"), DATED)?;
    let run = format!("{PREFER} --chat-template dated.jinja --snapshot-every 2");
    on_day(&place, ZONES[0], &format!("{run} --out whole"))?;
    on_day(&place, ZONES[1], &format!("{run} --out other"))?;
    ensure!(
        steps(&place, "whole")? != steps(&place, "other")?,
        "the date is in the prompt"
    );

    on_day(&place, ZONES[0], &format!("{run} --out out"))?;
    for step in [4, 6] {
        fs::remove_dir_all(place.path(&format!("out.snapshots/step-{step:08}")))
            .with_context(|| format!("step {step}"))?;
    }
    // As if the run had been killed before its second snapshot.
    fs::rename(place.path("whole.snapshots"), place.path("unused"))?;
    let folder = place.path("out.snapshots");
    ensure!(!folder.join("step-00000002").exists(), "two are kept");
    let log_probs = fs::read(folder.join("reference.jsonl"))?;
    let told = on_day(
        &place,
        ZONES[1],
        &format!("{run} --out out --overwrite --resume"),
    )?;
    ensure_says(
        &told,
        &["the clock of the chat template stands at the time at which the run began"],
    )?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    ensure!(
        fs::read(folder.join("reference.jsonl"))? == log_probs,
        "computed again"
    );

    // From a snapshot too.
    fs::remove_dir_all(folder.join("step-00000006"))?;
    fs::remove_file(folder.join("run.json"))?;
    let told = on_day(
        &place,
        ZONES[1],
        &format!("{run} --out out --overwrite --resume"),
    )?;
    ensure_says(&told, &["going on after step 4"])?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    Ok(())
}

#[test]
fn other_rows_are_told_before_the_reference_pass() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --out out --snapshot-every 3");
    place.succeed(&run)?;
    fs::remove_file(place.path("out.snapshots/reference.jsonl"))?;
    let mut rows = crate::common::pair_rows();
    rows.truncate(10);
    place.write_rows("fewer.jsonl", &rows)?;
    let other = run.replace("pairs.jsonl", "fewer.jsonl");
    let message = place.refusal(&format!("{other} --overwrite --resume"))?;
    ensure_says(&message, &["the examples or their order are others"])?;
    ensure!(!message.contains("reference log-probs"), "{message}");
    Ok(())
}

#[test]
fn what_a_result_was_made_with_lies_beside_it() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!(
        "{PREFER} --beta 0.3 --seed 5 --lora-rank 2 --eval pairs.jsonl --out out"
    ))?;
    let run: Value = serde_json::from_slice(&fs::read(place.path("out/run.json"))?)?;
    let identity = &run["identity"];
    ensure!(identity["settings"]["seed"] == 5, "{run:#}");
    ensure!(identity["settings"]["weight_decay"] == 0.0, "{run:#}");
    ensure!(
        identity["objective"]["loss"]["beta"] == 0.3
            || identity["objective"].to_string().contains("0.3"),
        "{run:#}"
    );
    ensure!(identity["details"]["adapters"]["rank"] == 2, "{run:#}");
    ensure!(
        run["options"]["beta"] == "0.3" && run["options"]["eval_every"] == "100",
        "{run:#}"
    );
    ensure!(
        run["program"]["version"] == env!("CARGO_PKG_VERSION"),
        "{run:#}"
    );
    let digest = |name: &str| {
        let digest = eurus::train::digest::of_file(&place.path(name))?;
        Ok::<_, anyhow::Error>(json!(digest))
    };
    ensure!(
        run["data"]["pairs.jsonl"] == digest("pairs.jsonl")?,
        "{run:#}"
    );
    let weights = &identity["details"]["weight_files"]["model.safetensors"];
    ensure!(*weights == digest("model/model.safetensors")?, "{run:#}");
    ensure!(
        identity["examples"]
            .as_str()
            .is_some_and(|it| it.len() == 64),
        "{run:#}"
    );
    ensure!(
        run["command"]
            .as_array()
            .is_some_and(|it| it.contains(&json!("--beta"))),
        "{run:#}"
    );
    Ok(())
}

#[test]
fn a_finished_run_is_extended_to_more_epochs() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --decay constant --warmup-ratio 0 --snapshot-every 100");
    place.succeed(&format!("{run} --epochs 1 --out out"))?;
    let message = place.refusal(&format!("{run} --epochs 3 --out out --overwrite --resume"))?;
    ensure_says(&message, &["epochs was 1 and is 3", "extend"])?;
    let told = place.told(&format!("{run} --epochs 3 --out out --overwrite --extend"))?;
    ensure_says(&told, &["going on after step 6"])?;
    place.succeed(&format!("{run} --epochs 3 --out whole"))?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    let without_length = |out: &str| -> Result<Vec<Value>> {
        let mut steps = steps(&place, out)?;
        for step in &mut steps {
            step.as_object_mut().context("an object")?.remove("steps");
        }
        Ok(steps)
    };
    ensure!(without_length("out")? == without_length("whole")?);
    // There must be something to extend.
    let message = place.refusal(&format!("{run} --epochs 3 --out new --extend"))?;
    ensure_says(
        &message,
        &["new.snapshots: there is no whole snapshot of a run to extend"],
    )
}
