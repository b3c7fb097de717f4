//! Arithmetic: exact as long as numbers are rational, then complex in high precision. All of it is bounded.

use dashu_base::{Approximation, Sign};
use dashu_cmplx::{CBig, CfpResult, Context};
use dashu_float::round::mode::HalfEven;
use dashu_float::{FBig, Repr};
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
pub(super) const MOST_BITS: usize = 20_000;

/// A number. Operations give nothing where the result is not defined or too large.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Exact(RBig),
    Near(Complex),
}

pub(super) const CONTEXT: Context<HalfEven> = Context::new(PRECISION);

/// One above the binary logarithm of a part, rounded down; nothing for zero.
pub(super) fn magnitude(part: &Repr<2>) -> Option<isize> {
    let zero = part.significand().is_zero();
    (!zero && !part.is_infinite()).then(|| {
        let digits = isize::try_from(part.digits()).unwrap_or(isize::MAX);
        part.exponent().saturating_add(digits)
    })
}

pub(super) fn is_zero(part: &Repr<2>) -> bool {
    !part.is_infinite() && part.significand().is_zero()
}

pub(super) fn bits(number: &RBig) -> usize {
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

    pub(super) fn real(value: Real) -> Self {
        let zero = Real::ZERO.with_precision(PRECISION).value();
        Self::Near(Complex::from_parts(value, zero))
    }

    pub(super) fn exact(value: RBig) -> Option<Self> {
        (bits(&value) <= MOST_BITS).then_some(Self::Exact(value))
    }

    pub(super) fn near(result: CfpResult<HalfEven, 2>) -> Option<Self> {
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

    pub(super) fn of_real(result: dashu_float::FpResult<Real>) -> Option<Self> {
        let value = result.ok()?.value();
        let zero = Real::ZERO.with_precision(PRECISION).value();
        Self::near(Ok(Approximation::Exact(Complex::from_parts(value, zero))))
    }

    pub(super) fn complex(&self) -> Complex {
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
    pub(super) fn size(&self) -> Option<isize> {
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
}

pub(super) fn real_context() -> dashu_float::Context<HalfEven> {
    dashu_float::Context::new(PRECISION)
}
