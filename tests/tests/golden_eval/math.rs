//! Extraction and equality of mathematical answers.

use answer_equality::Tolerance;
use answer_equality::authors::{grade, match_answer};
use anyhow::{Context, Result};
use serde_json::Value;

use super::family::{GoldenGrader, Judged};

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::new("eurus.match_answer", extraction),
        GoldenGrader::new("eurus.evaluate_math", evaluation),
    ]
}

fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field]
        .as_str()
        .with_context(|| format!("no field `{field}`"))
}

fn extraction(row: &Value) -> Result<Judged> {
    let got = match_answer(text(row, "response")?);
    Ok(Judged::compare(
        &got.as_str(),
        &text(&row["verdict"], "extracted")?,
    ))
}

fn evaluation(row: &Value) -> Result<Judged> {
    let given = match_answer(text(row, "model_output")?);
    let got = grade(&given, text(row, "ground_truth")?, &Tolerance::authors());
    Ok(Judged::compare(
        &Some(got.equal),
        &row["verdict"]["correct"].as_bool(),
    ))
}
