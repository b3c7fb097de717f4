//! `eurus eval run --task X --limit 5` of every built-in task, from its data as they are published to its summary.

use std::fs;

use anyhow::{Context, Result, ensure};
use eurus::eval::tasks::{Grader, Task};
use serde_json::{Value, json};
use test_support::servers::{Call, ChatServer, Reply};

use super::published::{NAMES, named, published};
use crate::common::{LEVEL, Workplace, ensure_says};

/// Items that are asked, one less than there are.
const LIMIT: usize = NAMES.len() - 1;
/// Items that the scripted model answers rightly.
const RIGHT: usize = 3;
/// Breaks the rules of every task, and calls nothing.
const WRONG: &str = "I do not know, Or do I.";

/// A folder with the data of a task under `data`, and its whole command line but for the model.
fn place_of(task: &Task) -> Result<(Workplace, String)> {
    let place = Workplace::new()?;
    let name = task.name();
    let data = published(name).with_context(|| {
        format!("there are no rows for the task `{name}` yet; add them to eval/published.rs")
    })?;
    for (name, content) in &data.files {
        let path = place.path("data").join(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, content)?;
    }
    let mut run = format!("eval run --task {name} --data data --limit {LIMIT}");
    let settings = task.settings();
    let needs_python = settings.iter().map(|setting| task.with_setting(setting));
    let mut settings = needs_python.collect::<eurus::eval::Result<Vec<_>>>()?;
    settings.push(task.clone());
    if settings.iter().any(|it| it.grader().needs_python()) {
        run += &format!(" --sandbox {}", *LEVEL);
    }
    Ok((place, run))
}

/// The summary of a run in `out`, of which all that holds for any model is checked.
fn summary(place: &Workplace, task: &Task, out: &str) -> Result<Vec<Value>> {
    let text = fs::read(place.path(out).join("summary.json"))?;
    let summary: Value = serde_json::from_slice(&text)?;
    let published = task.file().data.items.context("a published number")?;
    let notes = summary["notes"].to_string();
    ensure_says(
        &notes,
        &[
            &format!(
                "{} items, where the published data have {published}",
                NAMES.len()
            ),
            &format!("the first {LIMIT} of {} items alone", NAMES.len()),
        ],
    )?;
    ensure!(summary["run"]["limit"] == LIMIT, "{}", summary["run"]);
    let markdown = fs::read_to_string(place.path(out).join("summary.md"))?;
    ensure_says(&markdown, &["where the published data have"])?;
    ensure!(place.path(out).join("report.html").exists());
    let settings = summary["settings"].as_array().context("settings")?.clone();
    ensure!(settings.len() == task.settings().len().max(1));
    for setting in &settings {
        let counts = setting["outcomes"].as_object().context("outcomes")?;
        let counted: u64 = counts.values().filter_map(Value::as_u64).sum();
        ensure!(counted == LIMIT as u64, "{setting}");
        let name = setting["name"].as_str().context("a name")?;
        match setting["accuracy"]["mean"].as_f64() {
            Some(accuracy) => ensure!((0.0..=1.0).contains(&accuracy), "{setting}"),
            None => ensure_reasons(place, out, name)?,
        }
    }
    Ok(settings)
}

/// Checks that each answer that is not judged says why.
fn ensure_reasons(place: &Workplace, out: &str, setting: &str) -> Result<()> {
    let text = fs::read_to_string(place.path(out).join(setting).join("verdicts.jsonl"))?;
    for line in text.lines() {
        let verdict: Value = serde_json::from_str(line)?;
        let reason = verdict["reason"].as_str().unwrap_or_default();
        ensure!(
            verdict["verdict"] == "unjudged" && !reason.is_empty(),
            "{line}"
        );
    }
    Ok(())
}

/// The whole of what a call sends.
fn sent(call: &Call) -> String {
    let messages = call.body["messages"].as_array().into_iter().flatten();
    let contents = messages.filter_map(|it| it["content"].as_str());
    let text: Vec<&str> = contents.chain(call.body["prompt"].as_str()).collect();
    text.join("\n")
}

/// A server that goes on with begun answers and is right about the first items.
fn solver(right: Vec<String>) -> ChatServer {
    ChatServer::answering(move |call| {
        let last = call.body["messages"].as_array().and_then(|it| it.last());
        let begun = last.filter(|it| it["role"] == "assistant");
        let begun = begun.map_or(0, |_| call.last_text().split([' ', '-']).count());
        let text = match named(&sent(call)) {
            Some(at) if at < RIGHT => right[at].as_str(),
            _ => WRONG,
        };
        let mut reply = Reply::completion(&vec![text; call.samples()]);
        // By this the client finds out that the server goes on with a begun answer.
        reply["usage"]["prompt_tokens"] = json!(12 + begun);
        Reply::ok(reply.to_string())
    })
}

fn judge() -> ChatServer {
    ChatServer::answering(|_| Reply::texts(&["Fair. [[6]]"]))
}

/// The options that name a judge, for tasks that want one.
fn judged_by(task: &Task, judge: &ChatServer) -> String {
    match task.grader() {
        Grader::Judge {} => format!(" --judge {} --judge-served-name j", judge.base_url),
        _ => String::new(),
    }
}

#[test]
fn every_built_in_task_counts_the_right_answers_of_a_scripted_model() -> Result<()> {
    let judge = judge();
    for task in Task::all()? {
        let of_task = || format!("the task `{}`", task.name());
        let (place, run) = place_of(&task)?;
        let right = published(task.name()).context("rows")?.right;
        let server = solver(right);
        let judge = judged_by(&task, &judge);
        place.succeed(&format!(
            "{run}{judge} --model {} --served-name m --out run",
            server.base_url
        ))?;
        for setting in summary(&place, &task, "run").with_context(of_task)? {
            if judge.is_empty() {
                let mean = setting["accuracy"]["mean"].as_f64().with_context(of_task)?;
                let wanted = RIGHT as f64 / LIMIT as f64;
                ensure!((mean - wanted).abs() < 1e-12, "{}: {setting}", task.name());
                ensure!(setting["accuracy"]["n"] == LIMIT, "{setting}");
            } else {
                ensure!(setting["ratings"]["mean"] == 6.0, "{setting}");
                ensure!(setting["ratings"]["n"] == LIMIT, "{setting}");
            }
        }
    }
    Ok(())
}

/// The tiny model ends no answer by itself: its context does, and conversations outgrow it.
fn shorten_context(place: &Workplace) -> Result<()> {
    const CONTEXT: usize = 640;
    let path = place.path("model/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["max_position_embeddings"] = json!(CONTEXT);
    Ok(fs::write(path, config.to_string())?)
}

#[test]
fn every_built_in_task_runs_with_a_model_in_this_process() -> Result<()> {
    let judge = judge();
    for task in Task::all()? {
        let (place, run) = place_of(&task)?;
        let judge = judged_by(&task, &judge);
        shorten_context(&place)?;
        place.succeed(&format!("{run}{judge} --model model --out run"))?;
        summary(&place, &task, "run").with_context(|| format!("the task `{}`", task.name()))?;
    }
    Ok(())
}
