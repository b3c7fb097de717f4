//! A disk that is full at any moment: files cannot grow, and nothing is lost. `EURUS_INTERRUPTS` says how often it happens to
//! each command.

use std::time::Duration;

use crate::common::{Workplace, at_steps, ensure_says};
use crate::interrupts::{Measured, PREFER, REWARD, SFT, go_on, send, to_go_on};
use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use test_support::count;

/// Fills the disk under runs at random moments: files cannot grow any more, to a size that is random, too.
fn disk_full_at_random(command: &str, seed: u64) -> Result<()> {
    let place = Workplace::new()?;
    let run = Measured::of(&place, command)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut moments = 0;
    // One that ended before its moment does not count.
    for number in 0..20 * count("EURUS_INTERRUPTS", 1) {
        let out = format!("out-{number}");
        let saves = ["", " --snapshot-every 5"][number % 2];
        let arguments = format!("{command}{saves} --out {out}");
        let mut full = place.watch(&arguments)?;
        std::thread::sleep(run.moment(&mut rng));
        if limit_files(full.id(), Some(rng.random_range(0..96 * 1024))).is_err() {
            continue;
        }
        // Until it waits for room, or has ended by itself.
        if full.wait_for(NO_ROOM).is_ok() {
            ensure!(!place.path(&out).exists());
            limit_files(full.id(), None)?;
        }
        let (status, message) = full.end()?;
        let ended_before = status == Some(0) && !message.contains("could not be written");
        if !(ended_before || message.contains(NO_ROOM)) {
            // It did not come to its end, or has all that it needs to write the result.
            ensure!(status == Some(1), "{status:?}: {message}");
            match to_go_on(&message).or_else(|| result_written_by(&message)) {
                Some(next) => go_on(&place, next)?,
                None => {
                    ensure!(!message.contains("interrupted"), "{message}");
                    place.succeed(&format!("{arguments} --resume"))?;
                }
            }
        }
        run.ensure_whole(&place, &out)
            .with_context(|| message.clone())?;
        moments += usize::from(!ended_before);
        if moments == count("EURUS_INTERRUPTS", 1) {
            return Ok(());
        }
    }
    anyhow::bail!("runs ended before the disk was full; {moments} were in time")
}

/// What a run says that has a trained model and no room for it.
const NO_ROOM: &str = "there is no room for the trained model, which is still in memory";

/// The command that a message says to write the result with.
fn result_written_by(message: &str) -> Option<&str> {
    let (_, command) = message.split_once("the result is written by:\n")?;
    command.lines().next()
}

#[test]
fn fine_tuning_on_a_disk_that_is_full_at_a_random_moment_loses_nothing() -> Result<()> {
    disk_full_at_random(SFT, 15)
}

#[test]
fn preference_learning_on_a_disk_that_is_full_at_a_random_moment_loses_nothing() -> Result<()> {
    disk_full_at_random(PREFER, 16)
}

#[test]
fn a_reward_model_on_a_disk_that_is_full_at_a_random_moment_loses_nothing() -> Result<()> {
    disk_full_at_random(REWARD, 17)
}

/// What a file may be large; the weights are larger, the metrics of a few steps are not.
fn limit_files(of: u32, bytes: Option<u64>) -> Result<()> {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(Pid::from_raw(i32::try_from(of)?), Resource::Fsize, limit)?;
    Ok(())
}

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
        full.wait_for(NO_ROOM)?;
        ensure!(!place.path(command).exists());
        limit_files(full.id(), None)?;
        let (status, message) = full.end()?;
        ensure!(status == Some(0), "{status:?}: {message}");
        ensure!(place.weights(command)? == place.weights(&format!("{command}-whole"))?);
    }
    Ok(())
}

#[test]
fn snapshots_without_room_cost_nothing_but_themselves() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{SFT} --snapshot-every 1");
    let mut full = at_steps(&place, &format!("{run} --out out"), "sft")?;
    // One is written whole.
    while !place.path("out.snapshots/step-00000001").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
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
    place.succeed(&format!("{SFT} --out whole"))?;
    ensure!(place.weights("out")? == place.weights("whole")?);
    Ok(())
}

#[test]
fn metrics_that_had_no_room_are_written_when_there_is_some() -> Result<()> {
    let place = Workplace::new()?;
    let run = Measured::of(&place, SFT)?;
    let mut full = at_steps(&place, &format!("{SFT} --out out"), "sft")?;
    limit_files(full.id(), Some(8 * 1024))?;
    full.wait_for(NO_ROOM)?;
    limit_files(full.id(), None)?;
    let (status, message) = full.end()?;
    ensure!(status == Some(0), "{status:?}: {message}");
    run.ensure_whole(&place, "out")
}
