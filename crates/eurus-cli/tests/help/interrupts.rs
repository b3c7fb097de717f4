//! Ctrl-C in the middle of every command that works longer than a moment: it ends with 130, says the command that goes on, and
//! that command ends with the files of a run that nothing came into the way of.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::{Fixture, copy};
use crate::leaves::all;

/// When a command is in the middle of its work.
#[derive(Debug, Clone, Copy)]
enum Middle {
    /// From when it listens for interrupts, as it then reads what is large.
    Listening,
    /// When a hidden file or folder is there that becomes the result.
    Hidden,
    /// When this file has something in it.
    Grown(&'static str),
}

/// What becomes of the printed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It is run, and ends with the same files.
    Ends,
    /// It would work until it is interrupted.
    Lasts,
}

use After::{Ends, Lasts};
use Middle::{Grown, Hidden, Listening};

/// Commands with work to do, and when they are in the middle of it. `LARGE` are many rows.
const CASES: &[(&str, Middle, After)] = &[
    ("data stats LARGE", Listening, Ends),
    ("data validate LARGE", Listening, Ends),
    (
        "data convert LARGE --to trl-preference-chat --out out.jsonl",
        Hidden,
        Ends,
    ),
    (
        "data convert LARGE --to trl-preference-chat --out out.parquet",
        Hidden,
        Ends,
    ),
    ("data pairs LARGE --out out.jsonl", Hidden, Ends),
    ("data sft LARGE --out out.jsonl.zst", Hidden, Ends),
    ("data augment LARGE --out out.jsonl.gz", Hidden, Ends),
    (
        "data mix --source a=LARGE --to pair --out out.jsonl",
        Hidden,
        Ends,
    ),
    (
        "data decontaminate LARGE --against P/benchmarks/test.jsonl --out out.jsonl --report why.jsonl",
        Hidden,
        Ends,
    ),
    (
        "synth problems --columns instruction=question,answer=final --task Logic large.csv --out out.jsonl",
        Hidden,
        Ends,
    ),
    ("synth doctor", Listening, Ends),
    (
        "eval run --task svamp --data P/benchmarks/SVAMP.json --setting cot --limit 2 --samples 8 --max-rows 4 --model Q/model --out evals/out",
        Grown("evals/out/cot/answers.jsonl"),
        Ends,
    ),
    ("eval grade evals/large", Listening, Ends),
    (
        "eval process large-scores.jsonl --out out.html",
        Listening,
        Ends,
    ),
    (
        "eval rm pairs --data LARGE --model trained/rm --ratings out.jsonl",
        Grown("out.jsonl.unfinished"),
        Ends,
    ),
    (
        "generate --model P/model --data problems.jsonl --samples 4 --max-rows 4 --max-tokens 16 --out out.jsonl",
        Grown("out.jsonl"),
        Ends,
    ),
    (
        "score --model trained/rm --data LARGE --out out.jsonl",
        Grown("out.jsonl.unfinished"),
        Ends,
    ),
    (
        "report --trees large-trees.jsonl --out out.html",
        Listening,
        Ends,
    ),
    ("report trained/dpo --serve --port 0", Listening, Lasts),
    ("chat --model P/model", Listening, Lasts),
    ("serve --model P/model --port 0", Listening, Lasts),
    (
        "plan sft --model P/model --data large-sft.jsonl",
        Listening,
        Ends,
    ),
    (
        "plan prefer --model P/model --data LARGE --algorithm dpo",
        Listening,
        Ends,
    ),
    ("plan reward --model P/model --data LARGE", Listening, Ends),
    (
        "sft --model P/model --data sft.jsonl --epochs 20 --trees-per-step 4 --out out",
        Grown("out.snapshots/metrics.jsonl"),
        Ends,
    ),
    (
        "prefer --model P/model --data pairs.jsonl --algorithm kto --epochs 6 --trees-per-step 4 --out out",
        Grown("out.snapshots/metrics.jsonl"),
        Ends,
    ),
    (
        "reward --model P/model --data pairs.jsonl --epochs 6 --trees-per-step 4 --out out",
        Grown("out.snapshots/metrics.jsonl"),
        Ends,
    ),
    (
        "recipe practice --problems 1500 --hidden-size 32 --heads 2 --out out",
        Listening,
        Ends,
    ),
    (
        "recipe run mine.toml --out out",
        Grown("out/sft/data.jsonl"),
        Ends,
    ),
];

/// Commands without a case, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("completions", "prints in a moment"),
    ("data show", "prints the first trees, in a moment"),
    ("eval compare", "reads two small files"),
    ("eval list", "prints in a moment"),
    ("eval rerank", "reads two small files"),
    ("eval show", "prints one item"),
    ("eval trajectories", "reads a small file of each run"),
    ("man", "writes in a moment"),
    ("recipe check", "counts without data"),
    ("recipe list", "prints in a moment"),
    ("recipe show", "prints in a moment"),
    (
        "synth export",
        "reads a store of a run; what is hidden is as with `data convert`",
    ),
    ("synth retry", "one statement of a database"),
    ("synth run", "needs actors: tests/it/synth/interrupts.rs"),
    ("synth status", "reads a store"),
];

