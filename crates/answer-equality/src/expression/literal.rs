//! Numbers as digits.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::Expression;
use super::parse::Parser;

/// Digits before or behind the point.
const MOST_PLACES: u64 = 5_000;

/// Stands before the digits of a decimal that repeat without end.
pub(crate) const REPEATING: char = '¯';

/// How a number was written that is nothing but a literal, perhaps with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Digits from the first that is not zero.
    pub significant: usize,
    /// Digits behind the point, less the exponent, if the number is still the one that was written.
    pub decimals: Option<i64>,
    /// With a point or an exponent: perhaps rounded.
    pub rounded: bool,
}

impl Parser<'_> {
    /// A decimal, or a whole number with a fraction behind it: "1 1/2".
    pub(super) fn mixed(&mut self) -> Option<Expression> {
        let (whole, is_whole) = self.decimal()?;
        if !is_whole || self.any_letters {
            return Some(whole);
        }
        let fraction = self.try_to(|it| {
            let rest = it.rest();
            if !rest.starts_with(' ') {
                return None;
            }
            let top = it.digits_alone()?;
            let over = it.takes("/");
            let bottom = over.then(|| it.digits_alone()).flatten()?;
            it.literals += 2;
            Some(Expression::Quotient(Box::new(top), Box::new(bottom)))
        });
        Some(match fraction {
            Some(fraction) => Expression::Sum(vec![whole, fraction]),
            None => whole,
        })
    }

    fn digits_alone(&mut self) -> Option<Expression> {
        self.pass_spaces();
        let count = digits(self.rest());
        let (value, _) = literal(&self.rest()[..count])?;
        self.at += count;
        Some(Expression::Number(value))
    }

    /// Digits with commas or spaces between thousands, a fraction and an exponent, and whether these are digits alone.
    fn decimal(&mut self) -> Option<(Expression, bool)> {
        self.pass_spaces();
        let text = self.rest();
        let mut end = digits(text);
        let mut spelled = text[..end].to_string();
        if (1..=3).contains(&end) {
            for separator in [',', ' '] {
                while text[end..].starts_with(separator)
                    && digits(&text[end + 1..]) == 3
                    // "1 285/1492" is a mixed number.
                    && !(separator == ' ' && text[end + 4..].starts_with('/'))
                {
                    spelled.push_str(&text[end + 1..end + 4]);
                    end += 4;
                }
                if spelled.len() > 3 {
                    break;
                }
            }
        }
        let whole = spelled.len();
        let mut repeating = "";
        if text[end..].starts_with('.') {
            let places = digits(&text[end + 1..]);
            spelled.push_str(&text[end..end + 1 + places]);
            end += 1 + places;
            if let Some(after) = text[end..].strip_prefix(REPEATING) {
                repeating = &after[..digits(after)];
                end += REPEATING.len_utf8() + repeating.len();
            }
        }
        if repeating.is_empty()
            && let Some(exponent) = text[end..].strip_prefix(['e', 'E'])
        {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let places = digits(&exponent[sign..]);
            if places > 0 {
                spelled.push_str(&text[end..end + 1 + sign + places]);
                end += 1 + sign + places;
            }
        }
        let (mut value, written) = literal(&spelled)?;
        // The base of "101_2" is a question's; the digits alone are another number.
        if text[end..].starts_with('_') {
            return None;
        }
        self.literals += 1;
        self.literal = Some(written);
        if !repeating.is_empty() {
            value += repeated(&spelled, repeating)?;
            self.literal = None;
        }
        self.at += end;
        Some((Expression::Number(value), spelled.len() == whole))
    }
}

/// A decimal literal: digits, a point, an exponent.
fn literal(text: &str) -> Option<(RBig, Written)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (text, 0i64),
    };
    let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let power = exponent.checked_sub(i64::try_from(places.len()).ok()?)?;
    let all = whole.len() + places.len();
    if all == 0 || all as u64 > MOST_PLACES || power.unsigned_abs() > MOST_PLACES {
        return None;
    }
    let spelled = format!("{whole}{places}");
    let digits: UBig = spelled.parse().ok()?;
    let scale = ten_to_the(power.unsigned_abs());
    let value = match power < 0 {
        true => RBig::from_parts(digits.into(), scale),
        false => RBig::from(digits * scale),
    };
    let written = Written {
        significant: spelled.trim_start_matches('0').len(),
        decimals: Some(-power),
        rounded: text.len() > whole.len(),
    };
    Some((value, written))
}

/// What digits that repeat add to a decimal before them.
fn repeated(before: &str, digits: &str) -> Option<RBig> {
    let places = before.split_once('.')?.1.len();
    if (places + digits.len()) as u64 > MOST_PLACES {
        return None;
    }
    let nines = (ten_to_the(digits.len() as u64) - UBig::ONE) * ten_to_the(places as u64);
    let top: IBig = digits.parse().ok()?;
    Some(RBig::from_parts(top, nines))
}

fn ten_to_the(power: u64) -> UBig {
    UBig::from(10u8).pow(power as usize)
}

pub(super) fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}
