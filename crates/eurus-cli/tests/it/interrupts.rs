//! Ctrl-C, SIGTERM and a full disk at any moment: nothing is lost, and the printed command goes on. `EURUS_KILLS` says how
//! often; half of it of each command.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Watched, Workplace, ensure_says, events, pair_rows};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use test_support::count;

const SFT: &str = "sft --model model --data sft.jsonl --epochs 60 --trees-per-step 2";
const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm dpo --epochs 40 \
                      --trees-per-step 2 --learning-rate 1e-3";
const REWARD: &str = "reward --model model --data pairs.jsonl --epochs 40 --trees-per-step 2";

fn send(signal: Signal, to: u32) -> Result<()> {
    let pid = Pid::from_raw(i32::try_from(to)?).context("a process")?;
    Ok(kill_process(pid, signal)?)
}

/// Steps, without the time that they took.
fn steps(place: &Workplace, file: &str) -> Result<Vec<Value>> {
    let mut steps = events(&place.path(file))?;
    steps.retain(|event| event["grad_norm"].is_number());
    Ok(steps)
}

/// The command that a message says to go on with.
fn to_go_on(message: &str) -> Option<&str> {
    message.split("o on with:\n").nth(1)?.lines().next()
}

/// Goes on with a command as a shell reads it, which must succeed.
fn go_on(place: &Workplace, command: &str) -> Result<()> {
    let output = shell(place, command)?.wait_with_output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {message}");
    Ok(())
}

fn shell(place: &Workplace, command: &str) -> Result<std::process::Child> {
    let command = format!("exec {command}");
    Ok(Command::new("sh")
        .args(["-c", &command])
        .current_dir(place.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?)
}

/// Interrupts a run at random moments, always going on as it says, until it has come to its end. Returns how many interrupts
/// there were.
fn run_with_interrupts(
    place: &Workplace,
    run: &str,
    out: &str,
    most: usize,
    rng: &mut ChaCha8Rng,
) -> Result<usize> {
    let mut command = format!("{} {run} --out {out}", env!("CARGO_BIN_EXE_eurus"));
    for number in 0..most {
        let signal = match number % 2 {
            0 => Signal::INT,
            _ => Signal::TERM,
        };
        let child = shell(place, &command)?;
        std::thread::sleep(Duration::from_millis(rng.random_range(20..600)));
        // It may have ended by itself.
        let _ = send(signal, child.id());
        let output = child.wait_with_output()?;
        let message = String::from_utf8(output.stderr)?;
        match output.status.code() {
            // Before there was a handler.
            None => continue,
            Some(0) => return Ok(number),
            Some(code) => ensure!(code == 128 + signal.as_raw(), "{code}: {message}"),
        }
        if message.contains("is complete") {
            return Ok(number + 1);
        }
        ensure!(!place.path(out).exists(), "{message}");
        if let Some(next) = to_go_on(&message) {
            command = next.to_owned();
        } else {
            ensure_says(&message, &["the same command begins again"])?;
        }
        if let Some((_, after)) = message.split_once("interrupted after step ") {
            // All that was computed is there.
            let step: usize = after.split(' ').next().context("a step")?.parse()?;
            let kept = steps(place, &format!("{out}.snapshots/metrics.jsonl"))?;
            ensure!(kept.len() == step, "{} of {step} steps", kept.len());
        }
    }
    go_on(place, &command)?;
    Ok(most)
}

fn interrupted_at_random(run: &str, seed: u64) -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{run} --out whole"))?;
    let whole = place.weights("whole")?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let wanted = count("EURUS_KILLS", 4) / 2;
    let mut interrupts = 0;
    // A fast machine ends a run before all of the interrupts; then another one takes the rest.
    for number in 0..20 * wanted {
        let out = format!("out-{number}");
        interrupts += run_with_interrupts(&place, run, &out, wanted - interrupts, &mut rng)?;
        ensure!(place.weights(&out)? == whole, "{out}");
        let metrics = |out: &str| steps(&place, &format!("{out}/metrics.jsonl"));
        ensure!(metrics(&out)? == metrics("whole")?, "{out}");
        if interrupts >= wanted {
            return Ok(());
        }
    }
    anyhow::bail!("runs ended before they could be interrupted; {interrupts} interrupts")
}

