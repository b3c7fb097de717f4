//! The exit codes that `eurus --help` names.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

fn code(words: &[&str]) -> Result<Option<i32>> {
    let output = Command::new(env!("CARGO_BIN_EXE_eurus"))
        .args(words)
        .output()?;
    Ok(output.status.code())
}

#[test]
fn what_is_done_is_0_what_fails_is_1_and_wrong_usage_is_2() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_eurus"))
        .arg("--help")
        .env("COLUMNS", "100000")
        .output()?;
    let help = String::from_utf8(output.stdout)?;
    for named in [
        "0 done",
        "1 failed",
        "2 wrong usage",
        "3 a budget is spent",
        "130 interrupted",
        "143 with SIGTERM",
    ] {
        ensure!(help.contains(named), "{named}: {help}");
    }
    ensure!(code(&["recipe", "list"])? == Some(0));
    ensure!(code(&["--version"])? == Some(0));
    for fails in [
        &["recipe", "show", "no-such-recipe"][..],
        &["data", "stats", "not-here.jsonl"],
        &[
            "sft",
            "--model",
            "./not-here",
            "--data",
            "not-here.jsonl",
            "--out",
            "never",
        ],
        &["eval", "show", "svamp", "--data", "./not-here"],
    ] {
        ensure!(code(fails)? == Some(1), "{fails:?}");
    }
    for misused in [
        &["recipe"][..],
        &["recipe", "show"],
        &["recipe", "list", "--jason"],
        &["sft", "--model", "m"],
        &[
            "eval",
            "run",
            "--task",
            "svamp",
            "--samples",
            "many",
            "--model",
            "m",
            "--out",
            "o",
        ],
        &[
            "recipe",
            "practice",
            "--hidden-size",
            "33",
            "--out",
            "never",
        ],
    ] {
        ensure!(code(misused)? == Some(2), "{misused:?}");
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn an_interrupt_is_130_and_sigterm_143() -> Result<()> {
    use rustix::process::{Pid, Signal, kill_process};

    for (signal, expected) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = tempfile::tempdir()?;
        let mut run = Command::new(env!("CARGO_BIN_EXE_eurus"))
            .args(["recipe", "run", "small-eurus", "--out", "runs"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // It has begun when it has a folder, and goes on for a minute.
        while !folder.path().join("runs/practice").exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let id = i32::try_from(run.id())?;
        let id = Pid::from_raw(id).ok_or_else(|| anyhow::anyhow!("a process"))?;
        kill_process(id, signal)?;
        ensure!(run.wait()?.code() == Some(expected), "{expected}");
    }
    Ok(())
}
