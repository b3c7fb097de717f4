//! The normal forms of the PRM800K grader.

use super::latex::to_text;

/// Units that the second form drops wherever they stand, in words too.
const UNITS: [&str; 17] = [
    "degree",
    "cm",
    "centimeter",
    "meter",
    "mile",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "foot",
    "feet",
    "inch",
    "yard",
    "liter",
];

/// The first normal form: typesetting, units behind a space, and percent signs are gone, fractions have braces.
///
/// ```
/// assert_eq!(answer_equality::authors::mathd_form(r"5\text{ cm}"), "5");
/// assert_eq!(answer_equality::authors::mathd_form(r"\dfrac12"), r"\frac{1}{2}");
/// ```
pub fn mathd_form(answer: &str) -> String {
    let answer = answer.trim();
    let answer = enclosed_text(answer).map_or(answer, str::trim);
    mathd_steps(answer).unwrap_or_else(|| answer.to_string())
}

/// The content of `\text{..}` round the whole.
fn enclosed_text(answer: &str) -> Option<&str> {
    let inside = answer.strip_prefix("\\text{")?.strip_suffix('}')?;
    (!inside.is_empty()).then_some(inside)
}

fn mathd_steps(answer: &str) -> Option<String> {
    let mut text = answer
        .replace('\n', "")
        .replace("\\!", "")
        .replace("\\\\", "\\");
    text = text.replace("tfrac", "frac").replace("dfrac", "frac");
    for gone in ["\\left", "\\right", "^{\\circ}", "^\\circ", "\\$"] {
        text = text.replace(gone, "");
    }
    match text.matches("\\text{ ").count() {
        0 => {}
        1 => {
            text = text
                .split("\\text{ ")
                .next()
                .unwrap_or_default()
                .to_string()
        }
        _ => return None,
    }
    text = text.replace("\\%", "").replace('%', "");
    text = text.replace(" .", " 0.").replace("{.", "{0.");
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    if text.matches('=').count() == 1
        && let Some((name, value)) = text.split_once('=')
        && name.trim().chars().count() <= 2
    {
        text = value.to_string();
    }
    text = fixed_fractions(&fixed_roots(&text));
    if text == "0.5" {
        text = "\\frac{1}{2}".to_string();
    }
    Some(slash_as_fraction(text))
}

/// A quotient of two whole numbers with a slash as one with `\frac`.
pub(super) fn slash_as_fraction(text: String) -> String {
    let whole = |part: &str| part.parse::<i64>().is_ok_and(|it| it.to_string() == part);
    match text.split_once('/') {
        Some((top, bottom)) if whole(top) && whole(bottom) => {
            format!("\\frac{{{top}}}{{{bottom}}}")
        }
        _ => text,
    }
}