#[test]
fn fine_tuning_interrupted_at_random_moments_ends_as_if_it_had_not_been() -> Result<()> {
    interrupted_at_random(SFT, 5)
}

#[test]
fn preference_learning_interrupted_at_random_moments_ends_as_if_it_had_not_been() -> Result<()> {
    interrupted_at_random(PREFER, 6)
}

#[test]
fn a_reward_model_interrupted_at_random_moments_ends_as_if_it_had_not_been() -> Result<()> {
    interrupted_at_random(REWARD, 7)
}

/// A run that is at its steps.
fn at_steps(place: &Workplace, arguments: &str, title: &str) -> Result<Watched> {
    let mut run = place.watch(arguments)?;
    run.wait_for(&format!("{title} 1/"))?;
    Ok(run)
}

#[test]
fn the_first_interrupt_saves_the_state_and_the_printed_command_goes_on() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out whole"))?;
    // A name that a shell must not take apart.
    fs::copy(place.path("sft.jsonl"), place.path("it's_$data.jsonl"))?;
    let run = SFT.replace("sft.jsonl", "it's_$data.jsonl");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let out = format!("out-{code}");
        let run = at_steps(&place, &format!("{run} --out {out}"), "sft")?;
        send(signal, run.id())?;
        let (status, message) = run.end()?;
        ensure!(status == Some(code), "{status:?}: {message}");
        ensure_says(
            &message,
            &[
                "interrupted: the step is finished and the state saved, then the run ends",
                &format!("the state is kept in {out}.snapshots/step-"),
                r"'it'\''s_$data.jsonl'",
            ],
        )?;
        ensure!(!place.path(&out).exists());
        go_on(&place, to_go_on(&message).context("a command")?)?;
        ensure!(place.weights(&out)? == place.weights("whole")?);
    }
    let names = place.names()?;
    ensure!(
        !names.iter().any(|name| name.starts_with(".eurus-")),
        "{names:?}"
    );
    Ok(())
}

#[test]
fn the_second_interrupt_ends_at_once() -> Result<()> {
    let place = Workplace::new()?;
    // The evaluation before the first step takes its time.
    let slow = "--eval sft.jsonl --eval-samples 6 --eval-max-tokens 100000 --out out";
    let mut run = place.watch(&format!("{SFT} {slow}"))?;
    run.wait_for("trees, ")?;
    // Once for the rows of --data, once for those of --eval.
    run.wait_for("trees, ")?;
    while !place.path("out.snapshots/run.json").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    send(Signal::INT, run.id())?;
    run.wait_for("a second interrupt ends the program at once")?;
    send(Signal::TERM, run.id())?;
    let (status, message) = run.end()?;
    ensure!(status == Some(143), "{status:?}: {message}");
    ensure_says(&message, &["no result was written, and no state was saved"])?;
    let names = place.names()?;
    ensure!(
        !names.iter().any(|name| name.starts_with(".eurus-")),
        "{names:?}"
    );
    Ok(())
}

