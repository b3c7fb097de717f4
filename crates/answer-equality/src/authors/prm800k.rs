//! The grader of PRM800K: normal forms, tuples, and differences that simplify to zero.

use super::algebra::has_real_power;
use super::normal::{is_whole, mathd_form, prm800k_form, without_thousands};
use crate::expression::{Work, leading, same_everywhere};
use crate::options::Rule;

/// Different letters in both sides beyond which nothing is simplified.
const MOST_LETTERS: usize = 2;

pub(super) fn grade(given: &str, truth: &str, work: &Work) -> Option<Rule> {
    if mathd_form(given) == mathd_form(truth) {
        return Some(Rule::Text);
    }
    let (given, truth) = (prm800k_form(given), prm800k_form(truth));
    if given == truth {
        return Some(Rule::Text);
    }
    if given.is_empty() {
        return None;
    }
    let (ours, theirs) = (split_tuple(&given), split_tuple(&truth));
    let ends = |text: &str| (text.chars().next(), text.chars().next_back());
    if (theirs.len() > 1 && ends(&given) != ends(&truth)) || ours.len() != theirs.len() {
        return None;
    }
    let mut pairs = ours.iter().zip(&theirs);
    pairs.try_fold(Rule::Text, |by, (ours, theirs)| {
        let rule = match (is_fraction(ours), is_fraction(theirs)) {
            (true, true) => (ours == theirs).then_some(Rule::Text),
            _ if is_whole(ours) != is_whole(theirs) => None,
            _ => same_value(ours, theirs, work).then_some(Rule::Algebra),
        };
        Some(by.max(rule?))
    })
}

/// The items between one pair of brackets, or the whole text, without commas between thousands.
///
/// ```
/// use answer_equality::authors::split_tuple;
/// assert_eq!(split_tuple("(1,000, 2)"), ["1000", "2"]);
/// assert_eq!(split_tuple("1, 2"), ["1, 2"]);
/// ```
pub fn split_tuple(text: &str) -> Vec<String> {
    const BRACKETS: [char; 4] = ['(', ')', '[', ']'];
    let text = without_thousands(text);
    if text.is_empty() {
        return Vec::new();
    }
    let inside = text
        .strip_prefix(BRACKETS)
        .and_then(|it| it.strip_suffix(BRACKETS))
        .filter(|inside| !inside.is_empty() && !inside.contains(BRACKETS));
    match inside {
        Some(inside) => inside.split(',').map(|it| it.trim().to_string()).collect(),
        None => vec![text],
    }
}

/// Whether PRM800K's grader takes a text for a quotient of two whole numbers, a point behind each allowed. Two of them are the
/// same only if they are written alike.
///
/// ```
/// use answer_equality::authors::is_fraction;
/// assert!(is_fraction("-3/4") && !is_fraction("3 / 4"));
/// ```
pub fn is_fraction(text: &str) -> bool {
    let Some((top, bottom)) = text.split_once('/') else {
        return false;
    };
    let digits = |text: &str| {
        let text = text.strip_suffix('.').unwrap_or(text);
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let zero = |text: &str| text.trim_matches(['0', '.']).is_empty();
    digits(top.strip_prefix('-').unwrap_or(top)) && digits(bottom) && !zero(bottom)
}

fn same_value(ours: &str, theirs: &str, work: &Work) -> bool {
    let joined = format!("({theirs})-({ours})");
    // A power with a point is a number in double precision, which leaves something when it is subtracted.
    let is_real =
        |text: &str| has_real_power(text, |of_letter, has_decimals| of_letter || has_decimals);
    if !is_simple(&joined) || is_real(ours) != is_real(theirs) {
        return false;
    }
    let read = |text: &str| {
        let powers = text.replace("**", "^");
        let (value, _, rest) = leading(&powers)?;
        rest.trim().is_empty().then_some(value)
    };
    let both = read(ours).zip(read(theirs));
    both.is_some_and(|(ours, theirs)| same_everywhere(&ours, &theirs, work))
}

/// Whether PRM800K's grader would try to simplify a text: two letters at most, and no powers that could be large.
///
/// ```
/// use answer_equality::authors::is_simple;
/// assert!(is_simple("x^2 + y") && !is_simple("x + y + z") && !is_simple("2^{10}"));
/// ```
pub fn is_simple(text: &str) -> bool {
    let plain = text.replace("sqrt", "").replace("frac", "");
    let mut letters: Vec<char> = plain.chars().filter(|c| c.is_alphabetic()).collect();
    letters.sort_unstable();
    letters.dedup();
    let after_caret = |after: &str| {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        digits > 1 || (digits > 0 && after[digits..].starts_with('^'))
    };
    let large = text.match_indices('^').any(|(at, _)| {
        let after = &text[at + 1..];
        after.starts_with(['{', '(']) || after_caret(after)
    });
    letters.len() <= MOST_LETTERS && !large
}
