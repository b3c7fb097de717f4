//! Hostile code against the sandbox, from inside and with a look from outside after each attempt.
//!
//! A program of its own: it makes much of processes, and every attack must find the machine quiet.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::print_stdout)] // what was measured, and what the run as another user told

mod events;
mod kernel;
mod leaks;
mod network;
mod processes;
mod resources;
mod secrets;
mod suite;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use code_interpreter::{Interpreter, Protection};
use suite::{Attack, End, Outside, attack, limits, python_at, succeeds};
use test_support::skip;

/// Attacks and counts of processes and folders disturb one another.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all() -> impl Iterator<Item = &'static Attack> {
    [
        network::ATTACKS,
        secrets::ATTACKS,
        kernel::ATTACKS,
        processes::ATTACKS,
        resources::ATTACKS,
        events::ATTACKS,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn there_are_at_least_fifty_attacks_with_names_of_their_own() {
    let names: std::collections::BTreeSet<&str> = all().map(|attack| attack.name).collect();
    assert_eq!(names.len(), all().count());
    assert!(names.len() >= 50, "{}", names.len());
}

#[test]
fn no_attack_gets_through_the_full_sandbox() {
    let _alone = alone();
    let python = match python_at(Protection::Full) {
        Ok(python) => python,
        Err(reason) => return skip(&reason),
    };
    let mut outside = Outside::new();
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    outside.note();
    let wrong: Vec<String> = all()
        .flat_map(|this| attack(&mut interpreter, &outside, this))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The gaps of the lower level are known one by one: nothing else gets through, and each of them does.
#[test]
fn the_degraded_sandbox_holds_all_but_the_gaps_that_are_listed() {
    let _alone = alone();
    let python = match python_at(Protection::DegradedLinux) {
        Ok(python) => python,
        Err(reason) => return skip(&reason),
    };
    let mut outside = Outside::new();
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    outside.note();
    let scoped = interpreter.safeguards().landlock >= 6;
    let mut wrong = Vec::new();
    for this in all().filter(|this| scoped || !this.needs_scope) {
        let found = attack(&mut interpreter, &outside, this);
        match this.gap {
            None => wrong.extend(found),
            // One that ran out of time has shown nothing, which a busy machine makes of those that may.
            Some(gap) if found.is_empty() && !this.ends.contains(&End::TimedOut) => {
                wrong.push(format!("{}: held, though {gap}", this.name));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn without_a_sandbox_the_attacks_that_can_be_tried_get_through() {
    let _alone = alone();
    let python = python_at(Protection::None).unwrap();
    let outside = Outside::new();
    let mut interpreter = Interpreter::start(&python, limits()).unwrap();
    let held: Vec<&str> = all()
        .filter(|this| this.control && !succeeds(&mut interpreter, &outside, this))
        .map(|this| this.name)
        .collect();
    assert!(held.is_empty(), "{held:?}");
}

/// An ordinary user has less to begin with and the same user outside of the sandbox.
#[test]
fn the_same_holds_when_an_ordinary_user_runs_it() {
    let _alone = alone();
    if !rustix::process::getuid().is_root() {
        return; // the other tests have shown it
    }
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skip("there is no interpreter that every user can reach");
    }
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let program = folder.path().join("attacks");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let done = Command::new(&program)
        .args(["--nocapture", "--skip", "without_a_sandbox"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("API_KEY", "sk-secret")])
        .env("TMPDIR", folder.path())
        .current_dir("/")
        .uid(65_533)
        .gid(65_533)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    println!("{told}");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
