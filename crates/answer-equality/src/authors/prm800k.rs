//! The grader of PRM800K: normal forms, tuples, and differences that simplify to zero.

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
    let (ours, theirs) = (elements(&given), elements(&truth));
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

/// The items between one pair of brackets, or the whole text.
pub(super) fn elements(text: &str) -> Vec<String> {
    const BRACKETS: [char; 4] = ['(', ')', '[', ']'];
    let text = without_thousands(text);
    let inside = text
        .strip_prefix(BRACKETS)
        .and_then(|it| it.strip_suffix(BRACKETS))
        .filter(|inside| !inside.is_empty() && !inside.contains(BRACKETS));
    match inside {
        Some(inside) => inside.split(',').map(|it| it.trim().to_string()).collect(),
        None => vec![text],
    }
}

/// Whether a text is a quotient of two whole numbers, a point behind each allowed.
fn is_fraction(text: &str) -> bool {
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
    if !is_simple(&joined) {
        return false;
    }
    let read = |text: &str| {
        let (value, _, rest) = leading(text)?;
        rest.trim().is_empty().then_some(value)
    };
    let both = read(ours).zip(read(theirs));
    both.is_some_and(|(ours, theirs)| same_everywhere(&ours, &theirs, work))
}

/// Whether they would try to simplify a text: few letters, and no powers that could be large.
fn is_simple(text: &str) -> bool {
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
