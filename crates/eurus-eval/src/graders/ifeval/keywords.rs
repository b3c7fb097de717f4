//! Instructions about words and letters that an answer has or has not.

use fancy_regex::Regex;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::arguments::Arguments;
use super::python::strip;
use super::words::boundary;
use crate::error::{Error, Result};
use crate::graders::Rules;

/// Every keyword is there.
pub(super) fn existence(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    for keyword in arguments.texts("keywords")? {
        if count(keyword, response)? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A keyword is there so often.
pub(super) fn frequency(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let found = count(strip(arguments.text("keyword")?), response)?;
    arguments.holds("relation", found, "frequency")
}

/// No forbidden word is there.
pub(super) fn forbidden_words(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let boundary = boundary();
    for word in arguments.texts("forbidden_words")? {
        if count(&format!("{boundary}{word}{boundary}"), response)? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A letter is there so often.
pub(super) fn letter_frequency(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let letter = strip(arguments.text("letter")?).to_lowercase();
    let is_letter = letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase());
    let letter = match (is_letter, arguments.rules) {
        (false, _) if letter.is_empty() => return Err(arguments.refused("letter", "a letter")),
        (false, Rules::Authors) => drawn_letter(response),
        _ => letter,
    };
    let found = response.to_lowercase().matches(&letter).count();
    arguments.holds("let_relation", found, "let_frequency")
}

/// The released code draws a letter in place of a sign, another one in every run; here the same answer always gets the
/// same.
fn drawn_letter(response: &str) -> String {
    let mut rng = ChaCha8Rng::from_seed(Sha256::digest(response).into());
    char::from(rng.random_range(b'a'..=b'z')).to_string()
}

/// How often a regular expression matches, whatever the case.
fn count(expression: &str, response: &str) -> Result<usize> {
    let failed = |source| Error::Pattern {
        pattern: expression.to_owned(),
        source: Box::new(source),
    };
    let regex = Regex::new(&format!("(?i){expression}")).map_err(failed)?;
    let mut count = 0;
    for found in regex.find_iter(response) {
        found.map_err(failed)?;
        count += 1;
    }
    Ok(count)
}
