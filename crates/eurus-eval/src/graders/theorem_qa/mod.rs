//! TheoremQA: numbers, lists, truth values and options, held against answers that have a type.
//!
//! A prediction is cut out of the answer ([`match_answer_cot`], or [`extract_answer_pot`] from what a program printed), made
//! ready and read as an expression of Python ([`parse_prediction`]), then compared by the type of the answer ([`success`]).
//!
//! | rule | [`Rules::Authors`] | [`Rules::Fixed`] | example |
//! | --- | --- | --- | --- |
//! | powers of ten | never read: the module they are written with is not in scope | read | `2*10^3` is 2000 |
//! | names of `math` | unknown | known | `math.sqrt(4)` is 2 |
//! | mathematical notation | not read | one number is | `\frac{1}{2}` is 0.5 |
//! | an answer in a sentence | the whole sentence is the prediction | the answer is extracted | `The answer is 4` is 4 |
//!
//! An empty tuple, and an infinite number beside a whole one, end the released program; here both are wrong.

mod prediction;
pub mod python;

use serde_json::Value as Json;

use answer_equality::authors::last_box;

use self::python::Value;
use super::{Grade, Rules};

pub use self::prediction::parse_prediction;

/// A real answer may be off by this share.
const TOLERANCE: f64 = 0.04;

/// How an answer was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In words: the text of the model.
    Text,
    /// By a program: what it printed.
    Output,
}

/// Whether an answer is right: the text of the model or the output of its program, held against the answer of the data set
/// with its type there (`float`, `integer`, `bool`, `option`, `list of integer`, `list of float`).
///
/// ```
/// use eurus_eval::graders::Rules;
/// use eurus_eval::graders::theorem_qa::{Form, grade};
/// let given = r"So \boxed{0.34}.";
/// assert!(grade(given, Form::Text, &0.333.into(), "float", Rules::Authors).is_correct());
/// ```
pub fn grade(answer: &str, form: Form, gold: &Json, answer_type: &str, rules: Rules) -> Grade {
    let prediction = match (form, rules) {
        (Form::Text, Rules::Authors) => match_answer_cot(answer).0,
        (Form::Text, Rules::Fixed) => match match_answer_cot(answer) {
            (prediction, true) => prediction,
            (whole, false) => answer_equality::extract(&whole).unwrap_or(whole),
        },
        (Form::Output, _) => extract_answer_pot(answer),
    };
    let Some(value) = parse_prediction(&prediction, rules) else {
        return Grade::new(false, Some(prediction), "an empty list of another kind");
    };
    let why = match &value {
        Value::None => "no value can be read",
        Value::Text(text) if text.is_empty() => "nothing was predicted",
        _ => "the value, by the type of the answer",
    };
    Grade::new(success(&value, gold, answer_type), Some(prediction), why)
}

/// The prediction in a text, and whether anything marked it: what follows the last `Answer:`, of that the last box.
pub fn match_answer_cot(text: &str) -> (String, bool) {
    let mut rest = text;
    let mut is_marked = false;
    for marker in ["answer:\n", "answer: "] {
        let bytes = rest.as_bytes().windows(marker.len());
        let is_here = |it: &[u8]| it.eq_ignore_ascii_case(marker.as_bytes());
        if let Some(at) = bytes.clone().rposition(is_here) {
            rest = rest[at + marker.len()..].trim();
            is_marked = true;
        }
    }
    match last_box(rest).filter(|content| !content.is_empty()) {
        Some(content) => (content.to_owned(), true),
        None => (rest.to_owned(), is_marked),
    }
}

/// The prediction in what a program printed: the words of the last line behind `is`, `be`, `are` or a colon, without full stops
/// round them.
pub fn extract_answer_pot(output: &str) -> String {
    let line = output.trim().rsplit('\n').next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let ends = |word: &&str| matches!(*word, "is" | "be" | "are") || word.ends_with(':');
    let from = words.iter().rposition(ends).map_or(0, |at| at + 1);
    words[from..].join(" ").trim().trim_matches('.').to_owned()
}

/// Whether a value is the answer of a type: numbers within 4 % of a real one or rounded to a whole one (halves to the even
/// neighbour), lists item by item in order of size, truth values and options as they are.
pub fn success(value: &Value, gold: &Json, answer_type: &str) -> bool {
    match answer_type {
        "bool" => gold.as_bool().is_some_and(|gold| value.equals(&Value::Bool(gold))),
        "option" => gold.as_str().is_some_and(|gold| {
            matches!(value, Value::Text(text) if text == gold || *text == format!("({gold})"))
        }),
        "integer" | "float" => same_number(value, gold),
        "list of integer" | "list of float" => {
            let (Value::List(items), Some(gold)) = (value, gold.as_array()) else {
                return false;
            };
            same_items(items, gold)
        }
        _ => false,
    }
}

fn same_items(items: &[Value], gold: &[Json]) -> bool {
    let Some(mut ours) = sizes(items.iter().map(|it| (it, it.as_f64()))) else {
        return false;
    };
    let Some(mut theirs) = sizes(gold.iter().map(|it| (it, it.as_f64()))) else {
        return false;
    };
    ours.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    theirs.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut pairs = ours.iter().zip(&theirs);
    ours.len() == theirs.len() && pairs.all(|((ours, _), (theirs, _))| same_number(ours, theirs))
}

/// Each item with its size, if all have one.
fn sizes<'a, T>(items: impl Iterator<Item = (&'a T, Option<f64>)>) -> Option<Vec<(&'a T, f64)>> {
    items.map(|(item, size)| Some((item, size?))).collect()
}

fn same_number(value: &Value, gold: &Json) -> bool {
    let Some(size) = value.as_f64() else {
        return false;
    };
    if let Some(gold) = gold.as_i64() {
        return match value {
            Value::Float(size) => size.round_ties_even() == gold as f64,
            exact => exact.equals(&Value::Int(i128::from(gold))),
        };
    }
    let gold = gold.as_f64();
    gold.is_some_and(|gold| (size - gold).abs() <= TOLERANCE * gold.abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_differ_as_their_table_says() {
        // Text, answer, its type, right by the authors, right without the defects.
        let table = [
            ("Answer: 2*10^3", json!(2000.0), "float", false, true),
            ("Answer: math.sqrt(4)", json!(2), "integer", false, true),
            (r"\boxed{\frac{1}{2}}", json!(0.5), "float", false, true),
            (r"\boxed{4 \text{ m}}", json!(4), "integer", false, true),
            ("The answer is 4", json!(4), "integer", false, true),
            ("Answer: 104", json!(100.0), "float", true, true),
            ("Answer: 4.5", json!(4), "integer", true, true),
            (
                "Answer: (2, 1)",
                json!([1, 2]),
                "list of integer",
                true,
                true,
            ),
            ("Answer: ()", json!([1, 2]), "list of integer", false, false),
            ("Answer: 1e999", json!(3), "integer", false, false),
            ("Answer: 1", json!(true), "bool", true, true),
            ("Answer: b)", json!("(b)"), "option", true, true),
        ];
        for (text, gold, answer_type, authors, fixed) in table {
            let right = |rules| grade(text, Form::Text, &gold, answer_type, rules).is_correct();
            assert_eq!(right(Rules::Authors), authors, "{text}");
            assert_eq!(right(Rules::Fixed), fixed, "{text}");
        }
    }
}
