//! Whether an output is the one that was expected.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the output of a program is compared with what is expected.
///
/// ```
/// use code_interpreter::cases::{Comparison, WhiteSpace};
///
/// let comparison = Comparison::default();
/// assert_eq!(comparison.difference("0.3\n", "0.30000000000000004  \n\n"), None);
/// let difference = comparison.difference("1 2\n3\n", "1 2\n4\n").unwrap();
/// assert_eq!(difference.to_string(), "wrong output at line 2: expected `3`, got `4`");
/// // Words only: the form of the output is free.
/// let words = Comparison { white_space: WhiteSpace::Any, ..comparison };
/// assert_eq!(words.difference("1 2\n3\n", "1\n2  3"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Comparison {
    /// Which white space makes no difference. Default: that at the ends of lines and of the output.
    pub white_space: WhiteSpace,
    /// How far two decimal numbers may lie apart; `None` compares them as text. Default: [`FloatTolerance::default`].
    pub float_tolerance: Option<FloatTolerance>,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            white_space: WhiteSpace::LineEnds,
            float_tolerance: Some(FloatTolerance::default()),
        }
    }
}

/// Which white space makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhiteSpace {
    /// At the ends of lines, and empty lines at the end: what no reader sees.
    #[default]
    LineEnds,
    /// Any, as long as the words are the same: what most competitions do, and blind to figures drawn with spaces.
    Any,
}

/// How far two words may lie apart that are both decimal numbers, written with a point or an exponent. Integers are exact,
/// and so is an integer against a decimal number: `3` is not `3.0`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloatTolerance {
    /// The greatest difference, whatever the size. Default 1e-9.
    pub absolute: f64,
    /// The greatest difference as a share of the greater of the two. Default 1e-9, well above what rounding in double
    /// precision does and below what an answer is asked to.
    pub relative: f64,
}

impl Default for FloatTolerance {
    fn default() -> Self {
        Self {
            absolute: 1e-9,
            relative: 1e-9,
        }
    }
}

/// The first place where two outputs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line, from 1: of what is expected, or where that has ended, of the output.
    pub line: usize,
    /// The line, or with [`WhiteSpace::Any`] the word, that is expected there, cut; `None` if the output is to end.
    pub expected: Option<String>,
    /// What is there instead, cut; `None` if the output has ended.
    pub got: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &Option<String>| match text {
            Some(text) => format!("`{text}`"),
            None => "the end".into(),
        };
        write!(
            f,
            "wrong output at line {}: expected {}, got {}",
            self.line,
            shown(&self.expected),
            shown(&self.got)
        )
    }
}

impl Comparison {
    /// The first difference between two outputs, `None` if they count as the same.
    pub fn difference(&self, expected: &str, got: &str) -> Option<Difference> {
        match self.white_space {
            WhiteSpace::LineEnds => first_difference(lines(expected), lines(got), |a, b| {
                a == b || self.same_line(a, b)
            }),
            WhiteSpace::Any => {
                first_difference(words(expected), words(got), |a, b| self.same_word(a, b))
            }
        }
    }

    fn same_line(&self, expected: &str, got: &str) -> bool {
        let words = |line: &str| line.split_whitespace().count();
        words(expected) == words(got)
            && gaps(expected).eq(gaps(got))
            && expected
                .split_whitespace()
                .zip(got.split_whitespace())
                .all(|(a, b)| self.same_word(a, b))
    }

    fn same_word(&self, expected: &str, got: &str) -> bool {
        if expected == got {
            return true;
        }
        let (Some(tolerance), Some(expected), Some(got)) =
            (self.float_tolerance, decimal(expected), decimal(got))
        else {
            return false;
        };
        let apart = (expected - got).abs();
        apart <= tolerance.absolute || apart <= tolerance.relative * expected.abs().max(got.abs())
    }
}

/// Lines with their numbers, without white space at their ends and without empty ones at the end.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.trim_end()
        .lines()
        .map(str::trim_end)
        .zip(1..)
        .map(|(line, number)| (number, line))
}

/// Words with the numbers of their lines.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(text).flat_map(|(number, line)| line.split_whitespace().map(move |word| (number, word)))
}

