//! The comparison of ToRA: numbers within a tolerance, lists item by item, and differences that simplify to zero.

use super::algebra::{differ_in_powers, read};
use super::normal::python_float;
use crate::expression::{Expression, Work, leading, same_everywhere};
use crate::extract::within;
use crate::number::Number;
use crate::options::{Rule, Tolerance};

/// More of a prediction is not looked at.
const LONGEST: usize = 1_000;

/// Lists inside each other that are followed.
const DEEPEST: usize = 8;

/// Pi in double precision, and as it is rounded by hand.
pub(super) const PI: &str = "3.141592653589793";
const SHORT_PI: &str = "3.14";

pub(super) fn grade(given: &str, truth: &str, tolerance: &Tolerance, work: &Work) -> Option<Rule> {
    let given = within(given, LONGEST);
    let has_pi = given.contains("\\pi") || truth.contains("\\pi");
    let same = |pi| {
        let grader = Grader {
            tolerance,
            work,
            pi,
        };
        grader.same(given, truth, 0)
    };
    same(PI).or_else(|| {
        let short = tolerance.short_pi && has_pi;
        let same = short.then(|| same(SHORT_PI))?;
        same.map(|_| Rule::ShortPi)
    })
}

/// The form that ToRA's comparison begins with: without the sign of a currency or a percentage, without the base of a number,
/// with digits for pi, and computed where it is arithmetic then. Nothing where the released code fails: something that is no
/// number before a base.
///
/// ```
/// use answer_equality::authors::tora_form;
/// assert_eq!(tora_form(r"24+4\pi", "3.14").as_deref(), Some("36.56"));
/// assert_eq!(tora_form("443_5", "3.14").as_deref(), Some("443"));
/// assert_eq!(tora_form("A_{11}", "3.14"), None);
/// ```
pub fn tora_form(text: &str, pi: &str) -> Option<String> {
    if let Some(money) = text.strip_prefix('$')
        && money.starts_with(|c: char| c.is_ascii_digit())
    {
        return Some(money.to_string());
    }
    let percent = text.strip_suffix("\\%").or_else(|| text.strip_suffix('%'));
    if let Some(number) = percent.filter(|it| is_number(it)) {
        return Some(number.to_string());
    }
    // A base is cut off, and what is left must be a number, of which the decimals are cut off too.
    if let Some((digits, _)) = text.split_once('_') {
        let value = python_float(digits).filter(|it| it.is_finite())?;
        return Some(format!("{:.0}", value.trunc() + 0.0));
    }
    Some(with_pi(text, pi))
}

/// With digits for pi, and computed if that is arithmetic.
fn with_pi(text: &str, pi: &str) -> String {
    let mut parts = text.split("\\pi");
    let mut out = parts.next().unwrap_or_default().to_string();
    if out.len() == text.len() {
        return out;
    }
    for part in parts {
        let behind_digit = out.ends_with(|c: char| c.is_ascii_digit());
        out.push_str(if behind_digit { "*" } else { "1*" });
        out.push_str(pi);
        out.push_str(part);
    }
    let items: Option<Vec<String>> = out.split(',').map(computed).collect();
    match items {
        Some(items) if items.len() > 1 => format!("({})", items.join(", ")),
        Some(items) => items.concat(),
        None => out,
    }
}

/// The value of arithmetic in Python's notation, as Python prints it.
fn computed(text: &str) -> Option<String> {
    let text = text.trim();
    if !text
        .bytes()
        .all(|byte| b"0123456789.+-*/() ".contains(&byte))
    {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.to_string());
    }
    let powers = text.replace("**", "^");
    let (value, side_by_side, rest) = leading(&powers)?;
    let complete = rest.trim().is_empty() && !side_by_side;
    let value = Number::of(&value, None, &Work::default()).filter(|_| complete)?;
    value.value.to_f64().map(|it| format!("{it:?}"))
}

/// The number that ToRA's comparison takes a text for, without commas wherever they stand.
///
/// ```
/// use answer_equality::authors::tora_number;
/// assert_eq!(tora_number("1,23"), Some(123.0));
/// assert_eq!(tora_number("1/2"), None);
/// ```
pub fn tora_number(text: &str) -> Option<f64> {
    python_float(&text.replace("{,}", ",").replace(',', ""))
}

/// Intervals as Python's algebra writes them, where the whole text is one, with brackets.
///
/// ```
/// use answer_equality::authors::tora_brackets;
/// assert_eq!(tora_brackets("Interval.Ropen(0, oo)"), "[0, oo)");
/// assert_eq!(tora_brackets("x in Interval(0, 1)"), "x in Interval(0, 1)");
/// ```
pub fn tora_brackets(text: &str) -> String {
    const CALLS: [(&str, char, char); 4] = [
        ("Interval.open(", '(', ')'),
        ("Interval.Ropen(", '[', ')'),
        ("Interval.Lopen(", '(', ']'),
        ("Interval(", '[', ']'),
    ];
    let found = CALLS.iter().find_map(|(call, open, close)| {
        let inside = text.strip_prefix(call)?.strip_suffix(')')?;
        Some(format!("{open}{inside}{close}"))
    });
    found.unwrap_or_else(|| text.to_string())
}

