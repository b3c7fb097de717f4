//! Numbers as people and models write them.

/// How far two numbers may be apart, relative to the larger.
pub const RELATIVE_TOLERANCE: f64 = 1e-4;

/// Rounding of programs that compute a zero; the relative tolerance alone would forbid it.
const ABSOLUTE_TOLERANCE: f64 = 1e-9;

/// Whether two numbers are equal within [`RELATIVE_TOLERANCE`].
///
/// ```
/// use ultrainteract::action_text::numbers_equal;
/// assert!(numbers_equal(0.33333, 1.0 / 3.0));
/// assert!(!numbers_equal(1.0, 1.001));
/// assert!(!numbers_equal(f64::NAN, f64::NAN));
/// ```
pub fn numbers_equal(a: f64, b: f64) -> bool {
    if !a.is_finite() || !b.is_finite() {
        return false;
    }
    let largest = a.abs().max(b.abs());
    (a - b).abs() <= (RELATIVE_TOLERANCE * largest).max(ABSOLUTE_TOLERANCE)
}

/// The one number that a text is, if it is one: a decimal with or without commas between
/// thousands, a fraction (`3/4`, `\frac{3}{4}`, `1 1/2`), with a sign, a currency, `%` or a unit,
/// in mathematics or not. Of an equation the right-hand side counts. A percent sign does not
/// change the value; `thousand`, `million` and the like do.
///
/// ```
/// use ultrainteract::action_text::parse_number;
/// assert_eq!(parse_number("$1,234.5"), Some(1234.5));
/// assert_eq!(parse_number("x = 7 apples"), Some(7.0));
/// assert_eq!(parse_number("7 apples and 3 pears"), None);
/// ```
pub fn parse_number(text: &str) -> Option<f64> {
    let text = without_typesetting(text);
    let text = text.rsplit('=').next().unwrap_or_default();
    let text = text.trim().trim_end_matches('.');
    let (negative, text) = sign_and_currency(text);
    let (value, rest) = magnitude(text)?;
    let value = value * scale_of_unit(rest)?;
    let value = if negative { -value } else { value };
    value.is_finite().then_some(value)
}

fn without_typesetting(text: &str) -> String {
    let mut text = text
        .replace('−', "-")
        .replace("\\dfrac", "\\frac")
        .replace("\\tfrac", "\\frac")
        .replace("{,}", ",")
        .replace("^{\\circ}", "°")
        .replace("^\\circ", "°");
    for mark in ["\\!", "\\,", "\\;", "\\ ", "\\(", "\\)", "\\[", "\\]"] {
        text = text.replace(mark, if mark == "\\ " { " " } else { "" });
    }
    for word in ["\\text", "\\mathrm", "\\textbf", "\\mathbf"] {
        // The braces stay, and are passed over where a unit may stand.
        text = text.replace(&format!("{word}{{"), " {");
    }
    text.replace("\\%", "%").replace("\\$", "$")
}

fn sign_and_currency(text: &str) -> (bool, &str) {
    let mut negative = false;
    let mut signed = false;
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            Some(c @ ('-' | '+')) if !signed => {
                signed = true;
                negative = c == '-';
                rest = &rest[1..];
            }
            Some(c @ ('$' | '€' | '£' | '¥')) => rest = &rest[c.len_utf8()..],
            _ => return (negative, rest),
        }
    }
}

/// A decimal, a fraction or a mixed number at the start, and what follows.
fn magnitude(text: &str) -> Option<(f64, &str)> {
    if let Some(rest) = text.strip_prefix("\\frac{") {
        let (top, rest) = decimal(rest)?;
        let rest = rest.strip_prefix("}{")?;
        let (bottom, rest) = decimal(rest)?;
        return Some((top / bottom, rest.strip_prefix('}')?));
    }
    let (first, rest) = decimal(text)?;
    if let Some((bottom, rest)) = rest
        .trim_start()
        .strip_prefix('/')
        .and_then(|after| decimal(after.trim_start()))
    {
        return Some((first / bottom, rest));
    }
    // "1 1/2" and "1\frac{1}{2}"
    let after = rest.trim_start();
    if first.fract() == 0.0 && (after.len() < rest.len() || after.starts_with('\\')) {
        let fraction = match after.strip_prefix("\\frac") {
            Some(_) => magnitude(after),
            None => decimal(after)
                .filter(|(_, rest)| rest.starts_with('/'))
                .and_then(|_| magnitude(after)),
        };
        if let Some((part, rest)) = fraction {
            return Some((first + part, rest));
        }
    }
    Some((first, rest))
}

