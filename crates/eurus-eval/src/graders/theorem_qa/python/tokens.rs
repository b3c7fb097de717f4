//! The parts that an expression is written in.

use super::Value;

/// Longer texts have no value.
const LONGEST: usize = 10_000;

/// Longest first, so that none is read as the start of another.
const SIGNS: [&str; 29] = [
    "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "^", "&", "|", "~",
    "<", ">", "(", ")", "[", "]", "{", "}", ",", ":", ".", "@",
];

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Literal(Value),
    Name(String),
    Sign(&'static str),
}

/// The parts of a text; nothing where a character belongs to none.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.len() > LONGEST {
        return None;
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let (token, after) = if first.is_ascii_digit() || starts_with_point(rest) {
            number(rest)?
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            (Token::Name(name.to_owned()), after)
        } else if first == '"' || first == '\'' {
            let (content, after) = rest[1..].split_once(first)?;
            if content.contains(['\\', '\n']) {
                return None;
            }
            (Token::Literal(Value::Text(content.to_owned())), after)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
            (Token::Sign(sign), &rest[sign.len()..])
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Some(tokens)
}

fn starts_with_point(text: &str) -> bool {
    let after = text.strip_prefix('.');
    after.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
}

fn number(text: &str) -> Option<(Token, &str)> {
    for (mark, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        let marked = text.get(..2).filter(|it| it.eq_ignore_ascii_case(mark));
        if marked.is_some() {
            let (digits, after) = split_digits(&text[2..], |c| c.is_digit(radix))?;
            let value = i128::from_str_radix(&digits, radix).ok()?;
            return ends(after).then_some((Token::Literal(Value::Int(value)), after));
        }
    }
    let (whole, mut after) = match text.starts_with('.') {
        true => (String::new(), text),
        false => split_digits(text, |c| c.is_ascii_digit())?,
    };
    let mut literal = whole.clone();
    let mut is_real = false;
    if let Some(decimals) = after.strip_prefix('.') {
        is_real = true;
        literal.push('.');
        after = decimals;
        if decimals.starts_with(|c: char| c.is_ascii_digit()) {
            let (digits, rest) = split_digits(decimals, |c| c.is_ascii_digit())?;
            literal.push_str(&digits);
            after = rest;
        }
    }
    if let Some(exponent) = after.strip_prefix(['e', 'E']) {
        let sign = exponent.strip_prefix(['+', '-']);
        let digits = sign.unwrap_or(exponent);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            is_real = true;
            let (digits, rest) = split_digits(digits, |c| c.is_ascii_digit())?;
            let sign = if exponent.starts_with('-') { "-" } else { "" };
            literal.push_str(&format!("e{sign}{digits}"));
            after = rest;
        }
    }
    let value = if let Some(rest) = after.strip_prefix(['j', 'J']) {
        after = rest;
        Value::Complex(0.0, literal.parse().ok()?)
    } else if is_real {
        Value::Float(literal.parse().ok()?)
    } else if whole.starts_with('0') && whole.bytes().any(|byte| byte != b'0') {
        // Python has no whole numbers with zeros in front.
        return None;
    } else {
        match whole.parse() {
            Ok(value) => Value::Int(value),
            Err(_) => Value::Float(whole.parse().ok()?),
        }
    };
    ends(after).then_some((Token::Literal(value), after))
}

/// Whether a number may end before this text.
fn ends(after: &str) -> bool {
    !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Digits with single underscores between them, without these.
fn split_digits(text: &str, is_digit: impl Fn(char) -> bool) -> Option<(String, &str)> {
    let end = text.find(|c: char| !is_digit(c) && c != '_');
    let (digits, after) = text.split_at(end.unwrap_or(text.len()));
    let parts = digits.split('_');
    let whole = !digits.is_empty() && parts.clone().all(|part| !part.is_empty());
    whole.then(|| (parts.collect(), after))
}