fn is_number(text: &str) -> bool {
    literal(text).is_some()
}

/// A literal with or without commas, as Python's `float` reads one.
fn literal(text: &str) -> Option<Number> {
    let plain = text.trim().replace("{,}", ",").replace(',', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let starts = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let (value, _, rest) = starts.then(|| leading(digits))??;
    let is_literal = matches!(value, Expression::Number(_)) && rest.is_empty();
    let number = Number::of(&value, None, &Work::default())
        .filter(|_| is_literal && !digits.contains(' '))?;
    Some(if negative { number.negative() } else { number })
}

struct Grader<'a> {
    tolerance: &'a Tolerance,
    work: &'a Work,
    /// The digits of pi.
    pi: &'a str,
}

impl Grader<'_> {
    fn same(&self, given: &str, truth: &str, depth: usize) -> Option<Rule> {
        let (given, truth) = (tora_form(given, self.pi)?, tora_form(truth, self.pi)?);
        let (given, truth) = (given.as_str(), truth.as_str());
        let without = |text: &str| text.replace(' ', "");
        if given.trim().to_lowercase() == truth.trim().to_lowercase()
            || without(given) == without(truth)
        {
            return Some(Rule::Text);
        }
        if let (Some(given), Some(truth)) = (literal(given), literal(truth)) {
            return given.same_as(&truth, self.tolerance);
        }
        if given.trim().is_empty() || given.starts_with("Point(") || depth > DEEPEST {
            return None;
        }
        let (given, truth) = (tora_brackets(given.trim()), tora_brackets(truth.trim()));
        if same_bare(&given, &truth) {
            return Some(Rule::Text);
        }
        let items = |given: &str, truth: &str| {
            let (ours, theirs) = (given.split(','), truth.split(','));
            if ours.clone().count() != theirs.clone().count() {
                return None;
            }
            let mut pairs = ours.zip(theirs);
            Some(pairs.try_fold(Rule::Text, |by, (ours, theirs)| {
                Some(by.max(self.same(ours, theirs, depth + 1)?))
            }))
        };
        if let (Some(ours), Some(theirs)) = (bracketed(&given), bracketed(&truth))
            && (given.chars().next(), given.chars().next_back())
                == (truth.chars().next(), truth.chars().next_back())
        {
            if let Some(Some(rule)) = items(ours, theirs) {
                return Some(rule);
            }
        } else if given.contains(',')
            && truth.contains(',')
            && let Some(decided) = items(&given, &truth)
        {
            return decided;
        }
        self.same_value(&given, &truth)
    }

    fn same_value(&self, given: &str, truth: &str) -> Option<Rule> {
        let (ours, theirs) = (read(given)?, read(truth)?);
        if differ_in_powers(given, truth) {
            return None;
        }
        if same_everywhere(&ours, &theirs, self.work) {
            return Some(Rule::Algebra);
        }
        let tolerance = Tolerance {
            factor_hundred: false,
            ..*self.tolerance
        };
        let ours = Number::of(&ours, None, self.work)?;
        let theirs = Number::of(&theirs, None, self.work)?;
        let infinite = |it: &Number| it.value.to_f64().is_some_and(|it| it == f64::INFINITY);
        // Beyond double precision all are alike to them.
        if tolerance.relative.is_some() && infinite(&ours) && infinite(&theirs) {
            return Some(Rule::Relative);
        }
        ours.same_as(&theirs, &tolerance)
    }
}

/// Whether both are one text without braces, parentheses and case, and without brackets round them if the given one has some
/// and the true one not others.
fn same_bare(given: &str, truth: &str) -> bool {
    let between =
        |text: &str, open: char, close: char| text.starts_with(open) && text.ends_with(close);
    let strips = (between(given, '[', ']') && !truth.starts_with('('))
        || (between(given, '(', ')') && !truth.starts_with('['));
    let brackets = ['[', ']', '(', ')'];
    let stripped = |text: &str| match strips {
        true => text.trim_matches(brackets).to_string(),
        false => text.to_string(),
    };
    let plain = |text: &str| {
        stripped(text)
            .replace(['{', '}', '(', ')'], "")
            .to_lowercase()
    };
    plain(given) == plain(truth)
}

fn bracketed(text: &str) -> Option<&str> {
    let inside = text.strip_prefix(['(', '['])?.strip_suffix([')', ']'])?;
    (!inside.is_empty()).then_some(inside)
}
