//! Solutions of TheoremQA: read as the benchmark reads them, evaluated by Python, compared by the kind of answer.

use std::sync::LazyLock;
use std::time::Duration;

use code_interpreter::{Interpreter, Result, Status};
use regex::Regex;
use serde_json::Value;

use crate::graders::python::{literal, timed};
use crate::graders::{Grade, Rules};

const EVALUATE: &str = include_str!("evaluate.py");
/// For an expression.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// What a decimal may be off by, as a share of the right one.
const TOLERANCE: f64 = 0.04;

pub(super) fn grade(
    solution: &str,
    reference: &Value,
    answer_type: &str,
    rules: Rules,
    interpreter: &mut Interpreter,
) -> Result<Grade> {
    let prediction = match read(solution, rules) {
        Read::Value(value) => Some(value),
        Read::Expression(text) => evaluate(&text, rules, interpreter)?,
        Read::Nothing => None,
    };
    let is_correct = prediction
        .as_ref()
        .is_some_and(|prediction| is_right(prediction, reference, answer_type));
    let extracted = prediction.map(|prediction| prediction.to_string());
    Ok(Grade::new(
        is_correct,
        extracted,
        "the value of the solution",
    ))
}

/// What a solution says.
enum Read {
    Value(Value),
    /// To be evaluated.
    Expression(String),
    Nothing,
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern parses")
}

static NUMBER_AND_UNIT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^([-+]?[\d,]*\.*\d+) [^0-9 ]+$"));
static UNIT_AND_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[^0-9 ]+ ([-+]?[\d,]*\.*\d+)$"));
static NUMBER_AND_SIGN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^([-+]?[\d,]*\.*\d+)[^\d]{1,2}$"));
static SIGN_AND_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[^-+\d]{1,2}([\d,]*\.*\d+)$"));
static POWER_OF_TEN: LazyLock<Regex> = LazyLock::new(|| pattern(r"10\^(-?\d+)"));

fn read(solution: &str, rules: Rules) -> Read {
    if solution.is_empty() {
        return match rules {
            Rules::Authors => Read::Value(Value::from(0)),
            Rules::Fixed => Read::Nothing,
        };
    }
    let after = |text: &str, mark| {
        text.rsplit(mark)
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let text = after(&after(solution, '='), '≈');
    let text = text.replace(['`', '$', '°'], "");
    let word = match rules {
        Rules::Authors => text.clone(),
        Rules::Fixed => text.to_lowercase(),
    };
    match &*word {
        "true" | "yes" => return Read::Value(true.into()),
        "false" | "no" => return Read::Value(false.into()),
        _ if text.contains("True") => return Read::Value(true.into()),
        _ if text.contains("False") => return Read::Value(false.into()),
        _ => {}
    }
    let text = text.replace("approximately", "");
    let mut text = text
        .split(" or ")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    for unit in [
        &NUMBER_AND_UNIT,
        &UNIT_AND_NUMBER,
        &NUMBER_AND_SIGN,
        &SIGN_AND_NUMBER,
    ] {
        if let Some(found) = unit.captures(&text) {
            text = found[1].to_owned();
        }
    }
    let text = POWER_OF_TEN.replace_all(&text, "math.pow(10, $1)");
    let text = text.replace(" x ", "*").replace(" × ", "*");
    let without_commas = text.replace(',', "");
    let text = match without_commas.trim().parse::<f64>() {
        Ok(_) => without_commas,
        Err(_) => text,
    };
    match choice(&text) {
        Some(choice) => Read::Value(choice.into()),
        None => Read::Expression(text),
    }
}

/// The option that a text names, in brackets.
fn choice(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let is_named = |letter: &&str| {
        lower == **letter
            || lower.contains(&format!("{letter})"))
            || lower.contains(&format!("{letter} )"))
    };
    let letter = ["a", "b", "c", "d"].into_iter().find(is_named)?;
    Some(format!("({letter})"))
}

/// The value of an expression, if it has one that is a number, a text or a list of these.
fn evaluate(text: &str, rules: Rules, interpreter: &mut Interpreter) -> Result<Option<Value>> {
    let names = match rules {
        Rules::Authors => "{}",
        Rules::Fixed => "{'math': __import__('math')}",
    };
    let cell = format!(
        "{EVALUATE}\nprint(json.dumps(evaluated({}, {names})))",
        literal(text)
    );
    let limits = timed(interpreter, TIME_LIMIT);
    let shown = interpreter.under(&limits, |interpreter| interpreter.run(&[cell]))?;
    Ok(shown
        .first()
        .filter(|cell| cell.status == Status::Ok)
        // Infinities and NaN are no JSON: they are no answers either.
        .and_then(|cell| serde_json::from_str(cell.output.lines().last()?).ok()))
}

fn is_right(prediction: &Value, reference: &Value, answer_type: &str) -> bool {
    match answer_type {
        "bool" | "option" => {
            let in_brackets = || reference.as_str().map(|letter| format!("({letter})"));
            match (number(prediction), number(reference)) {
                (Some(given), Some(right)) => given == right,
                _ => {
                    prediction == reference
                        || prediction.as_str().map(str::to_owned) == in_brackets()
                }
            }
        }
        "list of integer" | "list of float" => {
            let (Some(given), Some(right)) = (numbers(prediction), numbers(reference)) else {
                return false;
            };
            let whole = reference
                .as_array()
                .into_iter()
                .flatten()
                .all(Value::is_i64);
            given.len() == right.len()
                && given
                    .iter()
                    .zip(&right)
                    .all(|(given, right)| is_near(*given, *right, whole))
        }
        _ => match (number(prediction), number(reference)) {
            (Some(given), Some(right)) => is_near(given, right, !reference.is_f64()),
            _ => false,
        },
    }
}

/// A number that rounds to a whole one, the even one of two as near; or is near another.
fn is_near(given: f64, right: f64, is_whole: bool) -> bool {
    match is_whole {
        true => given.round_ties_even() == right,
        false => (given - right).abs() <= TOLERANCE * right.abs(),
    }
}

/// As in Python, where a truth value is a number too.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        other => other.as_f64(),
    }
}

/// The numbers of a list, in order of size.
fn numbers(value: &Value) -> Option<Vec<f64>> {
    let mut numbers: Vec<f64> = value
        .as_array()?
        .iter()
        .map(number)
        .collect::<Option<_>>()?;
    numbers.sort_by(f64::total_cmp);
    Some(numbers)
}
