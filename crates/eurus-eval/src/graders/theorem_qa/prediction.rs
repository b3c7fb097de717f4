//! What a prediction is worth: the text made ready, then read as an expression of Python.

use std::sync::LazyLock;

use answer_equality::parse_number;
use regex::Regex;

use super::super::Rules;
use super::python::{Value, evaluate};

/// A number without a sign: digits with commas anywhere, and decimals.
const NUMBER: &str = r"[0-9,]*\.*[0-9]+";

/// The number in a text with something round it, each tried after the other.
static AROUND: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        // A unit behind a space, and before one.
        format!(r"^([-+]?{NUMBER}) [^0-9 ]+\n?$"),
        format!(r"^[^0-9 ]+ ([-+]?{NUMBER})\n?$"),
        // One or two characters behind, and before.
        format!(r"^([-+]?{NUMBER})[^0-9]{{1,2}}\n?$"),
        format!(r"^[^-+0-9]{{1,2}}({NUMBER})\n?$"),
    ];
    patterns
        .iter()
        .filter_map(|it| Regex::new(it).ok())
        .collect()
});

/// A number with commas between thousands.
static THOUSANDS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[-+]?([0-9]{1,3}(,[0-9]{3})*|[0-9]+)(\.[0-9]+)?$").ok());

static POWER_OF_TEN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"10\^(-?[0-9]+)").ok());

/// What a prediction is worth: a number, a truth value, an option such as `(a)` as text, a list; [`Value::None`] where it is
/// none of these, and an empty text where nothing was predicted. Nothing where the released code fails: an empty tuple or set.
///
/// ```
/// use eurus_eval::graders::Rules;
/// use eurus_eval::graders::theorem_qa::{parse_prediction, python::Value};
/// let parsed = |text| parse_prediction(text, Rules::Authors);
/// assert_eq!(parsed("x = 3 cm"), Some(Value::Int(3)));
/// assert_eq!(parsed("The correct option is (d)"), Some(Value::Text("(d)".into())));
/// assert_eq!(parsed("2*10^3"), Some(Value::None));
/// assert_eq!(parse_prediction("2*10^3", Rules::Fixed), Some(Value::Float(2000.0)));
/// ```
pub fn parse_prediction(prediction: &str, rules: Rules) -> Option<Value> {
    if prediction.is_empty() {
        return Some(Value::Text(String::new()));
    }
    let text = after_signs(prediction);
    let text = truth_value(&text).unwrap_or(text);
    let ready = numbers_alone(&text);
    let option = option(&ready);
    if let Some(option) = option {
        return Some(Value::Text(option.to_owned()));
    }
    let value = match rules {
        Rules::Authors => evaluate(&ready, false),
        Rules::Fixed => evaluate(&ready, true).or_else(|| mathematical(&text)),
    };
    match value.unwrap_or(Value::None) {
        Value::Set(items) | Value::Tuple(items) if items.is_empty() => None,
        Value::Set(items) | Value::Tuple(items) => Some(Value::List(real_parts(items))),
        Value::Complex(real, _) => Some(Value::Float(real)),
        value => Some(value),
    }
}

/// Of a list whose first item is complex, the real parts.
fn real_parts(items: Vec<Value>) -> Vec<Value> {
    if !matches!(items.first(), Some(Value::Complex(..))) {
        return items;
    }
    let real = |item| match item {
        Value::Complex(real, _) => Value::Float(real),
        other => other,
    };
    items.into_iter().map(real).collect()
}

/// What stands behind the last sign of equality, without what is set round numbers.
fn after_signs(prediction: &str) -> String {
    let mut text = prediction;
    for sign in ["=", "≈"] {
        if let Some((_, after)) = text.rsplit_once(sign) {
            text = after.trim();
        }
    }
    text.replace(['`', '$', '°'], "")
}

fn truth_value(text: &str) -> Option<String> {
    let value = match text.to_lowercase().as_str() {
        "true" | "yes" => true,
        "false" | "no" => false,
        _ if text.contains("True") => true,
        _ if text.contains("False") => false,
        _ => return None,
    };
    Some(if value { "True" } else { "False" }.to_owned())
}

/// Without words, units and commas round numbers, and with Python's signs between them.
fn numbers_alone(text: &str) -> String {
    let mut text = text.to_owned();
    if text.contains("approximately") {
        text = text.replace("approximately", "").trim().to_owned();
    }
    if let Some((before, _)) = text.split_once(" or ") {
        text = before.to_owned();
    }
    for pattern in AROUND.iter() {
        if let Some(found) = pattern.captures(&text) {
            text = found[1].to_owned();
        }
    }
    if let Some(power) = POWER_OF_TEN.as_ref() {
        text = power.replace_all(&text, "math.pow(10, $1)").into_owned();
    }
    text = text.replace(" x ", "*").replace(" × ", "*");
    match THOUSANDS.as_ref().is_some_and(|it| it.is_match(&text)) {
        true => text.replace(',', ""),
        false => text,
    }
}

/// The option that a text names.
fn option(text: &str) -> Option<&'static str> {
    const OPTIONS: [(&str, &str, &str, &str); 4] = [
        ("(a)", "a)", "a )", "a"),
        ("(b)", "b)", "b )", "b"),
        ("(c)", "c)", "c )", "c"),
        ("(d)", "d)", "d )", "d"),
    ];
    let mut text = text.to_owned();
    for (option, closed, spaced, letter) in OPTIONS {
        if text.contains(closed) || text.contains(spaced) || text.to_lowercase().trim() == letter {
            text = option.to_owned();
        }
    }
    let first = OPTIONS
        .iter()
        .filter_map(|(option, ..)| Some((text.find(option)?, *option)));
    first.min().map(|(_, option)| option)
}

/// The number that mathematical notation stands for.
fn mathematical(text: &str) -> Option<Value> {
    parse_number(text).map(Value::Float)
}
