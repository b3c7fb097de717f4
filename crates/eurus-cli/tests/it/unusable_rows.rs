//! Rows that cannot be trained on: counted by reason before training, refused or dropped.

use crate::cases::{self, OF_A_STEP, told_of, violations};
use crate::common::{Workplace, ensure_says, pair_rows, sft_rows};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const PREFER: &str = "prefer --model model --data pairs.jsonl --algorithm kto --trees-per-step 4";

#[test]
fn unusable_rows_are_counted_by_reason_and_refused_or_dropped() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = pair_rows();
    rows[2]["chosen"] = json!(" ");
    rows[4]["rejected"] = rows[4]["chosen"].clone();
    rows[5]["rejected"] = rows[5]["chosen"].clone();
    rows.push(rows[0].clone());
    place.write_rows("pairs.jsonl", &rows)?;
    let run = format!("{PREFER} --max-steps 1");

    let message = place.refusal(&format!("{run} --out out"))?;
    ensure_says(
        &message,
        &[
            "3 of 13 rows cannot be trained on",
            "1 empty (row 3 of pairs.jsonl: field `chosen`",
            "2 with identical actions (first: row 5 of pairs.jsonl: field `rejected`",
            "--drop-unusable",
        ],
    )?;

    let message = place.told(&format!("{run} --out out --drop-unusable"))?;
    ensure_says(
        &message,
        &[
            "13 rows read",
            "1 empty (row 3: field `chosen`",
            "2 with identical actions (first: row 5: field `rejected`",
            "1 duplicate (row 13: the same as row 1)",
            "9 pairs in 5 trees",
        ],
    )?;
    let planned = place.succeed(&format!("plan {run} --drop-unusable --json"))?;
    let rows = &serde_json::from_str::<Value>(&planned)?["rows"];
    for (kind, count) in [("empty", 1), ("identical_pairs", 2), ("duplicates", 1)] {
        ensure!(rows[kind]["rows"] == count, "{rows}");
    }
    Ok(())
}

#[test]
fn rows_that_are_too_long_are_counted_and_refused() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = pair_rows();
    for row in [3, 8] {
        rows[row]["chosen"] = json!("7 ".repeat(400));
    }
    rows[5]["rejected"] = json!("");
    place.write_rows("pairs.jsonl", &rows)?;
    let run = format!("{PREFER} --max-path-tokens 300 --out out");
    let message = place.refusal(&run)?;
    ensure_says(
        &message,
        &[
            "3 of 12 rows cannot be trained on",
            "1 empty (row 6 of pairs.jsonl",
            "2 too long (first: row 4 of pairs.jsonl: field `chosen`",
            "--over-long",
        ],
    )?;
    // Nothing is cut or dropped for its length that was not asked for.
    let message = place.refusal(&format!("{run} --drop-unusable"))?;
    ensure_says(&message, &["2 of 12 rows"])?;
    ensure!(!message.contains("empty"), "{message}");
    let message = place.told(&format!(
        "{run} --drop-unusable --over-long drop --max-steps 1"
    ))?;
    ensure_says(&message, &["9 pairs in 6 trees"])?;
    Ok(())
}

#[test]
fn held_out_rows_that_are_dropped_are_reported_too() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = sft_rows();
    rows[1]["response"] = json!(" ");
    place.write_rows("held-out.jsonl", &rows)?;
    let sft = "sft --model model --data sft.jsonl --eval held-out.jsonl --max-steps 1 --out out";
    let message = place.refusal(sft)?;
    ensure_says(&message, &["row 2 of held-out.jsonl"])?;
    let message = place.told(&format!("{sft} --drop-unusable"))?;
    let dropped = "held-out.jsonl: 6 rows read; dropped: 1 empty (row 2";
    ensure_says(&message, &[dropped])?;
    Ok(())
}

#[test]
fn duplicates_are_used_and_warned_of() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = sft_rows();
    rows.push(rows[1].clone());
    place.write_rows("sft.jsonl", &rows)?;
    let sft = "plan sft --model model --data sft.jsonl";
    let message = place.told(sft)?;
    ensure_says(
        &message,
        &[
            "row 7: the same as row 2",
            "warning",
            "7 responses to imitate",
        ],
    )?;
    let message = place.told(&format!("{sft} --drop-unusable"))?;
    ensure_says(&message, &["6 responses to imitate"])?;
    Ok(())
}

