//! What Python says of text, where Rust says otherwise.

use std::sync::LazyLock;

use regex::Regex;

/// What `\w` of Python's `re` matches, as a class of a regular expression: letters, numbers of any kind and the
/// underscore, but no combining marks.
pub(super) const WORD: &str = r"[\p{L}\p{N}_]";

/// What `\s` of Python's `re` matches.
pub(super) const SPACE: &str = r"[\s\x1c-\x1f]";

/// Whether `str.isspace` holds for a character.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

/// `str.strip` without arguments.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Whether there is nothing but white space.
pub(super) fn is_blank(text: &str) -> bool {
    strip(text).is_empty()
}

/// `str.split` without arguments.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|piece| !piece.is_empty())
}

/// `str.isupper`: there is an upper-case character, and no lower-case or title-case one.
pub fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase)
        && !text
            .chars()
            .any(|character| character.is_lowercase() || is_title(character))
}

/// `str.islower`: there is a lower-case character, and no upper-case or title-case one.
pub(super) fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase)
        && !text
            .chars()
            .any(|character| character.is_uppercase() || is_title(character))
}

/// The few letters, such as U+01C5, that stand for an upper-case and a lower-case one.
fn is_title(character: char) -> bool {
    matches!(character,
        '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}'
        | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

/// Whether `json.loads` reads the text: JSON, and the numbers `NaN`, `Infinity` and `-Infinity`.
pub(super) fn is_json(text: &str) -> bool {
    static STRING_OR_NUMBER: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#""(?s:\\.|[^"\\])*"|-?Infinity|NaN"#));
    // A number that JSON knows takes the place of each; the spaces keep it apart from a neighbour that it may not have.
    let plain = STRING_OR_NUMBER.replace_all(text, |found: &regex::Captures<'_>| {
        match found[0].starts_with('"') {
            true => found[0].to_owned(),
            false => " 0 ".to_owned(),
        }
    });
    serde_json::from_str::<serde::de::IgnoredAny>(&plain).is_ok()
}

/// A regular expression of this crate's own.
///
/// # Panics
///
/// When it is none, which the tests would have shown.
pub(super) fn pattern(expression: &str) -> Regex {
    Regex::new(expression).expect("a regular expression of this crate's own is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_that_of_the_cased_characters() {
        assert!(is_upper("ÄB 1!") && !is_upper("1!") && !is_upper("Ab"));
        assert!(is_lower("ß 1!") && !is_lower("") && !is_lower("aB"));
        assert!(!is_upper("A\u{1c5}") && !is_lower("a\u{1c5}"));
    }

    #[test]
    fn json_is_what_python_reads() {
        for text in [
            "NaN",
            "[-Infinity, 1]",
            "\"a NaN b\"",
            r#"{"a": "\ud800"}"#,
            "1e999",
            " null ",
        ] {
            assert!(is_json(text), "{text}");
        }
        for text in ["", "1NaN", "-NaN", "{NaN: 1}", "\"a\nb\"", "'a'", "1 2"] {
            assert!(!is_json(text), "{text}");
        }
    }

    #[test]
    fn separators_of_files_are_white_space() {
        assert_eq!(strip("\x1c a\u{a0}"), "a");
        assert_eq!(split("a\x1fb  c").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
