//! The comparison of ToRA: numbers within a tolerance, lists item by item, and differences that simplify to zero.

use super::normal::python_float;
use crate::expression::{Expression, Work, leading, same_everywhere};
use crate::extract::within;
use crate::number::Number;
use crate::options::{Rule, Tolerance};
use crate::typeset::plain_math;

/// More of a prediction is not looked at.
const LONGEST: usize = 1_000;

/// Lists inside each other that are followed.
const DEEPEST: usize = 8;

/// Pi in double precision, and as it is rounded by hand.
const PI: &str = "3.141592653589793";
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

/// What their algebra system reads: Python's notation, else LaTeX, of which an end that it cannot read is ignored.
fn read(text: &str) -> Option<Expression> {
    if has_second_point(&text.replace(PI, "3")) || has_leading_zero(text) || text.contains("\\ ") {
        return None;
    }
    let is_python = !text.contains(['\\', '{', '}']);
    if is_python {
        // The first of several that is not zero is the value.
        let text = text.split(" or ").next().unwrap_or_default();
        match python(&text.replace("--", "+"))? {
            Read::Value(value) => return Some(value),
            Read::OtherNotation => {}
        }
        let powers = text.split("**").next().unwrap_or_default();
        return latex(powers);
    }
    let unknown = ["\\mbox", "\\pm", "\\begin", "\\overline", "**"];
    if unknown.iter().any(|command| text.contains(command)) {
        return None;
    }
    latex(text)
}

/// What came of reading a text as Python's notation.
enum Read {
    Value(Expression),
    /// It is none, and may be LaTeX.
    OtherNotation,
}

/// Nothing where it is Python's notation, but of no number.
fn python(text: &str) -> Option<Read> {
    let word = text.trim();
    if word.trim_start_matches('-') == "oo" {
        return leading(&plain_math(word)).map(|(value, ..)| Read::Value(value));
    }
    if word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Some(Read::Value(Expression::Variable(word.to_string())));
    }
    let complete = |part: &str| {
        let (value, side_by_side, rest) = leading(part)?;
        (rest.trim().is_empty() && !side_by_side).then_some(value)
    };
    let powers = text.replace("**", "^");
    let items: Vec<_> = powers.split(',').map(complete).collect();
    // A tuple is no number, and a caret between numbers no power.
    let tuple = items.len() > 1 && items.iter().all(Option::is_some);
    let value = items.first().and_then(Option::as_ref);
    let constant = value.is_some_and(|it| it.variables().is_empty());
    if tuple || (constant && text.contains('^')) {
        return None;
    }
    Some(
        match items
            .into_iter()
            .next()
            .flatten()
            .filter(|_| !text.contains(','))
        {
            Some(value) => Read::Value(value),
            None => Read::OtherNotation,
        },
    )
}

/// LaTeX, as far as it can be read.
fn latex(text: &str) -> Option<Expression> {
    let text = legible(text);
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
    let has_infinity = words.any(|word| word == "oo");
    if text.contains(|c: char| "$:".contains(c) || !c.is_ascii()) || has_infinity {
        return None;
    }
    // The command for text is a symbol to them, and its words are products of letters.
    let symbols = text.matches("\\text").count();
    if symbols > 0 && text.contains(['+', '-', ',', '^']) {
        return None;
    }
    let plain = plain_math(&without_spaces_in_numbers(&text.replace("\\text", "")));
    let (value, ..) = leading(&with_products(&plain))?;
    let mut factors = vec![value];
    factors.extend((0..symbols).map(|_| Expression::Variable("\\text".to_string())));
    Some(match symbols {
        0 => factors.swap_remove(0),
        _ => Expression::Product(factors),
    })
}

/// With a sign between a parenthesis and the number behind it.
fn with_products(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_digit() && out.ends_with(')') {
            out.push('*');
        }
        out.push(c);
    }
    out
}

/// The part before what their grammar does not know: a root without braces, a point that belongs to no number.
fn legible(text: &str) -> &str {
    let bare_root = |(at, root): (usize, &str)| {
        let after = text[at + root.len()..].trim_start();
        (!after.starts_with(['{', '['])).then_some(at)
    };
    let root = text.match_indices("\\sqrt").find_map(bare_root);
    let digit = |c: char| c.is_ascii_digit();
    let bare_point = |(at, point): (usize, &str)| {
        let beside = text[..at].ends_with(digit) || text[at + point.len()..].starts_with(digit);
        (!beside).then_some(at)
    };
    let point = text.match_indices('.').find_map(bare_point);
    let end = root.into_iter().chain(point).min();
    &text[..end.unwrap_or(text.len())]
}

/// Digits beside digits are one number, whatever space is between them.
fn without_spaces_in_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(' ').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        out.push_str(part);
        let digit = |c: char| c.is_ascii_digit();
        let one = part.ends_with(digit) && parts.peek().is_some_and(|it| it.starts_with(digit));
        if !one && parts.peek().is_some() {
            out.push(' ');
        }
    }
    out
}

/// Whether a whole number is written with a zero in front, which Python does not read.
fn has_leading_zero(text: &str) -> bool {
    let text = text.replace("\\!", "");
    let mut numbers = text.split(|c: char| !c.is_ascii_digit() && !".,".contains(c));
    numbers.any(|it| it.starts_with('0') && it.len() > 1 && it.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a variable has a power in one of two texts that is written with a point, and in the other none: to their algebra
/// `x^2.` is not `x^2`.
fn differ_in_powers(a: &str, b: &str) -> bool {
    let of_variable = |text: &str| has_real_power(text, |by_variable, _| by_variable);
    of_variable(a) != of_variable(b)
}

/// Whether there is a power with a point of some kind: told whether a letter stands before it, and whether it has decimals.
pub(super) fn has_real_power(text: &str, is_one: impl Fn(bool, bool) -> bool) -> bool {
    let powers = text.replace("**", "^");
    powers.match_indices('^').any(|(at, _)| {
        let of_letter = powers[..at].ends_with(|c: char| c.is_ascii_alphabetic());
        let power = powers[at + 1..].trim_start_matches('{');
        let digits = power.bytes().take_while(u8::is_ascii_digit).count();
        let decimals = power[digits..].strip_prefix('.').filter(|_| digits > 0);
        decimals.is_some_and(|it| is_one(of_letter, it.starts_with(|c: char| c.is_ascii_digit())))
    })
}

/// Whether another point stands behind two decimals or more; behind one it is passed over.
fn has_second_point(text: &str) -> bool {
    let mut parts = text.split('.').skip(1).peekable();
    while let Some(part) = parts.next() {
        let decimals = part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_digit());
        if decimals && parts.peek().is_some() {
            return true;
        }
    }
    false
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
