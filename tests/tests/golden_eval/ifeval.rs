//! Instructions that a program can check.

use anyhow::{Context, Result};
use eurus_eval::graders::{Rules, ifeval};
use regex::{Captures, Regex};
use serde_json::{Map, Value};

use super::family::{GoldenGrader, Judged};

pub fn graders() -> Vec<GoldenGrader> {
    let mut graders = vec![
        GoldenGrader::new("evaluation_main", prompt),
        GoldenGrader::new("count_sentences(punkt)", sentences),
        GoldenGrader::new(r"count_words(\w+)", words),
        GoldenGrader::new("capital_words(word_tokenize,isupper)", capital_words),
        GoldenGrader::new(
            "split_into_sentences(unused by active checkers)",
            other_sentences,
        ),
    ];
    graders.extend(ifeval::instructions().map(|name| GoldenGrader::new(name, instruction)));
    graders
}

fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field]
        .as_str()
        .with_context(|| format!("no text `{field}`"))
}

fn arguments(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().context("the arguments are no object")
}

fn instruction(row: &Value) -> Result<Judged> {
    let got = ifeval::instruction(
        text(row, "grader")?,
        arguments(&row["kwargs"])?,
        text(row, "response")?,
        Rules::Authors,
    )?;
    Ok(Judged::compare(&Some(got), &row["verdict"].as_bool()))
}

fn prompt(row: &Value) -> Result<Judged> {
    let names = row["instruction_id_list"]
        .as_array()
        .context("no instructions")?;
    let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
    let kwargs = row["kwargs"].as_array().context("no arguments")?;
    let kwargs: Vec<Map<String, Value>> = kwargs
        .iter()
        .map(|value| arguments(value).cloned())
        .collect::<Result<_>>()?;
    let names = names.context("an instruction is no text")?;
    let got = ifeval::grade(text(row, "response")?, &names, &kwargs, Rules::Authors)?;
    let got = serde_json::json!({
        "strict_all": got.followed.is_strict(),
        "strict": got.followed.strict,
        "loose_all": got.grade.is_correct(),
        "loose": got.followed.loose,
    });
    Ok(Judged::compare(&got, &row["verdict"]))
}

fn sentences(row: &Value) -> Result<Judged> {
    let got = ifeval::sentence_spans(text(row, "text")?).len() as u64;
    Ok(Judged::compare(&Some(got), &row["verdict"].as_u64()))
}

fn words(row: &Value) -> Result<Judged> {
    let got = ifeval::word_count(text(row, "text")?) as u64;
    Ok(Judged::compare(&Some(got), &row["verdict"].as_u64()))
}

fn capital_words(row: &Value) -> Result<Judged> {
    let mut got = ifeval::words(text(row, "text")?)?;
    got.retain(|word| ifeval::is_upper(word));
    Ok(Judged::compare(&serde_json::json!(got), &row["verdict"]))
}

/// The released code carries a second rule for sentences, which no instruction asks: periods that end nothing are hidden,
/// a sentence ends at every sign that is left. It is stated here alone.
fn other_sentences(row: &Value) -> Result<Judged> {
    let hidden = [
        (r"(Mr|St|Mrs|Ms|Dr)\.", "$1\u{0}"),
        (r"\.(com|net|org|io|gov|edu|me)", "\u{0}$1"),
        (r"([0-9])\.([0-9])", "$1\u{0}$2"),
    ];
    let mut text = format!(" {}  ", text(row, "text")?.replace('\n', " "));
    for (pattern, replacement) in hidden {
        text = replaced(&text, pattern, replacement)?;
    }
    text = Regex::new(r"\.{2,}")?
        .replace_all(&text, |dots: &Captures<'_>| {
            "\u{0}".repeat(dots[0].len()) + "\u{1}"
        })
        .into_owned();
    text = text.replace("Ph.D.", "Ph\u{0}D\u{0}");
    let starters = r"(Mr|Mrs|Ms|Dr|Prof|Capt|Cpt|Lt|He\s|She\s|It\s|They\s|Their\s|Our\s|We\s|But\s|However\s|That\s|This\s|Wherever)";
    let endings = [
        (r"\s([A-Za-z])\. ".to_owned(), " $1\u{0} "),
        (
            format!(r"([A-Z]\.[A-Z]\.(?:[A-Z]\.)?) {starters}"),
            "$1\u{1} $2",
        ),
        (
            r"([A-Za-z])\.([A-Za-z])\.([A-Za-z])\.".to_owned(),
            "$1\u{0}$2\u{0}$3\u{0}",
        ),
        (r"([A-Za-z])\.([A-Za-z])\.".to_owned(), "$1\u{0}$2\u{0}"),
        (format!(r" (Inc|Ltd|Jr|Sr|Co)\. {starters}"), " $1\u{1} $2"),
        (r" (Inc|Ltd|Jr|Sr|Co)\.".to_owned(), " $1\u{0}"),
        (r" ([A-Za-z])\.".to_owned(), " $1\u{0}"),
    ];
    for (pattern, replacement) in endings {
        text = replaced(&text, &pattern, replacement)?;
    }
    for (quoted, moved) in [(".”", "”."), (".\"", "\"."), ("!\"", "\"!"), ("?\"", "\"?")] {
        text = text.replace(quoted, moved);
    }
    text = replaced(&text, "[.?!]", "$0\u{1}")?.replace('\u{0}', ".");
    let mut got: Vec<&str> = text.split('\u{1}').map(str::trim).collect();
    got.pop_if(|last| last.is_empty());
    Ok(Judged::compare(&serde_json::json!(got), &row["verdict"]))
}

fn replaced(text: &str, pattern: &str, replacement: &str) -> Result<String> {
    let replaced = Regex::new(pattern)?.replace_all(text, replacement);
    Ok(replaced.into_owned())
}
