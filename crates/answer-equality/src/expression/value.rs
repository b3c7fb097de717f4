//! Arithmetic: exact as long as numbers are rational, then complex in high precision. All of it is bounded.

use dashu_base::{Abs, Approximation, Sign, UnsignedAbs};
use dashu_cmplx::{CBig, CfpResult, Context};
use dashu_float::round::mode::HalfEven;
use dashu_float::{FBig, Repr};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

type Complex = CBig<HalfEven, 2>;
type Real = FBig<HalfEven, 2>;

/// Binary digits of what is not rational.
const PRECISION: usize = 256;

/// Two ways to compute one number differ by less than this power of two of it. The digits between are for cancellation.
const SAME_BITS: isize = 150;

/// What is below this power of two is a zero that was rounded.
const ZERO_BITS: isize = -200;

/// Larger and smaller numbers are not computed with, in binary digits; rational ones have so many in numerator and denominator.
const MOST_BITS: usize = 20_000;

/// Exponents of e, and powers of two that angles have, beyond which nothing is computed.
const LARGEST_EXPONENT_BITS: isize = 12;
const LARGEST_ANGLE_BITS: isize = 60;

const LARGEST_POWER: u64 = 10_000;
const LARGEST_INDEX: usize = 64;
const LARGEST_FACTORIAL: u32 = 1_000;

/// A number. Operations give nothing where the result is not defined or too large.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Exact(RBig),
    Near(Complex),
}

const CONTEXT: Context<HalfEven> = Context::new(PRECISION);

/// One above the binary logarithm of a part, rounded down; nothing for zero.
fn magnitude(part: &Repr<2>) -> Option<isize> {
    let zero = part.significand().is_zero();
    (!zero && !part.is_infinite()).then(|| {
        let digits = isize::try_from(part.digits()).unwrap_or(isize::MAX);
        part.exponent().saturating_add(digits)
    })
}

fn is_zero(part: &Repr<2>) -> bool {
    !part.is_infinite() && part.significand().is_zero()
}

fn bits(number: &RBig) -> usize {
    use dashu_base::BitTest;
    number
        .numerator()
        .bit_len()
        .max(number.denominator().bit_len())
}

impl Value {
    pub fn whole(value: i64) -> Self {
        Self::Exact(RBig::from(value))
    }

    pub fn pi() -> Self {
        Self::real(Real::pi(PRECISION))
    }

    pub fn e() -> Option<Self> {
        Self::whole(1).exponential()
    }

    pub fn i() -> Self {
        let one = Real::ONE.with_precision(PRECISION).value();
        let zero = Real::ZERO.with_precision(PRECISION).value();
        Self::Near(Complex::from_parts(zero, one))
    }

    fn real(value: Real) -> Self {
        let zero = Real::ZERO.with_precision(PRECISION).value();
        Self::Near(Complex::from_parts(value, zero))
    }

    fn exact(value: RBig) -> Option<Self> {
        (bits(&value) <= MOST_BITS).then_some(Self::Exact(value))
    }

    fn near(result: CfpResult<HalfEven, 2>) -> Option<Self> {
        let value = result.ok()?.value();
        let most = MOST_BITS as isize;
        let fits = |part: &Repr<2>| {
            !part.is_infinite() && magnitude(part).is_none_or(|it| (-most..=most).contains(&it))
        };
        if !fits(value.re()) || !fits(value.im()) {
            return None;
        }
        // A negative zero would lie on the other side of a branch cut.
        let (re, im) = value.into_parts();
        let plain = |part: Real| match is_zero(part.repr()) {
            true => Real::ZERO.with_precision(PRECISION).value(),
            false => part,
        };
        Some(Self::Near(Complex::from_parts(plain(re), plain(im))))
    }

    fn of_real(result: dashu_float::FpResult<Real>) -> Option<Self> {
        let value = result.ok()?.value();
        let zero = Real::ZERO.with_precision(PRECISION).value();
        Self::near(Ok(Approximation::Exact(Complex::from_parts(value, zero))))
    }

