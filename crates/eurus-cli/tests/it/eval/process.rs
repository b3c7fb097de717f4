//! `eurus eval process`: rewards of turns, from trees to tables.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::common::{Workplace, ensure_says};

/// Trees of two turns with scores of a policy that learned their pairs, and of a reward model that did.
fn place() -> Result<Workplace> {
    let place = Workplace::new()?;
    let train = "--data pairs.jsonl --epochs 4 --trees-per-step 3 --learning-rate 3e-3";
    place.succeed(&format!("reward --model model {train} --out rm"))?;
    place.succeed(&format!(
        "prefer --model model --algorithm dpo {train} --out dpo"
    ))?;
    place.succeed("data convert pairs.jsonl --to tree --out trees.jsonl")?;
    place.succeed(
        "score --policy dpo --reference model --model rm --beta 0.1 --data trees.jsonl --out dpo.jsonl",
    )?;
    Ok(place)
}

fn rows(place: &Workplace, name: &str) -> Result<Vec<Value>> {
    let text = fs::read_to_string(place.path(name))?;
    Ok(text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

fn json_of(place: &Workplace, arguments: &str) -> Result<Value> {
    Ok(serde_json::from_str(&place.succeed(arguments)?)?)
}

/// The AUC of a field over all pairs of a right and a wrong node, one by one.
fn counted(rows: &[Value], field: &str) -> Result<f64> {
    let of = |verdict: &str| -> Vec<f64> {
        let nodes = rows.iter().filter_map(|row| row["nodes"].as_array());
        let nodes = nodes.flatten().filter(|node| node["verdict"] == verdict);
        nodes.filter_map(|node| node[field].as_f64()).collect()
    };
    let (right, wrong) = (of("correct"), of("incorrect"));
    ensure!(!right.is_empty() && !wrong.is_empty());
    let wins = right.iter().flat_map(|right| {
        wrong.iter().map(move |wrong| match right - wrong {
            gap if gap > 0.0 => 1.0,
            0.0 => 0.5,
            _ => 0.0,
        })
    });
    Ok(wins.sum::<f64>() / (right.len() * wrong.len()) as f64)
}

#[test]
fn a_policy_that_learned_its_trees_tells_right_turns_from_wrong_ones() -> Result<()> {
    let place = place()?;
    let scored = rows(&place, "dpo.jsonl")?;
    for row in &scored {
        let nodes = row["nodes"].as_array().context("nodes")?;
        // Each follows the instruction or an action that stands before it.
        for node in nodes {
            ensure!(
                node["tokens"].as_u64() > Some(0) && node["source"].is_string(),
                "{node}"
            );
            let before = nodes.iter().take_while(|it| *it != node);
            let mut before = before.map(|it| &it["name"]);
            ensure!(
                node["parent"].is_null() || before.any(|name| *name == node["parent"]),
                "{node}"
            );
        }
        ensure!(
            nodes.iter().any(|node| node["parent"].is_string()),
            "{row} has two turns"
        );
    }
    let report = json_of(&place, "eval process dpo.jsonl --json")?;
    let rewards = report["rewards"].as_array().context("rewards")?;
    let fields: Vec<&Value> = rewards.iter().map(|it| &it["field"]).collect();
    ensure!(fields == ["implicit_reward", "reward"], "{report}");
    for (reward, field) in rewards.iter().zip(["implicit_reward", "reward"]) {
        let of = &reward["report"];
        let auc = of["reward"]["auc"].as_f64().context("AUC")?;
        ensure!(
            (auc - counted(&scored, field)?).abs() < 1e-9,
            "{field}: {of}"
        );
        ensure!(auc > 0.5, "{field} learned these pairs: {of}");
        ensure!(of["trees"] == 6 && of["by_turn"].as_array().map(Vec::len) == Some(2));
        ensure!(of["first_error"]["first_turn"] == 1.0 && of["first_error"]["chance"] == 0.5);
        ensure!(of["responses"].as_array().map(Vec::len) == Some(4));
        ensure!(of["length_only"]["auc"].is_number());
    }

    let likely = json_of(&place, "eval process dpo.jsonl --field log_prob --json")?;
    ensure!(likely["rewards"][0]["field"] == "log_prob", "{likely}");
    let said = place.succeed("eval process dpo.jsonl --sampled-only --out process.html")?;
    ensure_says(
        &said,
        &[
            "dpo (implicit_reward)",
            "dpo (reward)",
            "Length alone, in tokens",
            "By turn.",
            "dpo (implicit_reward), minimum",
            "Fewer turns alone",
            "report: process.html",
        ],
    )?;
    let page = fs::read_to_string(place.path("process.html"))?;
    ensure_says(&page, &["Siblings ranked right", "By turn."])?;
    ensure_says(
        &place.refusal("eval process dpo.jsonl --out process.html")?,
        &["process.html", "--overwrite"],
    )?;
    place.succeed("eval process dpo.jsonl --out process.html --overwrite")?;

    // A policy against itself says nothing of any turn.
    place.succeed("score --policy model --reference model --data trees.jsonl --out same.jsonl")?;
    let same = json_of(&place, "eval process same.jsonl --json")?;
    ensure!(
        same["rewards"][0]["report"]["reward"]["auc"] == 0.5,
        "{same}"
    );
    Ok(())
}

#[test]
fn steps_that_people_judged_need_no_tree_and_no_tokens() -> Result<()> {
    let place = Workplace::new()?;
    let chain = |id: &str, rewards: [f64; 3]| {
        json!({"id": id, "nodes": [
            {"name": "1", "verdict": "correct", "reward": rewards[0]},
            {"name": "2", "parent": "1", "verdict": "incorrect", "reward": rewards[1]},
            {"name": "3", "parent": "2", "verdict": "unjudged", "reward": rewards[2]},
        ]})
    };
    let mut judged = chain("b", [0.4, -0.4, 0.0]);
    judged["nodes"][2]["verdict"] = json!("incorrect");
    place.write_rows("steps.jsonl", &[chain("a", [0.5, -0.5, 0.1]), judged])?;
    let report = json_of(&place, "eval process steps.jsonl --json")?;
    let of = &report["rewards"][0]["report"];
    ensure!(
        of["reward"]["auc"] == 1.0 && of["unjudged"] == 1,
        "{report}"
    );
    ensure!(of["length_only"].is_null() && of["reward"]["pair_accuracy"].is_null());
    ensure!(
        of["first_error"]["found"]["mean"] == 1.0 && of["first_error"]["first_turn"] == 0.0,
        "{of}"
    );
    ensure_says(
        &place.succeed("eval process steps.jsonl")?,
        &["1 turns were not judged"],
    )
}

#[test]
fn scores_that_cannot_be_held_against_verdicts_are_refused_by_file_row_and_field() -> Result<()> {
    let place = Workplace::new()?;
    let good = json!({"name": "1", "verdict": "correct", "implicit_reward": 0.5});
    let with = |field: &str, value: Value| {
        let mut node = good.clone();
        node["name"] = json!("2");
        node[field] = value;
        json!({"id": "t", "nodes": [good, node]})
    };
    for (row, says) in [
        (
            with("verdict", Value::Null),
            &[
                "`nodes[1].verdict`",
                "the tree `t` has no verdicts",
                "score",
            ][..],
        ),
        (
            with("verdict", json!("right")),
            &["`nodes[1].verdict`", "right"],
        ),
        (
            with("implicit_reward", Value::Null),
            &["`nodes[1].implicit_reward`", "turn `2`", "no finite number"],
        ),
        (
            with("parent", json!("9")),
            &["`nodes[1].parent`", "`9`", "before this one"],
        ),
        (
            json!({"id": "p", "chosen": {"reward": 1.0}, "rejected": {"reward": 0.0}}),
            &["`nodes`", "no scored tree", "eurus score --data"],
        ),
    ] {
        place.write_rows("bad.jsonl", &[row])?;
        let said = place.refusal("eval process bad.jsonl")?;
        ensure_says(&said, &["row 1 of bad.jsonl"])?;
        ensure_says(&said, says)?;
    }
    fs::write(
        place.path("nan.jsonl"),
        r#"{"id": "t", "nodes": [{"name": "1", "verdict": "correct", "reward": NaN}]}"#,
    )?;
    ensure_says(
        &place.refusal("eval process nan.jsonl")?,
        &["row 1 of nan.jsonl"],
    )?;
    place.write_rows("one.jsonl", &[json!({"id": "t", "nodes": [good]})])?;
    ensure_says(
        &place.refusal("eval process one.jsonl")?,
        &["one.jsonl", "all 1 judged turns are correct"],
    )?;
    ensure_says(
        &place.refusal("eval process one.jsonl --field reward")?,
        &["one.jsonl", "no turn has `reward`", "implicit_reward"],
    )?;
    place.write_rows(
        "unjudged.jsonl",
        &[json!({"id": "sum", "nodes": [{"name": "1", "verdict": "unjudged", "reward": 0.1}]})],
    )?;
    ensure_says(
        &place.refusal("eval process unjudged.jsonl")?,
        &["unjudged.jsonl", "tree `sum` has no verdict"],
    )?;
    place.write_rows(
        "likely.jsonl",
        &[json!({"id": "t", "nodes": [{"name": "1", "verdict": "correct", "log_prob": -3.0}]})],
    )?;
    ensure_says(
        &place.refusal("eval process likely.jsonl")?,
        &["--reference", "log_prob", "--field"],
    )?;
    ensure_says(&place.refusal("eval process none.jsonl")?, &["none.jsonl"])
}
