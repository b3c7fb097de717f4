//! The value of an expression where its variables have values.

use dashu_ratio::RBig;

use super::value::Value;
use super::work::{FUNCTION, Work};
use super::{Constant, Expression, Function};

/// A value for every variable.
pub(crate) type Point<'a> = dyn Fn(&str) -> Option<RBig> + 'a;

/// The value at a point; nothing where it is not defined or too large to compute.
pub(crate) fn value_at(expression: &Expression, point: &Point<'_>, work: &Work) -> Option<Value> {
    evaluate(expression, point, work, false)
}

/// The same, if it and all values on the way are real.
pub(super) fn real_value_at(
    expression: &Expression,
    point: &Point<'_>,
    work: &Work,
) -> Option<Value> {
    evaluate(expression, point, work, true)
}

fn evaluate(expression: &Expression, point: &Point<'_>, work: &Work, real: bool) -> Option<Value> {
    let value = computed(expression, point, work, real)?;
    work.pay_for(&value)?;
    (!real || value.is_real()).then_some(value)
}

fn computed(expression: &Expression, point: &Point<'_>, work: &Work, real: bool) -> Option<Value> {
    let at = |inner: &Expression| evaluate(inner, point, work, real);
    if matches!(expression, Expression::Power(..) | Expression::Call(..)) {
        work.spend(FUNCTION)?;
    }
    match expression {
        Expression::Number(value) => Some(Value::Exact(value.clone())),
        Expression::Constant(Constant::Pi) => Some(Value::pi()),
        Expression::Constant(Constant::E) => Value::e(),
        Expression::Constant(Constant::I) => Some(Value::i()),
        Expression::Variable(name) => point(name).map(Value::Exact),
        Expression::Sum(parts) => parts
            .iter()
            .try_fold(Value::whole(0), |sum, part| sum.plus(&at(part)?)),
        Expression::Product(parts) => parts
            .iter()
            .try_fold(Value::whole(1), |product, part| product.times(&at(part)?)),
        Expression::Quotient(top, bottom) => at(top)?.over(&at(bottom)?),
        Expression::Power(base, exponent) if **base == Expression::Constant(Constant::E) => {
            at(exponent)?.exponential()
        }
        Expression::Power(base, exponent) => at(base)?.to_the(&at(exponent)?),
        Expression::Negative(inner) => Some(at(inner)?.negative()),
        Expression::Call(function, arguments) => {
            let arguments: Option<Vec<Value>> = arguments.iter().map(at).collect();
            call(*function, &arguments?)
        }
    }
}

fn call(function: Function, arguments: &[Value]) -> Option<Value> {
    let one = || Value::whole(1);
    match (function, arguments) {
        (Function::Root, [index, of]) => of.root(usize::try_from(index.small()?).ok()?),
        (Function::Absolute, [of]) => of.absolute(),
        (Function::Exponential, [of]) => of.exponential(),
        (Function::Logarithm, [of]) => of.logarithm(),
        (Function::Logarithm, [base, of]) => of.logarithm()?.over(&base.logarithm()?),
        (Function::Sine, [of]) => Some(of.sine_and_cosine()?.0),
        (Function::Cosine, [of]) => Some(of.sine_and_cosine()?.1),
        (Function::Tangent, [of]) => {
            let (sine, cosine) = of.sine_and_cosine()?;
            sine.over(&cosine)
        }
        (Function::Cotangent, [of]) => {
            let (sine, cosine) = of.sine_and_cosine()?;
            cosine.over(&sine)
        }
        (Function::Secant, [of]) => one().over(&of.sine_and_cosine()?.1),
        (Function::Cosecant, [of]) => one().over(&of.sine_and_cosine()?.0),
        (Function::ArcSine, [of]) => of.arc_sine(),
        (Function::ArcCosine, [of]) => {
            let right_angle = Value::pi().over(&Value::whole(2))?;
            right_angle.minus(&of.arc_sine()?)
        }
        (Function::ArcTangent, [of]) => of.arc_tangent(),
        (Function::HyperbolicSine, [of]) => Some(hyperbolic(of)?.0),
        (Function::HyperbolicCosine, [of]) => Some(hyperbolic(of)?.1),
        (Function::HyperbolicTangent, [of]) => {
            let (sine, cosine) = hyperbolic(of)?;
            sine.over(&cosine)
        }
        (Function::Factorial, [of]) => of.factorial(),
        (Function::Binomial, [n, k]) => n.choose(k),
        (Function::Floor, [of]) => of.floor(),
        (Function::Ceiling, [of]) => Some(of.negative().floor()?.negative()),
        _ => None,
    }
}

fn hyperbolic(of: &Value) -> Option<(Value, Value)> {
    let (up, down) = (of.exponential()?, of.negative().exponential()?);
    let two = Value::whole(2);
    Some((up.minus(&down)?.over(&two)?, up.plus(&down)?.over(&two)?))
}
