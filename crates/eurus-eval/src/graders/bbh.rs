//! BIG-Bench Hard: the reference is looked for in the text.
//!
//! | rule | [`Rules::Authors`] | [`Rules::Fixed`] | example |
//! | --- | --- | --- | --- |
//! | where the reference stands | anywhere in the text | it is all that the last "the answer is" says | `the answer is 240.` is not 24 |

use super::{Grade, Rules};

/// Whether an answer that thinks step by step is right. What follows a further `Q:` is not looked at.
///
/// The reference is the bare answer, such as `(A)`, or the sentence that ends with it.
///
/// ```
/// use eurus_eval::graders::{Rules, bbh::grade};
/// assert!(grade("So the answer is 240.", "24", Rules::Authors).is_correct());
/// assert!(!grade("So the answer is 240.", "24", Rules::Fixed).is_correct());
/// ```
pub fn grade(answer: &str, reference: &str, rules: Rules) -> Grade {
    let answer = first_answer(answer);
    match rules {
        Rules::Authors => {
            let is_there = answer.contains(reference.trim());
            Grade::new(
                is_there,
                Some(answer.to_owned()),
                "the reference is in the text",
            )
        }
        Rules::Fixed => match stated(answer) {
            Some(given) => {
                let gold = stated(reference).unwrap_or_else(|| bare(reference));
                Grade::new(
                    given == gold,
                    Some(given.to_owned()),
                    "what the text says the answer is",
                )
            }
            None => Grade::new(false, None, "the text does not say what the answer is"),
        },
    }
}

/// Whether an answer without thoughts is right: it begins with the reference.
pub fn grade_direct(answer: &str, reference: &str) -> Grade {
    let answer = answer.trim_start();
    let begins = answer.starts_with(reference);
    Grade::new(
        begins,
        Some(answer.to_owned()),
        "the text begins with the reference",
    )
}

/// The text before the model asks itself another question.
fn first_answer(answer: &str) -> &str {
    let answer = answer.trim();
    answer.split("Q:").next().unwrap_or_default().trim()
}

/// What follows the last "the answer is", up to the end of its line.
fn stated(text: &str) -> Option<&str> {
    const MARK: &[u8] = b"the answer is";
    let mut windows = text.as_bytes().windows(MARK.len());
    let at = windows.rposition(|it| it.eq_ignore_ascii_case(MARK))?;
    let after = text[at + MARK.len()..].trim_start_matches([' ', ':', '\n']);
    after.lines().next().map(bare)
}

/// An answer without the full stop behind it.
fn bare(answer: &str) -> &str {
    let answer = answer.trim();
    answer.strip_suffix('.').unwrap_or(answer).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_differ_as_their_table_says() {
        // Answer, reference, right by the authors, right without the defect.
        let table = [
            ("So the answer is 240.", "24", true, false),
            ("So the answer is (A).", "(A)", true, true),
            ("(A) is wrong. So the answer is (B).", "(A)", true, false),
            ("So the answer is not True.", "True", true, false),
            ("So the answer is (A).", "So the answer is (A).", true, true),
            ("So the answer is ] ) }.", "] ) }", true, true),
            ("It is (A).", "(A)", true, false),
            (
                "So the answer is True.\n\nQ: and?\nThe answer is no.",
                "True",
                true,
                true,
            ),
        ];
        for (answer, reference, authors, fixed) in table {
            let right = |rules| grade(answer, reference, rules).is_correct();
            assert_eq!(right(Rules::Authors), authors, "{answer} | {reference}");
            assert_eq!(right(Rules::Fixed), fixed, "{answer} | {reference}");
        }
    }
}
