//! `eurus prefer --scored`: several scored answers to each instruction.

use crate::common::{Workplace, ensure_says, events};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const PREFER: &str = "prefer --model model --data scored.jsonl --scored --trees-per-step 3";

/// A row of UltraFeedback.
fn row(number: u32, answers: &[(&str, Option<f64>)]) -> Value {
    let completions: Vec<Value> = answers
        .iter()
        .map(
            |(response, score)| json!({"model": "m", "response": response, "overall_score": score}),
        )
        .collect();
    json!({
        "source": "toy",
        "instruction": format!("Tom has {number} bags of 3 apples. How many apples are there?"),
        "models": ["m"],
        "completions": completions,
    })
}

/// Six instructions with three answers each, and one with two.
fn place() -> Result<Workplace> {
    let place = Workplace::new()?;
    let mut rows = Vec::new();
    for number in 2..8 {
        let (right, wrong) = (number * 3, number + 3);
        rows.push(row(
            number,
            &[
                (&format!("Answer: {wrong}"), Some(1.0)),
                (&format!("Answer: {right}"), Some(4.0)),
                ("I do not know.", Some(2.0)),
            ],
        ));
    }
    rows.push(row(
        9,
        &[("Answer: 27", Some(3.0)), ("?", Some(0.5)), ("!", None)],
    ));
    place.write_rows("scored.jsonl", &rows)?;
    Ok(place)
}

#[test]
fn scored_answers_are_leaves_of_their_instruction_and_are_learned() -> Result<()> {
    let place = place()?;
    for loss in [
        r#"{"type":"nca_k","temperature":0.5}"#,
        r#"{"type":"info_nca"}"#,
    ] {
        let told = place.told(&format!(
            "{PREFER} --loss {loss} --epochs 5 --learning-rate 1e-2 --out out --overwrite --eval scored.jsonl --tensorboard board"
        ))?;
        ensure_says(&told, &["7 prompts with 20 scored responses"])?;
        let events = events(&place.path("out").join("metrics.jsonl"))?;
        let steps: Vec<&Value> = events
            .iter()
            .filter(|it| it["event"] == "preference")
            .collect();
        ensure!(steps.len() == 15, "{} steps", steps.len());
        let shared = steps
            .iter()
            .all(|it| it["unique_tokens"].as_u64() < it["naive_tokens"].as_u64());
        ensure!(shared, "instructions are computed once: {steps:?}");
        let last = steps[steps.len() - 1];
        ensure!(last["stats"]["margin"].as_f64() > Some(0.0), "{last}");
        let judged = events.iter().rfind(|it| it["event"] == "evaluated");
        let judged = judged.context("a judgement")?;
        ensure!(
            judged["judgement"]["metrics"]["accuracy"].as_f64() > Some(0.5),
            "{judged}"
        );
    }
    Ok(())
}

#[test]
fn a_run_is_planned_as_it_is_trained() -> Result<()> {
    let place = place()?;
    place.succeed(&format!("{PREFER} --algorithm nca --out out"))?;
    let plan = place.succeed(&format!("plan {PREFER} --algorithm nca --json"))?;
    let plan: Value = serde_json::from_str(&plan)?;
    let trained: u64 = events(&place.path("out").join("metrics.jsonl"))?
        .iter()
        .filter_map(|it| it["unique_tokens"].as_u64())
        .sum();
    let text = plan.to_string();
    ensure!(
        text.contains(&format!(":{trained}")),
        "{trained} tokens trained: {text}"
    );
    Ok(())
}

#[test]
fn rows_with_fewer_than_two_scored_answers_are_refused_or_left_out() -> Result<()> {
    let place = place()?;
    let rows = [
        row(2, &[("Answer: 6", Some(1.0)), ("Answer: 5", Some(0.0))]),
        row(3, &[("Answer: 9", Some(1.0)), ("Answer: 6", None)]),
        row(4, &[("Answer: 12", Some(1.0)), ("Answer: 12", Some(0.0))]),
    ];
    place.write_rows("scored.jsonl", &rows)?;
    let said = place.refusal(&format!("{PREFER} --algorithm nca --out out"))?;
    let words = [
        "2 of 3 rows",
        "fewer than two scored answers",
        "row 2",
        "--drop-unusable",
    ];
    ensure_says(&said, &words)?;
    let told = place.told(&format!(
        "{PREFER} --algorithm nca --out out --drop-unusable"
    ))?;
    ensure_says(
        &told,
        &["dropped: 2 with fewer than two scored answers", "1 prompts"],
    )
}

#[test]
fn algorithms_that_know_no_scores_are_refused() -> Result<()> {
    let place = place()?;
    for (options, words) in [
        ("--algorithm dpo", "use --algorithm nca"),
        (r#"--loss {"type":"dpo"}"#, "nca_k, info_nca"),
        ("--algorithm nca --unpaired", "cannot be used with"),
    ] {
        let output = place.run(&format!("{PREFER} --out out {options}"))?;
        ensure!(output.status.code() == Some(2), "{options}: {output:?}");
        ensure_says(&String::from_utf8(output.stderr)?, &[words])?;
    }
    Ok(())
}
