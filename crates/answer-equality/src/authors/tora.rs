//! The comparison of ToRA: numbers within a tolerance, lists item by item, and differences that simplify to zero.

use crate::expression::{Constant, Expression, Work, leading, same_everywhere};
use crate::extract::within;
use crate::number::Number;
use crate::options::{Rule, Tolerance};
use crate::typeset::{plain_math, with_intervals};

/// More of a prediction is not looked at.
const LONGEST: usize = 1_000;

/// Lists inside each other that are followed.
const DEEPEST: usize = 8;

/// What stands for pi while a text is read.
const PI: char = '\u{e000}';

pub(super) fn grade(given: &str, truth: &str, tolerance: &Tolerance, work: &Work) -> Option<Rule> {
    let given = within(given, LONGEST);
    let has_pi = given.contains("\\pi") || truth.contains("\\pi");
    let (given, truth) = (normal(given)?, normal(truth)?);
    let same = |pi| {
        let grader = Grader {
            tolerance,
            work,
            pi,
        };
        grader.same(&given, &truth, 0)
    };
    same(None).or_else(|| {
        let short = tolerance.short_pi && has_pi;
        let same = short.then(|| same(Some(Expression::short_pi())))?;
        same.map(|_| Rule::ShortPi)
    })
}

/// The form before anything is compared; nothing where the released code fails.
fn normal(text: &str) -> Option<String> {
    if let Some(money) = text.strip_prefix('$')
        && money.starts_with(|c: char| c.is_ascii_digit())
    {
        return Some(money.to_string());
    }
    let percent = text.strip_suffix("\\%").or_else(|| text.strip_suffix('%'));
    if let Some(number) = percent.filter(|it| is_number(it)) {
        return Some(number.to_string());
    }
    // A base is cut off, and what is left must be a whole number.
    if let Some((digits, _)) = text.split_once('_') {
        let digits = digits.trim();
        let plain = digits.strip_prefix('-').unwrap_or(digits);
        let whole = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
        return whole.then(|| digits.to_string());
    }
    Some(text.replace("\\pi", &format!(" {PI} ")))
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
    /// What pi is; itself if nothing.
    pi: Option<Expression>,
}

impl Grader<'_> {
    fn same(&self, given: &str, truth: &str, depth: usize) -> Option<Rule> {
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
        let (given, truth) = (with_intervals(given.trim()), with_intervals(truth.trim()));
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
        let (given, truth) = (self.read(given)?, self.read(truth)?);
        if same_everywhere(&given, &truth, self.work) {
            return Some(Rule::Algebra);
        }
        let tolerance = Tolerance {
            factor_hundred: false,
            ..*self.tolerance
        };
        let given = Number::of(&given, None, self.work)?;
        given.same_as(&Number::of(&truth, None, self.work)?, &tolerance)
    }

    /// What their algebra system reads: Python's notation, else LaTeX, of which an end that it cannot read is ignored.
    fn read(&self, text: &str) -> Option<Expression> {
        let text = text.replace(PI, "\\pi ");
        if has_second_point(&text) || text.contains(|c: char| "$:".contains(c) || !c.is_ascii()) {
            return None;
        }
        if let Some(words) = text.trim().strip_prefix("\\text{") {
            let words = words.split('}').next()?;
            return Some(Expression::Variable(format!("\\text{{{words}}}")));
        }
        let python = !text.contains(['\\', '{', '}']);
        let unknown = ["\\text", "\\mbox", "\\pm", "\\begin"];
        if unknown.iter().any(|command| text.contains(command)) || (!python && text.contains("**"))
        {
            return None;
        }
        if python {
            let word = text.trim();
            if word.len() > 1 && word != "oo" && word.bytes().all(|byte| byte.is_ascii_alphabetic())
            {
                return Some(Expression::Variable(word.to_string()));
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
        }
        let (value, ..) = leading(&plain_math(&text))?;
        Some(match &self.pi {
            Some(pi) => value.replaced(Constant::Pi, pi),
            None => value,
        })
    }
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
