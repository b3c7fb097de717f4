//! A number with what stands around it: currency, percent sign, unit, words.

use crate::expression::{Work, number_prefix};
use crate::number::Number;
use crate::options::{Rule, Tolerance};
use crate::typeset::plain_math;
use crate::units::{Unit, known, units};

/// The one number that a text is, if it is one, in floating point: a decimal with or without commas between thousands, a
/// fraction (`3/4`, `\frac{3}{4}`, `1 1/2`), arithmetic without variables (`2^{10}`, `2\sqrt{3}`), with a sign, a currency, `%`
/// or a unit, in mathematics or not. Of a named value (`x = 7`) the value counts. A percent sign does not change the value;
/// `dozen`, `thousand`, `million` and the like do.
///
/// ```
/// use answer_equality::parse_number;
/// assert_eq!(parse_number("$1,234.5"), Some(1234.5));
/// assert_eq!(parse_number("x = 7 apples"), Some(7.0));
/// assert_eq!(parse_number("7 apples and 3 pears"), None);
/// assert_eq!(parse_number("x >= 7"), None);
/// ```
pub fn parse_number(text: &str) -> Option<f64> {
    number_within(text, &Work::default())
}

/// The same, with what is left of some work.
pub(crate) fn number_within(text: &str, work: &Work) -> Option<f64> {
    if text.len() > crate::compare::LONGEST {
        return None;
    }
    let plain = plain_math(text);
    let value = match crate::compare::named(&plain) {
        Some((_, value)) => value,
        None => &plain,
    };
    let value = Quantity::parse(value, work)?.number.value.to_f64()?;
    value.is_finite().then_some(value)
}

/// A number and the units that it is counted in.
#[derive(Debug, Clone)]
pub(crate) struct Quantity {
    pub number: Number,
    /// Units that are known, as they are written behind each other; others do not matter.
    units: Vec<Unit>,
}

impl Quantity {
    /// The one number that a plain text is, if it is one.
    pub fn parse(text: &str, work: &Work) -> Option<Self> {
        let text = text.trim().trim_end_matches(['.', ',', ';']);
        let text = without_gloss(without_approximation(text));
        Self::bare(text, work)
            .or_else(|| Self::spelled(text))
            .or_else(|| Self::in_sentence(text, work))
    }

    /// Sign, currency, number, unit.
    fn bare(text: &str, work: &Work) -> Option<Self> {
        let (negative, units, rest) = sign_and_currency(text);
        let (number, written, rest) = number_prefix(rest)?;
        Self::with_unit(Number::of(&number, written, work)?, rest, units, negative)
    }

    fn with_unit(number: Number, rest: &str, before: Vec<Unit>, negative: bool) -> Option<Self> {
        let (scale, after) = units(rest)?;
        let number = number.times(scale)?;
        Some(Self {
            number: if negative { number.negative() } else { number },
            units: if before.is_empty() { after } else { before },
        })
    }

    /// A number in words: "twenty-one apples".
    fn spelled(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        let first = lower.split([' ', '-']).next()?;
        let mut value = word_value(first)?;
        let mut rest = &lower[first.len()..];
        if value >= 20
            && let Some(after) = rest.strip_prefix(['-', ' '])
            && let Some(second) = after.split(' ').next()
            && let Some(ones @ 1..=9) = word_value(second)
        {
            value += ones;
            rest = &after[second.len()..];
        }
        Self::with_unit(Number::whole(value), rest, Vec::new(), false)
    }

    /// The one number of a sentence without other mathematics: "She has 42 apples".
    fn in_sentence(text: &str, work: &Work) -> Option<Self> {
        if !text.starts_with(char::is_alphabetic) {
            return None;
        }
        let digit = text.find(|c: char| c.is_ascii_digit())?;
        let start = text[..digit].rfind(' ')? + 1;
        let words = text[..start].split_whitespace();
        let says_nothing = |word: &str| {
            let word = word.trim_end_matches([':', ',']).to_lowercase();
            let pronoun = ["a", "i"].contains(&word.as_str());
            (pronoun || word.chars().count() > 1)
                && word.chars().all(|c| c.is_alphabetic() || c == '\'')
                && !CHANGES_A_NUMBER.contains(&word.as_str())
        };
        let mut words = words;
        words
            .all(says_nothing)
            .then(|| Self::bare(&text[start..], work))?
    }

    /// The rule by which it is the true one: units that are known on both sides are converted or must be the same.
    pub fn same_as(&self, truth: &Self, tolerance: &Tolerance) -> Option<Rule> {
        if let (Some(ours), Some(theirs)) = (self.simple_unit(), truth.simple_unit()) {
            let ours_in_smallest = self.number.times(ours.size)?;
            let theirs_in_smallest = truth.number.times(theirs.size)?;
            return (ours.measures == theirs.measures)
                .then(|| ours_in_smallest.same_as(&theirs_in_smallest, tolerance))?;
        }
        if !self.units.is_empty() && !truth.units.is_empty() {
            return (self.units == truth.units)
                .then(|| self.number.same_as(&truth.number, tolerance))?;
        }
        let share = || match (self.is_percent(), truth.is_percent()) {
            (true, false) if truth.units.is_empty() => {
                self.number.over(100)?.same_as(&truth.number, tolerance)
            }
            (false, true) if self.units.is_empty() => {
                self.number.same_as(&truth.number.over(100)?, tolerance)
            }
            _ => None,
        };
        (self.number.same_as(&truth.number, tolerance)).or_else(share)
    }

