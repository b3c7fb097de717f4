//! Plain mathematics to an expression: how numbers and terms are written.

use super::literal::Written;
use super::names::function;
use super::{Constant, Expression, Function};

/// The number at the start of a text, as far as it is one, and what follows it.
///
/// Read are decimals with commas or spaces between thousands, fractions, mixed numbers, sums, products, powers, roots,
/// functions of numbers, factorials, `pi`, `e` and `Fraction(1, 2)`. Digits with hyphens alone (`3-5`) may be a range, a
/// score or a date and are no number; neither are chains of slashes.
pub(crate) fn number_prefix(text: &str) -> Option<(Expression, Option<Written>, &str)> {
    let mut parser = Parser::new(text, false);
    let value = parser.sum()?;
    let is_one = parser.differences == 0 || parser.composed;
    is_one.then(|| (value, parser.written(), &text[parser.at..]))
}

/// The expression that a text is as a whole, with variables: single letters, perhaps with an index, and Greek ones.
///
/// Words are no products of letters: a text of letters alone is no expression, unless it is one letter or a
/// function of some.
pub(crate) fn whole(text: &str) -> Option<(Expression, Option<Written>)> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let one_name = text.chars().count() == 1 || text.starts_with('\\') || text == "pi";
    let applied = text
        .split_once(' ')
        .is_some_and(|(name, _)| function(name).is_some());
    if !one_name && !applied && text.chars().all(|c| c.is_alphabetic() || c.is_whitespace()) {
        return None;
    }
    let mut parser = Parser::new(text, true);
    let value = parser.sum()?;
    let ends = parser.rest().trim().is_empty();
    let is_one = parser.differences == 0 || parser.composed;
    (ends && is_one).then(|| (value, parser.written()))
}

/// What is read of a text by rules as loose as those of algebra systems: every letter is a variable, and what cannot be read
/// at the end is left. Also whether factors stand side by side in it.
pub(crate) fn leading(text: &str) -> Option<(Expression, bool, &str)> {
    if text.len() > LONGEST {
        return None;
    }
    let mut parser = Parser::new(text, true);
    parser.any_letters = true;
    let value = parser.sum()?;
    Some((value, parser.side_by_side, &text[parser.at..]))
}

/// Longer texts are no expressions.
const LONGEST: usize = 2_000;

/// Parentheses and functions inside each other that are followed.
pub(super) const DEEPEST: usize = 32;

