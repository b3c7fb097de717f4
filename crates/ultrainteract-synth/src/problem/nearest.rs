//! What somebody may have meant by a name that is not known.

/// The known name that is most like this one, if any is much like it.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
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
