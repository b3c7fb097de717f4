//! `eurus eval trajectories`: rewards in training, from the folders of runs.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_support::servers::{ChatServer, Reply};

use crate::common::{Workplace, ensure_says, events};

const TASK: &str = r#"
name = "sums"
title = "Sums"
gold = "answer"
grader = { name = "number" }
extraction = { by = "last_number" }
decoding = { temperature = 0.0, max_tokens = 16 }
prompt = { messages = [{ role = "user", content = "What is {{ question }}?" }] }
data = { file = "sums.jsonl", fields = ["question", "answer"], items = 8 }
"#;

/// Runs of the task that solve the first sums, in folders of these names.
fn results(place: &Workplace, task: &str, solved: &[(&str, usize)]) -> Result<()> {
    fs::write(place.path("sums.toml"), task)?;
    let rows: Vec<Value> = (0..8)
        .map(|it| json!({"question": format!("{it} + 1"), "answer": it + 1}))
        .collect();
    place.write_rows("sums.jsonl", &rows)?;
    for &(name, solved) in solved {
        let server = ChatServer::answering(move |call| {
            let mut words = call.last_text().split_whitespace().map(str::to_owned);
            let number: usize = words.find_map(|it| it.parse().ok()).unwrap_or_default();
            let answer = if number < solved { number + 1 } else { 99 };
            Reply::texts(&vec![answer.to_string(); call.samples()])
        });
        place.succeed(&format!(
            "eval run --task sums.toml --model {} --served-name m --out {name}",
            server.base_url
        ))?;
    }
    Ok(())
}

#[test]
fn runs_are_told_by_quarters_and_held_against_what_they_solve() -> Result<()> {
    let place = Workplace::new()?;
    let train =
        "--model model --data pairs.jsonl --epochs 4 --trees-per-step 3 --learning-rate 3e-3";
    place.succeed(&format!("prefer {train} --algorithm dpo --out dpo"))?;
    place.succeed(&format!(
        "prefer {train} --algorithm nca --out nca --metrics nca.jsonl"
    ))?;
    place.succeed(&format!("reward {train} --out rm"))?;
    let told: Value = serde_json::from_str(
        &place.succeed("eval trajectories dpo nca.jsonl rm/metrics.jsonl --json")?,
    )?;
    let runs = told["runs"].as_array().context("runs")?;
    ensure!(runs.len() == 3 && told["rank_correlation"].is_null());
    let steps: Vec<Value> = events(&place.path("dpo").join("metrics.jsonl"))?
        .into_iter()
        .filter(|event| event["event"] == "preference")
        .collect();
    ensure!(steps.len() == 8 && runs[0]["steps"].as_array().map(Vec::len) == Some(8));
    // All steps of this run have as many pairs.
    let last: Vec<f64> = steps[6..]
        .iter()
        .filter_map(|event| event["stats"]["chosen_reward"].as_f64())
        .collect();
    let quarter = runs[0]["quarters"][3]["chosen_reward"].as_f64();
    let quarter = quarter.context("a reward")?;
    ensure!((quarter - (last[0] + last[1]) / 2.0).abs() < 1e-9);
    ensure!(runs[0]["quarters"][0]["steps"] == 2);

    results(&place, TASK, &[("evals-dpo", 3), ("evals-nca", 6)])?;
    let given = "eval trajectories dpo nca.jsonl --results evals-dpo evals-nca";
    let said = place.succeed(&format!("{given} --out rewards.html"))?;
    ensure_says(
        &said,
        &[
            "Chosen reward, 1st quarter",
            "37.5",
            "75.0",
            "Rank correlation",
            "over 2 runs",
            "report: rewards.html",
        ],
    )?;
    let page = fs::read_to_string(place.path("rewards.html"))?;
    ensure_says(&page, &["Rejected reward", "Optimizer step"])?;
    let told: Value = serde_json::from_str(&place.succeed(&format!("{given} --json"))?)?;
    let rises = told["runs"][0]["quarters"][3]["chosen_reward"].as_f64()
        < told["runs"][1]["quarters"][3]["chosen_reward"].as_f64();
    let expected = if rises { 1.0 } else { -1.0 };
    ensure!(told["rank_correlation"] == expected, "{told}");
    ensure!(told["runs"][1]["pass_rate"]["mean"] == 0.75, "{told}");

    ensure_says(
        &place.refusal("eval trajectories dpo nca.jsonl --results evals-dpo")?,
        &[
            "--results names 1 folders",
            "dpo, nca.jsonl",
            "one for each",
        ],
    )?;
    results(
        &place,
        &TASK.replace("\"sums\"", "\"other\""),
        &[("evals-other", 2)],
    )?;
    ensure_says(
        &place.refusal("eval trajectories dpo nca.jsonl --results evals-dpo evals-other")?,
        &["evals-other", "`other`", "`sums`"],
    )?;
    ensure_says(
        &place.refusal("eval trajectories dpo --results dpo")?,
        &["--results", "summary.json"],
    )
}

#[test]
fn stages_of_one_file_are_runs_and_files_without_rewards_are_refused_with_their_place() -> Result<()>
{
    let place = Workplace::new()?;
    let step = |stage: Option<&str>, step: usize, reward: Value| {
        let mut event = json!({"event": "preference", "step": step, "stats": {
            "groups": 2, "chosen": 2, "rejected": 2, "chosen_reward": reward, "rejected_reward": -0.1, "accuracy": 1.0,
        }});
        if let Some(stage) = stage {
            event["stage"] = json!(stage);
        }
        event
    };
    place.write_rows(
        "metrics.jsonl",
        &[
            step(Some("DPO"), 1, json!(-0.5)),
            step(Some("KTO"), 1, json!(0.5)),
            step(Some("DPO"), 2, json!(-0.7)),
        ],
    )?;
    ensure_says(
        &place.succeed("eval trajectories .")?,
        &["DPO (.)", "KTO (.)", "−0.700", "+0.500"],
    )?;
    for (rows, says) in [
        (
            vec![step(None, 1, json!(0.1)), step(None, 2, Value::Null)],
            &[
                "row 2 of bad.jsonl",
                "`stats.chosen_reward`",
                "no finite number",
            ][..],
        ),
        (
            vec![step(None, 2, json!(0.1)), step(None, 1, json!(0.1))],
            &["row 2 of bad.jsonl", "`step`", "1 after 2"],
        ),
        (
            vec![json!({"id": "p", "chosen": "a"})],
            &["row 1 of bad.jsonl", "`event`", "metrics.jsonl"],
        ),
        (
            vec![json!({"event": "sft", "step": 1, "loss": 0.5})],
            &[
                "bad.jsonl",
                "no step of preference learning",
                "eurus prefer",
            ],
        ),
    ] {
        place.write_rows("bad.jsonl", &rows)?;
        ensure_says(&place.refusal("eval trajectories bad.jsonl")?, says)?;
    }
    ensure_says(
        &place.refusal("eval trajectories model")?,
        &["model", "has no metrics.jsonl", "--metrics"],
    )
}
