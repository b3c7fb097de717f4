//! A disk that is full in the middle of what a command writes: one message with place and remedy, exit code 1, nothing half
//! written under its name; and the same command goes on when there is room, to the same files.
//!
//! The disk is a small file system in memory, in name spaces of its own; where none can be mounted the test is skipped and
//! says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::fixture::Fixture;
use crate::interrupts::{all_files, enlarge, whole_command};
use crate::leaves::all;

/// Commands that write, with the room that there is in `full`, in pages of 4096 bytes, and what lies there before.
const CASES: &[(&str, usize, &str)] = &[
    (
        "data convert LARGE --to trl-preference-chat --out full/out.jsonl",
        2,
        "",
    ),
    (
        "data convert LARGE --to trl-preference-chat --out full/out.parquet",
        2,
        "",
    ),
    ("data pairs LARGE --out full/out.jsonl", 2, ""),
    ("data sft LARGE --out full/out.jsonl.zst", 1, ""),
    ("data augment LARGE --out full/out.jsonl.gz", 1, ""),
    (
        "data mix --source a=pairs.jsonl --to pair --out full/out.jsonl",
        2,
        "",
    ),
    // The rows have room, and the manifest has none.
    (
        "data mix --source a=b.jsonl --to trl-messages --out full/out.jsonl",
        1,
        "",
    ),
    (
        "data decontaminate LARGE --against P/benchmarks/test.jsonl --out full/out.jsonl --report full/why.jsonl",
        2,
        "",
    ),
    ("data stats LARGE --layout json > full/out.json", 0, ""),
    (
        "synth problems --columns instruction=question,answer=final --task Logic large.csv --out full/out.jsonl",
        2,
        "",
    ),
    (
        "eval run --task svamp --data P/benchmarks/SVAMP.json --setting cot --samples 2 --model Q/model --out full/out",
        3,
        "",
    ),
    (
        "eval run --task svamp --data P/benchmarks/SVAMP.json --setting cot --samples 2 --model Q/model --out full/out",
        8,
        "",
    ),
    ("eval grade full/kto-svamp", 0, "evals/kto-svamp"),
    ("eval rerank full/kto-svamp", 0, "evals/kto-svamp"),
    ("eval process dpo.jsonl --out full/out.html", 1, ""),
    ("eval trajectories runs/dpo --out full/out.html", 1, ""),
    (
        "eval rm pairs --data pairs.jsonl --model trained/rm --ratings full/out.jsonl",
        0,
        "",
    ),
    (
        "eval rm pairs --data LARGE --responses full/out.jsonl",
        2,
        "",
    ),
    (
        "generate --model P/model --data problems.jsonl --samples 8 --max-tokens 16 --out full/out.jsonl",
        2,
        "",
    ),
    (
        "score --model trained/rm --data pairs.jsonl --out full/out.jsonl",
        0,
        "",
    ),
    ("report trained/dpo --out full/out.html", 1, ""),
    (
        "sft --model P/model --data sft.jsonl --trees-per-step 8 --out full/out",
        8,
        "",
    ),
    (
        "prefer --model P/model --data pairs.jsonl --algorithm kto --trees-per-step 8 --out full/out",
        8,
        "",
    ),
    (
        "reward --model P/model --data pairs.jsonl --trees-per-step 8 --out full/out",
        8,
        "",
    ),
    (
        "recipe practice --problems 60 --hidden-size 32 --heads 2 --out full/out",
        8,
        "",
    ),
    ("recipe run mine.toml --out full", 20, ""),
    ("recipe run mine.toml --out full", 120, ""),
    ("recipe run mine.toml --out full", 300, ""),
    ("man --out full/man", 2, ""),
    ("completions bash > full/out.bash", 1, ""),
];

/// Commands without a case, and why.
const WITHOUT: &[(&str, &str)] = &[
    (
        "chat",
        "/save says what failed, and the conversation goes on",
    ),
    ("data show", "prints"),
    ("data validate", "prints"),
    ("eval compare", "prints"),
    ("eval list", "prints"),
    ("eval show", "prints"),
    ("plan prefer", "prints"),
    ("plan reward", "prints"),
    ("plan sft", "prints"),
    ("recipe check", "prints"),
    ("recipe list", "prints"),
    ("recipe show", "prints"),
    ("serve", "writes nothing"),
    ("synth doctor", "prints"),
    (
        "synth export",
        "writes as `data convert` does, from a store of a run",
    ),
    (
        "synth retry",
        "changes a store: the tests of ultrainteract-synth fill one's disk",
    ),
    (
        "synth run",
        "writes a store: the tests of ultrainteract-synth fill one's disk",
    ),
    ("synth status", "prints"),
];

