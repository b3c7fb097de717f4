//! `eurus eval run`, `grade`, `compare` and `rerank`: whole runs on a tiny model and on a scripted server.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_support::count;
use test_support::servers::{ChatServer, Reply};

use crate::common::{Workplace, ensure_says};

const TASK: &str = r#"
name = "sums"
title = "Sums"
gold = "answer"
groups = { size = "size" }
grader = { name = "number" }
extraction = { by = "last_number" }
decoding = { temperature = 1.0, max_tokens = 16 }
prompt = { messages = [{ role = "user", content = "What is {{ question }}?" }] }
published = [{ table = "Table 1", model = "Other", value = 50.0, counted = "12 sums" }]
data = { file = "sums.jsonl", fields = ["question", "answer", "size"], items = 12 }
"#;

fn place() -> Result<Workplace> {
    let place = Workplace::new()?;
    fs::write(place.path("sums.toml"), TASK)?;
    let rows: Vec<Value> = (0..12)
        .map(|it| json!({"question": format!("{it} + 1"), "answer": it + 1, "size": if it < 9 { "one" } else { "two" }}))
        .collect();
    place.write_rows("sums.jsonl", &rows)?;
    Ok(place)
}

/// Answers the first sums rightly.
fn server(right: usize) -> ChatServer {
    ChatServer::answering(move |call| {
        let number: usize = call
            .last_text()
            .split_whitespace()
            .find_map(|it| it.parse().ok())
            .unwrap_or_default();
        let answer = if number < right { number + 1 } else { 0 };
        Reply::texts(&vec![format!("That is {answer}"); call.samples()])
    })
}

fn json_of(place: &Workplace, name: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(place.path(name))?)?)
}

