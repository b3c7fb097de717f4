//! Numbers as they were written, and when two of them are the same.

use dashu_ratio::RBig;

use crate::expression::{Expression, Value, Work, Written, value_at};
use crate::options::{Rule, Tolerance};

/// How far the nearest double may be from what it stands for, relative to it, after a few operations.
const DOUBLE: f64 = 1e-14;

/// Digits from which a decimal is taken for a double that was printed.
const DOUBLE_DIGITS: usize = 15;

/// What an operation that should give zero leaves in double precision.
const DOUBLE_ZERO: f64 = 1e-15;

/// A number and how it was written.
#[derive(Debug, Clone)]
pub(crate) struct Number {
    pub value: Value,
    pub written: Option<Written>,
}

impl Number {
    /// The value of an expression without variables.
    pub fn of(expression: &Expression, written: Option<Written>, work: &Work) -> Option<Self> {
        let value = value_at(expression, &|_| None, work)?;
        Some(Self { value, written })
    }

    pub fn whole(value: u64) -> Self {
        Self {
            value: Value::Exact(RBig::from(value)),
            written: None,
        }
    }

    pub fn negative(self) -> Self {
        Self {
            value: self.value.negative(),
            ..self
        }
    }

    /// So many times as large; the digits it was written with stay known.
    pub fn times(&self, factor: u64) -> Option<Self> {
        if factor == 1 {
            return Some(self.clone());
        }
        self.scaled(self.value.times(&Value::Exact(RBig::from(factor)))?)
    }

    pub fn over(&self, divisor: u64) -> Option<Self> {
        self.scaled(self.value.over(&Value::Exact(RBig::from(divisor)))?)
    }

    fn scaled(&self, value: Value) -> Option<Self> {
        let decimals = None;
        let written = self.written.map(|it| Written { decimals, ..it });
        Some(Self { value, written })
    }

    /// The rule by which a number is the true one.
    pub fn same_as(&self, truth: &Self, tolerance: &Tolerance) -> Option<Rule> {
        let exact = self.value.as_exact().is_some() && truth.value.as_exact().is_some();
        if self.value.same_as(&truth.value) {
            return Some(if exact { Rule::Number } else { Rule::Algebra });
        }
        if tolerance.doubles && self.is_double_of(truth) {
            return Some(Rule::Doubles);
        }
        if let Some(rule) = self.within(truth, tolerance) {
            return Some(rule);
        }
        let hundred = tolerance.factor_hundred;
        let scaled = [truth.times(100), truth.over(100)];
        let scaled = scaled.into_iter().flatten().filter(|_| hundred);
        for truth in scaled {
            if self.value.same_as(&truth.value) || self.within(&truth, tolerance).is_some() {
                return Some(Rule::FactorHundred);
            }
        }
        None
    }

    /// Whether one of both is what double precision makes of the other.
    fn is_double_of(&self, other: &Self) -> bool {
        let printed = |it: &Self| {
            it.written
                .is_some_and(|it| it.rounded && it.significant >= DOUBLE_DIGITS)
        };
        let is_zero_of = |it: &Self| {
            let rounded = it.written.is_some_and(|it| it.rounded);
            rounded && it.value.to_f64().is_some_and(|it| it.abs() < DOUBLE_ZERO)
        };
        if self.value.is_zero() || other.value.is_zero() {
            let rest = if self.value.is_zero() { other } else { self };
            return is_zero_of(rest);
        }
        (printed(self) || printed(other)) && self.apart(other).is_some_and(|it| it <= DOUBLE)
    }

    fn within(&self, truth: &Self, tolerance: &Tolerance) -> Option<Rule> {
        let difference = self.value.minus(&truth.value)?.absolute()?.to_f64()?;
        if tolerance.absolute.is_some_and(|most| difference <= most) {
            return Some(Rule::Absolute);
        }
        if let Some(most) = tolerance.relative
            && self.apart(truth).is_some_and(|apart| apart <= most)
        {
            return Some(Rule::Relative);
        }
        (tolerance.rounded && self.rounds_to(truth)).then_some(Rule::Rounded)
    }

    /// The difference as a share of the other number.
    fn apart(&self, other: &Self) -> Option<f64> {
        let difference = self.value.minus(&other.value)?;
        difference.over(&other.value)?.absolute()?.to_f64()
    }

