//! Final answers.

use super::number::{numbers_equal, parse_number};

/// The final answer that an action states: the content of its last `\boxed{..}` with balanced
/// braces, else what follows its last `Answer:` on that line or, if nothing does, on the next line
/// with text.
///
/// ```
/// use ultrainteract::action_text::final_answer;
/// assert_eq!(final_answer("so $\\boxed{\\frac{1}{2}}$.").as_deref(), Some("\\frac{1}{2}"));
/// assert_eq!(final_answer("Step 1: ...\nAnswer:3OH!3").as_deref(), Some("3OH!3"));
/// assert_eq!(final_answer("I do not know."), None);
/// ```
pub fn final_answer(text: &str) -> Option<String> {
    let answer = last_boxed(text).or_else(|| last_answer_line(text))?.trim();
    (!answer.is_empty()).then(|| answer.to_string())
}

/// Whether an answer says what the ground truth says.
///
/// Both are compared as text without case, spaces and typesetting, and as numbers: commas between
/// thousands, `%`, `$`, currency and units do not matter, and values may differ by a relative
/// [`RELATIVE_TOLERANCE`](super::RELATIVE_TOLERANCE). Two whole numbers must be equal.
///
/// ```
/// use ultrainteract::action_text::answers_match;
/// assert!(answers_match("$1,234.50", "1234.5 dollars"));
/// assert!(answers_match("0.33333", "1/3"));
/// assert!(answers_match("(B)", "b"));
/// assert!(!answers_match("20001", "20000"));
/// assert!(!answers_match("5x", "5"));
/// ```
pub fn answers_match(given: &str, truth: &str) -> bool {
    let (plain_given, plain_truth) = (plain(given), plain(truth));
    if plain_given.is_empty() || plain_truth.is_empty() {
        return false;
    }
    if plain_given == plain_truth {
        return true;
    }
    match (parse_number(given), parse_number(truth)) {
        (Some(given), Some(truth)) if given.fract() == 0.0 && truth.fract() == 0.0 => {
            given == truth
        }
        (Some(given), Some(truth)) => numbers_equal(given, truth),
        _ => false,
    }
}

fn last_boxed(text: &str) -> Option<&str> {
    const OPEN: &str = "\\boxed";
    text.rmatch_indices(OPEN).find_map(|(at, _)| {
        let content = text[at + OPEN.len()..].trim_start().strip_prefix('{')?;
        let end = closing_brace(content)?;
        Some(&content[..end])
    })
}

/// Where the brace that was opened before this text closes; escaped braces do not count.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn last_answer_line(text: &str) -> Option<&str> {
    const LABEL: &str = "answer:";
    let bytes = text.as_bytes();
    let at = (0..bytes.len().saturating_sub(LABEL.len() - 1))
        .rev()
        .find(|&at| {
            bytes[at..at + LABEL.len()].eq_ignore_ascii_case(LABEL.as_bytes())
                && !text[..at].ends_with(char::is_alphanumeric)
        })?;
    text[at + LABEL.len()..]
        .lines()
        // Markdown emphasis round the label leaves its stars behind it.
        .map(|line| line.trim().trim_matches('*').trim())
        .find(|line| !line.is_empty())
}

/// The text that is compared: lowercase, without spaces, dollar signs of mathematics, the final
/// full stop and typesetting that changes no meaning.
fn plain(text: &str) -> String {
    let mut text = text.to_lowercase();
    for wrapper in ["\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{"] {
        text = unwrap_command(&text, wrapper);
    }
    for command in ["\\left", "\\right"] {
        text = without_command(&text, command);
    }
    for mark in ["\\!", "\\,", "\\;", "\\(", "\\)", "\\[", "\\]", "$"] {
        text = text.replace(mark, "");
    }
    text = text
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac");
    text.retain(|c| !c.is_whitespace());
    let text = text.trim_end_matches('.');
    // A choice may be given as "(b)" or "b".
    text.strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .filter(|inner| inner.chars().count() == 1)
        .unwrap_or(text)
        .to_string()
}

/// The text with `\command{content}` replaced by the content; `opening` is `\command{`.
fn unwrap_command(text: &str, opening: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(opening) {
        let content = &rest[at + opening.len()..];
        let Some(end) = closing_brace(content) else {
            break;
        };
        out.push_str(&rest[..at]);
        out.push_str(&content[..end]);
        rest = &content[end + 1..];
    }
    out.push_str(rest);
    out
}

