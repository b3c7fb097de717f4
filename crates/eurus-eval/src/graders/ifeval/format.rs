//! Instructions about what an answer contains and how it is set.

use std::sync::LazyLock;

use regex::Regex;

use super::arguments::Arguments;
use super::python::{SPACE, is_blank, is_json, pattern, strip};
use crate::error::{Error, Result};

/// So many placeholders in square brackets, at least.
pub(super) fn number_placeholders(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[.*?\]"));
    Ok(PLACEHOLDER.find_iter(response).count() >= arguments.count("num_placeholders")?)
}

/// A postscript.
pub(super) fn postscript(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let marker = match strip(arguments.text("postscript_marker")?) {
        "P.P.S" => format!(r"p\.{SPACE}?p\.{SPACE}?s"),
        "P.S." => format!(r"p\.{SPACE}?s\."),
        marker => marker.to_lowercase(),
    };
    Ok(own_pattern(&marker)?.is_match(&response.to_lowercase()))
}

/// Exactly so many items in lists.
pub(super) fn number_bullet_lists(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    static STARS: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"(?m)^{SPACE}*\*[^*].*$")));
    static DASHES: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"(?m)^{SPACE}*-.*$")));
    let found = STARS.find_iter(response).count() + DASHES.find_iter(response).count();
    Ok(found == arguments.count("num_bullets")?)
}

/// One of the three answers that are allowed.
pub(super) fn constrained_response(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let answers = ["yes", "no", "maybe"];
    let mut answers = answers
        .map(|answer| format!("My answer is {answer}."))
        .into_iter();
    Ok(answers.any(|answer| response.contains(&answer)))
}

/// So many highlighted pieces, in one or two asterisks, at least.
pub(super) fn number_highlighted_sections(
    arguments: &Arguments<'_>,
    response: &str,
) -> Result<bool> {
    static SINGLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\*[^\n*]*\*"));
    static DOUBLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\*\*[^\n*]*\*\*"));
    let full = |found: &regex::Match<'_>| !is_blank(found.as_str().trim_matches('*'));
    let single = SINGLE.find_iter(response).filter(full).count();
    let double = DOUBLE.find_iter(response).filter(full).count();
    Ok(single + double >= arguments.count("num_highlights")?)
}

/// So many numbered sections, at least.
pub(super) fn multiple_sections(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let name = strip(arguments.text("section_spliter")?);
    let header = own_pattern(&format!(r"{SPACE}?{name}{SPACE}?\p{{Nd}}+{SPACE}?"))?;
    Ok(header.find_iter(response).count() >= arguments.count("num_sections")?)
}

/// JSON, in a code fence or not.
pub(super) fn json_format(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let mut text = strip(response);
    for fence in ["```json", "```Json", "```JSON", "```"] {
        text = text.strip_prefix(fence).unwrap_or(text);
    }
    text = text.strip_suffix("```").unwrap_or(text);
    Ok(is_json(strip(text)))
}

/// A title in double angle brackets.
pub(super) fn title(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"<<[^\n]+>>"));
    let title = |found: regex::Match<'_>| {
        let title = found.as_str();
        !is_blank(title.trim_start_matches('<').trim_end_matches('>'))
    };
    Ok(TITLE.find_iter(response).any(title))
}

/// Begins with the prompt.
pub(super) fn repeat_prompt(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let prompt = strip(arguments.text("prompt_to_repeat")?).to_lowercase();
    Ok(strip(response).to_lowercase().starts_with(&prompt))
}

/// Ends with a phrase.
pub(super) fn end_checker(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let phrase = strip(arguments.text("end_phrase")?).to_lowercase();
    let response = strip(response).trim_matches('"').to_lowercase();
    Ok(response.ends_with(&phrase))
}

/// In double quotes as a whole.
pub(super) fn quotation(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let response = strip(response);
    Ok(response.len() > 1 && response.starts_with('"') && response.ends_with('"'))
}

/// Without a comma.
pub(super) fn no_comma(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    Ok(!response.contains(','))
}

/// A regular expression with text of the user in it.
fn own_pattern(expression: &str) -> Result<Regex> {
    Regex::new(expression).map_err(|source| Error::Pattern {
        pattern: expression.to_owned(),
        source: Box::new(source),
    })
}