/// Files whose contents have times or speeds.
const TIMED: [&str; 6] = [
    "run.json",
    "times.jsonl",
    "report.html",
    "report.html.step.json",
    "page.step.json",
    "summary.json",
];

#[test]
fn every_command_has_a_case_or_a_reason_why_not() -> Result<()> {
    for leaf in all(false)? {
        let words = leaf.words.join(" ");
        let cases = CASES
            .iter()
            .filter(|(command, ..)| *command == words || command.starts_with(&format!("{words} ")));
        let reasons = WITHOUT.iter().filter(|(name, _)| *name == words);
        let (cases, reasons) = (cases.count(), reasons.count());
        ensure!(
            (cases > 0) != (reasons > 0) && reasons < 2,
            "{words}: {cases} cases, {reasons} reasons"
        );
    }
    Ok(())
}

/// Adds what is large, and a recipe that is short.
pub fn enlarge(place: &Path) -> Result<()> {
    let repeated = |from: &str, to: &str, times: usize, rename: bool| -> Result<()> {
        let rows = fs::read_to_string(place.join(from))?;
        let mut text = String::new();
        for copy in 0..times {
            for line in rows.lines() {
                let mut row: Value = serde_json::from_str(line)?;
                if rename {
                    for field in ["id", "parent_id"] {
                        if let Some(id) = row[field].as_str() {
                            row[field] = format!("{copy}-{id}").into();
                        }
                    }
                }
                text.push_str(&format!("{row}\n"));
            }
        }
        Ok(fs::write(place.join(to), text)?)
    };
    // Its answers are short.
    let short = "recipe practice --problems 24 --held-out 2 --hidden-size 32 --heads 2 --vocabulary 400 --context 256 --out Q";
    let made = Command::new(env!("CARGO_BIN_EXE_eurus"))
        .args(short.split(' '))
        .current_dir(place)
        .status()?;
    ensure!(made.success(), "{short}");
    // A run with many answers.
    let run = place.join("evals/large");
    copy(&place.join("evals/kto-svamp"), &run)?;
    let answers = fs::read_to_string(run.join("cot/answers.jsonl"))?;
    let mut text = String::new();
    for line in answers.lines() {
        let mut answer: Value = serde_json::from_str(line)?;
        for sample in 0..2000 {
            answer["sample"] = sample.into();
            text.push_str(&format!("{answer}\n"));
        }
    }
    fs::write(run.join("cot/answers.jsonl"), text)?;
    repeated("pairs.jsonl", "large.jsonl", 60, true)?;
    repeated("sft.jsonl", "large-sft.jsonl", 400, true)?;
    repeated("trees.jsonl", "large-trees.jsonl", 100, true)?;
    repeated("dpo.jsonl", "large-scores.jsonl", 300, true)?;
    let rows: String = (0..200_000)
        .map(|row| format!("Is {row} a number?,yes\n"))
        .collect();
    fs::write(place.join("large.csv"), format!("question,final\n{rows}"))?;
    let recipe = "name = \"mine\"\nextends = \"small-eurus\"\n[practice]\nproblems = 24\nheld_out = 2\nhidden_size = 32\nheads = 2\n\
                  vocabulary = 400\n[data.preference.sources.ultrainteract]\ntake = \"24\"\n\
                  [data.reward.sources.ultrainteract]\ntake = \"24\"\n[data.reward.sources.augmented]\ntake = \"8\"\n\
                  [sft]\nepochs = 1\n[reward]\nepochs = 1\n";
    fs::write(place.join("mine.toml"), recipe)?;
    Ok(())
}

fn shell(place: &Path, command: &str) -> Result<Child> {
    Ok(Command::new("sh")
        .args(["-c", &format!("exec {command}")])
        .current_dir(place)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?)
}

/// What it says until it ends, and its exit code. Its input stays open until then.
fn ended(mut child: Child) -> Result<(Option<i32>, String)> {
    let input = child.stdin.take();
    let mut message = String::new();
    child
        .stderr
        .take()
        .context("piped")?
        .read_to_string(&mut message)?;
    let status = child.wait()?;
    drop(input);
    Ok((status.code(), message))
}

/// Whether a process is the program by now, no more the shell, and has a handler of SIGINT.
fn listens(id: u32) -> bool {
    let program = fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
    if fs::canonicalize(env!("CARGO_BIN_EXE_eurus")).ok() != Some(program) {
        return false;
    }
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (Signal::INT.as_raw() - 1) & 1 == 1)
}