#[test]
fn actions_that_are_the_same_to_the_template_are_no_pair() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = pair_rows();
    let chosen = rows[6]["chosen"].as_str().context("a text")?.to_owned();
    rows[6]["rejected"] = json!(format!("{chosen}\n"));
    place.write_rows("pairs.jsonl", &rows)?;
    std::fs::write(
        place.path("trims.jinja"),
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>\n\
         {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    )?;
    let run = format!("plan {PREFER} --chat-template trims.jinja");
    let message = place.refusal(&run)?;
    ensure_says(&message, &["row 7 of pairs.jsonl", "the same tokens"])?;
    let message = place.told(&format!("{run} --drop-unusable"))?;
    ensure_says(&message, &["11 pairs"])?;
    Ok(())
}

#[test]
fn a_file_of_which_every_row_is_dropped_is_an_error() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows = sft_rows();
    for row in &mut rows {
        row["response"] = json!("");
    }
    place.write_rows("sft.jsonl", &rows)?;
    let message = place.refusal("sft --model model --data sft.jsonl --out out --drop-unusable")?;
    ensure_says(
        &message,
        &[
            "sft.jsonl: no row is left",
            "6 rows read",
            "6 empty (first: row 1",
        ],
    )?;
    Ok(())
}

#[test]
fn one_row_that_is_too_long_costs_that_row_alone() -> Result<()> {
    let place = Workplace::new()?;
    let row = |n: usize| json!({"prompt": format!("{n} bags?"), "chosen": "Answer: 6", "rejected": "Answer: 7"});
    let mut long = row(2);
    long["chosen"] = json!("6".repeat(70 << 20));
    let rows = [row(1), long, row(3), row(4)].map(|row| row.to_string());
    for (file, text, second) in [
        ("rows.jsonl", rows.join("\n"), "row 2 of rows.jsonl"),
        (
            "rows.json",
            format!("[{}]", rows.join(",")),
            "element 2 of rows.json",
        ),
    ] {
        std::fs::write(place.path(file), text)?;
        let why = format!(
            "{second}: the record has {} bytes, more than 67108864, and was not read",
            rows[1].len()
        );
        let said = violations(&place, file)?;
        ensure_says(&said, &[&why, "1 violation in 4 records"])?;
        let said = place.succeed(&format!("data convert {file} --to trl-preference --out x.jsonl --skip-invalid rejects.jsonl --overwrite"))?;
        ensure_says(
            &said,
            &["3 rows (trl-preference)", "1 invalid records left out"],
        )?;
        let dropping = format!("{} --drop-unusable", cases::PREFER);
        told_of(
            &place,
            &dropping,
            file,
            &["4 rows read; dropped: 1 invalid", "3 pairs in 3 trees"],
        )?;
    }
    Ok(())
}

#[test]
fn the_last_row_is_read_before_anything_is_rendered_and_weights_before_rows() -> Result<()> {
    let place = Workplace::new()?;
    let mut rows: Vec<Value> = (0..2000)
        .map(|n| json!({"prompt": format!("{n} bags?"), "chosen": "6", "rejected": "7"}))
        .collect();
    rows.push(json!({"prompt": "How many?", "chosen": "6"}));
    place.write_rows("rows.jsonl", &rows)?;
    let said = violations(&place, "rows.jsonl")?;
    let why = "row 2001 of rows.jsonl: field `rejected`: is missing";
    ensure_says(&said, &[why, "1 violation in 2,001 records"])?;
    let run = format!(
        "{} --model model --data rows.jsonl {OF_A_STEP}",
        cases::PREFER
    );
    let refused = ["1 of 2001 rows cannot be trained on: 1 invalid", why];
    for run in [run.clone(), format!("plan {run}")] {
        ensure_says(&place.refusal(&run)?, &refused)?;
    }
    std::fs::remove_file(place.path("model/model.safetensors"))?;
    for run in [run.clone(), format!("plan {run}")] {
        let said = place.refusal(&run)?;
        ensure!(
            said.contains("safetensors") && !said.contains("row 2001"),
            "{said}"
        );
    }
    Ok(())
}
