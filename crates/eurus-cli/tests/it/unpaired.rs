//! `eurus prefer --unpaired`: answers that were judged one by one.

use crate::common::{Workplace, ensure_says, events, losses};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const PREFER: &str = "prefer --model model --data judged.jsonl --unpaired --trees-per-step 3";

fn row(number: u32, answer: &str, label: bool) -> Value {
    let prompt = format!("Tom has {number} bags of 3 apples. How many apples are there?");
    json!({"prompt": prompt, "completion": answer, "label": label})
}

/// Six prompts with three answers each, and one that goes on after an answer, as messages.
fn place() -> Result<Workplace> {
    let place = Workplace::new()?;
    let mut rows = Vec::new();
    for number in 2..8 {
        rows.push(row(number, &format!("Answer: {}", number * 3), true));
        rows.push(row(number, &format!("Answer: {}", number + 3), false));
        rows.push(row(number, "I do not know.", false));
    }
    let question = text(&rows[0]["prompt"])?;
    let say = |role: &str, content: &str| json!({"role": role, "content": content});
    rows.push(json!({
        "prompt": [say("user", question), say("assistant", "Answer: 5"), say("user", "Are you sure?")],
        "completion": [say("assistant", "No. Answer: 6")],
        "label": true,
    }));
    place.write_rows("judged.jsonl", &rows)?;
    Ok(place)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("a text")
}

#[test]
fn rows_of_one_prompt_are_one_tree_and_are_learned() -> Result<()> {
    let place = place()?;
    let told = place.told(&format!(
        "{PREFER} --algorithm kto --epochs 3 --learning-rate 1e-2 --out kto --eval judged.jsonl --tensorboard board"
    ))?;
    ensure_says(&told, &["19 responses, 7 of them desirable, in 6 trees"])?;
    let events = events(&place.path("kto").join("metrics.jsonl"))?;
    let steps: Vec<&Value> = events
        .iter()
        .filter(|it| it["event"] == "preference")
        .collect();
    ensure!(steps.len() == 6, "{events:?}");
    let responses: u64 = steps
        .iter()
        .filter_map(|it| it["stats"]["groups"].as_u64())
        .sum();
    ensure!(responses == 3 * 19);
    let shared = steps
        .iter()
        .all(|it| it["unique_tokens"].as_u64() < it["naive_tokens"].as_u64());
    ensure!(shared, "prompts are computed once: {steps:?}");
    let reward = |step: &Value, side: &str| step["stats"][format!("{side}_reward")].as_f64();
    let last = steps[5];
    ensure!(reward(last, "chosen") > reward(last, "rejected"), "{last}");
    let judged = events
        .iter()
        .find(|it| it["event"] == "evaluated")
        .context("a judgement")?;
    ensure!(
        judged["judgement"]["metrics"]["chosen_reward"].is_number(),
        "{judged}"
    );
    Ok(())
}

#[test]
fn every_unpaired_loss_trains_and_those_over_pairs_are_refused() -> Result<()> {
    let place = place()?;
    for name in ["kto", "bco", "apo_zero"] {
        place.succeed(&format!(
            "{PREFER} --out {name} --loss {{\"type\":\"{name}\"}}"
        ))?;
        let losses = losses(&events(&place.path(name).join("metrics.jsonl"))?);
        ensure!(
            losses.len() == 2 && losses.iter().all(|it| it.is_finite()),
            "{name}: {losses:?}"
        );
    }
    for (options, says) in [
        ("--algorithm dpo", "--algorithm kto"),
        ("--loss {\"type\":\"nca\"}", "apo_zero"),
    ] {
        let refused = place.run(&format!("{PREFER} --out out {options}"))?;
        ensure!(refused.status.code() == Some(2), "{options}");
        ensure_says(&String::from_utf8(refused.stderr)?, &[says])?;
    }
    Ok(())
}

#[test]
fn a_plan_has_the_tokens_of_the_run() -> Result<()> {
    let place = place()?;
    let planned = place.succeed(&format!("plan {PREFER} --algorithm kto --json"))?;
    let planned: Value = serde_json::from_str(&planned)?;
    ensure!(
        planned["examples"] == 19 && planned["trees"] == 6,
        "{planned}"
    );
    place.succeed(&format!("{PREFER} --algorithm kto --out out"))?;
    let events = events(&place.path("out").join("metrics.jsonl"))?;
    let trained: u64 = events
        .iter()
        .filter_map(|it| it["unique_tokens"].as_u64())
        .sum();
    ensure!(planned["run"]["unique_tokens"] == trained, "{planned}");
    Ok(())
}

