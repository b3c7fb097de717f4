//! Kills and interrupts at any moment: the same command goes on, and ends with the files of a run that nothing came into the
//! way of. `EURUS_KILLS` says how many kills, and with `EURUS_WHOLE_RECIPE` the recipe has all of its sizes, which wants a program
//! that is optimized.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use test_support::count;

use super::run::{ensure_same, files, small};
use crate::common::{Workplace, ensure_says};
use crate::interrupts::{go_on, send, to_go_on};

/// A whole run, and how long it took.
fn whole(command: &str) -> Result<(std::collections::BTreeMap<String, Vec<u8>>, Duration)> {
    let place = Workplace::new()?;
    let started = Instant::now();
    place.succeed(command)?;
    Ok((files(&place, "runs")?, started.elapsed()))
}

/// What is killed.
fn killed() -> String {
    match std::env::var_os("EURUS_WHOLE_RECIPE") {
        Some(_) => "recipe run small-eurus".to_owned(),
        None => small(),
    }
}

#[test]
fn a_run_killed_at_random_moments_ends_with_the_files_of_one_that_was_not() -> Result<()> {
    let command = killed();
    let (expected, took) = whole(&command)?;
    let place = Workplace::new()?;
    let mut rng = ChaCha8Rng::seed_from_u64(24);
    let kills = count("EURUS_KILLS", 3);
    for _ in 0..kills {
        let run = place.watch(&command)?;
        // Each goes on from where the last was killed, and so has less to do.
        let parts = match std::env::var_os("EURUS_WHOLE_RECIPE") {
            Some(_) => kills,
            None => kills.min(4),
        };
        std::thread::sleep(took.mul_f64(rng.random_range(0.05..1.5) / parts as f64));
        run.kill()?;
    }
    place.succeed(&command)?;
    ensure_same(&expected, &without_leftovers(files(&place, "runs")?))
}

/// What was cut off in the middle of a write has a hidden name, and is in nobody's way.
fn without_leftovers(
    mut files: std::collections::BTreeMap<String, Vec<u8>>,
) -> std::collections::BTreeMap<String, Vec<u8>> {
    files.retain(|name, _| {
        !name
            .split('/')
            .any(|part| part.starts_with(".eurus-") && !part.ends_with(".lock"))
    });
    files
}

#[test]
fn an_interrupted_run_keeps_what_is_done_and_the_printed_command_goes_on() -> Result<()> {
    let (expected, _) = whole(&small())?;
    let place = Workplace::new()?;
    for (signal, code, at) in [
        (Signal::INT, 130, "sft 1/"),
        (Signal::TERM, 143, "kto 1/"),
        (Signal::INT, 130, "reward/model: begins"),
    ] {
        let mut run = place.watch(&small())?;
        run.wait_for(at)?;
        send(signal, run.id())?;
        let (status, message) = run.end()?;
        ensure!(status == Some(code), "{status:?}: {message}");
        ensure_says(
            &message,
            &[
                "interrupted",
                "what is done is kept",
                "recipe run small-eurus",
            ],
        )?;
        ensure!(
            to_go_on(&message).is_some_and(|it| it.contains("recipe run small-eurus")),
            "{message}"
        );
    }
    let mut run = place.watch(&small())?;
    run.wait_for("reward/")?;
    send(Signal::INT, run.id())?;
    let (_, message) = run.end()?;
    go_on(&place, to_go_on(&message).context("a command")?)?;
    ensure_same(&expected, &files(&place, "runs")?)
}
