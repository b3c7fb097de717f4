//! TheoremQA: extraction, the values of predictions, and verdicts.

use anyhow::{Context, Result};
use eurus_eval::graders::Rules;
use eurus_eval::graders::theorem_qa::python::Value;
use eurus_eval::graders::theorem_qa::{
    Form, extract_answer_pot, grade, match_answer_cot, parse_prediction, success,
};
use serde_json::{Value as Json, json};

use super::family::{GoldenGrader, Judged, text};

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::new("theoremqa.match_answer_cot", extraction),
        GoldenGrader::new("theoremqa.extract_answer_pot", output),
        GoldenGrader::new("theoremqa.parse_prediction", value),
        GoldenGrader::new("theoremqa.success", verdict),
        GoldenGrader::new("theoremqa.cot_pipeline", in_words),
        GoldenGrader::new("theoremqa.pot_pipeline", by_program),
    ]
}

fn extraction(row: &Json) -> Result<Judged> {
    let (extracted, matched) = match_answer_cot(text(row, "response")?);
    let got = json!({"matched": matched, "extracted": extracted});
    Ok(Judged::compare(&got, &row["verdict"]))
}

fn output(row: &Json) -> Result<Judged> {
    let got = extract_answer_pot(text(row, "response")?);
    Ok(Judged::compare(&got.as_str(), &text(row, "verdict")?))
}

fn value(row: &Json) -> Result<Judged> {
    let got = match parse_prediction(text(row, "prediction")?, Rules::Authors) {
        Some(value) => described(&value),
        None => json!({"error": "IndexError"}),
    };
    Ok(Judged::compare(&got, &row["verdict"]))
}

/// A value as the rows have it.
fn described(value: &Value) -> Json {
    let (kind, value) = match value {
        Value::Bool(value) => ("bool", json!(value)),
        Value::Int(value) => ("int", json!(i64::try_from(*value).ok())),
        Value::Float(value) if value.is_nan() => ("float", json!("nan")),
        Value::Float(value) if *value == f64::INFINITY => ("float", json!("inf")),
        Value::Float(value) if *value == f64::NEG_INFINITY => ("float", json!("-inf")),
        Value::Float(value) => ("float", json!(value)),
        Value::Text(text) => ("str", json!(text)),
        Value::List(items) => ("list", items.iter().map(described).collect()),
        _ => ("NoneType", Json::Null),
    };
    json!({"type": kind, "value": value})
}

/// An error of the released code is a wrong answer.
fn is_right(row: &Json) -> bool {
    row["verdict"].as_bool() == Some(true)
}

fn verdict(row: &Json) -> Result<Judged> {
    let value = parse_prediction(text(row, "prediction")?, Rules::Authors);
    let answer_type = text(row, "answer_type")?;
    let got = value.is_some_and(|it| success(&it, &row["reference"], answer_type));
    Ok(Judged::compare(&got, &is_right(row)))
}

fn in_words(row: &Json) -> Result<Judged> {
    pipeline(row, "completion", Form::Text)
}

fn by_program(row: &Json) -> Result<Judged> {
    pipeline(row, "execution_output", Form::Output)
}

fn pipeline(row: &Json, field: &str, form: Form) -> Result<Judged> {
    let grade = grade(
        text(row, field)?,
        form,
        &row["reference"],
        text(row, "answer_type")?,
        Rules::Authors,
    );
    let extracted = grade.extracted.as_deref().context("no prediction")?;
    let got = (extracted, grade.is_correct());
    Ok(Judged::compare(
        &got,
        &(text(row, "prediction")?, is_right(row)),
    ))
}