/// Digits with commas between thousands, a fraction and an exponent.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(text);
    let mut literal = text[..end].to_string();
    if (1..=3).contains(&end) {
        while text[end..].starts_with(',') && digits(&text[end + 1..]) == 3 {
            literal.push_str(&text[end + 1..end + 4]);
            end += 4;
        }
    }
    if text[end..].starts_with('.') {
        let places = digits(&text[end + 1..]);
        literal.push_str(&text[end..end + 1 + places]);
        end += 1 + places;
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let places = digits(&exponent[sign..]);
        if places > 0 {
            literal.push_str(&text[end..end + 1 + sign + places]);
            end += 1 + sign + places;
        }
    }
    // Fails for "", "." and the like, which have no digit.
    literal.parse().ok().map(|value| (value, &text[end..]))
}

/// Units that may be written right behind the digits.
const SHORT_UNITS: &[&str] = &[
    "mm", "cm", "dm", "m", "km", "mi", "ft", "in", "yd", "mg", "g", "kg", "t", "lb", "lbs", "oz",
    "ml", "l", "s", "sec", "min", "mins", "h", "hr", "hrs", "am", "pm", "mph", "kph", "kmh", "usd",
    "c", "f",
];

/// Words and letters that change what a number means.
const NOT_UNITS: &[&str] = &[
    "pi", "e", "i", "sqrt", "or", "and", "to", "inf", "infinity", "π",
];

/// The factor of what stands behind a number, or nothing if that is no unit.
fn scale_of_unit(rest: &str) -> Option<f64> {
    let spaced = rest.starts_with(char::is_whitespace);
    let rest = rest.replace(['{', '}', '$', '%', '°', '\'', '"'], " ");
    let mut scale = 1.0;
    for (place, word) in rest
        .split([' ', '\t', '\n', '/', '-'])
        .filter(|word| !word.is_empty())
        .enumerate()
    {
        let letters = without_exponent(word.trim_end_matches(['.', ','])).to_lowercase();
        // Nothing is left of a bare "^2": it belongs to the unit before it, never to the number.
        let is_word =
            letters.chars().all(char::is_alphabetic) && (place > 0 || !letters.is_empty());
        if !is_word || NOT_UNITS.contains(&letters.as_str()) {
            return None;
        }
        let short = SHORT_UNITS.contains(&letters.as_str());
        let attached = place == 0 && !spaced && rest.starts_with(char::is_alphabetic);
        if (attached || letters.chars().count() == 1) && !short {
            return None;
        }
        match letters.as_str() {
            "hundred" => scale *= 1e2,
            "thousand" => scale *= 1e3,
            "million" => scale *= 1e6,
            "billion" => scale *= 1e9,
            "trillion" => scale *= 1e12,
            _ => {}
        }
    }
    Some(scale)
}

/// "cm^2", "cm2" and "cm²" without what makes them square or cubic.
fn without_exponent(word: &str) -> &str {
    match word.strip_suffix(['2', '3', '²', '³']) {
        None | Some("") => word,
        Some(unit) => unit.strip_suffix('^').unwrap_or(unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_over_zero_is_no_number() {
        assert_eq!(parse_number("1/0"), None);
    }

    #[test]
    fn braces_of_latex_do_not_hide_a_unit() {
        assert_eq!(parse_number(r"12\text{ cm}^2"), Some(12.0));
        assert_eq!(parse_number(r"1\frac{1}{2}"), Some(1.5));
        assert_eq!(parse_number(r"10{,}000"), Some(10_000.0));
    }

    #[test]
    fn text_around_a_number_is_no_number() {
        for text in [
            "", ".", "-", "about", "seven", "12abc", "2 3", "3,14,15", "5 x", "1/2/3", "0x10",
            "12^2",
        ] {
            assert_eq!(parse_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn zero_equals_a_rounding_error_and_nothing_else() {
        assert!(numbers_equal(0.0, 1e-17));
        assert!(!numbers_equal(0.0, 1e-3));
    }
}