fn hidden(place: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(place)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name.starts_with('.'));
    Ok(names)
}

/// Waits until a run is in the middle; it may end before.
fn wait_for(middle: Middle, place: &Path, child: &mut Child) -> Result<()> {
    while child.try_wait()?.is_none() {
        let is_there = match middle {
            Listening => true,
            Hidden => !hidden(place)?.is_empty(),
            Grown(name) => fs::metadata(place.join(name)).is_ok_and(|it| it.len() > 0),
        };
        if is_there && listens(child.id()) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

/// All files below a folder by their paths, with what time does not change.
fn files(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().context("a name")?.to_string_lossy();
        let key = format!("{prefix}{name}");
        // The state that an interrupt saved stays.
        if name.ends_with(".snapshots") {
            continue;
        }
        if path.is_dir() {
            files(&path, &format!("{key}/"), found)?;
            continue;
        }
        let content = match &*name {
            name if TIMED.contains(&name) => Vec::new(),
            "metrics.jsonl" => {
                let text = fs::read_to_string(&path)?;
                let steps = text.lines().map(serde_json::from_str::<Value>);
                let steps = steps.collect::<Result<Vec<_>, _>>()?;
                let steps = steps.iter().filter(|it| it["grad_norm"].is_number());
                let steps = steps.map(|it| format!("{} {}\n", it["loss"], it["grad_norm"]));
                steps.collect::<String>().into_bytes()
            }
            _ => fs::read(&path)?,
        };
        found.insert(key, content);
    }
    Ok(())
}

pub fn all_files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    files(folder, "", &mut found)?;
    Ok(found)
}

/// The command that a message says to go on, or to begin again, with.
fn to_go_on(message: &str) -> Option<&str> {
    let ends = ["with:\n", "begins again:\n"];
    let after = ends
        .iter()
        .find_map(|end| Some(message.split_once(end)?.1))?;
    Some(after.lines().next()?.trim())
}

/// A command as it is run: with its program, and the large file.
pub fn whole_command(command: &str) -> String {
    let command = command.replace("LARGE", "large.jsonl");
    format!("{} {command}", env!("CARGO_BIN_EXE_eurus"))
}

/// Interrupts a command in the middle. `None` when it ended before.
fn interrupted(
    fixture: &Fixture,
    command: &str,
    middle: Middle,
    after: After,
) -> Result<Option<()>> {
    let place = fixture.copied()?;
    let place = place.path();
    let mut child = shell(place, &whole_command(command))?;
    wait_for(middle, place, &mut child)?;
    let id = Pid::from_raw(i32::try_from(child.id())?).context("a process")?;
    // It may have ended by itself.
    let _ = kill_process(id, Signal::INT);
    let (code, message) = ended(child)?;
    if code == Some(0) || message.contains("is complete") || message.contains("all was done") {
        return Ok(None);
    }
    ensure!(code == Some(130), "{code:?}: {message}");
    ensure!(
        message.contains("interrupted") || message.contains("ended; "),
        "{message}"
    );
    let next = to_go_on(&message).with_context(|| format!("no command: {message}"))?;
    ensure!(hidden(place)?.is_empty(), "left: {:?}", hidden(place)?);
    if after == Lasts {
        ensure!(next == whole_command(command), "{next}");
        return Ok(Some(()));
    }
    let (code, went_on) = ended(shell(place, next)?)?;
    ensure!(code == Some(0), "{next}: {code:?}: {went_on}");
    let undisturbed = fixture.copied()?;
    let (code, told) = ended(shell(undisturbed.path(), &whole_command(command))?)?;
    ensure!(code == Some(0), "undisturbed: {code:?}: {told}");
    let (one, other) = (all_files(place)?, all_files(undisturbed.path())?);
    let different = |name: &&String| one.get(*name) != other.get(*name);
    let names: std::collections::BTreeSet<&String> =
        one.keys().chain(other.keys()).filter(different).collect();
    ensure!(names.is_empty(), "{message}\nother files: {names:?}");
    Ok(Some(()))
}

#[test]
fn ctrl_c_in_the_middle_keeps_what_is_done_and_the_printed_command_goes_on() -> Result<()> {
    let fixture = Fixture::new()?;
    enlarge(fixture.path())?;
    let mut failures = Vec::new();
    'cases: for (command, middle, after) in CASES {
        for _ in 0..5 {
            match interrupted(&fixture, command, *middle, *after) {
                Ok(None) => {}
                Ok(Some(())) => continue 'cases,
                Err(error) => {
                    failures.push(format!("{command}: {error:#}"));
                    continue 'cases;
                }
            }
        }
        failures.push(format!(
            "{command}: it ended before it could be interrupted"
        ));
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} failed:\n{}", failures.len(), failures.join("\n\n"))
}
