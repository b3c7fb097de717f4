//! Runs that are judged as they go, whose reference log-probs are kept, and that compute activations again.

use std::fs;

use crate::common::{Workplace, events};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm dpo --trees-per-step 1 \
                      --learning-rate 1e-2 --epochs 2";

fn evaluations(place: &Workplace, out: &str) -> Result<Vec<Value>> {
    let events = events(&place.path(out).join("metrics.jsonl"))?;
    Ok(events
        .into_iter()
        .filter(|event| event["event"] == "evaluated")
        .collect())
}

#[test]
fn a_judged_run_reports_held_out_numbers_and_answers_and_trains_as_without() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{PREFER} --out alone"))?;
    place.succeed(&format!(
        "{PREFER} --out judged --eval pairs.jsonl --eval-every 1 --eval-samples 2 --eval-max-tokens 5"
    ))?;
    let weights = |out: &str| fs::read(place.path(out).join("model.safetensors"));
    ensure!(weights("alone")? == weights("judged")?);

    let evaluations = evaluations(&place, "judged")?;
    ensure!(evaluations.len() > 2);
    let first = &evaluations[0];
    ensure!(first["step"] == 0);
    let metrics = &first["judgement"]["metrics"];
    let loss = metrics["loss"].as_f64().context("a loss")?;
    ensure!((loss - std::f64::consts::LN_2).abs() < 1e-3, "{first}");
    let tokens = metrics["mean_tokens"].as_f64().context("a length")?;
    ensure!((0.0..=5.0).contains(&tokens), "{first}");
    let samples = first["judgement"]["samples"].as_array();
    ensure!(samples.context("answers")?.len() == 2, "{first}");
    Ok(())
}

#[test]
fn the_best_weights_are_written_if_they_are_kept() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --eval pairs.jsonl --eval-every 1 --keep-best");
    place.succeed(&format!("{run} --out best"))?;
    let evaluations = evaluations(&place, "best")?;
    let best = evaluations
        .iter()
        .rfind(|event| event["best"] == true)
        .context("a best one")?;
    let step = best["step"].as_u64().context("a step")?;
    ensure!(step > 0, "training made nothing better");
    place.succeed(&format!("{PREFER} --out last"))?;
    let weights = |out: &str| fs::read(place.path(out).join("model.safetensors"));
    let is_last = evaluations.last() == Some(best);
    ensure!(
        (weights("best")? == weights("last")?) == is_last,
        "best after step {step}"
    );
    Ok(())
}

#[test]
fn a_run_whose_evaluations_get_no_better_ends_with_its_best_weights() -> Result<()> {
    let place = Workplace::new()?;
    // What is preferred is the other way round there, so every step makes it worse.
    let mut rows = crate::common::pair_rows();
    for row in &mut rows {
        let (chosen, rejected) = (row["chosen"].take(), row["rejected"].take());
        (row["chosen"], row["rejected"]) = (rejected, chosen);
    }
    place.write_rows("opposite.jsonl", &rows)?;
    let run = format!("{PREFER} --eval opposite.jsonl --eval-every 1 --keep-best");
    let told = place.told(&format!("{run} --patience 3 --out out"))?;
    ensure!(
        told.contains(
            "the run ends after step 3 of 12: its evaluations get no better (--patience)"
        ),
        "{told}"
    );
    ensure!(place.losses_of("out")?.len() == 3);
    // The best weights are those before the first step.
    let weights = |folder: &str| fs::read(place.path(folder).join("model.safetensors"));
    ensure!(weights("out")? == weights("model")?);
    // What counts is kept in snapshots.
    let kept = format!("{run} --patience 3 --out kept --snapshot-every 1 --snapshots-keep 9");
    place.succeed(&kept)?;
    fs::remove_dir_all(place.path("kept.snapshots/step-00000003"))?;
    let told = place.told(&format!("{kept} --overwrite --resume"))?;
    ensure!(told.contains("going on after step 2"), "{told}");
    ensure!(told.contains("the run ends after step 3 of 12"), "{told}");
    ensure!(weights("kept")? == weights("model")?);
    let refused = place.run(&format!("{PREFER} --patience 3 --out again"))?;
    ensure!(
        refused.status.code() == Some(2),
        "--patience without --eval"
    );
    Ok(())
}

#[test]
fn reference_log_probs_are_kept_and_refused_for_another_tokenizer() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --reference-cache reference.jsonl");
    place.succeed(&format!("{run} --out first"))?;
    let kept = fs::read(place.path("reference.jsonl"))?;
    place.succeed(&format!("{run} --out second"))?;
    ensure!(fs::read(place.path("reference.jsonl"))? == kept);
    let weights = |out: &str| fs::read(place.path(out).join("model.safetensors"));
    ensure!(weights("first")? == weights("second")?);

    let template = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}\
                    {% if add_generation_prompt %}<|im_start|>assistant: {% endif %}";
    fs::write(place.path("other.jinja"), template)?;
    let error = place.refusal(&format!("{run} --out third --chat-template other.jinja"))?;
    ensure!(error.contains("reference.jsonl"), "{error}");
    ensure!(error.contains("chat template"), "{error}");
    Ok(())
}

#[test]
fn activations_computed_again_give_the_same_weights() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{PREFER} --out kept"))?;
    place.succeed(&format!("{PREFER} --out again --recompute-activations"))?;
    let weights = |out: &str| fs::read(place.path(out).join("model.safetensors"));
    ensure!(weights("kept")? == weights("again")?);
    Ok(())
}

#[test]
fn numbers_that_are_not_finite_are_one_warning_and_one_count_whatever_the_steps() -> Result<()> {
    let place = Workplace::new()?;
    let run = "sft --model model --data sft.jsonl --trees-per-step 1 --epochs 2 --learning-rate 1e30 --max-grad-norm 0";
    let told = place.told(&format!("{run} --on-not-finite skip --out out"))?;
    let events = events(&place.path("out/metrics.jsonl"))?;
    let skipped = events.iter().filter(|it| it["event"] == "not_finite");
    let skipped = skipped.count();
    ensure!(skipped > 5, "{skipped} steps of {events:?}");
    let lines: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .collect();
    ensure!(lines.len() == 2, "{lines:#?}");
    ensure!(
        lines[0].contains("is skipped: the gradient norm is NaN; the gradient of `model.embed_tokens.weight` and of "),
        "{}",
        lines[0]
    );
    let count = format!("warning: {skipped} of 12 steps had a loss or gradient that is not finite");
    ensure!(lines[1].starts_with(&count), "{}", lines[1]);

    let error = place.refusal(&format!("{run} --out stopped"))?;
    ensure!(
        error
            .lines()
            .filter(|line| line.contains("is not finite"))
            .count()
            == 1,
        "{error}"
    );
    ensure!(error.contains("lower the learning rate"), "{error}");
    Ok(())
}
