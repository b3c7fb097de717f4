//! Options and files that a seeded mutator has put together: the program ends with a message and a documented code, never by
//! a panic, and every record of a file is in the output, in the rejects, or in the count of those that give no row.
//!
//! `EURUS_MUTATIONS` sets how many there are; `--nocapture` prints how they ended.

#![allow(clippy::print_stdout, reason = "the counts are the result")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use crate::common::{Workplace, pair_rows};
use anyhow::{Context, Result, ensure};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use test_support::count;

/// Commands that write nothing but `out`, and what some of their options take.
const COMMANDS: [&str; 8] = [
    "plan sft --model model --data sft.jsonl",
    "plan prefer --model model --data pairs.jsonl --algorithm dpo",
    "plan prefer --model model --data pairs.jsonl --algorithm kto",
    "plan prefer --model model --data pairs.jsonl --loss nca-k --scored",
    "plan reward --model model --data pairs.jsonl",
    "data validate pairs.jsonl",
    "data convert pairs.jsonl --to trl-preference-chat --out out",
    "data mix --source a=pairs.jsonl --to trl-preference-chat --out out",
];

/// Options of runs with values that fit, if they take one.
const OF_RUNS: [(&str, &[&str]); 32] = [
    ("--learning-rate", &["1e-5", "0.1"]),
    ("--epochs", &["1", "3"]),
    ("--max-steps", &["1", "100000"]),
    ("--trees-per-step", &["1", "64"]),
    ("--forests-per-step", &["1", "8"]),
    ("--token-budget", &["64", "8192"]),
    ("--max-path-tokens", &["64", "1024"]),
    ("--warmup-ratio", &["0", "0.1"]),
    ("--weight-decay", &["0", "0.1"]),
    ("--max-grad-norm", &["1", "0.1"]),
    ("--precision", &["full", "bf16"]),
    ("--seed", &["1", "64"]),
    ("--lora-rank", &["2", "8"]),
    ("--lora-alpha", &["1", "8"]),
    ("--lora-dropout", &["0", "0.1"]),
    ("--lora-targets", &["q_proj,v_proj", "all-linear"]),
    ("--beta", &["0.1", "2"]),
    ("--loss", &["dpo", "simpo", "orpo", "bt"]),
    ("--algorithm", &["dpo", "kto", "nca"]),
    ("--format", &["pair", "sft"]),
    ("--over-long", &["cut", "drop"]),
    ("--drop-unusable", &[]),
    ("--score-by", &["overall", "fine-grained"]),
    ("--show-tokenization", &[]),
    ("--chat-template", &["chatml", "llama-3", "mistral"]),
    ("--rank-only", &["toy", "Math_CoT"]),
    ("--last-turn-only", &[]),
    ("--eval", &["pairs.jsonl", "sft.jsonl"]),
    ("--eval-every", &["1", "8"]),
    ("--keep-best", &[]),
    ("--optimizer", &["adamw", "adafactor"]),
    ("--unpaired", &[]),
];

/// The same of commands on data.
const OF_DATA: [(&str, &[&str]); 9] = [
    ("--format", &["pair", "sft"]),
    ("--max-turns", &["1", "8"]),
    ("--score-by", &["overall", "fine-grained"]),
    ("--skip-invalid", &["rejects"]),
    ("--overwrite", &[]),
    ("--take", &["a=2", "a=50%"]),
    ("--per-instruction", &["a=1", "a=2"]),
    ("--seed", &["1", "8"]),
    ("--show", &["0", "3"]),
];

const VALUES: [&str; 16] = [
    "0",
    "1",
    "-1",
    "1e300",
    "NaN",
    "inf",
    "18446744073709551616",
    "x",
    "all",
    "dpo",
    "pair",
    "pairs.jsonl",
    "a=2",
    "a=-1",
    "",
    "é",
];

fn one_of<'a>(of: &[&'a str], random: &mut impl Rng) -> &'a str {
    of[random.random_range(0..of.len())]
}

/// How a run ended; a panic or a signal is no end.
fn code(output: &Output, run: &str) -> Result<i32> {
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output
        .status
        .code()
        .with_context(|| format!("{run}: {said}"))?;
    ensure!(
        (0..=2).contains(&code) && !said.contains("panicked"),
        "{run}: code {code}: {said}"
    );
    ensure!(code == 0 || !said.trim().is_empty(), "{run}: no message");
    Ok(code)
}

