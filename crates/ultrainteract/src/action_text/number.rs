//! Numbers: exact where they are written exactly.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

use super::quantity::Quantity;
use super::typeset::plain_math;

/// How far two numbers may be apart, relative to the larger, where one of them may be rounded.
pub const RELATIVE_TOLERANCE: f64 = 1e-4;

/// Roots and constants are computed in floating point; two ways to write one differ by no more.
const FLOAT_TOLERANCE: f64 = 1e-12;

/// Rounding of programs that compute a zero.
const ZERO_TOLERANCE: f64 = 1e-12;

/// Whether two numbers are equal within [`RELATIVE_TOLERANCE`]; zero equals what rounding makes of it, below 1e-12.
///
/// ```
/// use ultrainteract::action_text::numbers_equal;
/// assert!(numbers_equal(0.33333, 1.0 / 3.0));
/// assert!(!numbers_equal(1.0, 1.001));
/// assert!(!numbers_equal(6.63e-34, 1.6e-19));
/// assert!(!numbers_equal(f64::NAN, f64::NAN));
/// ```
pub fn numbers_equal(a: f64, b: f64) -> bool {
    close(a, b, RELATIVE_TOLERANCE)
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    if !a.is_finite() || !b.is_finite() {
        return false;
    }
    if a == 0.0 || b == 0.0 {
        return (a - b).abs() <= ZERO_TOLERANCE;
    }
    (a - b).abs() <= tolerance * a.abs().max(b.abs())
}

/// The one number that a text is, if it is one: a decimal with or without commas between
/// thousands, a fraction (`3/4`, `\frac{3}{4}`, `1 1/2`), arithmetic without variables (`2^{10}`, `2\sqrt{3}`), with a sign,
/// a currency, `%` or a unit, in mathematics or not. Of a named value (`x = 7`) the value counts. A percent sign does not
/// change the value; `dozen`, `thousand`, `million` and the like do.
///
/// ```
/// use ultrainteract::action_text::parse_number;
/// assert_eq!(parse_number("$1,234.5"), Some(1234.5));
/// assert_eq!(parse_number("x = 7 apples"), Some(7.0));
/// assert_eq!(parse_number("7 apples and 3 pears"), None);
/// assert_eq!(parse_number("x >= 7"), None);
/// ```
pub fn parse_number(text: &str) -> Option<f64> {
    if text.len() > super::answer::LONGEST {
        return None;
    }
    let plain = plain_math(text);
    let value = match super::answer::named(&plain) {
        Some((_, value)) => value,
        None => &plain,
    };
    let value = Quantity::parse(value)?.number.value();
    value.is_finite().then_some(value)
}

/// How a number was written, which says how exact it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    /// Digits and fractions.
    Exact,
    /// With a root or a constant: as exact, but computed in floating point.
    Irrational,
    /// With digits behind the point: perhaps rounded.
    Decimal,
    /// With a power of ten: perhaps rounded, be it a whole number.
    Scientific,
}

/// A number, as exact as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Number {
    exact: Option<BigRational>,
    /// In floating point; the only value where there is no exact one.
    float: f64,
    precision: Precision,
}

/// Digits before or behind the point, bits of a power or, on average, of two numbers, and arguments of a factorial that are computed with.
const MOST_PLACES: u64 = 5_000;
const MOST_BITS: u64 = 20_000;
const LARGEST_FACTORIAL: u32 = 1_000;

impl Number {
    fn rational(exact: BigRational, precision: Precision) -> Self {
        Self {
            float: exact.to_f64().unwrap_or(f64::NAN),
            exact: Some(exact),
            precision,
        }
    }

    pub fn irrational(float: f64) -> Self {
        Self {
            exact: None,
            float,
            precision: Precision::Irrational,
        }
    }

    fn of_float(float: f64, precision: Precision) -> Option<Self> {
        float.is_finite().then_some(Self {
            exact: None,
            float,
            precision: precision.max(Precision::Irrational),
        })
    }

