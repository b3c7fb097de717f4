//! `eurus eval run` and `grade` of conversations in turns.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_support::servers::{Call, ChatServer, Reply};

use crate::common::{Workplace, ensure_says};

fn json_of(place: &Workplace, name: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(place.path(name))?)?)
}

fn lines_of(place: &Workplace, name: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(place.path(name))?;
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// How often the model spoke before this call.
fn turns_before(call: &Call) -> usize {
    let messages = call.body["messages"].as_array();
    let spoken = messages.into_iter().flatten();
    spoken.filter(|it| it["role"] == "assistant").count()
}

/// Whether the conversation is about a problem.
fn is_about(call: &Call, problem: &str) -> bool {
    let first = call.body["messages"][0]["content"].as_str();
    first.is_some_and(|it| it.contains(problem))
}

/// Data in the form of MINT: three sums.
fn mint() -> Result<Workplace> {
    let place = Workplace::new()?;
    fs::create_dir(place.path("mint"))?;
    for (name, text) in [
        (
            "template_with_tool.txt",
            "Solve it.\n{in_context_example}\n{task_prompt}",
        ),
        ("in_context_humaneval.txt", "An example."),
        ("in_context_mbpp.txt", "An example."),
        ("in_context_reasoning.txt", "An example."),
    ] {
        fs::write(place.path(&format!("mint/{name}")), text)?;
    }
    let rows: Vec<Value> = [("apples", "7"), ("pears", "12"), ("plums", "30")]
        .iter()
        .enumerate()
        .map(|(id, (what, count))| json!({"id": id, "prompt": format!("How many {what}?"), "reference": count}))
        .collect();
    place.write_rows("mint/math.test_prompts.jsonl", &rows)?;
    Ok(place)
}

/// Apples are right at once, pears after a tool's answer, plums never; their third turn is silent for as long as is said.
fn solver(call: &Call, is_silent: &AtomicBool) -> Reply {
    let text = match (turns_before(call), call.last_text()) {
        (0, _) if is_about(call, "apples") => "<solution> 7 </solution>",
        (0, _) if is_about(call, "pears") => "<execute> 3 * 4 </execute>",
        (1, said) if is_about(call, "pears") && said.contains("12") => "<solution> 12 </solution>",
        (2, _) if is_about(call, "plums") && is_silent.load(Ordering::SeqCst) => {
            return Reply::Silence;
        }
        (2.., _) => "<solution> 1 </solution>",
        _ => "I think.",
    };
    Reply::texts(&vec![text; call.samples()])
}

#[test]
fn episodes_of_mint_go_on_after_a_kill_and_are_graded_again_without_a_model() -> Result<()> {
    let place = mint()?;
    let is_silent = Arc::new(AtomicBool::new(true));
    let silent = is_silent.clone();
    let server = ChatServer::answering(move |call| solver(call, &silent));
    let run = format!(
        "eval run --task mint --data mint --model {} --served-name m --sandbox none --out run",
        server.base_url
    );
    let words: Vec<String> = run.split_whitespace().map(str::to_owned).collect();
    let mut child = place
        .command(&words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let answers = place.path("run/answers/answers.jsonl");
    for _ in 0..3000 {
        let done = fs::read_to_string(&answers).unwrap_or_default();
        if done.lines().count() == 2 || child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    child.wait()?;
    is_silent.store(false, Ordering::SeqCst);
    place.succeed(&run)?;
    let about = |what: &str| {
        let calls = server.calls();
        calls.iter().filter(|call| is_about(call, what)).count()
    };
    ensure!(
        about("apples") == 1,
        "{} calls about apples",
        about("apples")
    );
    ensure!(about("pears") == 2, "{} calls about pears", about("pears"));
    let rows = lines_of(&place, "run/answers/answers.jsonl")?;
    let turns = rows
        .iter()
        .map(|row| row["turns"].as_array().map_or(0, Vec::len));
    ensure!(turns.collect::<Vec<_>>() == [1, 2, 4], "{rows:?}");
    let summary = json_of(&place, "run/summary.json")?;
    let setting = &summary["settings"][0];
    ensure!(setting["accuracy"]["mean"] == 2.0 / 3.0, "{setting}");
    let verdicts = fs::read(place.path("run/answers/verdicts.jsonl"))?;
    let calls = server.calls().len();
    place.succeed("eval grade run --sandbox none")?;
    ensure!(fs::read(place.path("run/answers/verdicts.jsonl"))? == verdicts);
    ensure!(server.calls().len() == calls, "a model was asked");
    let rows = lines_of(&place, "run/answers/verdicts.jsonl")?;
    ensure!(rows[1]["why"] == "task_success in turn 2", "{rows:?}");
    ensure!(rows[2]["why"] == "max_propose_steps in turn 4", "{rows:?}");
    Ok(())
}

/// Data in the form of MT-Bench: three questions with a second turn.
fn mtbench() -> Result<Workplace> {
    let place = Workplace::new()?;
    let rows: Vec<Value> = ["Rome", "Oslo", "Lima"]
        .iter()
        .enumerate()
        .map(|(id, city)| json!({"question_id": id, "category": "writing", "turns": [format!("Tell of {city}."), "Shorter."]}))
        .collect();
    place.write_rows("question.jsonl", &rows)?;
    Ok(place)
}

#[test]
fn conversations_of_mt_bench_are_rated_by_a_judge_turn_by_turn() -> Result<()> {
    let place = mtbench()?;
    let server = ChatServer::answering(|call| {
        let text = format!("Answer {}", turns_before(call) + 1);
        Reply::texts(&vec![text; call.samples()])
    });
    let judge = ChatServer::answering(|call| {
        let asked = call.last_text();
        let text = match asked.contains("Answer 2") {
            _ if asked.contains("Lima") => "I cannot say.",
            true if asked.contains("Rome") => "Good. [[9]]",
            true => "Poor. [[4]]",
            false => "Fair. [[6]]",
        };
        Reply::texts(&[text])
    });
    let run = format!(
        "eval run --task mtbench --data question.jsonl --model {} --served-name m --out run",
        server.base_url
    );
    let said = place.refusal(&run)?;
    ensure_says(
        &said,
        &["a model judges the answers of `mtbench`", "--judge"],
    )?;
    ensure!(server.calls().is_empty(), "the model was asked in vain");
    let judged = format!("--judge {} --judge-served-name j", judge.base_url);
    let told = place.succeed(&format!("{run} {judged}"))?;
    ensure_says(&told, &["Rating", "6.250 ± 1.250", "7.15"])?;
    let summary = json_of(&place, "run/summary.json")?;
    let setting = &summary["settings"][0];
    ensure!(
        setting["ratings"]["mean"] == 6.25 && setting["ratings"]["n"] == 2,
        "{setting}"
    );
    ensure!(setting["accuracy"].is_null(), "{setting}");
    let turns = &setting["rating_groups"]["turn"];
    ensure!(
        turns["1"]["mean"] == 6.0 && turns["2"]["mean"] == 6.5,
        "{setting}"
    );
    ensure!(
        setting["rating_groups"]["category"]["writing"]["n"] == 2,
        "{setting}"
    );
    ensure_says(&told, &["Rating by category", "Rating by turn"])?;
    ensure!(
        setting["outcomes"] == json!({"rated": 2, "unjudged": 1}),
        "{setting}"
    );
    let rows = lines_of(&place, "run/answers/answers.jsonl")?;
    let first = rows.first().context("no answers")?;
    ensure!(first["turns"] == json!(["Answer 1", "Answer 2"]), "{first}");
    let calls = server.calls().len();
    place.succeed(&format!("eval grade run {judged}"))?;
    ensure!(server.calls().len() == calls, "the model was asked again");
    ensure_says(&place.refusal("eval grade run")?, &["--judge"])
}

#[test]
fn a_judge_is_refused_where_a_rule_says_what_is_right() -> Result<()> {
    let place = mint()?;
    let said = place.refusal(
        "eval run --task mint --data mint --model http://127.0.0.1:9/v1 --judge http://127.0.0.1:9/v1 --out run",
    )?;
    ensure_says(&said, &["--judge has no effect", "judged by a rule"])
}
