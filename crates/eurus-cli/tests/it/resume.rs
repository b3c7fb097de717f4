//! Runs that are killed without warning and go on. `EURUS_KILLS` says how often.

use std::process::Stdio;
use std::time::Duration;

use crate::common::{Workplace, events};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use test_support::count;

const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm kto --epochs 40 \
                      --trees-per-step 2 --learning-rate 1e-3";

/// Steps and warnings, without the time that they took.
fn steps(place: &Workplace, out: &str) -> Result<Vec<Value>> {
    let events = events(&place.path(out).join("metrics.jsonl"))?;
    let mut steps: Vec<Value> = events
        .into_iter()
        .filter(|event| event["event"] == "preference")
        .collect();
    for step in &mut steps {
        step.as_object_mut().context("an object")?.remove("seconds");
    }
    Ok(steps)
}

/// Runs training to its end, killed at random moments on the way, at most so many times. Returns how many.
fn run_with_kills(
    place: &Workplace,
    out: &str,
    most: usize,
    rng: &mut ChaCha8Rng,
) -> Result<usize> {
    let command = format!("{PREFER} --out {out} --snapshot-every 1 --resume");
    let words: Vec<&str> = command.split_whitespace().collect();
    for killed in 0..most {
        let mut run = place
            .command(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(rng.random_range(20..150)));
        if let Some(status) = run.try_wait()? {
            ensure!(status.success(), "{command} after {killed} kills: {status}");
            return Ok(killed);
        }
        run.kill()?; // SIGKILL
        run.wait()?;
        if place.path(out).exists() {
            // It had just written the result.
            return Ok(killed + 1);
        }
    }
    place.succeed(&command)?;
    Ok(most)
}

#[test]
fn runs_killed_at_random_moments_end_as_if_they_had_not_been() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{PREFER} --out whole"))?;
    let whole = std::fs::read(place.path("whole").join("model.safetensors"))?;

    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let kills = count("EURUS_KILLS", 4);
    let mut killed = 0;
    // A fast machine ends a run before all of the kills; then another one takes the rest.
    for run in 0..kills {
        let out = format!("out-{run}");
        killed += run_with_kills(&place, &out, kills - killed, &mut rng)?;
        let names: Vec<String> = std::fs::read_dir(place.path(&format!("{out}.snapshots")))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        let count = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
        ensure!(count("step-") == 2 && count(".step-") == 0, "{names:?}");
        ensure!(std::fs::read(place.path(&out).join("model.safetensors"))? == whole);
        ensure!(steps(&place, &out)? == steps(&place, "whole")?);
        if killed == kills {
            return Ok(());
        }
    }
    anyhow::bail!("runs ended before they could be killed; {killed} kills")
}

#[test]
fn a_run_is_gone_on_with_only_when_asked_and_only_as_it_was() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --max-steps 4 --snapshot-every 2");
    place.succeed(&format!("{run} --out out"))?;
    let error = place.refusal(&format!("{run} --out again --snapshots out.snapshots"))?;
    ensure!(error.contains("step 4"), "{error}");
    let error = place.refusal(&format!(
        "{run} --out again --snapshots out.snapshots --resume --beta 0.2"
    ))?;
    ensure!(error.contains("objective"), "{error}");
    place.succeed(&format!(
        "{run} --out again --snapshots out.snapshots --resume"
    ))?;
    ensure!(steps(&place, "again")? == steps(&place, "out")?);
    Ok(())
}