/// The text without a command, but with longer ones that begin alike, as `\leftarrow`.
fn without_command(text: &str, command: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(command) {
        let after = &rest[at + command.len()..];
        let whole = !after.starts_with(char::is_alphabetic);
        out.push_str(&rest[..at]);
        if !whole {
            out.push_str(command);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_box_counts_and_an_open_one_does_not() {
        assert_eq!(
            final_answer(r"\boxed{1} then \boxed {2}").as_deref(),
            Some("2")
        );
        assert_eq!(
            final_answer(r"\boxed{1} then \boxed{2").as_deref(),
            Some("1")
        );
        assert_eq!(
            final_answer(r"\boxed{\left\{ 1, \frac{2}{3} \right.}").as_deref(),
            Some(r"\left\{ 1, \frac{2}{3} \right.")
        );
    }

    #[test]
    fn an_empty_box_is_no_answer() {
        assert_eq!(final_answer(r"\boxed{}"), None);
    }

    #[test]
    fn an_answer_may_stand_on_the_next_line_or_in_bold() {
        assert_eq!(
            final_answer("Answer:\n\n 7 apples \n").as_deref(),
            Some("7 apples")
        );
        assert_eq!(final_answer("**Final Answer:** 12").as_deref(), Some("12"));
        assert_eq!(
            final_answer("Answer: 1\nno, answer: 2").as_deref(),
            Some("2")
        );
    }

    #[test]
    fn a_word_that_ends_in_answer_is_no_label() {
        assert_eq!(final_answer("misanswer: 3"), None);
    }

    #[test]
    fn words_match_without_case_space_and_typesetting() {
        for (given, truth) in [
            ("Yes.", "yes"),
            (r"\text{Yes}", "yes"),
            (r"$\dfrac{x}{2}$", r"\frac{x}{2}"),
            (r"\left( 1, 2 \right)", "(1,2)"),
            ("New York", "new  york"),
        ] {
            assert!(answers_match(given, truth), "{given} should match {truth}");
        }
        assert!(!answers_match(r"\leftarrow", r"\rightarrow"));
        assert!(!answers_match("", ""));
        assert!(!answers_match("no", "yes"));
    }

    #[test]
    fn numbers_match_across_their_spellings() {
        for (given, truth) in [
            ("1,234,567", "1234567"),
            ("12.0", "12"),
            ("50%", "50"),
            (r"50\%", "50%"),
            (r"\$18", "18"),
            ("18 dollars", "$18.00"),
            ("x = 5", "5"),
            (r"\frac{1}{4}", "0.25"),
            ("1 1/2", "1.5"),
            ("3.3333", "10/3"),
            ("3 million", "3,000,000"),
            ("-7", "−7"),
            ("12 cm^2", "12"),
            ("90^\\circ", "90 degrees"),
            ("1.5e3", "1500"),
        ] {
            assert!(answers_match(given, truth), "{given} should match {truth}");
        }
    }

    #[test]
    fn different_numbers_do_not_match() {
        for (given, truth) in [
            ("12", "13"),
            ("1,23", "123"),
            ("3 or 4", "3"),
            ("12:30", "12"),
            ("3 pi", "3"),
            ("5x", "5"),
            ("100001", "100000"),
            ("1.001", "1"),
            ("nan", "0"),
            ("(1, 2)", "1"),
        ] {
            assert!(
                !answers_match(given, truth),
                "{given} should not match {truth}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_number_matches_itself_with_commas_and_signs(n in 0u64..10_000_000_000) {
            let digits = n.to_string();
            let mut commas = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    commas.push(',');
                }
                commas.push(digit);
            }
            for given in [format!("${commas}"), format!("{commas} km"), format!("{n}.00")] {
                prop_assert!(answers_match(&given, &digits), "{given}");
            }
            prop_assert!(!answers_match(&commas, &(n + 1).to_string()));
        }

        #[test]
        fn any_text_is_read_without_panic(text in r"[\\boxed{}answer: 0-9.,/%$é\n]{0,40}") {
            let _ = final_answer(&text);
            let _ = answers_match(&text, "1");
        }
    }
}
