//! `kill -9` at random moments, with several workers on one store: the same trees as of a run that nothing came into the way of,
//! and nothing is asked twice but what was in flight. `EURUS_KILLS` says how often.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rustix::process::Signal;
use test_support::servers::{Call, ChatServer};
use test_support::{PostgresServer, count};

use super::accounts::{Account, account, of_calls};
use super::company::company;
use super::interrupts::{wait_for_calls, wait_until};
use super::site::{RUN, Site, end};
use crate::interrupts::send;

const TREES: usize = 40;
/// Trees that a worker builds at once, each with one call under way.
const IN_FLIGHT: usize = 4;
const PAUSE: Duration = Duration::from_millis(80);

fn site(base_url: &str, lease_seconds: f64) -> Result<Site> {
    let site = Site::new(TREES, base_url)?;
    site.edit(&[
        (
            "trees_in_flight = 6",
            &format!("trees_in_flight = {IN_FLIGHT}"),
        ),
        (
            "lease_seconds = 5.0",
            &format!("lease_seconds = {lease_seconds:.1}"),
        ),
    ])?;
    site.edit_endpoints(&format!("api_key_env = \"{KEY}\""))?;
    Ok(site)
}

/// Tells the server which worker asks: each has a key of its own.
const KEY: &str = "EURUS_TEST_WORKER";

fn worker(site: &Site, arguments: &str, key: &str) -> Result<Child> {
    site.start_with(arguments, KEY, key)
}

/// Waits until a worker has made so many calls.
fn wait_for_calls_of(server: &ChatServer, key: &str, calls: usize) -> Result<()> {
    let header = format!("Bearer {key}");
    let has_made = |call: &Call| call.head.contains(&header);
    wait_until(|| server.calls().iter().filter(|call| has_made(call)).count() >= calls)
}

/// The trees of one worker that nothing came into the way of, and what it asked.
fn unbroken() -> Result<(Vec<String>, Account)> {
    let server = company(Duration::ZERO);
    let site = site(&server.base_url, 60.0)?;
    end(worker(&site, RUN, "unbroken")?)?.ensure(0, &[])?;
    Ok((site.trees("run.db")?, account(&server)))
}

/// That a store has what an unbroken run has, and that no more was asked for again than may have been.
fn ensure_whole(site: &Site, store: &str, calls: &[Call], may_repeat: usize) -> Result<()> {
    let (trees, asked) = unbroken()?;
    let found = site.trees(store)?;
    ensure!(found.len() == TREES, "{} trees", found.len());
    ensure!(found == trees, "other trees");
    let status = site.status(store)?;
    let jobs = &status["jobs"];
    ensure!(
        jobs["done"] == TREES && jobs["parked"] == 0 && jobs["leased"] == 0,
        "{jobs}"
    );
    let account = of_calls(calls);
    ensure!(
        account.samples == asked.samples,
        "{account:?} is not {asked:?}"
    );
    ensure!(
        account.repeated <= may_repeat,
        "{account:?}, and {may_repeat} calls were in flight at most"
    );
    println!(
        "{} of {} calls were repeated, {may_repeat} may be",
        account.repeated, account.calls
    );
    Ok(())
}

fn kill(mut worker: Child) -> Result<()> {
    worker.kill()?;
    worker.wait()?;
    Ok(())
}

#[test]
fn two_workers_that_are_killed_at_random_moments_build_the_trees_of_an_unbroken_run() -> Result<()>
{
    let server = company(PAUSE);
    let site = site(&server.base_url, 5.0)?;
    let (_, asked) = unbroken()?;
    let kills = count("EURUS_KILLS", 3);
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    let mut moments: Vec<usize> = (0..kills)
        .map(|_| rng.random_range(1..asked.calls * 9 / 10))
        .collect();
    moments.sort_unstable();

    let start = || worker(&site, RUN, "one-of-two");
    let mut workers = [start()?, start()?];
    for moment in moments {
        wait_for_calls(&server, moment)?;
        std::thread::sleep(PAUSE.mul_f64(rng.random_range(0.0..1.5)));
        let next = start()?;
        kill(std::mem::replace(
            &mut workers[rng.random_range(0..2)],
            next,
        ))?;
    }
    for worker in workers {
        end(worker)?.ensure(0, &[])?;
    }
    ensure_whole(&site, "run.db", &server.calls(), kills * IN_FLIGHT)
}

#[test]
fn of_three_workers_on_postgresql_one_is_killed_and_one_stopped_past_its_lease_and_the_trees_are_the_same()
-> Result<()> {
    let Some(postgres) = PostgresServer::shared() else {
        return Ok(());
    };
    let store = postgres.database();
    let server = company(PAUSE);
    let site = site(&server.base_url, 1.0)?;
    let run = RUN.replace("run.db", &store);
    let [killed, stopped, other] =
        ["killed", "stopped", "other"].map(|key| worker(&site, &run, key));
    let (killed, stopped, other) = (killed?, stopped?, other?);
    // Each is in the middle of its work.
    wait_for_calls_of(&server, "killed", 2 * IN_FLIGHT)?;
    kill(killed)?;
    wait_for_calls_of(&server, "stopped", 3 * IN_FLIGHT)?;
    let is_stopped = stopped.id();
    send(Signal::STOP, is_stopped)?;
    let other = end(other);
    // Others have done its jobs. It must not undo that, nor wait for ever.
    let before = server.calls().len();
    send(Signal::CONT, is_stopped)?;
    let stopped = end(stopped)?;
    other?
        .ensure(0, &[])
        .context("the worker that nothing happened to")?;
    stopped
        .ensure(0, &[])
        .context("the worker that was stopped")?;
    let calls = server.calls();
    // It is too late for whatever it was at, and asking costs.
    let late = calls.len() - before;
    ensure!(
        late <= IN_FLIGHT,
        "the worker that was stopped made {late} calls for jobs that it had lost"
    );
    ensure_whole(&site, &store, &calls[..before], 2 * IN_FLIGHT)
}
