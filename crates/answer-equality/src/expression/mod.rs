//! Mathematics as one type, whatever notation it came in: read, computed, compared.

mod evaluate;
mod functions;
mod literal;
mod names;
mod parse;
mod same;
mod value;
mod work;

pub(crate) use evaluate::value_at;
pub(crate) use literal::{REPEATING, Written};
pub(crate) use parse::{leading, number_prefix, whole};
pub(crate) use same::{proportion, same_everywhere};
pub(crate) use value::Value;
pub(crate) use work::Work;

use dashu_ratio::RBig;

/// An expression. What only spells differently (`\frac{x}{2}`, `x/2`, `0.5*x`) becomes the same or something of equal value;
/// nothing is simplified.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Number(RBig),
    Constant(Constant),
    Variable(String),
    Sum(Vec<Expression>),
    Product(Vec<Expression>),
    Quotient(Box<Expression>, Box<Expression>),
    Power(Box<Expression>, Box<Expression>),
    Negative(Box<Expression>),
    Call(Function, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
}

/// A function that has a name. Real arguments in its domain give real values; others complex ones, by the principal branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// Of an index and what the root is taken of. Odd roots of negative numbers are negative.
    Root,
    Absolute,
    Exponential,
    /// Of a number, or of a base and a number.
    Logarithm,
    Sine,
    Cosine,
    Tangent,
    Cotangent,
    Secant,
    Cosecant,
    ArcSine,
    ArcCosine,
    ArcTangent,
    HyperbolicSine,
    HyperbolicCosine,
    HyperbolicTangent,
    Factorial,
    /// How many ways there are to choose the second of the first.
    Binomial,
    Floor,
    Ceiling,
}

impl Expression {
    pub fn whole(value: u64) -> Self {
        Self::Number(RBig::from(value))
    }

    /// The names of its variables, each once.
    pub fn variables(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.visit(&mut |it| {
            if let Self::Variable(name) = it
                && !names.contains(&name.as_str())
            {
                names.push(name);
            }
        });
        names
    }

    /// Whether a variable may stand where whole numbers are meant: `n!`.
    pub fn counts(&self) -> bool {
        let mut counts = false;
        self.visit(&mut |it| {
            counts |= matches!(
                it,
                Self::Call(Function::Factorial | Function::Binomial, arguments)
                    if arguments.iter().any(|it| !it.variables().is_empty())
            );
        });
        counts
    }

    /// 3.14.
    pub fn short_pi() -> Self {
        Self::Number(RBig::from_parts(314.into(), 100u8.into()))
    }

    /// The expression with another one wherever a constant stands in it.
    pub fn replaced(&self, constant: Constant, by: &Self) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|it| it.replaced(constant, by)).collect();
        let boxed = |it: &Self| Box::new(it.replaced(constant, by));
        match self {
            Self::Constant(this) if *this == constant => by.clone(),
            Self::Number(_) | Self::Constant(_) | Self::Variable(_) => self.clone(),
            Self::Sum(parts) => Self::Sum(all(parts)),
            Self::Product(parts) => Self::Product(all(parts)),
            Self::Call(function, parts) => Self::Call(*function, all(parts)),
            Self::Quotient(a, b) => Self::Quotient(boxed(a), boxed(b)),
            Self::Power(a, b) => Self::Power(boxed(a), boxed(b)),
            Self::Negative(inner) => Self::Negative(boxed(inner)),
        }
    }

    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match self {
            Self::Number(_) | Self::Constant(_) | Self::Variable(_) => {}
            Self::Sum(parts) | Self::Product(parts) | Self::Call(_, parts) => {
                for part in parts {
                    part.visit(see);
                }
            }
            Self::Quotient(a, b) | Self::Power(a, b) => {
                a.visit(see);
                b.visit(see);
            }
            Self::Negative(inner) => inner.visit(see),
        }
    }
}