/// Terms that are tried before a text is given up.
const MOST_STEPS: usize = 20_000;

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) depth: usize,
    steps: usize,
    /// Whether letters are variables.
    pub(super) variables: bool,
    /// Whether words are products of their letters, and no letter is a constant.
    pub(super) any_letters: bool,
    /// Whether factors stood beside each other without a sign.
    side_by_side: bool,
    /// Inside the bars of an absolute value, where the next one closes.
    pub(super) in_bars: bool,
    /// Inside the argument of a function, where degrees are angles.
    pub(super) in_argument: bool,
    /// Numbers taken from others.
    differences: usize,
    /// Whether there is more than digits and hyphens.
    composed: bool,
    /// The only literal so far, and how many there are.
    pub(super) literal: Option<Written>,
    pub(super) literals: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, variables: bool) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            steps: 0,
            variables,
            any_letters: false,
            side_by_side: false,
            in_bars: false,
            in_argument: false,
            differences: 0,
            composed: false,
            literal: None,
            literals: 0,
        }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn written(&self) -> Option<Written> {
        let alone = self.literals == 1 && !self.composed;
        self.literal.filter(|_| alone)
    }

    /// Passes over a sign, and spaces before it.
    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        let found = trimmed.starts_with(sign);
        if found {
            self.at += rest.len() - trimmed.len() + sign.len();
        }
        found
    }

    pub(super) fn pass_spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Reads something whole or not at all.
    pub(super) fn try_to<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let (at, depth) = (self.at, self.depth);
        let (differences, composed) = (self.differences, self.composed);
        let (literal, literals) = (self.literal, self.literals);
        let (in_bars, in_argument) = (self.in_bars, self.in_argument);
        let found = read(self);
        if found.is_none() {
            (self.at, self.depth) = (at, depth);
            (self.differences, self.composed) = (differences, composed);
            (self.literal, self.literals) = (literal, literals);
            (self.in_bars, self.in_argument) = (in_bars, in_argument);
        }
        found
    }

    pub(super) fn sum(&mut self) -> Option<Expression> {
        self.steps += 1;
        if self.depth > DEEPEST || self.steps > MOST_STEPS {
            return None;
        }
        self.depth += 1;
        let mut terms = vec![self.product()?];
        while let Some(term) = self.try_to(|it| {
            if it.takes("+") {
                it.composed = true;
                return it.product();
            }
            if it.takes("-") {
                it.differences += 1;
                return it.product().map(negative);
            }
            None
        }) {
            terms.push(term);
        }
        self.depth -= 1;
        Some(match terms.len() {
            1 => terms.swap_remove(0),
            _ => Expression::Sum(terms),
        })
    }

    fn product(&mut self) -> Option<Expression> {
        let mut total = self.signed()?;
        let mut quotients = 0;
        loop {
            if let Some(factor) = self.try_to(Self::factor) {
                self.composed = true;
                total = product(total, factor);
            } else if let Some(divisor) = self.try_to(|it| match it.takes("/") {
                true => it.signed(),
                false => None,
            }) {
                quotients += 1;
                total = Expression::Quotient(Box::new(total), Box::new(divisor));
                self.literals += 1;
            } else {
                break;
            }
        }
        // "1/2/3" is a date.
        (quotients < 2 || self.variables && self.composed).then_some(total)
    }

    /// What a product goes on with, with or without a sign.
    fn factor(&mut self) -> Option<Expression> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if self.takes("*") {
            return self.signed();
        }
        let rest = self.rest();
        let trimmed = rest.trim_start();
        // "1.5 x 10^3"
        if let Some(after) = trimmed.strip_prefix(['x', 'X'])
            && after.trim_start().starts_with("10")
            && after.trim_start()[2..].starts_with(['^', '*'])
        {
            self.at += rest.len() - trimmed.len() + 1;
            return self.power();
        }
        let factor = self.beside()?;
        self.side_by_side = true;
        Some(factor)
    }

    /// A factor that stands beside another without a sign.
    pub(super) fn beside(&mut self) -> Option<Expression> {
        let rest = self.rest();
        if rest.starts_with('(') || (self.variables && rest.trim_start().starts_with('(')) {
            return self.power();
        }
        if self.variables {
            let letter = rest.trim_start().starts_with(|c: char| {
                is_letter(c) || (self.any_letters && c.is_ascii_digit() && rest.starts_with(' '))
            });
            let bars = !self.in_bars && rest.trim_start().starts_with('|');
            // "x 2" is no product, but "x^2 3" may be.
            return (letter || bars).then(|| self.power())?;
        }
        let name = self.name();
        let known = function(name).is_some() || ["pi", "sqrt", "root", "cbrt"].contains(&name);
        known.then(|| self.power()).flatten()
    }

    fn signed(&mut self) -> Option<Expression> {
        if self.takes("-") {
            return self.signed_power().map(negative);
        }
        self.takes("+");
        self.signed_power()
    }

    fn signed_power(&mut self) -> Option<Expression> {
        match self.rest().trim_start().starts_with(['-', '+']) {
            true => None,
            false => self.power(),
        }
    }

    pub(super) fn power(&mut self) -> Option<Expression> {
        self.steps += 1;
        if self.depth > DEEPEST || self.steps > MOST_STEPS {
            return None;
        }
        let mut base = self.atom()?;
        loop {
            if self.rest().starts_with('!') && !self.rest().starts_with("!=") {
                self.at += 1;
                self.composed = true;
                base = Expression::Call(Function::Factorial, vec![base]);
            } else if self.in_argument && self.takes("°") {
                let half_turn = Expression::Constant(Constant::Pi);
                let degree =
                    Expression::Quotient(Box::new(half_turn), Box::new(Expression::whole(180)));
                base = product(base, degree);
            } else {
                break;
            }
        }
        if self.takes("^") {
            self.composed = true;
            self.depth += 1;
            let minus = self.takes("-");
            let exponent = self.power()?;
            self.depth -= 1;
            let exponent = if minus { negative(exponent) } else { exponent };
            base = Expression::Power(Box::new(base), Box::new(exponent));
        }
        Some(base)
    }

    /// The letters at the place, after spaces.
    pub(super) fn name(&self) -> &'a str {
        let rest = self.rest().trim_start();
        let end = rest.find(|c: char| !c.is_alphabetic());
        &rest[..end.unwrap_or(rest.len())]
    }

    pub(super) fn atom(&mut self) -> Option<Expression> {
        if self.takes("(") {
            self.composed = true;
            let (in_bars, in_argument) = (self.in_bars, self.in_argument);
            self.in_bars = false;
            let inside = self.sum()?;
            self.in_bars = in_bars;
            self.in_argument = in_argument;
            return self.takes(")").then_some(inside);
        }
        if self.variables && self.takes("|") {
            self.composed = true;
            if std::mem::replace(&mut self.in_bars, true) {
                return None;
            }
            let inside = self.sum()?;
            self.in_bars = false;
            let closed = self.takes("|");
            return closed.then(|| Expression::Call(Function::Absolute, vec![inside]));
        }
        self.pass_spaces();
        if !self.rest().starts_with(is_letter) {
            return self.mixed();
        }
        self.composed = true;
        match self.variables {
            true => self.letters(),
            false => self.constant(),
        }
    }
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() || c == '\\'
}