/// The runs of white space in a line. Lines with as many words and the same gaps have their words in the same places.
fn gaps(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_whitespace())
        .filter(|gap| !gap.is_empty())
}

fn first_difference<'a>(
    mut expected: impl Iterator<Item = (usize, &'a str)>,
    mut got: impl Iterator<Item = (usize, &'a str)>,
    same: impl Fn(&str, &str) -> bool,
) -> Option<Difference> {
    loop {
        let (line, expected, got) = match (expected.next(), got.next()) {
            (None, None) => return None,
            (Some((_, expected)), Some((_, got))) if same(expected, got) => continue,
            (Some((line, expected)), got) => (line, Some(expected), got.map(|(_, got)| got)),
            (None, Some((line, got))) => (line, None, Some(got)),
        };
        return Some(Difference {
            line,
            expected: expected.map(cut),
            got: got.map(cut),
        });
    }
}

fn cut(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "...",
        None => text.to_owned(),
    }
}

/// A finite number that is written with a point or an exponent, in digits.
fn decimal(word: &str) -> Option<f64> {
    let written = word.contains(['.', 'e', 'E']);
    let digits = word
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'));
    (written && digits)
        .then(|| word.parse().ok())
        .flatten()
        .filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(expected: &str, got: &str) -> bool {
        Comparison::default().difference(expected, got).is_none()
    }

    #[test]
    fn white_space_counts_where_it_is_seen() {
        assert!(same("1 2\n3\n", "1 2 \t\r\n3\n\n \n"));
        assert!(same("", "\n\n"));
        assert!(!same("1 2", "1  2"));
        assert!(!same(" *\n***", "*\n***"));
        assert!(!same("1\n2", "1 2"));
        assert!(!same("1\n\n2", "1\n2"));
        assert!(!same("12", "1 2"));
        assert!(!same(" a b", "a b "));
    }

    #[test]
    fn decimal_numbers_may_differ_by_rounding_and_nothing_else_may() {
        assert!(same("0.3", "0.30000000000000004"));
        assert!(same("x 1e-7 .5 -2.0", "x 0.0000001 0.50 -2.00"));
        assert!(same("1234567.125", "1234567.1250001"));
        for (a, b) in [
            ("3", "3.0"),
            ("0.3", "0.3001"),
            ("1000000.50", "1000000.51"),
            ("inf", "Infinity"),
            ("1e999", "2e999"),
            ("0.3a", "0.30a"),
            ("a.b", "a.c"),
            ("1.2.3", "1.2.30"),
            ("10000000000000001", "10000000000000000"),
            ("1e", "1e0"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        let exact = Comparison {
            float_tolerance: None,
            ..Comparison::default()
        };
        assert!(exact.difference("0.3", "0.30").is_some());
        let wide = FloatTolerance {
            absolute: 0.01,
            relative: 0.0,
        };
        let wide = Comparison {
            float_tolerance: Some(wide),
            ..exact
        };
        assert!(wide.difference("0.33", "0.333333").is_none());
    }

    #[test]
    fn the_first_difference_is_told_with_its_line() {
        let told = |expected: &str, got: &str| {
            Comparison::default()
                .difference(expected, got)
                .map(|difference| difference.to_string())
        };
        let tell = |text: &str| Some(format!("wrong output at line {text}"));
        assert_eq!(told("a\nb\nc", "a\nb\nd"), tell("3: expected `c`, got `d`"));
        assert_eq!(told("a\nb", "a"), tell("2: expected `b`, got the end"));
        assert_eq!(told("a", "a\n\nb"), tell("2: expected the end, got ``"));
        assert_eq!(told("a", ""), tell("1: expected `a`, got the end"));
        let long = told("a", &"é".repeat(500)).unwrap();
        assert!(
            long.ends_with("é...`") && long.chars().count() < 200,
            "{long}"
        );
        let words = Comparison {
            white_space: WhiteSpace::Any,
            ..Comparison::default()
        };
        let told = words.difference("a b\nc d", "a\nb c\ne").unwrap();
        assert_eq!(
            told.to_string(),
            "wrong output at line 2: expected `d`, got `e`"
        );
    }
}
