//! Texts of runs as a page can show them.

use serde_json::Value;

/// Characters of a text that a page shows.
const MOST_CHARACTERS: usize = 20_000;

/// A text with its control characters as symbols, so that they are seen and change nothing around them; what is longer than a
/// reader will read is cut, and says so.
pub(crate) fn plain(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST_CHARACTERS).map(symbol).collect();
    let more = text.chars().skip(MOST_CHARACTERS).count();
    if more > 0 {
        shown.push_str(&format!("… ({more} more characters)"));
    }
    shown
}

/// A JSON value with all its texts and names [`plain`].
pub(crate) fn plain_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(&text)),
        Value::Array(values) => values.into_iter().map(plain_value).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (plain(&name), plain_value(value)))
            .collect(),
        other => other,
    }
}

fn symbol(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        // The block of control pictures has them in order.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + character as u32).unwrap_or('␀'),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        // What turns the direction of all that follows; texts have their own without.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_long_texts_are_cut() {
        assert_eq!(plain("a\0b\u{1b}[1m\nc\u{202e}d"), "a␀b␛[1m\nc\u{fffd}d");
        let long = plain(&"x".repeat(MOST_CHARACTERS + 5));
        assert!(
            long.ends_with("… (5 more characters)"),
            "{}",
            &long[MOST_CHARACTERS..]
        );
    }
}
