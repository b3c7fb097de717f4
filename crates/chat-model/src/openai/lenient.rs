//! JSON as servers write it.

use serde_json::Value;

/// Parses a body. What Python's `json` writes and JSON does not allow is mended: half of a surrogate pair becomes U+FFFD,
/// `NaN` and `Infinity` become null; bytes that are no UTF-8 become U+FFFD too, and a byte-order mark is skipped.
pub(super) fn parse(body: &[u8]) -> serde_json::Result<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let first = serde_json::from_slice(body);
    match first {
        Ok(value) => Ok(value),
        // The first error speaks of the body as it is.
        Err(error) => {
            serde_json::from_str(&mended(&String::from_utf8_lossy(body))).map_err(|_| error)
        }
    }
}

fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(first) = rest.chars().next() {
        let taken = if in_string && first == '\\' {
            let (written, taken) = escape(rest);
            out += written;
            taken
        } else if let Some(word) = ["NaN", "-Infinity", "Infinity"]
            .iter()
            .find(|word| !in_string && rest.starts_with(**word))
        {
            out += "null";
            word.len()
        } else {
            in_string ^= first == '"';
            out.push(first);
            first.len_utf8()
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// What to write for the escape that a text begins with, and how many bytes of the text that is for.
fn escape(text: &str) -> (&str, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match unit(0) {
        Some(0xd800..=0xdbff) => match unit(6) {
            Some(0xdc00..=0xdfff) => (&text[..12], 12),
            _ => ("\\ufffd", 6),
        },
        Some(0xdc00..=0xdfff) => ("\\ufffd", 6),
        Some(_) => (&text[..6], 6),
        None => {
            // The backslash and what it escapes; a text that ends here stays broken.
            let taken = 1 + text.chars().nth(1).map_or(0, char::len_utf8);
            (&text[..taken], taken)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_a_surrogate_pair_is_mended_and_a_whole_one_kept() {
        let value = parse(
            br#"{"a": "x\ud83dy", "b": "\ud83d\ude00", "c": "\\ud83d \ude00", "d": "\u00e4\n\""}"#,
        );
        let value = value.unwrap();
        assert_eq!(value["a"], "x\u{fffd}y");
        assert_eq!(value["b"], "\u{1f600}");
        assert_eq!(value["c"], "\\ud83d \u{fffd}");
        assert_eq!(value["d"], "\u{e4}\n\"");
    }

    #[test]
    fn numbers_that_are_none_and_bytes_that_are_no_text_are_mended() {
        let value =
            parse(b"\xef\xbb\xbf{\"a\": NaN, \"b\": [-Infinity, Infinity], \"c\": \"NaN \xff\"}")
                .unwrap();
        assert_eq!(value["a"], Value::Null);
        assert_eq!(value["b"], serde_json::json!([null, null]));
        assert_eq!(value["c"], "NaN \u{fffd}");
    }

    #[test]
    fn what_is_cut_off_stays_an_error() {
        for body in [
            &b"{\"a\": \"x\\"[..],
            b"{\"a\": \"\\ud83d",
            b"{\"a\": Na",
            b"",
            b"<html>",
        ] {
            assert!(parse(body).is_err());
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_sound_json_is_not_touched(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            text in any::<String>(),
            broken in "(\\\\|u[dD][89a-f]|\"|NaN|[0-9a-f]|\u{e4}|,|\\{|\\}){0,30}",
        ) {
            let _ = parse(&bytes);
            let _ = parse(broken.as_bytes());
            let sound = serde_json::json!({ "text": text, "broken": broken });
            prop_assert_eq!(parse(sound.to_string().as_bytes()).unwrap(), sound.clone());
            prop_assert_eq!(mended(&sound.to_string()), sound.to_string());
        }
    }
}
