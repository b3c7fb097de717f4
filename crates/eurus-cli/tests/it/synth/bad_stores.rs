//! Stores that cannot be used: of another run, of nobody, locked, not to be written. Nothing is asked for.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::bad_input::Unasked;
use super::company::company;
use super::puzzles::rows;
use super::site::{RUN, Site};
use crate::common::ensure_says;

#[test]
fn the_store_of_another_run_is_refused_and_a_fork_takes_over_what_was_answered() -> Result<()> {
    let server = company(Duration::ZERO);
    let site = Site::new(6, &server.base_url)?;
    site.ends(RUN, 0, &[])?;
    let (before, trees) = (server.calls().len(), site.trees("run.db")?);
    let refuses = |arguments: &str, words: &[&str]| -> Result<()> {
        site.ends(arguments, 1, words)?;
        ensure!(
            server.calls().len() == before,
            "{arguments} asked something"
        );
        ensure!(
            site.trees("run.db")? == trees,
            "{arguments} changed the store"
        );
        Ok(())
    };
    refuses(
        &format!("{RUN} --seed 2"),
        &[
            "run.db was begun with /seed = 1, and this run has 2; use the same settings, another store, or a fork of this one",
        ],
    )?;
    site.edit(&[("stronger_samples = 2", "stronger_samples = 3")])?;
    refuses(
        RUN,
        &["was begun with /actors/stronger_samples = 2, and this run has 3"],
    )?;
    site.edit(&[
        ("stronger_samples = 3", "stronger_samples = 2"),
        ("model = \"critic\"", "model = \"Critic\""),
    ])?;
    refuses(RUN, &["/endpoints/critic/model = \"critic\"", "\"Critic\""])?;
    site.edit(&[("model = \"Critic\"", "model = \"critic\"")])?;

    // Another text under a known id.
    let mut changed = rows(6);
    changed[3]["instruction"] = json!("Which number is larger? (A) 1 (B) 200");
    changed[3]["choices"] = json!(["1", "200"]);
    changed[3]["answer"] = json!("200");
    changed[3]["solutions"] = json!(["Answer: B"]);
    site.place.write_rows("problems.jsonl", &changed)?;
    refuses(
        RUN,
        &[
            "1 problems of the store",
            "have changed: `p3`; give changed problems new ids",
        ],
    )?;
    site.place.write_rows("problems.jsonl", &rows(6))?;

    // One turn more: what the first two ask is there already.
    site.edit(&[("max_turns = 2", "max_turns = 3")])?;

    refuses(RUN, &["/trees/max_turns = 2"])?;
    site.ends(&format!("{RUN} --fork fork.db"), 0, &[])?;
    let account = super::accounts::account(&server);
    ensure!(account.repeated == 0, "{account:?}");
    ensure!(site.status("fork.db")?["jobs"]["done"] == 6);
    ensure!(site.trees("run.db")? == trees, "the fork changed its store");
    Ok(())
}

#[test]
fn the_store_of_another_run_is_refused_with_the_option_that_makes_a_fork() -> Result<()> {
    let server = company(Duration::ZERO);
    let site = Site::new(1, &server.base_url)?;
    site.ends(RUN, 0, &[])?;
    site.ends(&format!("{RUN} --seed 2"), 1, &["/seed", "--fork NEW"])?;
    Ok(())
}

#[test]
fn a_store_that_is_no_store_or_not_there_is_named_and_not_made() -> Result<()> {
    let place = Unasked::new()?;
    for command in [
        "status",
        "status --json",
        "retry",
        "export --out trees.jsonl",
    ] {
        place.refuses(
            &format!("synth {command} --store gone.db"),
            1,
            &["gone.db: there is no store (--store); `eurus synth run` makes one"],
        )?;
    }
    place.refuses(
        &RUN.replace("run.db", "gone.db --fork new.db"),
        1,
        &["gone.db: there is no store (--store)"],
    )?;
    for name in ["gone.db", "new.db", "trees.jsonl"] {
        ensure!(!place.site.path(name).exists(), "{name} was made");
    }
    place.site.write(
        "text.db",
        "This is a text of some length and no database at all.\n".repeat(50),
    )?;
    place.refuses(
        &RUN.replace("run.db", "text.db"),
        1,
        &["text.db: the file is no SQLite database; give the path of a store"],
    )?;
    place.refuses(
        &RUN.replace("run.db", "no/such/run.db"),
        1,
        &["there is no folder ", "create the folder"],
    )?;
    Ok(())
}

/// Whoever holds a store locked: a program of its own, until it is killed.
#[test]
fn a_store_that_another_program_has_locked_is_told_as_such() -> Result<()> {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let server = company(Duration::ZERO);
    let site = Site::new(1, &server.base_url)?;
    site.ends(RUN, 0, &[])?;
    let before = server.calls().len();
    let program = "import sqlite3, sys\nstore = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                   store.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\nsys.stdin.read()";
    let mut holder = Command::new("python3")
        .args(["-c", program])
        .arg(site.path("run.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = String::new();
    if let Some(out) = holder.stdout.take() {
        BufReader::new(out).read_line(&mut told)?;
    }
    ensure!(told == "locked\n", "{told}");
    let ended = site.run(RUN);
    holder.kill()?;
    holder.wait()?;
    let ended = ended?;
    ended.ensure(
        1,
        &["run.db: another program has it locked for more than 30s; end that program, or wait"],
    )?;
    ensure!(server.calls().len() == before, "it asked");
    site.ends(RUN, 0, &[])?;
    Ok(())
}

/// Root may write wherever permissions forbid it, so the folder is mounted read-only there.
#[test]
fn a_folder_that_may_not_be_written_is_told_before_anything_is_asked() -> Result<()> {
    use super::site::{end, spawn};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    let place = Unasked::new()?;
    let folder = place.site.path("fixed");
    std::fs::create_dir(&folder)?;
    let eurus = env!("CARGO_BIN_EXE_eurus");
    let run = format!("exec {eurus} {}", RUN.replace("run.db", "fixed/run.db"));
    let is_root = rustix::process::getuid().is_root();
    let mut command = match is_root {
        true => {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c"]);
            command.arg(format!(
                "mount --bind fixed fixed && mount -o remount,bind,ro fixed && {run}"
            ));
            command
        }
        false => {
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555))?;
            let mut command = Command::new("sh");
            command.args(["-c", &run]);
            command
        }
    };
    command.current_dir(place.site.path("."));
    let ended = end(spawn(command)?)?;
    if is_root && ended.code != Some(1)
        || ended.said.starts_with("unshare:")
        || ended.said.starts_with("mount:")
    {
        test_support::skip(format_args!(
            "no folder can be made read-only here: {}",
            ended.said
        ));
        return Ok(());
    }
    ended.ensure(
        1,
        &["fixed/run.db", "may not be written", "allow writing in "],
    )?;
    ensure_says(&ended.said, &["error:"])?;
    ensure!(place.server.calls().is_empty(), "it asked");
    Ok(())
}
