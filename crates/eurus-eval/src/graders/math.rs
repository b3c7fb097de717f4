//! MATH, GSM-Plus, SVAMP, ASDiv and GSM8K: an answer is extracted from the text, or from what a program printed, and held against
//! the one of the data set.
//!
//! [`Rules::Authors`] are [`match_answer`] and [`authors::grade`] with [`Tolerance::authors`]; [`Rules::Fixed`] are
//! [`extract`] and [`compare`] with [`Tolerance::default`], which is exact
//! ([`grade_within`] takes any other).
//!
//! | rule | [`Rules::Authors`] | [`Rules::Fixed`] | example |
//! | --- | --- | --- | --- |
//! | a factor of a hundred | is passed over | counts | `50` is not 0.5 |
//! | one part in ten thousand | is passed over | counts | `10001` is not 10000 |
//! | 3.14 for pi | is pi | is a number of its own | `6.28` is not `2\pi` |
//! | the base of a number | is cut off | counts | `443_7` is not `443_5` |
//! | brackets of an interval | the closing one may differ | count | `(2,3]` is not `(2,3)` |
//! | commas | are dropped | stand between thousands or items | `1,23` is not 123 |
//! | two minus signs | are a plus sign | are no number | `--3` is not 3 |
//! | units | are cut out of words too | are words | `Mon` is not `Monday` |
//! | a caret between numbers | is no power | is one | `2^10` is 1024 |
//! | the degree sign | is not `^\circ` | is | `30°` is `30^\circ` |
//! | an approximation | is no number | is one | `x \approx 3` is 3 |
//! | sets | by order | by items | `\{2, 1\}` is `\{1, 2\}` |
//! | numbers in words | are not read | are | `3 million` is 3000000 |
//! | a percentage | is its number | may be a share | `50\%` is `\frac12` |
//! | words of extraction | cut inside words | stand alone | `5 square inches` is 5, not `inches` |
//! | the answer None | without a full stop | with one too | `The answer is none.` is None |
//!
//! In both the case of letters does not matter, for choices are letters, and brackets round a list may be missing.

use std::sync::LazyLock;

use answer_equality::authors::{self, match_answer};
use answer_equality::{Comparison, Rule, Tolerance, compare, extract, extract_shown};

use regex::Regex;

use super::theorem_qa::python::{Value, evaluate};
use super::{Grade, Rules};

static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9]+(\.[0-9]+)?").ok());

/// Whether an answer is right.
///
/// The gold answer `None` is that of GSM-Plus for problems that cannot be solved ("critical thinking"): the extracted answer
/// must be that word in any case of letters.
///
/// ```
/// use eurus_eval::graders::{Rules, math::grade};
/// let answer = r"So it is \boxed{50}.";
/// assert!(grade(answer, "0.5", Rules::Authors).is_correct());
/// assert!(!grade(answer, "0.5", Rules::Fixed).is_correct());
/// ```
pub fn grade(answer: &str, gold: &str, rules: Rules) -> Grade {
    match rules {
        Rules::Authors => {
            let given = match_answer(answer);
            let comparison = authors::grade(&given, gold, &Tolerance::authors());
            of(&comparison, given)
        }
        Rules::Fixed => grade_within(answer, gold, &Tolerance::default()),
    }
}

/// Whether what a program printed is right. [`Rules::Fixed`] take its last line where nothing in it is said to be the answer.
///
/// ```
/// use eurus_eval::graders::{Rules, math::grade_output};
/// assert!(grade_output("adding\n51\n", "51", Rules::Fixed).is_correct());
/// assert!(!grade_output("", "51", Rules::Fixed).is_correct());
/// ```
pub fn grade_output(output: &str, gold: &str, rules: Rules) -> Grade {
    match rules {
        Rules::Fixed if gold != "None" => {
            grade_given(extract_shown(output), gold, &Tolerance::default())
        }
        _ => grade(output, gold, rules),
    }
}

/// [`grade`] by [`Rules::Fixed`] with another tolerance.
pub fn grade_within(answer: &str, gold: &str, tolerance: &Tolerance) -> Grade {
    if gold == "None" {
        let given = match_answer(answer);
        let is_none = given.trim_end_matches('.').eq_ignore_ascii_case(gold);
        return Grade::new(is_none, Some(given), "the word None");
    }
    grade_given(extract(answer), gold, tolerance)
}

fn grade_given(given: Option<String>, gold: &str, tolerance: &Tolerance) -> Grade {
    let Some(given) = given else {
        return Grade::new(false, None, "no answer was found");
    };
    let value = ["\\approx", "≈"]
        .into_iter()
        .find_map(|sign| given.rsplit_once(sign));
    let value = value.map_or(given.as_str(), |(_, value)| value.trim());
    of(&compare(value, gold, tolerance), given)
}

