//! Extraction and equality of mathematical answers.
//!
//! Of `eurus.evaluate_math` these rows differ, and why:
//!
//! - Numbers with a second point (`6.00.`, `46.0023.`, `1.9221.0`): of texts of one shape the released parser reads some and
//!   others not (`6.00.` is 6, `20.00.0` is not 20), by no rule that can be seen in them.
//! - `2^{20050}` for `2^{2005}`: both are infinite in double precision there, and too large to compute here.
//! - `-\frac10{2x}`: a division by zero there, a quotient that is read on here.
//! - `(68)/(3)\text{ pounds}`: there the words belong to the denominator.

use answer_equality::authors::{
    hendrycks_equal, hendrycks_form, is_fraction, is_marked, is_simple, is_whole, last_box,
    match_answer, mathd_form, prm800k_form, split_tuple, tora_brackets, tora_form, tora_number,
};
use anyhow::Result;
use eurus_eval::graders::Rules;
use eurus_eval::graders::math::{grade, grade_last_number, gsm8k_last_number};
use serde_json::{Value, json};

use super::family::{GoldenGrader, Judged, text};

pub fn graders() -> Vec<GoldenGrader> {
    vec![
        GoldenGrader::new("eurus.match_answer", extraction),
        GoldenGrader::new("eurus.last_boxed_only_string", boxed),
        GoldenGrader::new("eurus.evaluate_math", evaluation),
        GoldenGrader::new("sibling.gsm8k_last_number", last_number),
        GoldenGrader::new("mathd.normalize_answer", mathd),
        GoldenGrader::new("prm800k._normalize", prm800k),
        GoldenGrader::new("prm800k.split_tuple", tuple),
        GoldenGrader::new("prm800k.predicates", predicates),
        GoldenGrader::new("hendrycks._strip_string", hendrycks),
        GoldenGrader::new("hendrycks.is_equiv", equivalence),
        GoldenGrader::new("tora.normalize(pi=3.14)", tora),
        GoldenGrader::new("tora.is_digit", number),
        GoldenGrader::new("tora.format_intervals", intervals),
    ]
}

fn extraction(row: &Value) -> Result<Judged> {
    let response = text(row, "response")?;
    let got = json!({"matched": is_marked(response), "extracted": match_answer(response)});
    Ok(Judged::compare(&got, &row["verdict"]))
}

fn boxed(row: &Value) -> Result<Judged> {
    let got = json!(last_box(text(row, "response")?));
    Ok(Judged::compare(&got, &row["verdict"]))
}

fn evaluation(row: &Value) -> Result<Judged> {
    let gold = text(row, "ground_truth")?;
    let grade = grade(text(row, "model_output")?, gold, Rules::Authors);
    let verdict = &row["verdict"];
    let got = (grade.extracted.as_deref(), Some(grade.is_correct()));
    let right = (verdict["extracted"].as_str(), verdict["correct"].as_bool());
    Ok(match Judged::compare(&got, &right) {
        Judged::Differs(how) => Judged::Differs(format!("{how}; the gold answer is {gold}")),
        agrees => agrees,
    })
}

fn last_number(row: &Value) -> Result<Judged> {
    let completion = text(row, "completion")?;
    let grade = grade_last_number(completion, text(row, "solution")?);
    let got = (gsm8k_last_number(completion), Some(grade.is_correct()));
    let verdict = &row["verdict"];
    let right = (verdict["extracted"].as_f64(), verdict["correct"].as_bool());
    Ok(Judged::compare(&got, &right))
}

/// A form of the field `answer`; nothing is what the released code fails at.
fn form(row: &Value, form: impl Fn(&str) -> Option<Value>) -> Result<Judged> {
    let got = form(text(row, "answer")?);
    let right = Some(&row["verdict"]).filter(|it| it["error"].is_null());
    Ok(Judged::compare(&got.as_ref(), &right))
}

fn mathd(row: &Value) -> Result<Judged> {
    form(row, |it| Some(mathd_form(it).into()))
}

fn prm800k(row: &Value) -> Result<Judged> {
    form(row, |it| Some(prm800k_form(it).into()))
}

fn tuple(row: &Value) -> Result<Judged> {
    form(row, |it| Some(split_tuple(it).into()))
}

fn predicates(row: &Value) -> Result<Judged> {
    form(row, |it| {
        Some(json!({
            "is_frac": is_fraction(it),
            "str_is_int": is_whole(it),
            "should_allow_eval": is_simple(it),
        }))
    })
}

fn hendrycks(row: &Value) -> Result<Judged> {
    form(row, |it| hendrycks_form(it).map(Value::from))
}

fn equivalence(row: &Value) -> Result<Judged> {
    let got = hendrycks_equal(text(row, "a")?, text(row, "b")?);
    Ok(Judged::compare(&Some(got), &row["verdict"].as_bool()))
}

fn tora(row: &Value) -> Result<Judged> {
    // The rows tell numbers from text, the form is text alone.
    let right = match &row["verdict"] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Ok(Judged::compare(
        &tora_form(text(row, "answer")?, "3.14"),
        &right,
    ))
}

fn number(row: &Value) -> Result<Judged> {
    let number = tora_number(text(row, "answer")?);
    let got = (Some(number.is_some()), number);
    let right = (row["verdict"][0].as_bool(), row["verdict"][1].as_f64());
    Ok(Judged::compare(&got, &right))
}

fn intervals(row: &Value) -> Result<Judged> {
    form(row, |it| Some(tora_brackets(it).into()))
}
