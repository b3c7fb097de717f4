//! What somebody may have meant by a name that is not known: for messages about options, keys and formats.

/// The known name that is most like this one, if any is much like it.
///
/// ```
/// use ultrainteract::nearest::nearest;
///
/// let known = ["answer", "asserts", "tests"];
/// assert_eq!(nearest("anwser", &known), Some("answer"));
/// assert_eq!(nearest("explanation", &known), None);
/// ```
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .iter()
        .filter_map(|known| {
            let distance = strsim::damerau_levenshtein(&name, &known.to_lowercase());
            // A letter or two say nothing.
            let longest = name.chars().count().max(known.chars().count());
            (3 * distance <= longest).then_some((distance, *known))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Adds the nearest known name to what serde says of an unknown one: "unknown field `a`, expected one of `b`, `c`".
pub fn with_nearest(message: &str) -> String {
    let message = message.trim_end();
    let starts = ["unknown field `", "unknown variant `"];
    let Some(start) = starts.iter().find_map(|start| message.find(start)) else {
        return message.to_owned();
    };
    let names: Vec<&str> = message[start..].split('`').skip(1).step_by(2).collect();
    let found = names
        .split_first()
        .and_then(|(unknown, known)| nearest(unknown, known));
    match found {
        Some(name) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["answer", "asserts", "tests"];
        assert_eq!(nearest("anwser", &known), Some("answer"));
        assert_eq!(nearest("Assert", &known), Some("asserts"));
        assert_eq!(nearest("explanation", &known), None);
        assert_eq!(nearest("a", &["b"]), None);
        assert_eq!(nearest("", &[]), None);
    }
}
