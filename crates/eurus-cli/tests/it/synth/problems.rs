//! Problems of published data sets, and of tables.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::common::{Workplace, ensure_says};

#[test]
fn patterns_name_files_and_rows_that_are_left_out_are_told_by_reason() -> Result<()> {
    let place = Workplace::new()?;
    let good = |number: i32| json!({"question": format!("What is {number} + 1?"), "answer": format!("#### {}", number + 1)});
    let bad = |number: i32| json!({"question": format!("And {number}?"), "answer": "no mark"});
    place.write_rows("rows-a.jsonl", &[good(1), bad(2), bad(3)])?;
    place.write_rows("rows-b.jsonl", &[json!({"question": "Why?"}), good(4)])?;
    let told = place.told("synth problems --from gsm8k rows-?.jsonl --out problems.jsonl")?;
    ensure_says(
        &told,
        &[
            "left out: row 2 of rows-a.jsonl: field `answer` has no `####` before the final answer (2 rows, of which this is \
             the first)\n",
            "left out: row 1 of rows-b.jsonl: ",
        ],
    )?;
    ensure!(told.matches("left out: ").count() == 2, "{told}");
    let problems = std::fs::read_to_string(place.path("problems.jsonl"))?;
    ensure!(problems.lines().count() == 4, "{problems}");

    let refused = place.refusal("synth problems --from gsm8k none-?.jsonl --out none.jsonl")?;
    ensure_says(&refused, &["none-?.jsonl", "matches no file"])
}

#[test]
fn a_source_that_nothing_judges_is_refused() -> Result<()> {
    let place = Workplace::new()?;
    place.write_rows(
        "rows.jsonl",
        &[json!({"problem": "Sort.", "solution": "sorted(x)"})],
    )?;
    let refused = place.refusal("synth problems --from magicoder rows.jsonl --out out.jsonl")?;
    ensure_says(&refused, &["magicoder", "nothing to judge"])?;
    ensure!(!place.path("out.jsonl").exists(), "it was written");
    Ok(())
}
