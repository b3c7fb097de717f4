//! Ctrl-C and SIGTERM at any moment: nothing is lost, and the printed command goes on. `EURUS_INTERRUPTS` says how often
//! each of them happens to each command.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Workplace, at_steps, ensure_says, events, pair_rows};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use test_support::count;

pub const SFT: &str = "sft --model model --data sft.jsonl --epochs 60 --trees-per-step 2";
pub const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm dpo --epochs 40 \
                      --trees-per-step 2 --learning-rate 1e-3";
pub const REWARD: &str = "reward --model model --data pairs.jsonl --epochs 40 --trees-per-step 2";

pub fn send(signal: Signal, to: u32) -> Result<()> {
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
pub fn to_go_on(message: &str) -> Option<&str> {
    message.split("o on with:\n").nth(1)?.lines().next()
}

/// Goes on with a command as a shell reads it, which must succeed.
pub fn go_on(place: &Workplace, command: &str) -> Result<()> {
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
    run: &Measured<'_>,
    out: &str,
    signals: &[Signal],
    rng: &mut ChaCha8Rng,
) -> Result<usize> {
    let mut command = format!(
        "{} {} --out {out}",
        env!("CARGO_BIN_EXE_eurus"),
        run.command
    );
    for (number, &signal) in signals.iter().enumerate() {
        let child = shell(place, &command)?;
        std::thread::sleep(run.moment(rng));
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
    Ok(signals.len())
}

/// A run that has been made once, into the folder `whole`.
pub struct Measured<'a> {
    command: &'a str,
    took: Duration,
}

impl<'a> Measured<'a> {
    pub fn of(place: &Workplace, command: &'a str) -> Result<Self> {
        let started = Instant::now();
        place.succeed(&format!("{command} --out whole"))?;
        Ok(Self {
            command,
            took: started.elapsed(),
        })
    }

    /// How long to wait for a random moment of it.
    pub fn moment(&self, rng: &mut ChaCha8Rng) -> Duration {
        self.took.mul_f64(rng.random_range(0.02..1.0))
    }

    /// Checks that a result is that of the run that nothing came into the way of.
    pub fn ensure_whole(&self, place: &Workplace, out: &str) -> Result<()> {
        ensure!(place.weights(out)? == place.weights("whole")?, "{out}");
        let metrics = |out: &str| steps(place, &format!("{out}/metrics.jsonl"));
        ensure!(metrics(out)? == metrics("whole")?, "{out}: metrics");
        Ok(())
    }
}

fn interrupted_at_random(command: &str, seed: u64) -> Result<()> {
    let place = Workplace::new()?;
    let run = Measured::of(&place, command)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let signals = [Signal::INT, Signal::TERM].repeat(count("EURUS_INTERRUPTS", 1));
    let mut done = 0;
    // A fast machine ends a run before all of the interrupts; then another one takes the rest.
    for number in 0..20 * signals.len() {
        let out = format!("out-{number}");
        done += run_with_interrupts(&place, &run, &out, &signals[done..], &mut rng)?;
        run.ensure_whole(&place, &out)?;
        if done == signals.len() {
            return Ok(());
        }
    }
    anyhow::bail!("runs ended before they could be interrupted; {done} interrupts")
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

/// Checks that no hidden folder of a result is left.
fn ensure_tidy(place: &Workplace) -> Result<()> {
    let names = place.names()?;
    ensure!(
        !names.iter().any(|name| name.starts_with(".eurus-")),
        "{names:?}"
    );
    Ok(())
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
    ensure_tidy(&place)
}

#[test]
fn an_extended_run_that_is_interrupted_goes_on_as_one_of_its_new_length() -> Result<()> {
    let place = Workplace::new()?;
    let run = SFT.replace("--epochs 60", "--decay constant --warmup-ratio 0");
    place.succeed(&format!("{run} --epochs 60 --out whole"))?;
    place.succeed(&format!("{run} --epochs 2 --snapshot-every 100 --out out"))?;
    let extended = format!("{run} --epochs 60 --out out --overwrite --extend");
    let mut more = place.watch(&extended)?;
    more.wait_for("going on after step 6")?;
    let metrics = place.path("out.snapshots/metrics.jsonl");
    while fs::read_to_string(&metrics)?.lines().count() < 8 {
        std::thread::sleep(Duration::from_millis(1));
    }
    send(Signal::INT, more.id())?;
    let (status, message) = more.end()?;
    ensure!(status == Some(130), "{status:?}: {message}");
    ensure_says(&message, &[" of 180; the state is kept in out.snapshots/"])?;
    go_on(&place, to_go_on(&message).context("a command")?)?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    Ok(())
}

#[test]
fn an_interrupt_during_an_evaluation_keeps_the_step_and_the_judgement() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!(
        "{SFT} --eval sft.jsonl --eval-every 5 --eval-samples 2 --eval-max-tokens 120 --max-steps 15"
    );
    place.succeed(&format!("{run} --out whole"))?;
    let mut judged = place.watch(&format!("{run} --out out"))?;
    let metrics = place.path("out.snapshots/metrics.jsonl");
    // The evaluation before the first step, and five steps.
    while fs::read_to_string(&metrics).map_or(0, |text| text.lines().count()) < 6 {
        std::thread::sleep(Duration::from_millis(1));
    }
    send(Signal::TERM, judged.id())?;
    judged.wait_for("a second interrupt ends the program at once")?;
    let (status, message) = judged.end()?;
    ensure!(status == Some(143), "{status:?}: {message}");
    ensure_says(
        &message,
        &["interrupted after step 5 of 15; the state is kept in"],
    )?;
    go_on(&place, to_go_on(&message).context("a command")?)?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    let evaluations = |out: &str| -> Result<Vec<Value>> {
        let mut all = events(&place.path(out).join("metrics.jsonl"))?;
        all.retain(|event| event["event"] == "evaluated");
        Ok(all)
    };
    ensure!(evaluations("out")? == evaluations("whole")?);
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
    ensure_tidy(&place)
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
    // Those of another run are in nobody's way.
    let template = "{% for m in messages %}<|im_start|>{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}\
                    {% if add_generation_prompt %}<|im_start|>assistant: {% endif %}";
    fs::write(place.path("other.jinja"), template)?;
    let left = fs::read(&log_probs)?;
    place.succeed(&format!("{run} --chat-template other.jinja"))?;
    ensure!(!log_probs.exists());
    fs::remove_dir_all(place.path("out"))?;
    fs::create_dir(place.path("out.snapshots"))?;
    fs::write(&log_probs, left)?;
    // The others are not computed again: the file is only added to.
    place.succeed(&format!("{run} --snapshot-every 100 --resume"))?;
    let all = fs::read_to_string(&log_probs)?;
    let whole = kept.len() - 1;
    ensure!(all.lines().take(whole).eq(kept[..whole].iter().copied()));
    // The first line says whose they are; a line for each 64 trees.
    ensure!(lines()? == 1 + 360_usize.div_ceil(64), "{} lines", lines()?);
    Ok(())
}
