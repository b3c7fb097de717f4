//! Ctrl-C: what was answered is kept, the message has the command, and nothing is asked twice.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use test_support::servers::ChatServer;

use super::accounts::account;
use super::company::company;
use super::site::{RUN, Site, end};
use crate::interrupts::{go_on, send, to_go_on};

/// Waits until a server has had so many calls.
pub fn wait_for_calls(server: &ChatServer, calls: usize) -> Result<()> {
    wait_until(|| server.calls().len() >= calls)
}

/// Waits for what must happen within two minutes.
pub fn wait_until(happened: impl Fn() -> bool) -> Result<()> {
    let started = Instant::now();
    while !happened() {
        ensure!(
            started.elapsed() < Duration::from_secs(120),
            "it never happened"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[test]
fn an_interrupted_run_ends_with_its_code_and_its_command_goes_on_without_asking_anything_twice()
-> Result<()> {
    let reference = company(Duration::ZERO);
    let whole = Site::new(24, &reference.base_url)?;
    whole.ends(RUN, 0, &["next: eurus synth export --store run.db"])?;

    let server = company(Duration::from_millis(100));
    let site = Site::new(24, &server.base_url)?;
    let mut message = String::new();
    for (calls, signal, code) in [
        (3, Signal::INT, 130),
        (15, Signal::TERM, 143),
        (40, Signal::INT, 130),
    ] {
        let run = site.start(RUN)?;
        wait_for_calls(&server, server.calls().len() + calls)?;
        send(signal, run.id())?;
        let ended = end(run)?;
        ended.ensure(
            code,
            &[
                "interrupted: answers under way are waited for and kept, then the run ends; a second interrupt ends the \
                 program at once",
                "interrupted; what was answered is kept. Go on with:\n",
            ],
        )?;
        message = ended.said;
        let jobs = &site.status("run.db")?["jobs"];
        ensure!(jobs["leased"] == 0 && jobs["parked"] == 0, "{jobs}");
    }
    let command = to_go_on(&message).context("a command")?;
    ensure!(command.ends_with(RUN), "{command}");
    go_on(&site.place, command)?;
    ensure!(
        site.trees("run.db")? == whole.trees("run.db")?,
        "other trees"
    );
    let account = account(&server);
    ensure!(account.repeated == 0, "{account:?}");
    ensure!(
        account.samples == super::accounts::account(&reference).samples,
        "{account:?}"
    );
    Ok(())
}

#[test]
fn the_second_interrupt_ends_at_once_and_the_same_command_goes_on() -> Result<()> {
    let server = company(Duration::from_secs(5));
    let site = Site::new(6, &server.base_url)?;
    let run = site.start(RUN)?;
    wait_for_calls(&server, 1)?;
    send(Signal::INT, run.id())?;
    // The signal is handled before the next one comes.
    std::thread::sleep(Duration::from_millis(500));
    send(Signal::INT, run.id())?;
    let asked = Instant::now();
    let ended = end(run)?;
    ended.ensure(
        130,
        &[
            "; what was answered and finished is kept in ",
            "run.db. Go on with:\n",
        ],
    )?;
    ensure!(
        asked.elapsed() < Duration::from_secs(4),
        "it waited for the answers"
    );
    site.ends(
        "synth export --store run.db --out trees.jsonl",
        1,
        &["run.db: no tree is finished yet; see `eurus synth status`"],
    )?;
    ensure!(!site.path("trees.jsonl").exists(), "an empty export");
    Ok(())
}
