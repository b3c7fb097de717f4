//! Every example of a help is run, as a shell reads it, where the files that it names are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};

use crate::fixture::Fixture;
use crate::leaves::{all, examples};

/// What an example has that cannot be had here, and why.
const NOT_HERE: [(&str, &str); 11] = [
    ("http://", "a server of a model"),
    ("postgres://", "a server of a database"),
    (
        "synth run",
        "a run file with actors; tests/it/synth runs it",
    ),
    ("synth.db", "a store of such a run"),
    (
        "recipe run",
        "minutes, or data of the paper; tests/it/recipe runs it with other sizes",
    ),
    (
        "eurus serve",
        "it serves until it is interrupted; tests/it/serve runs it",
    ),
    (
        "--serve",
        "it serves until it is interrupted; tests/it/report runs it",
    ),
    ("own.toml", "a task of one's own; tests/it/eval runs one"),
    (
        "--task humaneval",
        "a sandbox for programs; tests/it/eval runs it",
    ),
    ("evals/kto-leetcode", "a sandbox with packages"),
    ("mmlu_csv.tar.gz", "an archive as it is published"),
];

/// Examples that name files which are made by hand, or results that only long runs have.
const BY_HAND: [(&str, &str); 7] = [
    ("--preset eurus-7b-sft", "as many rows as the paper has"),
    ("'MATH/*.jsonl'", "MATH as it is published"),
    (
        "runs/dpo runs/kto runs/nca --results",
        "evaluations of three policies",
    ),
    ("'tests/*.jsonl.gz'", "test sets as they are published"),
    ("--id d1f094e0", "a row of UltraInteract"),
    (
        "evals/sft-svamp --scores",
        "scores of the answers of a run; tests/it/eval runs it",
    ),
    (
        "--scores scores.jsonl --field",
        "scores of a benchmark's responses; tests/it/eval runs it",
    ),
];

/// Examples that read other rows from a file than others do: what is in them, the rows, and the file.
const OTHER_ROWS: [(&str, &str, &str); 2] = [
    ("plan sft", "sft.jsonl", "data.jsonl"),
    ("eurus sft", "sft.jsonl", "held-out.jsonl"),
];

fn why_not(example: &str) -> Option<&'static str> {
    let all = NOT_HERE.iter().chain(&BY_HAND);
    let mut found = all.filter(|(part, _)| example.contains(part));
    found.next().map(|(_, why)| *why)
}

/// Runs an example. What it says if it fails.
fn failure(fixture: &Fixture, example: &str) -> Result<Option<String>> {
    let place = fixture.copied()?;
    // What it would write is not there yet.
    let words: Vec<&str> = example.split_whitespace().collect();
    for pair in words
        .windows(2)
        .filter(|pair| ["--out", "--responses"].contains(&pair[0]))
    {
        remove(&place.path().join(pair[1]))?;
        remove(&place.path().join(format!("{}.manifest.json", pair[1])))?;
    }
    for (_, rows, file) in OTHER_ROWS
        .iter()
        .filter(|(part, ..)| example.contains(part))
    {
        fs::copy(place.path().join(rows), place.path().join(file))?;
    }
    for folder in [
        ".local/share/bash-completion/completions",
        ".zfunc",
        ".config/fish/completions",
    ] {
        fs::create_dir_all(place.path().join(folder))?;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_eurus"));
    let folder = program.parent().unwrap_or(Path::new("."));
    let path = format!(
        "{}:{}",
        folder.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new("sh")
        .args(["-c", example])
        .current_dir(place.path())
        .env("PATH", path)
        .env("HOME", place.path())
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .output()?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((!output.status.success())
        .then(|| format!("{example}\n  {}", message.trim().replace('\n', "\n  "))))
}

fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?;
    } else if path.exists() {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(unix)]
#[test]
fn the_examples_of_every_help_run() -> Result<()> {
    let mut shown = BTreeSet::new();
    for leaf in all(true)? {
        shown.extend(examples(&leaf.help)?);
    }
    let (not_here, run): (Vec<String>, Vec<String>) =
        shown.into_iter().partition(|it| why_not(it).is_some());
    let fixture = Fixture::new()?;
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(example) = run.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failed = failure(&fixture, example);
                    let told = failed.unwrap_or_else(|error| Some(format!("{example}: {error:#}")));
                    if let (Some(told), Ok(mut failures)) = (told, failures.lock()) {
                        failures.push(told);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_default();
    for example in &not_here {
        println!(
            "not run, as it needs {}: {example}",
            why_not(example).unwrap_or_default()
        );
    }
    println!("{} examples run, {} not", run.len(), not_here.len());
    ensure!(
        failures.is_empty(),
        "{} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    ensure!(
        run.len() > 80 && not_here.len() <= 45,
        "{} run, {} not",
        run.len(),
        not_here.len()
    );
    Ok(())
}