#[test]
fn every_command_that_writes_has_a_case_of_a_full_disk() -> Result<()> {
    for leaf in all(false)? {
        let words = leaf.words.join(" ");
        let cases = CASES
            .iter()
            .any(|(command, ..)| command.starts_with(&format!("{words} ")));
        let reasons = WITHOUT.iter().filter(|(name, _)| *name == words).count();
        ensure!(
            cases != (reasons > 0) && reasons < 2,
            "{words}: a case: {cases}, {reasons} reasons"
        );
    }
    Ok(())
}

/// In a file system of its own: little room, the command, what it left hidden, room, the command again.
const SCRIPT: &str = "mount -t tmpfs -o size=64m tmpfs full || exit 77
test -z \"$BEFORE\" || cp -r \"$BEFORE\" full/
dd if=/dev/zero of=full/.filler bs=4096 2> /dev/null
truncate -s -$((PAGES * 4096)) full/.filler
(eval \"$COMMAND\") > told.txt 2> first.txt
echo $? > first.code
rm full/.filler
find full -name '.*' > hidden.txt
(eval \"$COMMAND\") > told.txt 2> second.txt
echo $? > second.code
cp -r full result";

/// What a command does on a disk that is full. `None` where no file system can be mounted.
fn on_a_full_disk(fixture: &Fixture, case: (&str, usize, &str)) -> Result<Option<()>> {
    let (command, pages, before) = case;
    let place = fixture.copied()?;
    let place = place.path();
    fs::create_dir(place.join("full"))?;
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", SCRIPT])
        .current_dir(place)
        .env("COMMAND", whole_command(command))
        .env("PAGES", pages.to_string())
        .env("BEFORE", before)
        .env("HF_HUB_OFFLINE", "1")
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) if status.code() == Some(77) || status.code() == Some(1) => return Ok(None),
        Ok(status) => bail!("the script: {status}"),
        Err(_) => return Ok(None),
    }
    let read = |name: &str| fs::read_to_string(place.join(name)).context(name.to_owned());
    let (first, code) = (read("first.txt")?, read("first.code")?);
    ensure!(code.trim() == "1", "exit code {code}{first}");
    ensure!(
        first.contains("error: ") && first.contains(" room"),
        "{first}"
    );
    // Standard output has no name.
    ensure!(first.contains("full") || command.contains(" > "), "{first}");
    // Before a run begins it is looked whether it has room.
    let goes_on = [
        "goes on:\n",
        "go on with:\n",
        "there is no room for the run",
    ];
    ensure!(goes_on.iter().any(|it| first.contains(it)), "{first}");
    let errors = first.lines().filter(|line| line.starts_with("error: "));
    // A step of a recipe has its own.
    let most = 1 + usize::from(command.starts_with("recipe run"));
    ensure!(errors.count() <= most, "{first}");
    let hidden = read("hidden.txt")?;
    ensure!(
        hidden.lines().all(|name| name.ends_with(".lock")),
        "left: {hidden}\n{first}"
    );
    let (second, code) = (read("second.txt")?, read("second.code")?);
    ensure!(
        code.trim() == "0",
        "again: exit code {code}{second}\nafter: {first}"
    );
    let whole = fixture.copied()?;
    let whole = whole.path();
    fs::create_dir(whole.join("full"))?;
    if !before.is_empty() {
        let copied = Command::new("cp")
            .args(["-r", before, "full/"])
            .current_dir(whole)
            .status()?;
        ensure!(copied.success());
    }
    let output = Command::new("sh")
        .args(["-c", &whole_command(command)])
        .current_dir(whole)
        .output()?;
    ensure!(
        output.status.success(),
        "undisturbed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    same(&place.join("result"), &whole.join("full")).with_context(|| first.clone())?;
    Ok(Some(()))
}

/// Checks that two folders have the same files.
fn same(one: &Path, other: &Path) -> Result<()> {
    let (one, other) = (all_files(one)?, all_files(other)?);
    let names = one.keys().chain(other.keys());
    let different: BTreeSet<&String> = names
        .filter(|name| one.get(*name) != other.get(*name))
        .collect();
    ensure!(different.is_empty(), "other files: {different:?}");
    Ok(())
}

#[test]
fn a_full_disk_is_said_with_the_remedy_and_the_same_command_goes_on() -> Result<()> {
    let fixture = Fixture::new()?;
    enlarge(fixture.path())?;
    let mut failures = Vec::new();
    for case in CASES {
        match on_a_full_disk(&fixture, *case) {
            Ok(Some(())) => {}
            Ok(None) => {
                println!("SKIPPED: no file system can be mounted here, so no disk is full");
                return Ok(());
            }
            Err(error) => {
                let told = format!("{} in {} pages: {error:#}", case.0, case.1);
                println!("{told}");
                failures.push(told);
            }
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{} failed:\n{}", failures.len(), failures.join("\n\n"))
}