    /// Whether it is the truth where that has its last digit.
    fn rounds_to(&self, truth: &Self) -> bool {
        let Some(decimals) = truth.written.and_then(|it| it.decimals) else {
            return false;
        };
        let Some(difference) = self.value.minus(&truth.value).and_then(|it| it.absolute()) else {
            return false;
        };
        // Twice the difference is at most one of the last place.
        let ten = Value::whole(10);
        let Some(place) = ten.to_the(&Value::whole(-decimals)) else {
            return false;
        };
        let twice = difference.plus(&difference);
        let left = twice.and_then(|twice| place.minus(&twice));
        left.is_some_and(|left| left.is_zero() || (left.is_real() && !left.is_negative()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::number_prefix;

    fn of(text: &str) -> Option<Number> {
        let (expression, written, rest) = number_prefix(text)?;
        assert_eq!(rest, "", "{text}");
        Number::of(&expression, written, &Work::default())
    }

    fn by(given: &str, truth: &str, tolerance: &Tolerance) -> Option<Rule> {
        let (given, truth) = (of(given).expect(given), of(truth).expect(truth));
        given.same_as(&truth, tolerance)
    }

    #[test]
    fn each_tolerance_allows_its_own_difference() {
        let exact = Tolerance::exact();
        let relative = Tolerance {
            relative: Some(1e-3),
            ..exact
        };
        let absolute = Tolerance {
            absolute: Some(0.5),
            ..exact
        };
        let rounded = Tolerance {
            rounded: true,
            ..exact
        };
        let hundred = Tolerance {
            factor_hundred: true,
            ..exact
        };
        for (given, truth, tolerance, rule) in [
            ("1000", "1001", &relative, Some(Rule::Relative)),
            ("1000", "1002", &relative, None),
            ("1.5", "2", &absolute, Some(Rule::Absolute)),
            ("1.4", "2", &absolute, None),
            ("3.14159", "3.14", &rounded, Some(Rule::Rounded)),
            ("3.145", "3.14", &rounded, Some(Rule::Rounded)),
            ("3.1451", "3.14", &rounded, None),
            ("3", "3.14", &rounded, None),
            ("50", "1/2", &hundred, Some(Rule::FactorHundred)),
            ("1/2", "50", &hundred, Some(Rule::FactorHundred)),
            ("5", "1/2", &hundred, None),
            ("2/4", "1/2", &exact, Some(Rule::Number)),
            ("sqrt(8)", "2sqrt(2)", &exact, Some(Rule::Algebra)),
        ] {
            assert_eq!(by(given, truth, tolerance), rule, "{given} {truth}");
        }
    }

    #[test]
    fn what_double_precision_leaves_is_the_number_and_nothing_else() {
        for (given, truth, same) in [
            ("17.999999999999996", "18", true),
            ("1.4142135623730951", "sqrt(2)", true),
            ("0.30000000000000004", "0.3", true),
            ("1e-17", "0", true),
            ("0", "1.2e-16", true),
            ("1e-10", "0", false),
            ("1.41421356", "sqrt(2)", false),
            ("17.9999999999", "18", false),
            ("100000000000000001", "100000000000000000", false),
            ("6.63e-34", "1.6e-19", false),
        ] {
            assert_eq!(
                by(given, truth, &Tolerance::default()).is_some(),
                same,
                "{given}"
            );
            assert_eq!(by(given, truth, &Tolerance::exact()), None, "{given}");
        }
    }

    #[test]
    fn what_is_too_large_is_no_number() {
        for text in [
            "9^9^9^9",
            "10^99999999",
            "99999!",
            "2^(2^40)",
            "sqrt(2)^(10^9)",
            "ln(0)",
            "exp(10^9)",
            "sin(10^100)",
            "0^-1",
            "1/(2-2)",
        ] {
            let value = number_prefix(text)
                .and_then(|(it, written, _)| Number::of(&it, written, &Work::default()));
            assert!(value.is_none(), "{text}");
        }
        // Exact, and beyond f64.
        assert_eq!(by("1e400", "1.001e400", &Tolerance::exact()), None);
        assert_eq!(
            by("1e400", "10^400", &Tolerance::exact()),
            Some(Rule::Number)
        );
        assert_eq!(
            by("1e400", "1.00001e400", &Tolerance::authors()),
            Some(Rule::Relative)
        );
    }
}
