//! Whether two answers say the same.

mod list;
mod relation;
mod text;

use crate::expression::{Constant, Expression, Work, same_everywhere, whole};
use crate::number::Number;
use crate::options::{Comparison, Rule, Tolerance};
use crate::quantity::{Quantity, parse_number};
use crate::times::Time;
use crate::typeset::plain_math;
pub(crate) use text::named;
use text::{as_text, bare, choice, truth_value};

/// Longer answers are compared as text alone.
pub(crate) const LONGEST: usize = 10_000;

/// Brackets and names inside each other that are followed.
const DEEPEST: usize = 16;

/// Parts of answers that are compared with each other before the comparison is given up.
const MOST_STEPS: u32 = 20_000;

/// Whether an answer says what the ground truth says.
///
/// Both are compared as text without case, spaces and typesetting, and by what they are:
///
/// - Numbers and arithmetic: exactly, within what the [`Tolerance`] allows. Commas between thousands, currency, percent signs
///   and units do not matter where one side lacks them; units that both sides have are converted, or must be the same.
/// - Expressions with variables, roots, pi, e and i, in LaTeX or Python notation: by their values at many points.
/// - Lists, of which order counts in parentheses and brackets; sets; intervals, with their ends; unions; matrices.
/// - Equations and inequalities: up to a factor, in any order.
/// - Choices (`(B)`, `B: Paris`) by their letter, times of day, and values with a name (`x = 5`).
///
/// Whatever the texts are, the work is bounded, and nothing panics: what is too large to compute is not equal.
///
/// ```
/// use answer_equality::{Tolerance, equal};
/// let same = |given, truth| equal(given, truth, &Tolerance::default());
/// assert!(same("$1,234.50", "1234.5 dollars"));
/// assert!(same(r"\frac{\sqrt{2}}{2}", "1/sqrt(2)"));
/// assert!(same("(x+1)^2", "x^2 + 2x + 1"));
/// assert!(same("(B)", "b"));
/// assert!(same("x = 1, x = 2", "2 and 1"));
/// assert!(same("2 < x < 5", "(2, 5)"));
/// assert!(!same("20001", "20000"));
/// assert!(!same("x >= 5", "5"));
/// assert!(!same("7 am", "7 pm"));
/// assert!(!same("9**9**9**9", "9"));
/// ```
pub fn equal(given: &str, truth: &str, tolerance: &Tolerance) -> bool {
    compare(given, truth, tolerance).equal
}

/// As [`equal`], with the rule that decided.
///
/// ```
/// use answer_equality::{Rule, Tolerance, compare};
/// let authors = Tolerance::authors();
/// assert_eq!(compare("0.5", "1/2", &authors).by, Some(Rule::Number));
/// assert_eq!(compare("50", "0.5", &authors).by, Some(Rule::FactorHundred));
/// assert_eq!(compare("50", "0.6", &authors).by, None);
/// ```
pub fn compare(given: &str, truth: &str, tolerance: &Tolerance) -> Comparison {
    let by = decide(given, truth, tolerance);
    Comparison {
        equal: by.is_some(),
        by,
    }
}

fn decide(given: &str, truth: &str, tolerance: &Tolerance) -> Option<Rule> {
    let (given, truth) = (given.trim(), truth.trim());
    if given == truth {
        return (!given.is_empty()).then_some(Rule::Text);
    }
    if let (Some(ours), Some(theirs)) = (digits(given), digits(truth))
        && ours == theirs
    {
        return Some(Rule::Number);
    }
    if given.len().max(truth.len()) > LONGEST {
        return (given.to_lowercase() == truth.to_lowercase()).then_some(Rule::Text);
    }
    let judge = Judge {
        tolerance,
        steps: std::cell::Cell::new(0),
        work: Work::default(),
    };
    let same = judge.same(&plain_math(given), &plain_math(truth), 0);
    same.or_else(|| {
        let within = || given.to_lowercase().contains(&truth.to_lowercase());
        let numbers = || parse_number(given).is_some() && parse_number(truth).is_some();
        let substring = tolerance.substring && !truth.is_empty();
        (substring && within() && !numbers()).then_some(Rule::Substring)
    })
}