#[test]
fn any_options_are_taken_or_refused_with_a_message() -> Result<()> {
    let place = Workplace::new()?;
    let mutations = count("EURUS_MUTATIONS", 40);
    let mut codes = BTreeMap::<i32, usize>::new();
    for seed in 0..mutations {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let mut run = COMMANDS[seed % COMMANDS.len()].to_owned();
        let options = match run.starts_with("plan") {
            true => &OF_RUNS[..],
            false => &OF_DATA,
        };
        for _ in 0..random.random_range(1..4) {
            let (option, fitting) = options[random.random_range(0..options.len())];
            run += &format!(" {option}");
            if !fitting.is_empty() {
                let values = match random.random_bool(0.8) {
                    true => fitting,
                    false => &VALUES[..],
                };
                run += &format!(" {}", one_of(values, &mut random));
            }
        }
        for made in ["out", "out.manifest.json", "rejects"] {
            let _ = std::fs::remove_file(place.path(made));
        }
        let code = code(&place.run(&run)?, &run).with_context(|| format!("seed {seed}"))?;
        *codes.entry(code).or_default() += 1;
        // What an option may have been told to write over is there again.
        place.write_rows("pairs.jsonl", &pair_rows())?;
    }
    println!("{mutations} lists of options, by exit code: {codes:?}, 0 panics");
    Ok(())
}

/// One change of the bytes that leaves line breaks alone.
fn damage(line: &mut Vec<u8>, random: &mut impl Rng) {
    let at = random.random_range(0..line.len());
    match random.random_range(0..5) {
        0 => line.truncate(at + 1),
        1 => line[at] ^= 1 << random.random_range(0..7),
        2 => line.insert(at, b"{}[],:\"\\\xff\x00"[random.random_range(0..10)]),
        3 => drop(line.remove(at)),
        _ => {
            let end = (at + random.random_range(1..40)).min(line.len());
            drop(line.drain(at..end));
        }
    }
    line.retain(|&byte| byte != b'\n' && byte != b'\r');
    if line.trim_ascii().is_empty() {
        *line = b"{".to_vec();
    }
}

fn lines_of(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// The number before some words.
fn number_before(text: &str, words: &str) -> usize {
    let Some((before, _)) = text.split_once(words) else {
        return 0;
    };
    let number = before.rsplit(' ').next().unwrap_or_default();
    number.replace(',', "").parse().unwrap_or_default()
}

#[test]
fn every_record_of_a_damaged_file_is_written_rejected_or_counted() -> Result<()> {
    let place = Workplace::new()?;
    let mutations = count("EURUS_MUTATIONS", 30);
    const ROWS: usize = 7;
    let (mut used, mut told) = (0, 0);
    for seed in 0..mutations {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let mut text = Vec::new();
        for n in 0..ROWS {
            let mut line = json!({"prompt": [{"role": "user", "content": format!("{n} bags?")}],
                "chosen": [{"role": "assistant", "content": "6"}], "rejected": [{"role": "assistant", "content": "7"}]})
            .to_string()
            .into_bytes();
            // The first row tells the format.
            if n > 0 && random.random_bool(0.4) {
                damage(&mut line, &mut random);
            }
            text.extend(line);
            text.push(b'\n');
        }
        std::fs::write(place.path("rows.jsonl"), &text)?;
        let file = || format!("seed {seed}:\n{}", String::from_utf8_lossy(&text));
        for made in ["out.jsonl", "rejects.jsonl"] {
            let _ = std::fs::remove_file(place.path(made));
        }
        let run = "data convert rows.jsonl --to trl-preference-chat --out out.jsonl --skip-invalid rejects.jsonl";
        let output = place.run(run)?;
        ensure!(code(&output, run)? == 0, "{}", file());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let rows = lines_of(&place.path("out.jsonl"));
        let rejects = lines_of(&place.path("rejects.jsonl"));
        let without = number_before(&said, " records give no row");
        ensure!(rows + rejects + without == ROWS, "{said}\n{}", file());

        let output = place.run("data validate rows.jsonl")?;
        let validated = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(
            number_before(&validated, " records (") == ROWS,
            "{validated}\n{}",
            file()
        );
        let invalid = number_before(&validated, " of which are invalid");
        ensure!(invalid == rejects, "{validated}\n{}", file());

        used += rows;
        told += rejects + without;
        // Loading a model takes longer than all else.
        if !seed.is_multiple_of(4) {
            continue;
        }
        let run =
            "plan prefer --model model --data rows.jsonl --algorithm dpo --drop-unusable --json";
        let output = place.run(run)?;
        ensure!(code(&output, run)? == 0, "{}", file());
        let plan: Value = serde_json::from_slice(&output.stdout)?;
        let report = &plan["rows"];
        let dropped = ["invalid", "empty", "identical_pairs"];
        let dropped = dropped.map(|kind| report[kind]["rows"].as_u64().unwrap_or_default());
        let dropped = dropped.iter().sum::<u64>() as usize;
        ensure!(report["read"] == ROWS, "{report}\n{}", file());
        ensure!(
            dropped == rejects,
            "training drops {dropped}: {report}\n{}",
            file()
        );
    }
    println!(
        "{mutations} damaged files of {ROWS} records: {used} written, {told} told of, as many invalid for convert, validate and training, 0 panics"
    );
    Ok(())
}
