//! What fails or collides after the last step does not cost the model.

use std::fs;

use crate::common::{Workplace, at_steps, ensure_says, events};
use anyhow::{Context, Result, ensure};

const SFT: &str = "sft --model model --data sft.jsonl --epochs 40 --trees-per-step 2";

#[test]
fn a_result_folder_that_came_into_being_meanwhile_is_left_alone() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out whole"))?;
    for (number, kept) in ["out.kept", "out.kept-2"].into_iter().enumerate() {
        let run = at_steps(&place, &format!("{SFT} --out out"), "sft")?;
        fs::create_dir_all(place.path("out"))?;
        fs::write(place.path("out/mine.txt"), "mine")?;
        let (status, message) = run.end()?;
        ensure!(status == Some(1), "{number}: {status:?}: {message}");
        ensure_says(
            &message,
            &[
                &format!("error: the model is complete in {kept}, but: "),
                "it came into being while the run went on",
            ],
        )?;
        ensure!(fs::read_to_string(place.path("out/mine.txt"))? == "mine");
        ensure!(place.weights(kept)? == place.weights("whole")?);
        ensure!(place.path(kept).join("metrics.jsonl").is_file());
        fs::remove_dir_all(place.path("out"))?;
    }
    Ok(())
}

#[test]
fn a_metrics_file_that_cannot_be_written_at_the_end_costs_its_place_alone() -> Result<()> {
    let place = Workplace::new()?;
    fs::create_dir(place.path("logs"))?;
    let run = at_steps(
        &place,
        &format!("{SFT} --out out --metrics logs/run.jsonl"),
        "sft",
    )?;
    fs::remove_dir_all(place.path("logs"))?;
    let (status, message) = run.end()?;
    ensure!(status == Some(1), "{status:?}: {message}");
    ensure_says(
        &message,
        &["error: the model is complete in out, but: ", "logs"],
    )?;
    let steps = events(&place.path("out/metrics.jsonl"))?;
    ensure!(steps.len() == 120, "{} events", steps.len());
    place.weights("out")?;
    Ok(())
}

#[test]
fn a_model_folder_that_is_gone_at_the_end_costs_no_tokenizer() -> Result<()> {
    let place = Workplace::new()?;
    let run = at_steps(&place, &format!("{SFT} --out out"), "sft")?;
    fs::rename(place.path("model"), place.path("moved"))?;
    let (status, message) = run.end()?;
    ensure!(status == Some(1), "{status:?}: {message}");
    ensure_says(
        &message,
        &["error: the model is complete in out, but: model: the model folder is no longer there"],
    )?;
    let file = |folder: &str| fs::read(place.path(folder).join("tokenizer.json"));
    ensure!(file("out")? == file("moved")?);
    Ok(())
}

#[test]
fn weights_that_do_not_fit_the_type_of_the_result_are_kept_in_float32() -> Result<()> {
    let place = Workplace::new()?;
    // One update of AdamW moves every weight by about the rate, beyond the 65504 of float16.
    let run = "sft --model model --data sft.jsonl --max-steps 1 --learning-rate 1e6 --out out";
    let message = place.refusal(&format!("{run} --weight-type f16"))?;
    ensure_says(
        &message,
        &["the trained model is kept in out.kept, its weights as float32"],
    )?;
    ensure!(!place.path("out").exists());
    place.succeed(&format!("{run} --weight-type f32"))?;
    ensure!(place.weights("out.kept")? == place.weights("out")?);
    Ok(())
}

#[test]
fn with_a_snapshot_of_the_last_step_the_command_that_writes_the_result_is_named() -> Result<()> {
    let place = Workplace::new()?;
    let run = "sft --model model --data sft.jsonl --max-steps 1 --learning-rate 1e6 --out out \
               --snapshot-every 1";
    let message = place.refusal(&format!("{run} --weight-type f16"))?;
    ensure_says(
        &message,
        &[
            "the trained state is kept in out.snapshots/step-00000001",
            "the result is written by:\n",
        ],
    )?;
    place.succeed(&format!("{run} --weight-type f32 --resume"))?;
    place.weights("out")?;
    Ok(())
}

#[test]
fn room_for_the_result_and_its_snapshots_is_looked_for_before_training() -> Result<()> {
    let place = Workplace::new()?;
    let message = place.refusal(
        "sft --model model --data sft.jsonl --out out --epochs 1000000000 --snapshot-every 1 \
         --snapshots-keep 1000000000 --snapshots states",
    )?;
    ensure_says(
        &message,
        &[
            "error: there is no room for the run: it needs ",
            "TiB (the result ",
            " KiB in out, 1000000000 snapshots ",
            " in states), and ",
            " are free; make room, name another folder with --out or --snapshots",
        ],
    )?;
    let names = place.names()?;
    ensure!(names == ["model", "pairs.jsonl", "sft.jsonl"], "{names:?}");
    // What will fit is not refused: one epoch saves once.
    place.succeed(
        "sft --model model --data sft.jsonl --out out --epochs 1 --snapshot-every 1 \
         --snapshots-keep 1000000000",
    )?;
    Ok(())
}

#[test]
fn metrics_are_on_the_disk_as_they_come() -> Result<()> {
    let place = Workplace::new()?;
    let mut run =
        place.watch(&format!("{SFT} --epochs 100000 --out out").replace("--epochs 40 ", ""))?;
    run.wait_for("sft 1/")?;
    let file = place.path("out.snapshots/metrics.jsonl");
    let steps = || Some(fs::read_to_string(&file).ok()?.lines().count());
    while steps().unwrap_or(0) < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run.kill()?;
    // Half a line at most is lost.
    let text = fs::read_to_string(&file)?;
    let whole = &text[..text.rfind('\n').context("a line")?];
    for (number, line) in whole.lines().enumerate() {
        let event: serde_json::Value = serde_json::from_str(line)?;
        ensure!(event["step"] == number + 1, "{event}");
    }
    Ok(())
}

#[test]
fn metrics_that_could_not_be_kept_are_told_before_the_first_step() -> Result<()> {
    let place = Workplace::new()?;
    fs::create_dir_all(place.path("out.snapshots/metrics.jsonl"))?;
    let message = place.refusal(&format!("{SFT} --out out"))?;
    ensure_says(
        &message,
        &["error: out.snapshots/metrics.jsonl: cannot keep the metrics of the snapshots"],
    )?;
    ensure!(!message.contains("sft 1/"), "{message}");
    Ok(())
}

#[test]
fn a_reader_of_standard_error_that_goes_away_costs_nothing() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out whole"))?;
    let run = at_steps(
        &place,
        &format!("{SFT} --out out --eval sft.jsonl --eval-every 1"),
        "sft",
    )?;
    ensure!(run.end_unheard()? == Some(0));
    ensure!(place.weights("out")? == place.weights("whole")?);
    Ok(())
}

#[test]
fn a_run_that_needs_no_snapshots_leaves_nothing_beside_its_result() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed("prefer --model model --data pairs.jsonl --algorithm dpo --out out")?;
    let names = place.names()?;
    ensure!(
        names == ["model", "out", "pairs.jsonl", "sft.jsonl"],
        "{names:?}"
    );
    Ok(())
}
