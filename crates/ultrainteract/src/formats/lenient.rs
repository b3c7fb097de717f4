//! Numbers that are no JSON and that writers of JSON write all the same.

/// The record with `NaN`, `Infinity`, and numbers beyond the range of f64 as strings; `None` if it has none of them. Where
/// such a number is used its reader refuses it by name; elsewhere it does not matter.
pub(super) fn numbers_as_strings(record: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut from, mut at) = (0, 0);
    while at < record.len() {
        match record[at] {
            b'"' => at = string_end(record, at),
            b'-' | b'0'..=b'9' | b'I' | b'N' => {
                let end = record[at..]
                    .iter()
                    .position(|byte| !is_of_number(*byte))
                    .map_or(record.len(), |length| at + length);
                let token = &record[at..end];
                if is_no_number(token) {
                    out.extend_from_slice(&record[from..at]);
                    out.push(b'"');
                    out.extend_from_slice(token);
                    out.push(b'"');
                    from = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if from == 0 {
        return None;
    }
    out.extend_from_slice(&record[from..]);
    Some(out)
}

/// Behind the string that opens at a place.
fn string_end(record: &[u8], start: usize) -> usize {
    let mut escaped = false;
    for (at, &byte) in record.iter().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    record.len()
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')
}

fn is_no_number(token: &[u8]) -> bool {
    if matches!(token, b"NaN" | b"Infinity" | b"-Infinity") {
        return true;
    }
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    let number = digits.first().is_some_and(u8::is_ascii_digit)
        && digits
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"eE+-.".contains(byte));
    let text = std::str::from_utf8(token).unwrap_or_default();
    number && text.parse().is_ok_and(|value: f64| value.is_infinite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_becomes_a_string_and_nothing_else_changes() {
        let changed = |text: &str| {
            numbers_as_strings(text.as_bytes()).map(|it| String::from_utf8(it).expect("UTF-8"))
        };
        assert_eq!(
            changed(r#"{"a": NaN, "b": [-Infinity,1e999], "c": "NaN"}"#).as_deref(),
            Some(r#"{"a": "NaN", "b": ["-Infinity","1e999"], "c": "NaN"}"#)
        );
        assert_eq!(changed(r#"{"a": 1e3, "b": "\"NaN", "c": -0.5}"#), None);
        assert_eq!(changed(r#"{"a": Nano"#), None);
    }
}
