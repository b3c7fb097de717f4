//! Instructions about how long an answer is.

use std::sync::LazyLock;

use regex::Regex;

use super::arguments::Arguments;
use super::python::{self, SPACE, is_blank, pattern, strip};
use super::sentences::sentence_spans;
use super::words::word_count;
use crate::error::Result;

/// So many sentences.
pub(super) fn number_sentences(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let found = sentence_spans(response).len();
    arguments.holds("relation", found, "num_sentences")
}

/// So many words.
pub(super) fn number_words(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    arguments.holds("relation", word_count(response), "num_words")
}

/// So many paragraphs with three asterisks between them. Blank ones at the ends do not count, others spoil the answer.
pub(super) fn number_paragraphs(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    static SEPARATOR: LazyLock<Regex> =
        LazyLock::new(|| pattern(&format!(r"{SPACE}?\*\*\*{SPACE}?")));
    let paragraphs: Vec<bool> = SEPARATOR.split(response).map(is_blank).collect();
    let last = paragraphs.len() - 1;
    if (1..last).any(|index| paragraphs[index]) {
        return Ok(false);
    }
    let found = paragraphs.iter().filter(|&&is_blank| !is_blank).count();
    Ok(found == arguments.count("num_paragraphs")?)
}

/// So many paragraphs with a blank line between them, of which a certain one begins with a certain word.
///
/// Blank ones are not counted, but keep their place: the third is the third piece, blank or not.
pub(super) fn nth_paragraph_first_word(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let paragraphs: Vec<&str> = response.split("\n\n").collect();
    let found = paragraphs.iter().filter(|text| !is_blank(text)).count();
    let place = arguments.count("nth_paragraph")?;
    if place == 0 {
        return Err(arguments.refused("nth_paragraph", "a whole number from 1"));
    }
    if place > found {
        return Ok(false);
    }
    let Some(word) = python::split(paragraphs[place - 1]).next() else {
        return Ok(false);
    };
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    let word = word.split(['.', ',', '?', '!', '\'', '"']).next();
    // Letter by letter, as the released code does it.
    let letters = word.unwrap_or_default().chars();
    let word: String = letters.flat_map(char::to_lowercase).collect();
    let wanted = arguments.text("first_word")?.to_lowercase();
    Ok(found == arguments.count("num_paragraphs")? && word == wanted)
}

/// Exactly two answers with six asterisks between them, and not the same one twice.
pub(super) fn two_responses(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let pieces: Vec<&str> = response.split("******").map(strip).collect();
    let last = pieces.len() - 1;
    let inner_are_full = (1..last).all(|index| !pieces[index].is_empty());
    let full: Vec<&str> = pieces.into_iter().filter(|text| !text.is_empty()).collect();
    Ok(inner_are_full && matches!(full[..], [first, second] if first != second))
}