fn of(comparison: &Comparison, given: String) -> Grade {
    let why = match comparison.by {
        None => "not equal by any rule",
        Some(Rule::Text) => "the same text",
        Some(Rule::Number) => "the same number",
        Some(Rule::Choice) => "the same choice",
        Some(Rule::Time) => "the same time",
        Some(Rule::Algebra) => "equal as expressions",
        Some(Rule::Doubles) => "the same number in double precision",
        Some(Rule::Absolute | Rule::Relative | Rule::Rounded) => "within the tolerance",
        Some(Rule::FactorHundred) => "a hundred times as much or a hundredth",
        Some(Rule::ShortPi) => "the same with 3.14 for pi",
        Some(Rule::Substring) => "stands in the answer",
        Some(_) => "equal",
    };
    Grade::new(comparison.equal, Some(given), why)
}

/// The answer of a solution of GSM8K: what follows `####`, without commas.
///
/// ```
/// use eurus_eval::graders::math::gsm8k_gold;
/// assert_eq!(gsm8k_gold("He has 10,800.\n#### 10,800").as_deref(), Some("10800"));
/// ```
pub fn gsm8k_gold(solution: &str) -> Option<String> {
    let (_, gold) = solution.split_once("####")?;
    Some(gold.trim().replace(',', ""))
}

/// The last number in a text as a later script of the authors reads it: digits, perhaps with decimals, without signs and commas.
/// Nothing where there is none, or one with zeros in front.
///
/// ```
/// use eurus_eval::graders::math::gsm8k_last_number;
/// assert_eq!(gsm8k_last_number("It is -8.50."), Some(8.5));
/// assert_eq!(gsm8k_last_number("It is 1,210"), Some(210.0));
/// assert_eq!(gsm8k_last_number("It is 0575"), None);
/// ```
pub fn gsm8k_last_number(text: &str) -> Option<f64> {
    let number = NUMBER.as_ref()?.find_iter(text).last()?.as_str();
    match evaluate(number, false)? {
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}

/// Whether the last number of an answer is that of a solution of GSM8K: what the reranking of the paper counted.
///
/// ```
/// use eurus_eval::graders::math::grade_last_number;
/// assert!(grade_last_number("The total is $90.00", "#### 90").is_correct());
/// assert!(!grade_last_number("10,000", "#### 10,000").is_correct());
/// ```
pub fn grade_last_number(answer: &str, solution: &str) -> Grade {
    let given = gsm8k_last_number(answer);
    let gold = gsm8k_gold(solution).and_then(|it| it.parse().ok());
    let is_same = given.is_some() && given == gold;
    Grade::new(is_same, given.map(|it| it.to_string()), "the last number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_differ_as_their_table_says() {
        // Answer, gold answer, right by the authors, right without the defects.
        let table = [
            (r"\boxed{50}", "0.5", true, false),
            (r"\boxed{10001}", "10000", true, false),
            (r"\boxed{6.28}", r"2\pi", true, false),
            (r"\boxed{443_7}", "443_5", true, false),
            (r"\boxed{(2,3]}", "(2,3)", true, false),
            (r"\boxed{2,3}", "(2,3)", true, true),
            (r"\boxed{1,23}", "123", true, false),
            (r"\boxed{--3}", "3", true, false),
            (r"\boxed{X}", "x", true, true),
            (r"\boxed{\text{Mon}}", r"\text{Monday}", true, false),
            (r"\boxed{2^10}", "1024", false, true),
            (r"\boxed{10^6}", "1000000", false, true),
            (r"\boxed{30°}", r"30^\circ", false, true),
            (r"\boxed{x \approx 3}", "3", false, true),
            (r"\boxed{x \in [1,2]}", "[1,2]", false, true),
            (r"\boxed{\{2, 1\}}", r"\{1, 2\}", false, true),
            (r"\boxed{3 million}", "3000000", false, true),
            (r"\boxed{50\%}", r"\frac12", false, true),
            ("The answer is 5 square inches", "5", false, true),
            (r"\boxed{None}", "None", true, true),
            (
                "It cannot be told. The answer is none.",
                "None",
                false,
                true,
            ),
        ];
        let mut wrong = Vec::new();
        for (answer, gold, authors, fixed) in table {
            let right = |rules| grade(answer, gold, rules).is_correct();
            let got = (right(Rules::Authors), right(Rules::Fixed));
            if got != (authors, fixed) {
                wrong.push(format!(
                    "{answer} | {gold}: {got:?} {:?}",
                    grade(answer, gold, Rules::Fixed)
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_tolerance_widens_what_is_right() {
        let near = Tolerance {
            relative: Some(0.01),
            ..Tolerance::default()
        };
        assert!(!grade(r"\boxed{3.33}", "10/3", Rules::Fixed).is_correct());
        assert!(grade_within(r"\boxed{3.33}", "10/3", &near).is_correct());
    }
}
