//! Instructions about the language of an answer and the case of its letters.

use std::sync::{LazyLock, Mutex, PoisonError};

use langdetect_rs::detector::Detector;
use langdetect_rs::detector_factory::DetectorFactory;

use super::arguments::Arguments;
use super::python::{is_lower, is_upper};
use super::words::words;
use crate::error::Result;

/// In a certain language.
pub(super) fn response_language(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    Ok(is_language(response, arguments.text("language")?))
}

/// So many words in capital letters.
pub(super) fn capital_word_frequency(arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    let words = words(response)?;
    let found = words.iter().filter(|word| is_upper(word)).count();
    arguments.holds("capital_relation", found, "capital_frequency")
}

/// English, in capital letters.
pub(super) fn english_capital(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    Ok(is_upper(response) && is_language(response, "en"))
}

/// English, in small letters.
pub(super) fn english_lowercase(_arguments: &Arguments<'_>, response: &str) -> Result<bool> {
    Ok(is_lower(response) && is_language(response, "en"))
}

/// Whether a text is in the language of a code, such as `en` or `zh-cn`. A text that tells nothing is in every language.
fn is_language(text: &str, code: &str) -> bool {
    language(text).is_none_or(|language| language == code)
}

/// The most likely language of a text; nothing where it has no letters that tell.
///
/// The detector draws which parts of a text it looks at. It is seeded anew for each, so that a text always has the same
/// language, whatever was asked before.
pub fn language(text: &str) -> Option<String> {
    // Loading the profiles takes most of the time of a call, so all share one detector.
    static DETECTOR: LazyLock<Mutex<Detector>> = LazyLock::new(|| {
        let factory = DetectorFactory::default().with_seed(Some(0)).build();
        Mutex::new(factory.create(None))
    });
    let mut detector = DETECTOR.lock().unwrap_or_else(PoisonError::into_inner);
    detector.text.clear();
    detector.langprob = None;
    detector.append(text);
    detector.detect().ok()
}