    /// A decimal literal: digits, a point, an exponent.
    pub fn parse(literal: &str) -> Option<Self> {
        let (mantissa, exponent) = match literal.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (literal, 0i64),
        };
        let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let power = exponent.checked_sub(places.len() as i64)?;
        if whole.len() + places.len() == 0 || power.unsigned_abs() > MOST_PLACES {
            return None;
        }
        let digits: BigInt = format!("{whole}{places}").parse().ok()?;
        let scale = BigRational::from_integer(Pow::pow(BigInt::from(10), power.unsigned_abs()));
        let digits = BigRational::from_integer(digits);
        let value = match power < 0 {
            true => digits / scale,
            false => digits * scale,
        };
        let precision = match (literal.len() > mantissa.len(), mantissa.contains('.')) {
            (true, _) => Precision::Scientific,
            (false, true) => Precision::Decimal,
            (false, false) => Precision::Exact,
        };
        Some(Self::rational(value, precision))
    }

    /// A decimal with digits behind it that repeat without end.
    pub fn repeating(literal: &str, digits: &str) -> Option<Self> {
        let before = Self::parse(literal)?.exact?;
        let places = literal.split_once('.')?.1.len() + digits.len();
        if places as u64 > MOST_PLACES {
            return None;
        }
        let ten = |power: usize| Pow::pow(BigInt::from(10), power as u64);
        let nines = (ten(digits.len()) - 1) * ten(places - digits.len());
        let rest = BigRational::new(digits.parse().ok()?, nines);
        Some(Self::rational(before + rest, Precision::Exact))
    }

    pub fn whole(value: u64) -> Self {
        Self::rational(BigRational::from_integer(value.into()), Precision::Exact)
    }

    /// In floating point; infinite beyond its range.
    pub fn value(&self) -> f64 {
        self.float
    }

    #[cfg(test)]
    pub fn exact(&self) -> Option<&BigRational> {
        self.exact.as_ref()
    }

    fn is_whole(&self) -> bool {
        match &self.exact {
            Some(exact) => exact.is_integer(),
            None => false,
        }
    }

    /// As a small whole number.
    pub fn small(&self) -> Option<u32> {
        let exact = self.exact.as_ref().filter(|exact| exact.is_integer())?;
        exact.to_integer().to_u32()
    }

    pub fn negated(mut self) -> Self {
        self.exact = self.exact.map(|exact| -exact);
        self.float = -self.float;
        self
    }

    fn with(
        &self,
        other: &Self,
        exact: impl FnOnce(&BigRational, &BigRational) -> BigRational,
        float: impl FnOnce(f64, f64) -> f64,
    ) -> Option<Self> {
        let precision = self.precision.max(other.precision);
        match (&self.exact, &other.exact) {
            (Some(a), Some(b)) => {
                let bits = |it: &BigRational| it.numer().bits().max(it.denom().bits());
                let is_small = bits(a) + bits(b) <= 2 * MOST_BITS;
                is_small.then(|| Self::rational(exact(a, b), precision))
            }
            _ => Self::of_float(float(self.float, other.float), precision),
        }
    }

    pub fn plus(&self, other: &Self) -> Option<Self> {
        self.with(other, |a, b| a + b, |a, b| a + b)
    }

    pub fn times(&self, other: &Self) -> Option<Self> {
        self.with(other, |a, b| a * b, |a, b| a * b)
    }

    pub fn over(&self, other: &Self) -> Option<Self> {
        if other.exact.as_ref().is_some_and(Zero::is_zero) || other.float == 0.0 {
            return None;
        }
        self.with(other, |a, b| a / b, |a, b| a / b)
    }

    pub fn to_the(&self, exponent: &Self) -> Option<Self> {
        let precision = self.precision.max(exponent.precision);
        let whole = exponent.exact.as_ref().filter(|exact| exact.is_integer());
        if let (Some(base), Some(power)) = (&self.exact, whole) {
            let power = power.to_integer().to_i32()?;
            let bits = base.numer().bits().max(base.denom().bits());
            if bits * u64::from(power.unsigned_abs()) > MOST_BITS || (base.is_zero() && power < 0) {
                return None;
            }
            // A power of ten is how rounded numbers are written.
            let ten = base.is_integer() && base.to_integer() == BigInt::from(10);
            let precision = match ten {
                true => precision.max(Precision::Scientific),
                false => precision,
            };
            return Some(Self::rational(Pow::pow(base, power), precision));
        }
        Self::of_float(self.float.powf(exponent.float), precision)
    }

    pub fn root(&self, index: u32) -> Option<Self> {
        // One too small for floating point is negative all the same.
        let is_negative = (self.exact.as_ref()).map_or(self.float < 0.0, Signed::is_negative);
        if index == 0 || index > 64 || (is_negative && index.is_multiple_of(2)) {
            return None;
        }
        if let Some(exact) = &self.exact {
            let root =
                BigRational::new(exact.numer().nth_root(index), exact.denom().nth_root(index));
            if Pow::pow(&root, index as i32) == *exact {
                return Some(Self::rational(root, self.precision));
            }
        }
        let root = match index {
            2 => self.float.sqrt(),
            3 => self.float.cbrt(),
            _ => self.float.abs().powf(1.0 / f64::from(index)) * self.float.signum(),
        };
        Self::of_float(root, self.precision)
    }

    pub fn logarithm(&self) -> Option<Self> {
        Self::of_float(self.float.ln(), self.precision)
    }

    pub fn factorial(&self) -> Option<Self> {
        let n = self.small().filter(|n| *n <= LARGEST_FACTORIAL)?;
        let product = (2..=n).fold(BigInt::one(), |product, factor| product * factor);
        Some(Self::rational(product.into(), self.precision))
    }

    pub fn choose(&self, from: &Self) -> Option<Self> {
        let (n, k) = (self.small()?, from.small()?);
        if n > LARGEST_FACTORIAL || k > n {
            return None;
        }
        let value = (0..k).fold(BigInt::one(), |value, i| value * (n - i) / (i + 1));
        Some(Self::rational(value.into(), Precision::Exact))
    }

    /// Whether both are one number: exactly where both are exact or whole, within the tolerance where one may be rounded.
    pub fn same_as(&self, other: &Self) -> bool {
        let precision = self.precision.max(other.precision);
        let whole = self.is_whole() && other.is_whole() && precision < Precision::Scientific;
        match (&self.exact, &other.exact) {
            (Some(a), Some(b)) if a == b => true,
            (Some(_), Some(_)) if precision == Precision::Exact || whole => false,
            // Numbers beyond the range of f64 too.
            (Some(a), Some(b)) if !a.is_zero() && !b.is_zero() => {
                let larger = if a.abs() > b.abs() { a } else { b };
                let apart = ((a - b) / larger).to_f64();
                apart.is_some_and(|apart| apart.abs() <= RELATIVE_TOLERANCE)
            }
            _ if precision == Precision::Irrational => {
                close(self.float, other.float, FLOAT_TOLERANCE)
            }
            _ => numbers_equal(self.float, other.float),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_latex_do_not_hide_a_unit() {
        assert_eq!(parse_number(r"12\text{ cm}^2"), Some(12.0));
        assert_eq!(parse_number(r"1\frac{1}{2}"), Some(1.5));
        assert_eq!(parse_number(r"10{,}000"), Some(10_000.0));
    }

    #[test]
    fn text_around_a_number_is_no_number() {
        for text in [
            "", ".", "-", "about", "12abc", "2 3", "3,14,15", "5 x", "1/2/3", "0x10", "1/0", "nan",
        ] {
            assert_eq!(parse_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn zero_equals_a_rounding_error_and_nothing_else() {
        assert!(numbers_equal(0.0, 1e-17));
        assert!(!numbers_equal(0.0, 1e-10));
        assert!(!numbers_equal(6.63e-34, 1.6e-19));
    }

    #[test]
    fn huge_numbers_cost_nothing() {
        for text in [
            "9^9^9^9",
            "1e999999999",
            "1e-9223372036854775808",
            "\\sqrt{-1e-400}",
            "10^99999999",
            "99999!",
            "2^(2^40)",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
        let long = ["1e5000"; 100].join("*");
        assert_eq!(parse_number(&long), None);
        // Exact, and beyond f64.
        let huge = |text: &str| Number::parse(text).expect(text);
        assert!(!huge("1e400").same_as(&huge("1.001e400")));
        assert!(huge("1e400").same_as(&huge("1.00001e400")));
    }
}
