//! MMLU: one token, which must be the letter. Both [rules](super::Rules) are this one.

use super::Grade;

/// Whether the one token that was generated is the letter of the right choice, space round it aside.
///
/// ```
/// use eurus_eval::graders::mmlu::grade;
/// assert!(grade(" A", "A").is_correct());
/// assert!(!grade("(A)", "A").is_correct());
/// ```
pub fn grade(token: &str, letter: &str) -> Grade {
    let token = token.trim();
    Grade::new(
        token == letter,
        Some(token.to_owned()),
        "the token is the letter",
    )
}
