//! What counts as equal, and by what it was found to be.

/// How far a number may be from the truth. Everything is off in [`exact`](Self::exact).
///
/// The default is exact but for `doubles`: what a program prints of a number that it computed in double precision is that
/// number.
///
/// ```
/// use answer_equality::{Tolerance, equal};
/// let exact = Tolerance::default();
/// assert!(equal("0.5", r"\frac{1}{2}", &exact));
/// assert!(!equal("0.3333", "1/3", &exact));
/// assert!(equal("0.3333", "1/3", &Tolerance { relative: Some(1e-3), ..exact }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// A decimal of 15 digits or more equals the number that it is within 1e-14 of, as a share of it, and 0 what is written
    /// with a point or an exponent and is below 1e-15: both are what double precision leaves.
    pub doubles: bool,
    /// Largest difference, as a number.
    pub absolute: Option<f64>,
    /// Largest difference, as a share of the truth.
    pub relative: Option<f64>,
    /// The answer may be the truth or what rounds to it, at as many decimals as the truth is written with, if it has any.
    pub rounded: bool,
    /// The answer may be a hundred times the truth or a hundredth of it, as percentages and shares are mixed up.
    pub factor_hundred: bool,
    /// 3.14 may stand for pi, on either side.
    pub short_pi: bool,
    /// It is enough that the truth stands somewhere in the answer, in any case of letters, unless both are numbers.
    pub substring: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            doubles: true,
            ..Self::exact()
        }
    }
}

impl Tolerance {
    /// Nothing but what is equal.
    pub const fn exact() -> Self {
        Self {
            doubles: false,
            absolute: None,
            relative: None,
            rounded: false,
            factor_hundred: false,
            short_pi: false,
            substring: false,
        }
    }

    /// What the graders of the Eurus paper (arXiv 2404.02078) accept on MATH, GSM8K, SVAMP and ASDiv: one part in ten
    /// thousand, a factor of a hundred, and 3.14 for pi.
    pub const fn authors() -> Self {
        Self {
            doubles: true,
            relative: Some(1e-4),
            factor_hundred: true,
            short_pi: true,
            ..Self::exact()
        }
    }

    /// What MINT's graders accept: five parts in a hundred, and the truth somewhere in the answer.
    pub const fn authors_mint() -> Self {
        Self {
            doubles: true,
            relative: Some(0.05),
            substring: true,
            ..Self::exact()
        }
    }

    /// What TheoremQA's grader accepts: four parts in a hundred of a decimal, and what rounds to a whole number.
    pub const fn authors_theorem_qa() -> Self {
        Self {
            doubles: true,
            relative: Some(0.04),
            rounded: true,
            ..Self::exact()
        }
    }
}

/// What decided that two answers are equal, the loosest rule of those that were needed; in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The same text, but for typesetting, case and spaces.
    Text,
    /// Equal rational numbers, with or without a unit.
    Number,
    /// The same choice, by its letter or its text.
    Choice,
    /// The same time of day.
    Time,
    /// Equal as expressions, by their values.
    Algebra,
    /// [`Tolerance::doubles`].
    Doubles,
    /// [`Tolerance::absolute`].
    Absolute,
    /// [`Tolerance::relative`].
    Relative,
    /// [`Tolerance::rounded`].
    Rounded,
    /// [`Tolerance::factor_hundred`].
    FactorHundred,
    /// [`Tolerance::short_pi`].
    ShortPi,
    /// [`Tolerance::substring`].
    Substring,
}

impl Rule {
    /// Whether only a tolerance made it equal.
    pub fn is_tolerance(self) -> bool {
        self >= Self::Doubles
    }
}

/// Whether two answers are equal, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// Whether they are.
    pub equal: bool,
    /// The rule, of equal ones.
    pub by: Option<Rule>,
}