pub(super) fn negative(expression: Expression) -> Expression {
    Expression::Negative(Box::new(expression))
}

pub(super) fn product(a: Expression, b: Expression) -> Expression {
    match a {
        Expression::Product(mut parts) => {
            parts.push(b);
            Expression::Product(parts)
        }
        a => Expression::Product(vec![a, b]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Value, value_at};

    fn value(expression: &Expression) -> Option<Value> {
        value_at(expression, &|_| None, &crate::expression::Work::default())
    }

    #[test]
    fn arithmetic_is_exact_where_it_can_be() {
        for (text, is) in [
            ("1 1/2", "1.5"),
            ("1 285/1492", "1777/1492"),
            ("2^10", "1024"),
            ("5!", "120"),
            ("1.5 x 10^3", "1500"),
            ("1.5*10^-3", "0.0015"),
            ("Fraction(1, 2)", "0.5"),
            ("((2)/(4))", "0.5"),
            ("binom(5,2)", "10"),
            ("sqrt(16)", "4"),
            ("root(3,-8)", "-2"),
            ("8^(2/3)", "4"),
            ("0.¯3", "1/3"),
            ("10 000", "10000"),
            ("2(3 + 4)", "14"),
            ("2 + -3", "-1"),
        ] {
            let (number, _, rest) = number_prefix(text).expect(text);
            assert_eq!(rest, "", "{text}");
            let (is, ..) = number_prefix(is).expect(is);
            let (number, is) = (value(&number).expect(text), value(&is).expect(text));
            assert!(number.as_exact().is_some(), "{text}");
            assert_eq!(number.as_exact(), is.as_exact(), "{text}");
        }
    }

    #[test]
    fn what_follows_a_number_is_left() {
        for (text, rest) in [
            ("3.5 m/s", " m/s"),
            ("5x", "x"),
            ("18 (eighteen)", " (eighteen)"),
            ("3,14", ",14"),
            ("2 3", " 3"),
            ("7 - apples", " - apples"),
        ] {
            assert_eq!(number_prefix(text).expect(text).2, rest, "{text}");
        }
        for text in [
            "3-5",
            "1/2/3",
            "2026-11-29",
            "",
            "(",
            "x",
            "101_2",
            "1e99999999999",
        ] {
            assert!(number_prefix(text).is_none(), "{text}");
        }
    }

    #[test]
    fn letters_are_variables_and_words_are_not() {
        for (text, variables) in [
            ("2xy", &["x", "y"][..]),
            ("x_1 + x_(12)", &["x_1", "x_12"]),
            ("sin^2 x + cos x", &["x"]),
            ("log_2 n", &["n"]),
            ("\\alpha r^2 pi", &["\\alpha", "r"]),
            ("|x - 1|", &["x"]),
            ("e^(i pi)", &[]),
        ] {
            let (expression, _) = whole(text).expect(text);
            assert_eq!(expression.variables(), variables, "{text}");
        }
        for text in [
            "no", "Paris", "5 to 7", "7 apples", "x +", "(x", "101_2", "",
        ] {
            assert!(whole(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_literal_tells_how_it_was_written() {
        let of = |text| number_prefix(text).expect(text).1;
        let written = of("-012.50").expect("a literal");
        assert_eq!((written.significant, written.decimals), (4, Some(2)));
        assert!(written.rounded);
        assert!(!of("12").expect("a literal").rounded);
        assert_eq!(of("1.5e3").expect("a literal").decimals, Some(-2));
        for composed in ["1/2", "2^3", "1 1/2", "2*3", "0.¯3"] {
            assert_eq!(of(composed), None, "{composed}");
        }
    }
}
