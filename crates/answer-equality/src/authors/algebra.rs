//! What the graders' algebra system reads in a text.

use super::tora::PI;
use crate::expression::{Expression, leading};
use crate::typeset::plain_math;

/// What their algebra system reads: Python's notation, else LaTeX, of which an end that it cannot read is ignored.
pub(super) fn read(text: &str) -> Option<Expression> {
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
pub(super) fn differ_in_powers(a: &str, b: &str) -> bool {
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