pub(super) fn fixed_roots(text: &str) -> String {
    let mut parts = text.split("\\sqrt");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str("\\sqrt");
        match part.chars().next() {
            Some(c) if c != '{' && c != '[' => {
                out.push_str(&format!("{{{c}}}{}", &part[c.len_utf8()..]));
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// Braces round one digit above and below: `\frac12`, `\frac1{72}`.
pub(super) fn fixed_fractions(text: &str) -> String {
    let mut parts = text.split("\\frac");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str("\\frac");
        let mut chars = part.chars();
        match (chars.next(), chars.next()) {
            (Some(top), Some(bottom)) if top != '{' => {
                let rest = chars.as_str();
                match bottom {
                    '{' => out.push_str(&format!("{{{top}}}{{{rest}")),
                    bottom => out.push_str(&format!("{{{top}}}{{{bottom}}}{rest}")),
                }
            }
            _ => out.push_str(part),
        }
    }
    out
}

/// The second normal form: text instead of LaTeX, without units, in lower case.
///
/// ```
/// assert_eq!(answer_equality::authors::prm800k_form(r"\frac{\sqrt6}3"), "sqrt(6)/3");
/// assert_eq!(answer_equality::authors::prm800k_form("Tuesday"), "tues");
/// ```
pub fn prm800k_form(answer: &str) -> String {
    let mut text = enclosed_text(answer)
        .filter(|inside| !inside.contains('\n'))
        .unwrap_or(answer)
        .to_string();
    for gone in ["\\%", "\\$", "$", "%"] {
        text = text.replace(gone, "");
    }
    text = text.replace(" or ", " , ").replace(" and ", " , ");
    for (word, power) in [("million", 6), ("billion", 9), ("trillion", 12)] {
        text = text.replace(word, &format!("*10^{power}"));
    }
    for unit in UNITS {
        text = without_unit(&text, unit);
    }
    text = without_degrees(&text);
    if text.starts_with('{') && text.ends_with('}') && text.len() > 1 {
        text = text[1..text.len() - 1].to_string();
    }
    while let Some(at) = text.find(",\\!") {
        let rest = text[at + 3..].trim_start_matches(' ');
        text = format!("{}{rest}", &text[..at]);
    }
    if let Some(whole) = python_float(&text).and_then(as_whole) {
        text = whole;
    }
    if text.contains('\\') {
        text = to_text(&text);
    }
    let text = without_space_behind_minus(&text);
    let text = mixed_as_sum(&text).to_lowercase();
    match is_whole(&text) {
        true => python_float(&text.replace(',', ""))
            .and_then(as_whole)
            .unwrap_or(text),
        false => text,
    }
}

/// Without a unit, its plural and a power behind it, wherever it stands.
fn without_unit(text: &str, unit: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(unit) {
        out.push_str(&rest[..at]);
        rest = &rest[at + unit.len()..];
        rest = rest.strip_prefix("es").unwrap_or(rest);
        rest = rest.strip_prefix('s').unwrap_or(rest);
        rest = rest.trim_start_matches(' ');
        if let Some(power) = rest.strip_prefix('^') {
            let digits = power.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                rest = &power[digits..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn without_degrees(text: &str) -> String {
    let mut out = text.to_string();
    let mut from = 0;
    while let Some(at) = out[from..].find('^').map(|at| at + from) {
        let after = out[at + 1..].trim_start_matches(' ');
        match after.strip_prefix("\\circ") {
            Some(rest) => out = format!("{}{rest}", &out[..at]),
            None => from = at + 1,
        }
    }
    out
}

fn without_space_behind_minus(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != ' ' || !out.ends_with('-') {
            out.push(c);
        }
    }
    out
}

/// "7 3/4" as "7+3/4".
fn mixed_as_sum(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let spaces = chars[at..].iter().take_while(|c| **c == ' ').count();
        let digit = |c: Option<&char>| c.is_some_and(char::is_ascii_digit);
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        if spaces > 0 && digit(before) && digit(chars.get(at + spaces)) {
            out.push('+');
            at += spaces;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// A number as Python reads one, with underscores between digits.
pub(super) fn python_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '_' if digits(plain.chars().last()) && digits(chars.peek().copied()) => {}
            '0'..='9' | '.' | '-' | '+' | 'e' | 'E' => plain.push(c),
            _ => return None,
        }
    }
    plain.parse().ok()
}

fn as_whole(value: f64) -> Option<String> {
    let close = value.is_finite() && (value - value.round()).abs() <= 1e-7;
    close.then(|| format!("{:.0}", value.round() + 0.0))
}

/// Whether PRM800K's grader takes a text for a whole number: one with or without commas between thousands, and decimals that
/// are zero.
///
/// ```
/// use answer_equality::authors::is_whole;
/// assert!(is_whole("1,000") && is_whole("5.0") && !is_whole("0.5"));
/// ```
pub fn is_whole(text: &str) -> bool {
    python_float(&without_thousands(text))
        .and_then(as_whole)
        .is_some()
}

/// Without commas between a digit and exactly three.
pub(super) fn without_thousands(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let between = |at: usize| {
        at > 0 && digit(at - 1) && (1..=3).all(|after| digit(at + after)) && !digit(at + 4)
    };
    let kept = chars
        .iter()
        .enumerate()
        .filter(|(at, c)| **c != ',' || !between(*at));
    kept.map(|(_, c)| c).collect()
}
