//! Powers, roots and functions of numbers. All of it is bounded.

use dashu_base::{Abs, Sign, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::value::{CONTEXT, MOST_BITS, Value, bits, is_zero, magnitude, real_context};

/// Exponents of e, and powers of two that angles have, beyond which nothing is computed.
const LARGEST_EXPONENT_BITS: isize = 12;
const LARGEST_ANGLE_BITS: isize = 60;

const LARGEST_POWER: u64 = 10_000;
const LARGEST_INDEX: usize = 64;
const LARGEST_FACTORIAL: u32 = 1_000;

impl Value {
    pub fn to_the(&self, exponent: &Self) -> Option<Self> {
        if let Self::Exact(power) = exponent {
            if power.is_int() {
                return self.to_whole(power.numerator());
            }
            let index = usize::try_from(power.denominator()).unwrap_or(usize::MAX);
            if self.is_real() && index <= LARGEST_INDEX && (index % 2 == 1 || !self.is_negative()) {
                return self.root(index)?.to_whole(power.numerator());
            }
        }
        if self.is_zero() {
            let positive = exponent.is_real() && !exponent.is_zero() && !exponent.is_negative();
            return positive.then(|| Self::whole(0));
        }
        self.logarithm()?.times(exponent)?.exponential()
    }

    fn to_whole(&self, power: &IBig) -> Option<Self> {
        let by = u64::try_from(power.unsigned_abs()).ok()?;
        let negative = power.sign() == Sign::Negative;
        if self.is_zero() && (negative || by == 0) {
            // 0^0 is 1, as everywhere in combinatorics.
            return (by == 0).then(|| Self::whole(1));
        }
        match self {
            Self::Exact(base) => {
                let one = base.numerator().unsigned_abs() == UBig::ONE && base.is_int();
                let by = if one { by % 2 } else { by };
                let small = (bits(base) as u64).saturating_mul(by) <= 2 * MOST_BITS as u64;
                let power = isize::try_from(by).ok().filter(|_| small)?;
                let value = match base.is_zero() {
                    true => RBig::ZERO,
                    false => base.pow(if negative { -power } else { power }),
                };
                Self::exact(value)
            }
            Self::Near(base) => {
                let size = self.size().unwrap_or(0).unsigned_abs() as u64;
                if by > LARGEST_POWER || by.saturating_mul(size) > MOST_BITS as u64 {
                    return None;
                }
                // dashu refuses to certify some exact zeros; products do not need it.
                let mut result = Self::whole(1);
                let mut square = Self::Near(base.clone());
                let mut left = by;
                while left > 0 {
                    if left % 2 == 1 {
                        result = result.times(&square)?;
                    }
                    left /= 2;
                    if left > 0 {
                        square = square.times(&square)?;
                    }
                }
                match negative {
                    true => Self::whole(1).over(&result),
                    false => Some(result),
                }
            }
        }
    }

    /// A root; of negative numbers a negative one, if the index is odd.
    pub fn root(&self, index: usize) -> Option<Self> {
        if index == 0 || index > LARGEST_INDEX {
            return None;
        }
        if index == 1 || self.is_zero() {
            return Some(self.clone());
        }
        if self.is_negative() {
            let positive = self.negative().root(index)?;
            return match index {
                2 => positive.times(&Self::i()),
                odd if odd % 2 == 1 => Some(positive.negative()),
                _ => {
                    let angle = Self::pi().over(&Self::whole(index as i64))?;
                    let turned = Self::i().times(&angle)?.exponential()?;
                    positive.times(&turned)
                }
            };
        }
        if let Self::Exact(value) = self {
            let top = value.numerator().nth_root(index);
            let bottom = value.denominator().nth_root(index);
            if top.pow(index) == *value.numerator() && bottom.pow(index) == *value.denominator() {
                return Some(Self::Exact(RBig::from_parts(top, bottom)));
            }
        }
        let value = self.complex();
        if index == 2 {
            return match is_zero(value.im()) {
                true => Self::of_real(real_context().sqrt(value.re())),
                false => Self::near(CONTEXT.sqrt(&value)),
            };
        }
        let power = Self::Exact(RBig::from_parts(IBig::ONE, UBig::from(index)));
        self.logarithm()?.times(&power)?.exponential()
    }

    pub fn absolute(&self) -> Option<Self> {
        match self {
            Self::Exact(value) => Some(Self::Exact(value.clone().abs())),
            Self::Near(value) => Self::of_real(CONTEXT.abs(value)),
        }
    }

    pub fn exponential(&self) -> Option<Self> {
        if self.is_zero() {
            return Some(Self::whole(1));
        }
        if self.size()? > LARGEST_EXPONENT_BITS {
            return None;
        }
        let value = self.complex();
        match is_zero(value.im()) {
            true => Self::of_real(real_context().exp(value.re(), None)),
            false => Self::near(CONTEXT.exp(&value, None)),
        }
    }

    pub fn logarithm(&self) -> Option<Self> {
        if self.is_zero() {
            return None;
        }
        if matches!(self, Self::Exact(value) if value.is_one()) {
            return Some(Self::whole(0));
        }
        if self.is_negative() {
            let turn = Self::i().times(&Self::pi())?;
            return self.negative().logarithm()?.plus(&turn);
        }
        let value = self.complex();
        match is_zero(value.im()) {
            true => Self::of_real(real_context().ln(value.re(), None)),
            false => Self::near(CONTEXT.log(&value, None)),
        }
    }

    /// Sine and cosine.
    pub fn sine_and_cosine(&self) -> Option<(Self, Self)> {
        if self.is_zero() {
            return Some((Self::whole(0), Self::whole(1)));
        }
        let value = self.complex();
        let fits = magnitude(value.re()).is_none_or(|it| it <= LARGEST_ANGLE_BITS)
            && magnitude(value.im()).is_none_or(|it| it <= LARGEST_EXPONENT_BITS);
        if !fits {
            return None;
        }
        if is_zero(value.im()) {
            let (sine, cosine) = real_context().sin_cos(value.re(), None);
            return Some((Self::of_real(sine)?, Self::of_real(cosine)?));
        }
        let (sine, cosine) = CONTEXT.sin_cos(&value, None);
        Some((Self::near(sine)?, Self::near(cosine)?))
    }

    pub fn arc_tangent(&self) -> Option<Self> {
        if self.is_zero() {
            return Some(Self::whole(0));
        }
        let value = self.complex();
        match is_zero(value.im()) {
            true => Self::of_real(real_context().atan(value.re(), None)),
            false => Self::near(CONTEXT.atan(&value, None)),
        }
    }

    pub fn arc_sine(&self) -> Option<Self> {
        if self.is_zero() {
            return Some(Self::whole(0));
        }
        // By the logarithm, which knows no edge of a domain: -i ln(ix + sqrt(1 - x^2)).
        let turned = self.times(&Self::i())?;
        let root = Self::whole(1).minus(&self.times(self)?)?.root(2)?;
        let logarithm = turned.plus(&root)?.logarithm()?;
        Some(logarithm.times(&Self::i())?.negative().without_rounding())
    }

    /// Without an imaginary part that is nothing but rounding.
    fn without_rounding(self) -> Self {
        match &self {
            Self::Near(value) if self.is_real() => {
                let (re, _) = value.clone().into_parts();
                Self::real(re)
            }
            _ => self,
        }
    }

    /// As a whole number that is small.
    pub fn small(&self) -> Option<u32> {
        let value = self.as_exact().filter(|value| value.is_int())?;
        u32::try_from(value.numerator()).ok()
    }

    pub fn factorial(&self) -> Option<Self> {
        let n = self.small().filter(|n| *n <= LARGEST_FACTORIAL)?;
        let product = (2..=n).fold(IBig::ONE, |product, factor| product * factor);
        Self::exact(product.into())
    }

    pub fn choose(&self, of: &Self) -> Option<Self> {
        let (n, k) = (self.small()?, of.small()?);
        if n > LARGEST_FACTORIAL {
            return None;
        }
        if k > n {
            return Some(Self::whole(0));
        }
        let value = (0..k).fold(IBig::ONE, |value, i| value * (n - i) / (i + 1));
        Self::exact(value.into())
    }

    pub fn floor(&self) -> Option<Self> {
        self.as_exact()
            .map(|value| Self::Exact(value.floor().into()))
    }
}