#[test]
fn an_interrupt_during_the_reference_pass_keeps_the_log_probs_that_are_done() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = Vec::new();
    for copy in 0..60 {
        for mut row in pair_rows() {
            let text = format!(
                "{copy}. {}",
                row["trajectory"][0]["value"].as_str().context("text")?
            );
            row["trajectory"][0]["value"] = text.into();
            row["parent_id"] = format!("{copy}-{}", row["parent_id"]).into();
            row["id"] = format!("{copy}-{}", row["id"]).into();
            rows.push(row);
        }
    }
    place.write_rows("many.jsonl", &rows)?;
    let run = "prefer --model model --data many.jsonl --algorithm dpo --max-steps 1 --token-budget 256 \
               --out out";
    let mut first = place.watch(run)?;
    first.wait_for("reference log-probs ")?;
    let log_probs = place.path("out.snapshots/reference.jsonl");
    let lines = || Ok::<_, anyhow::Error>(fs::read_to_string(&log_probs)?.lines().count());
    while lines().unwrap_or(0) < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    send(Signal::TERM, first.id())?;
    let (status, message) = first.end()?;
    ensure!(status == Some(143), "{status:?}: {message}");
    ensure_says(
        &message,
        &[
            " of 720 reference log-probs; there is nothing to save, and those that were finished are kept in out.snapshots/reference.jsonl",
        ],
    )?;
    let kept = fs::read_to_string(&log_probs)?;
    let kept: Vec<&str> = kept.lines().collect();
    // The others are not computed again: the file is only added to.
    place.succeed(&format!("{run} --snapshot-every 100 --resume"))?;
    let all = fs::read_to_string(&log_probs)?;
    let whole = kept.len() - 1;
    ensure!(all.lines().take(whole).eq(kept[..whole].iter().copied()));
    // The first line says whose they are; a line for each 64 trees.
    ensure!(lines()? == 1 + 360_usize.div_ceil(64), "{} lines", lines()?);
    Ok(())
}

/// What a file may be large; the weights are larger, the metrics of a few steps are not.
#[cfg(target_os = "linux")]
fn limit_files(of: u32, bytes: Option<u64>) -> Result<()> {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Pid::from_raw(i32::try_from(of)?), Resource::Fsize, limit)?;
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_without_room_waits_in_memory_until_there_is_some() -> Result<()> {
    let place = Workplace::new()?;
    for (name, run) in [
        ("sft", SFT),
        ("dpo", PREFER),
        ("reward model, BT + LDR", REWARD),
    ] {
        let command = name.split(' ').next().context("a word")?;
        let run = format!("{run} --max-steps 12");
        place.succeed(&format!("{run} --out {command}-whole"))?;
        let mut full = at_steps(&place, &format!("{run} --out {command}"), name)?;
        limit_files(full.id(), Some(32 * 1024))?;
        full.wait_for("there is no room for the trained model, which is still in memory")?;
        ensure!(!place.path(command).exists());
        limit_files(full.id(), None)?;
        let (status, message) = full.end()?;
        ensure!(status == Some(0), "{status:?}: {message}");
        ensure!(place.weights(command)? == place.weights(&format!("{command}-whole"))?);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn snapshots_without_room_cost_nothing_but_themselves() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{SFT} --max-steps 12 --snapshot-every 1");
    let mut full = at_steps(&place, &format!("{run} --out out"), "sft")?;
    limit_files(full.id(), Some(32 * 1024))?;
    full.wait_for("there is no room for the trained model")?;
    ensure_says(
        &full.said.join("\n"),
        &["could not be written, and the run goes on"],
    )?;
    // Who does not wait has the newest snapshot that there was room for.
    send(Signal::INT, full.id())?;
    let (status, message) = full.end()?;
    ensure!(status == Some(130), "{status:?}: {message}");
    ensure_says(&message, &["no result was written. The state after step "])?;
    go_on(&place, to_go_on(&message).context("a command")?)?;
    place.succeed(&format!("{SFT} --max-steps 12 --out whole"))?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn metrics_without_room_do_not_cost_the_model() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{SFT} --out whole"))?;
    let mut full = at_steps(&place, &format!("{SFT} --out out"), "sft")?;
    limit_files(full.id(), Some(8 * 1024))?;
    full.wait_for("there is no room for the trained model")?;
    limit_files(full.id(), None)?;
    let (status, message) = full.end()?;
    ensure!(status == Some(1), "{status:?}: {message}");
    ensure_says(
        &message,
        &["error: the model is complete in out, but: ", "metrics"],
    )?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    Ok(())
}