/// The digits and the sign of a plain whole number, which most answers are.
fn digits(text: &str) -> Option<(bool, &str)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let digits = digits.trim_start_matches('0');
    plain.then_some((negative && !digits.is_empty(), digits))
}

/// The rule of two parts together.
fn loosest(a: Rule, b: Rule) -> Rule {
    a.max(b)
}

/// Compares plain mathematics under a tolerance.
struct Judge<'a> {
    tolerance: &'a Tolerance,
    steps: std::cell::Cell<u32>,
    work: Work,
}

impl Judge<'_> {
    /// The rule by which an answer is the true one.
    fn same(&self, given: &str, truth: &str, depth: usize) -> Option<Rule> {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > MOST_STEPS {
            return None;
        }
        let (given, truth) = (bare(given), bare(truth));
        let texts = (as_text(given), as_text(truth));
        if texts.0.is_empty() || texts.1.is_empty() {
            return None;
        }
        if texts.0 == texts.1
            || truth_value(&texts.0).is_some_and(|it| truth_value(&texts.1) == Some(it))
        {
            return Some(Rule::Text);
        }
        if depth > DEEPEST {
            return None;
        }
        if let Some(decided) = self.same_choice(given, truth, depth) {
            return decided;
        }
        if let (Some(given), Some(truth)) = (Time::parse(given), Time::parse(truth)) {
            return (given == truth).then_some(Rule::Time);
        }
        if let Some(decided) = self.same_relation(given, truth, depth) {
            return decided;
        }
        if let Some(decided) = self.same_list(given, truth, depth) {
            return decided;
        }
        if let Some(decided) = self.same_equation(given, truth, depth) {
            return decided;
        }
        if let Some(same) = Time::is_hour(given, truth, &self.work) {
            return same.then_some(Rule::Time);
        }
        self.same_value(given, truth)
    }

    /// Compares choices, if one of both is a choice.
    fn same_choice(&self, given: &str, truth: &str, depth: usize) -> Option<Option<Rule>> {
        match (choice(given), choice(truth)) {
            (Some((a, ours)), Some((b, theirs))) => {
                let says = ours.is_empty()
                    || theirs.is_empty()
                    || self.same(ours, theirs, depth + 1).is_some();
                Some((a == b && says).then_some(Rule::Choice))
            }
            // The value beside the letter.
            (Some((_, value)), None) if !value.is_empty() => {
                Some(self.same(value, truth, depth + 1))
            }
            (None, Some((_, value))) if !value.is_empty() => {
                Some(self.same(given, value, depth + 1))
            }
            _ => None,
        }
    }

    /// Compares one number or expression with another.
    fn same_value(&self, given: &str, truth: &str) -> Option<Rule> {
        let quantities = Quantity::parse(given, &self.work).zip(Quantity::parse(truth, &self.work));
        let decided = match &quantities {
            Some((given, truth)) => given.same_as(truth, self.tolerance),
            None => None,
        };
        if decided.is_some() {
            return decided;
        }
        let short_pi = self.tolerance.short_pi && (given.contains("pi") || truth.contains("pi"));
        if quantities.is_some() && !short_pi {
            return None;
        }
        let (ours, our_digits) = whole(given)?;
        let (theirs, their_digits) = whole(truth)?;
        let numbers = |ours: &Expression, theirs: &Expression| {
            let ours = Number::of(ours, our_digits, &self.work)?;
            ours.same_as(
                &Number::of(theirs, their_digits, &self.work)?,
                self.tolerance,
            )
        };
        let exact = match ours.variables().is_empty() && theirs.variables().is_empty() {
            true => numbers(&ours, &theirs),
            false => same_everywhere(&ours, &theirs, &self.work).then_some(Rule::Algebra),
        };
        exact.or_else(|| {
            let short = |it: &Expression| it.replaced(Constant::Pi, &Expression::short_pi());
            let found = short_pi.then(|| numbers(&short(&ours), &short(&theirs)))?;
            found.map(|_| Rule::ShortPi)
        })
    }
}
