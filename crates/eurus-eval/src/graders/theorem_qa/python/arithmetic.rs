//! What the operators of Python do with values.

use std::cmp::Ordering;

use super::Value;

/// The value of `a sign b`; nothing where Python raises an error.
pub(super) fn binary(sign: &str, a: &Value, b: &Value) -> Option<Value> {
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return whole(sign, a, b);
    }
    if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
        return real(sign, a, b);
    }
    if let (Some(a), Some(b)) = (complex_parts(a), complex_parts(b)) {
        return complex(sign, a, b);
    }
    match (sign, a, b) {
        ("+", Value::List(a), Value::List(b)) => Some(Value::List([&a[..], b].concat())),
        ("+", Value::Tuple(a), Value::Tuple(b)) => Some(Value::Tuple([&a[..], b].concat())),
        ("+", Value::Text(a), Value::Text(b)) => Some(Value::Text(format!("{a}{b}"))),
        _ => None,
    }
}

fn whole(sign: &str, a: i128, b: i128) -> Option<Value> {
    let or_real = |exact: Option<i128>| match exact {
        Some(value) => Some(Value::Int(value)),
        None => real(sign, a as f64, b as f64),
    };
    match sign {
        "+" => or_real(a.checked_add(b)),
        "-" => or_real(a.checked_sub(b)),
        "*" => or_real(a.checked_mul(b)),
        "//" | "%" if b == 0 => None,
        // Rounded down, and the rest has the sign of what is divided by.
        "//" => or_real(floor_quotient(a, b)),
        "%" => or_real(floor_quotient(a, b).and_then(|it| a.checked_sub(it.checked_mul(b)?))),
        "**" => match u32::try_from(b) {
            Ok(power) => or_real(a.checked_pow(power)),
            Err(_) => real(sign, a as f64, b as f64),
        },
        "^" => Some(Value::Int(a ^ b)),
        "&" => Some(Value::Int(a & b)),
        "|" => Some(Value::Int(a | b)),
        "<<" => or_real(a.checked_mul(2i128.checked_pow(u32::try_from(b).ok()?)?)),
        ">>" => Some(Value::Int(a >> u32::try_from(b).ok()?.min(127))),
        _ => real(sign, a as f64, b as f64),
    }
}

fn floor_quotient(a: i128, b: i128) -> Option<i128> {
    let quotient = a.checked_div(b)?;
    let is_above = a % b != 0 && (a < 0) != (b < 0);
    Some(quotient - i128::from(is_above))
}

fn real(sign: &str, a: f64, b: f64) -> Option<Value> {
    let value = match sign {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" | "//" | "%" if b == 0.0 => return None,
        "/" => a / b,
        "//" => (a / b).floor(),
        "%" => a - b * (a / b).floor(),
        "**" if a == 0.0 && b < 0.0 => return None,
        "**" if a < 0.0 && b.fract() != 0.0 => {
            let (size, angle) = ((-a).powf(b), b * std::f64::consts::PI);
            return Some(Value::Complex(size * angle.cos(), size * angle.sin()));
        }
        // An overflow is an error for powers, and for them alone.
        "**" => {
            Some(a.powf(b)).filter(|it| it.is_finite() || a.is_infinite() || b.is_infinite())?
        }
        _ => return None,
    };
    Some(Value::Float(value))
}

fn complex_parts(value: &Value) -> Option<(f64, f64)> {
    match value {
        Value::Complex(real, imaginary) => Some((*real, *imaginary)),
        other => Some((other.as_f64()?, 0.0)),
    }
}

fn complex(sign: &str, a: (f64, f64), b: (f64, f64)) -> Option<Value> {
    let product = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    let (real, imaginary) = match sign {
        "+" => (a.0 + b.0, a.1 + b.1),
        "-" => (a.0 - b.0, a.1 - b.1),
        "*" => product(a, b),
        "/" => {
            let size = b.0 * b.0 + b.1 * b.1;
            let (real, imaginary) = product(a, (b.0, -b.1));
            (size != 0.0).then_some((real / size, imaginary / size))?
        }
        "**" => {
            let size = a.0.hypot(a.1);
            if size == 0.0 {
                return None;
            }
            let (log, angle) = product((size.ln(), a.1.atan2(a.0)), b);
            (log.exp() * angle.cos(), log.exp() * angle.sin())
        }
        _ => return None,
    };
    Some(Value::Complex(real, imaginary))
}

/// The value of a sign before a number.
pub(super) fn unary(sign: &str, value: &Value) -> Option<Value> {
    Some(match (sign, value) {
        ("~", value) => Value::Int(!value.as_int()?),
        ("+", Value::Bool(value)) => Value::Int(i128::from(*value)),
        ("+", Value::Int(_) | Value::Float(_) | Value::Complex(..)) => value.clone(),
        ("-", Value::Float(value)) => Value::Float(-value),
        ("-", Value::Complex(real, imaginary)) => Value::Complex(-real, -imaginary),
        ("-", value) => Value::Int(value.as_int()?.checked_neg()?),
        _ => return None,
    })
}

/// Whether `a sign b` for an operator that compares; nothing where Python raises an error.
pub(super) fn compares(sign: &str, a: &Value, b: &Value) -> Option<bool> {
    Some(match sign {
        "==" | "is" => a.equals(b),
        "!=" | "is not" => !a.equals(b),
        "in" => match (a, b) {
            (Value::Text(part), Value::Text(whole)) => whole.contains(part.as_str()),
            (item, many) => many.items()?.iter().any(|it| it.equals(item)),
        },
        "not in" => !compares("in", a, b)?,
        sign => {
            let order = order(a, b)?;
            match sign {
                "<" => order == Some(Ordering::Less),
                ">" => order == Some(Ordering::Greater),
                "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                ">=" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                _ => return None,
            }
        }
    })
}

/// How two values are ordered: not at all beside what is no number. Nothing where Python raises an error.
fn order(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return Some(Some(a.cmp(&b)));
    }
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(Some(a.cmp(b))),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            match a.iter().zip(b).find(|(a, b)| !a.equals(b)) {
                Some((a, b)) => order(a, b),
                None => Some(Some(a.len().cmp(&b.len()))),
            }
        }
        _ => Some(a.as_f64()?.partial_cmp(&b.as_f64()?)),
    }
}