#[test]
fn rows_that_cannot_be_trained_on_are_named() -> Result<()> {
    let place = place()?;
    let say = |role: &str, content: &str| json!({"role": role, "content": content});
    let long = "apples ".repeat(200);
    for (bad, options, says) in [
        (json!({"prompt": "1 + 1?", "completion": "2"}), "", "label"),
        (row(2, " ", true), "", "--drop-unusable"),
        (
            row(2, &long, true),
            "--max-path-tokens 100",
            "field `completion` is too long",
        ),
        (
            json!({"prompt": "1?", "completion": [say("assistant", "2"), say("user", "3?"), say("assistant", "4")], "label": true}),
            "",
            "a verdict is on one",
        ),
    ] {
        let rows = [row(2, "Answer: 6", true), row(3, "Answer: 4", false), bad];
        place.write_rows("bad.jsonl", &rows)?;
        let run = PREFER.replace("judged", "bad");
        let refusal = place.refusal(&format!("{run} --algorithm kto --out out {options}"))?;
        ensure_says(&refusal, &["bad.jsonl", "row 3", says])?;
    }
    // The rest trains once the long row is dropped.
    place.write_rows(
        "bad.jsonl",
        &[
            row(2, "Answer: 6", true),
            row(3, "4", false),
            row(4, &long, true),
        ],
    )?;
    let run = PREFER.replace("judged", "bad");
    let told = place.told(&format!(
        "{run} --algorithm kto --out out --max-path-tokens 100 --over-long drop"
    ))?;
    ensure_says(
        &told,
        &[
            "2 responses, 1 of them desirable",
            "1 of 3 responses are longer",
        ],
    )
}

/// What is told of rows before training, and before a plan.
fn told_of(place: &Workplace, rows: &[Value]) -> Result<Vec<String>> {
    place.write_rows("judged.jsonl", rows)?;
    let out = format!("out-{}", place.names()?.len());
    Ok(vec![
        place.told(&format!("{PREFER} --algorithm kto --out {out}"))?,
        place.told(&format!("plan {PREFER} --algorithm kto"))?,
    ])
}

#[test]
fn verdicts_that_all_say_the_same_are_warned_about_with_counts() -> Result<()> {
    let place = Workplace::new()?;
    for (label, counts) in [
        (
            true,
            "3 responses, 3 of them desirable, in 3 trees; warning: none is undesirable",
        ),
        (
            false,
            "3 responses, 0 of them desirable, in 3 trees; warning: none is desirable",
        ),
    ] {
        let rows: Vec<Value> = (2..5).map(|it| row(it, "Answer: 6", label)).collect();
        for told in told_of(&place, &rows)? {
            ensure_says(&told, &[counts])?;
        }
    }
    let both = [row(2, "Answer: 6", true), row(3, "Answer: 4", false)];
    for told in told_of(&place, &both)? {
        ensure!(!told.contains("warning: none is"), "{told}");
        ensure!(!told.contains("both desirable"), "{told}");
    }
    Ok(())
}

#[test]
fn answers_that_are_both_desirable_and_undesirable_are_warned_about_with_counts() -> Result<()> {
    let place = Workplace::new()?;
    let rows = [
        row(2, "Answer: 6", true),
        row(3, "Answer: 9", true),
        row(3, "Answer: 9", false),
        row(4, "Answer: 7", false),
        row(4, "Answer: 7", true),
        row(4, "Answer: 7", false),
    ];
    for told in told_of(&place, &rows)? {
        ensure_says(
            &told,
            &[
                "6 responses, 3 of them desirable, in 3 trees",
                "warning: 2 answers are both desirable and undesirable (first in `",
                "row 2 of judged.jsonl`)",
                "so keep one of each",
            ],
        )?;
    }
    Ok(())
}

#[test]
fn pairs_that_are_preferred_both_ways_are_warned_about_with_counts() -> Result<()> {
    let place = Workplace::new()?;
    let pair = |chosen: &str, rejected: &str| json!({"prompt": "2?", "chosen": chosen, "rejected": rejected});
    place.write_rows(
        "pairs.jsonl",
        &[pair("2", "3"), pair("3", "2"), pair("2", "4")],
    )?;
    let told = place.told("prefer --model model --data pairs.jsonl --algorithm dpo --out dpo")?;
    ensure_says(
        &told,
        &[
            "3 pairs in 1 trees",
            "warning: 1 pair is preferred both ways (first in `",
        ],
    )
}