    fn complex(&self) -> Complex {
        match self {
            Self::Near(value) => value.clone(),
            Self::Exact(value) => {
                let re: Real = value.to_float(PRECISION).value();
                let zero = Real::ZERO.with_precision(PRECISION).value();
                Complex::from_parts(re, zero)
            }
        }
    }

    /// The larger magnitude of its parts; nothing for zero.
    fn size(&self) -> Option<isize> {
        let value = self.complex();
        magnitude(value.re()).max(magnitude(value.im()))
    }

    pub fn is_zero(&self) -> bool {
        match self {
            Self::Exact(value) => value.is_zero(),
            Self::Near(_) => self.size().is_none_or(|size| size < ZERO_BITS),
        }
    }

    /// Whether it has no imaginary part but what rounding left.
    pub fn is_real(&self) -> bool {
        match self {
            Self::Exact(_) => true,
            Self::Near(value) => magnitude(value.im()).is_none_or(|im| {
                im < ZERO_BITS || magnitude(value.re()).is_some_and(|re| im < re - SAME_BITS)
            }),
        }
    }

    /// Whether it is real and below zero.
    pub fn is_negative(&self) -> bool {
        match self {
            Self::Exact(value) => value.sign() == Sign::Negative && !value.is_zero(),
            Self::Near(value) => {
                self.is_real() && !self.is_zero() && value.re().sign() == Sign::Negative
            }
        }
    }

    pub fn as_exact(&self) -> Option<&RBig> {
        match self {
            Self::Exact(value) => Some(value),
            Self::Near(_) => None,
        }
    }

    /// In floating point, if it is real.
    pub fn to_f64(&self) -> Option<f64> {
        let value = match self {
            Self::Exact(value) => value.to_f64().value(),
            Self::Near(value) if self.is_real() => {
                let (re, _) = value.clone().into_parts();
                re.to_f64().value()
            }
            Self::Near(_) => return None,
        };
        Some(value)
    }

    /// Whether both are one number: exactly if both are rational, else up to the rounding of high precision.
    pub fn same_as(&self, other: &Self) -> bool {
        if let (Self::Exact(a), Self::Exact(b)) = (self, other) {
            return a == b;
        }
        let Some(difference) = self.minus(other) else {
            return false;
        };
        match (difference.size(), self.size().max(other.size())) {
            (None, _) => true,
            (Some(apart), Some(size)) => apart < ZERO_BITS || apart < size - SAME_BITS,
            (Some(_), None) => false,
        }
    }

    pub fn negative(&self) -> Self {
        match self {
            Self::Exact(value) => Self::Exact(-value.clone()),
            Self::Near(value) => {
                Self::near(Ok(Approximation::Exact(-value.clone()))).unwrap_or_else(|| self.clone())
            }
        }
    }

    pub fn plus(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => Self::exact(a + b),
            _ => Self::near(CONTEXT.add(&self.complex(), &other.complex())),
        }
    }

    pub fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.negative())
    }

    pub fn times(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => Self::exact(a * b),
            _ => Self::near(CONTEXT.mul(&self.complex(), &other.complex())),
        }
    }

    pub fn over(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => Self::exact(a / b),
            _ => Self::near(CONTEXT.div(&self.complex(), &other.complex())),
        }
    }

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
        logarithm.times(&Self::i())?.negative().without_rounding()
    }

    /// Without an imaginary part that is nothing but rounding.
    fn without_rounding(self) -> Option<Self> {
        match &self {
            Self::Near(value) if self.is_real() => {
                let (re, _) = value.clone().into_parts();
                Some(Self::real(re))
            }
            _ => Some(self),
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

fn real_context() -> dashu_float::Context<HalfEven> {
    dashu_float::Context::new(PRECISION)
}
