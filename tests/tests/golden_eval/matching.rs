//! Graders that look for the reference in the answer, and pass@k.

use anyhow::{Context, Result};
use eurus_eval::graders::{Rules, bbh, mmlu};
use eurus_eval::metrics::{mean_pass_at_k, pass_at_k};
use serde_json::Value;

use super::family::{GoldenGrader, Judged, text};

/// Beside rounding.
const CLOSE: f64 = 1e-12;

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::new("check_cot_match", thinking),
        GoldenGrader::new("check_match(non-CoT)", direct),
        GoldenGrader::new("match", letter),
        GoldenGrader::exact("estimate_pass_at_k", one_problem),
        GoldenGrader::exact("estimate_pass_at_k(mean over problems)", problems),
    ]
}

fn verdict(row: &Value, is_correct: bool) -> Result<Judged> {
    Ok(Judged::compare(
        &Some(is_correct),
        &row["verdict"].as_bool(),
    ))
}

fn thinking(row: &Value) -> Result<Judged> {
    let (answer, reference) = (text(row, "generation")?, text(row, "reference")?);
    verdict(
        row,
        bbh::grade(answer, reference, Rules::Authors).is_correct(),
    )
}

fn direct(row: &Value) -> Result<Judged> {
    let (answer, reference) = (text(row, "generation")?, text(row, "reference")?);
    verdict(row, bbh::grade_direct(answer, reference).is_correct())
}

fn letter(row: &Value) -> Result<Judged> {
    let (token, letter) = (text(row, "generated_one_token")?, text(row, "label")?);
    verdict(row, mmlu::grade(token, letter).is_correct())
}

fn count(value: &Value) -> Result<usize> {
    let count = value
        .as_u64()
        .with_context(|| format!("{value} is no count"))?;
    Ok(usize::try_from(count)?)
}

fn close(got: f64, right: &Value) -> Result<Judged> {
    let right = right
        .as_f64()
        .with_context(|| format!("{right} is no number"))?;
    Ok(match (got - right).abs() <= CLOSE {
        true => Judged::Agrees,
        false => Judged::compare(&got, &right),
    })
}

fn one_problem(row: &Value) -> Result<Judged> {
    let got = pass_at_k(count(&row["n"])?, count(&row["c"])?, count(&row["k"])?)?;
    close(got, &row["verdict"])
}

fn problems(row: &Value) -> Result<Judged> {
    let lists = row["n"].as_array().zip(row["c"].as_array());
    let (samples, correct) = lists.context("no lists `n` and `c`")?;
    let counts: Vec<(usize, usize)> = samples
        .iter()
        .zip(correct)
        .map(|(samples, correct)| Ok((count(samples)?, count(correct)?)))
        .collect::<Result<_>>()?;
    let got = mean_pass_at_k(&counts, count(&row["k"])?)?;
    close(got.mean, &row["verdict"]["mean"])
}