    fn simple_unit(&self) -> Option<Unit> {
        match self.units[..] {
            [unit] if !unit.composed => Some(unit),
            _ => None,
        }
    }

    /// "50%", which may stand beside "0.5".
    fn is_percent(&self) -> bool {
        matches!(self.units[..], [unit] if unit.measures == "percent")
    }
}

const ABOUT: &[&str] = &[
    "~",
    "approximately ",
    "approx. ",
    "approx ",
    "about ",
    "around ",
    "roughly ",
    "nearly ",
];

fn without_approximation(text: &str) -> &str {
    let word = |about: &&&str| {
        text.get(..about.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(about))
    };
    match ABOUT.iter().find(word) {
        Some(about) => text[about.len()..].trim_start(),
        None => text,
    }
}

/// Without words in parentheses at the end: "18 (eighteen)".
fn without_gloss(text: &str) -> &str {
    let gloss = text
        .strip_suffix(')')
        .and_then(|inside| inside.rsplit_once(" ("));
    match gloss {
        Some((before, words))
            if !words.is_empty()
                && words
                    .chars()
                    .all(|c| c.is_alphabetic() || c == ' ' || c == '-') =>
        {
            before
        }
        _ => text,
    }
}

fn sign_and_currency(text: &str) -> (bool, Vec<Unit>, &str) {
    let mut negative = false;
    let mut signed = false;
    let mut units = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let lower = rest.get(..9).unwrap_or(rest).to_lowercase();
        let spoken = ["negative ", "minus "]
            .into_iter()
            .find(|word| lower.starts_with(word));
        match rest.chars().next() {
            // Other signs belong to the first number of a sum alone.
            Some(c @ ('-' | '+'))
                if !signed && rest[1..].trim_start().starts_with(['$', '€', '£', '¥']) =>
            {
                signed = true;
                negative = c == '-';
                rest = &rest[1..];
            }
            Some(c @ ('$' | '€' | '£' | '¥')) => {
                units.extend(known(&c.to_string(), false));
                rest = &rest[c.len_utf8()..];
            }
            _ => match spoken {
                Some(word) if !signed => {
                    signed = true;
                    negative = true;
                    rest = &rest[word.len()..];
                }
                _ => return (negative, units, rest),
            },
        }
    }
}

/// Words before a number that say something else than the number.
const CHANGES_A_NUMBER: &[&str] = &[
    "not", "no", "never", "or", "and", "than", "least", "most", "between", "under", "over",
    "above", "below", "before", "after", "past", "up", "to", "from", "half", "quarter", "twice",
    "double", "triple", "square", "squared", "root", "cube", "minus", "negative", "plus", "times",
    "by", "option", "choice", "step", "problem", "question", "case", "equation", "exceeds", "mod",
    "modulo", "except", "isn't", "sqrt", "ln", "exp", "max", "min", "gcd", "lcm", "log", "sin",
    "cos", "tan", "if", "pi", "infinity",
];

fn word_value(word: &str) -> Option<u64> {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let place = |words: &[&str]| words.iter().position(|it| *it == word);
    place(&ONES)
        .map(|ones| ones as u64)
        .or_else(|| place(&TENS).map(|tens| 10 * (tens as u64 + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<f64> {
        Quantity::parse(text, &Work::default()).and_then(|it| it.number.value.to_f64())
    }

    #[test]
    fn words_around_a_number_leave_it_and_those_that_change_it_do_not() {
        for (text, value) in [
            ("$18 per day", 18.0),
            ("She makes $18 every day", 18.0),
            ("18 (eighteen)", 18.0),
            ("2 dozen eggs", 24.0),
            ("minus 5", -5.0),
            ("-$5", -5.0),
            ("-6 + 8", 2.0),
            ("twenty-one apples", 21.0),
            ("three million", 3e6),
            ("3.5 m/s^2", 3.5),
            ("1st", 1.0),
        ] {
            assert_eq!(of(text), Some(value), "{text}");
        }
        for text in [
            "not 5",
            "more than 5",
            "at least 5",
            "two thirds",
            "7 pm",
            "4g",
            "5x",
            "5 or",
            "x 5",
            "half of 5",
            "5 squared",
            "square root of 2",
            "option 5",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn units_are_converted_where_both_are_known() {
        let same = |a: &str, b: &str| {
            let of = |text| Quantity::parse(text, &Work::default()).expect("a quantity");
            of(a).same_as(&of(b), &Tolerance::default()).is_some()
        };
        for (a, b) in [
            ("2 hours", "120 minutes"),
            ("$5", "500 cents"),
            ("1 mile", "1.609344 km"),
            ("5 cents", "5"),
            ("50%", "0.5"),
            ("3.5 m/s", "3.5 meters per second"),
            ("5 apples", "5"),
        ] {
            assert!(same(a, b), "{a} is {b}");
        }
        for (a, b) in [
            ("2 hours", "2 minutes"),
            ("$5", "5 cents"),
            ("5 miles", "5 km"),
            ("20%", "20 dollars"),
            ("5 m", "5 kg"),
            ("5 m/s", "5 km/h"),
        ] {
            assert!(!same(a, b), "{a} is not {b}");
        }
    }
}