/// All files of a run but the times, with their contents.
fn files(place: &Workplace, run: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut folders = vec![place.path(run)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("times.jsonl") {
                let name = path.strip_prefix(place.path(run))?.display().to_string();
                found.push((name, fs::read(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn a_run_counts_what_is_right_and_two_runs_are_compared_item_by_item() -> Result<()> {
    let place = place()?;
    for (name, right) in [("weak", 3), ("strong", 10)] {
        let server = server(right);
        let told = place.succeed(&format!(
            "eval run --task sums.toml --model {} --served-name m --out {name}",
            server.base_url
        ))?;
        ensure_says(&told, &["Published in Table 1", "report.html"])?;
        let summary = json_of(&place, &format!("{name}/summary.json"))?;
        let setting = &summary["settings"][0];
        ensure!(
            setting["accuracy"]["mean"] == right as f64 / 12.0,
            "{setting}"
        );
        ensure!(
            setting["outcomes"]["right"] == right && setting["outcomes"]["wrong"] == 12 - right
        );
        ensure!(setting["groups"]["size"]["one"]["n"] == 9, "{setting}");
        ensure!(setting["interval"]["low"].as_f64() > Some(0.0));
    }
    let said = place.succeed("eval compare weak strong")?;
    ensure_says(
        &said,
        &[
            "12 items in common",
            "McNemar",
            "right in the second alone: ",
        ],
    )?;
    let compared: Value = serde_json::from_str(&place.succeed("eval compare weak strong --json")?)?;
    ensure!(
        compared["comparison"]["mcnemar"]["only_right"] == 7,
        "{compared}"
    );
    // Without a model, and with the files of another harness.
    place.succeed("eval grade strong --grader fixed --harness 2024-04-02")?;
    let results = json_of(&place, "strong/results_2024-04-02.json")?;
    ensure!(
        results["results"]["sums"]["acc,none"] == 10.0 / 12.0,
        "{results}"
    );
    let samples = fs::read_to_string(place.path("strong/samples_sums_2024-04-02.jsonl"))?;
    ensure!(samples.lines().count() == 12);
    let page = fs::read_to_string(place.path("strong/report.html"))?;
    ensure_says(&page, &["wrong (2)", "right (10)", "What is 11 + 1?"])?;
    Ok(())
}

#[test]
fn a_run_is_the_same_every_time_and_however_often_it_was_killed() -> Result<()> {
    let place = place()?;
    let run = "eval run --task sums.toml --model model --samples 4 --max-rows 4 --seed 3";
    place.succeed(&format!("{run} --out whole"))?;
    for _ in 0..count("EURUS_KILLS", 1) {
        let words: Vec<String> = format!("{run} --out killed")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let mut child = place
            .command(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let answers = place.path("killed/answers/answers.jsonl");
        let had = fs::read_to_string(&answers)
            .unwrap_or_default()
            .lines()
            .count();
        for _ in 0..1000 {
            let now = fs::read_to_string(&answers)
                .unwrap_or_default()
                .lines()
                .count();
            if now > had || child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill()?;
        child.wait()?;
    }
    place.succeed(&format!("{run} --out killed"))?;
    for (whole, killed) in files(&place, "whole")?
        .iter()
        .zip(&files(&place, "killed")?)
    {
        ensure!(whole == killed, "{} and {} differ", whole.0, killed.0);
    }
    let times = fs::read_to_string(place.path("killed/times.jsonl"))?;
    let drawn: Vec<Value> = times
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let last = drawn.last().context("a line of times")?;
    ensure!(
        last["answers"].as_u64() < Some(48),
        "answers were drawn again: {times}"
    );
    let said = place.refusal(&format!("{run} --out whole --limit 3"))?;
    ensure_says(&said, &["run.json", "`limit` is null there and 3 here"])
}

#[test]
fn samples_are_reranked_by_scores_of_a_file() -> Result<()> {
    let place = place()?;
    let server = ChatServer::answering(|call| {
        // One of four is right.
        let number: usize = call
            .last_text()
            .split_whitespace()
            .find_map(|it| it.parse().ok())
            .unwrap_or_default();
        let texts: Vec<String> = (0..call.samples())
            .map(|it| format!("{}", if it == 2 { number + 1 } else { 70 + it }))
            .collect();
        Reply::texts(&texts)
    });
    place.succeed(&format!(
        "eval run --task sums.toml --model {} --served-name m --samples 4 --out run",
        server.base_url
    ))?;
    let verdicts = fs::read_to_string(place.path("run/answers/verdicts.jsonl"))?;
    let scores: Vec<Value> = verdicts
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line)?;
            let reward = if row["verdict"] == "correct" {
                -1.0
            } else {
                -5.0
            };
            Ok(json!({"id": row["id"], "sample": row["sample"], "reward": reward}))
        })
        .collect::<Result<_>>()?;
    place.write_rows("oracle.jsonl", &scores)?;
    let curve: Value =
        serde_json::from_str(&place.succeed("eval rerank run --scores oracle.jsonl --json")?)?;
    let of_four = curve["points"]
        .as_array()
        .and_then(|it| it.last())
        .context("points")?;
    let of = |what: &str| {
        let rows = of_four["rows"].as_array()?;
        let row = rows
            .iter()
            .find(|row| row["method"].to_string().contains(what))?;
        row["accuracy"]["mean"].as_f64()
    };
    ensure!(
        of("oracle") == Some(1.0) && of("pass_at_n") == Some(1.0),
        "{curve}"
    );
    ensure!(of("random") == Some(0.25), "{curve}");
    ensure_says(
        &place.refusal("eval rerank run --scores oracle.jsonl --field rewards")?,
        &["row 1 of oracle.jsonl", "`rewards`", "reward"],
    )
}

#[test]
fn a_run_whose_programs_cannot_be_run_draws_no_answer() -> Result<()> {
    let place = place()?;
    fs::write(
        place.path("code.toml"),
        TASK.replace(r#"{ name = "number" }"#, r#"{ name = "python_asserts" }"#),
    )?;
    let server = server(12);
    let said = place.refusal(&format!(
        "eval run --task code.toml --model {} --served-name m --python no-such-python --out run",
        server.base_url
    ))?;
    ensure_says(&said, &["sandbox", "no-such-python"])?;
    ensure!(server.calls().is_empty(), "the model was asked in vain");
    ensure!(!place.path("run").exists(), "a run was begun");
    Ok(())
}
