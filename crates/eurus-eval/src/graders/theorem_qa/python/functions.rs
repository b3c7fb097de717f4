//! What Python and its modules of numbers have names for.

use std::f64::consts;

use super::Value;
use super::arithmetic::{binary, compares};

/// What a name stands for where it is not called.
pub(super) fn constant(name: &str) -> Option<Value> {
    Some(match name {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" => Value::None,
        "np.pi" | "math.pi" => Value::Float(consts::PI),
        "np.e" | "math.e" => Value::Float(consts::E),
        "np.inf" | "math.inf" => Value::Float(f64::INFINITY),
        "np.nan" | "math.nan" => Value::Float(f64::NAN),
        _ => return None,
    })
}

/// The value of a function; nothing where it is unknown or Python raises an error.
pub(super) fn call(name: &str, arguments: &[Value]) -> Option<Value> {
    if let Some(function) = name.strip_prefix("np.") {
        return of_numpy(function, arguments);
    }
    if let Some(function) = name.strip_prefix("math.") {
        return of_math(function, arguments);
    }
    match (name, arguments) {
        ("abs", [value]) => absolute(value),
        ("len", [Value::Text(text)]) => Some(Value::Int(text.chars().count() as i128)),
        ("len", [value]) => Some(Value::Int(value.items()?.len() as i128)),
        ("sum", [values]) => {
            let mut items = values.items()?.iter();
            items.try_fold(Value::Int(0), |sum, it| binary("+", &sum, it))
        }
        ("max", values) => extreme(">", values),
        ("min", values) => extreme("<", values),
        ("sorted", [values]) => sorted(values.items()?).map(Value::List),
        ("list", [values]) => Some(Value::List(values.items()?.to_vec())),
        ("tuple", [values]) => Some(Value::Tuple(values.items()?.to_vec())),
        ("set", []) => Some(Value::Set(Vec::new())),
        ("set", [values]) => Some(set(values.items()?.to_vec())),
        ("bool", [value]) => Some(Value::Bool(value.is_true())),
        ("float", [Value::Text(text)]) => real_of_text(text),
        ("float", [value]) => Some(Value::Float(value.as_f64()?)),
        ("int", [value]) => match value.as_int() {
            Some(whole) => Some(Value::Int(whole)),
            None => whole_of(value.as_f64()?.trunc()),
        },
        ("round", [value]) => match value.as_int() {
            Some(whole) => Some(Value::Int(whole)),
            None => whole_of(value.as_f64()?.round_ties_even()),
        },
        ("round", [value, places]) => {
            let places = usize::try_from(places.as_int()?).ok()?.min(100);
            format!("{:.places$}", value.as_f64()?)
                .parse()
                .ok()
                .map(Value::Float)
        }
        ("pow", [base, power]) => binary("**", base, power),
        ("complex", [real, imaginary]) => Some(Value::Complex(real.as_f64()?, imaginary.as_f64()?)),
        ("Rational", [value]) => Some(Value::Float(value.as_f64()?)),
        ("Rational", [top, bottom]) => binary("/", top, bottom),
        _ => None,
    }
}

/// A set has no item twice.
pub(super) fn set(items: Vec<Value>) -> Value {
    let mut once: Vec<Value> = Vec::new();
    for item in items {
        if !once.iter().any(|it| it.equals(&item)) {
            once.push(item);
        }
    }
    Value::Set(once)
}

fn absolute(value: &Value) -> Option<Value> {
    match value {
        Value::Complex(real, imaginary) => Some(Value::Float(real.hypot(*imaginary))),
        Value::Float(value) => Some(Value::Float(value.abs())),
        value => value.as_int()?.checked_abs().map(Value::Int),
    }
}

/// The first value that no other one exceeds in a direction: of several, or of the items of one.
fn extreme(sign: &str, values: &[Value]) -> Option<Value> {
    let values = match values {
        [one] => one.items()?,
        several => several,
    };
    let (first, others) = values.split_first()?;
    let best = others.iter().try_fold(first, |best, it| {
        Some(if compares(sign, it, best)? { it } else { best })
    });
    best.cloned()
}

fn sorted(items: &[Value]) -> Option<Vec<Value>> {
    let mut sorted: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        let mut at = sorted.len();
        while at > 0 && compares("<", item, &sorted[at - 1])? {
            at -= 1;
        }
        sorted.insert(at, item.clone());
    }
    Some(sorted)
}

fn real_of_text(text: &str) -> Option<Value> {
    text.trim().to_lowercase().parse().ok().map(Value::Float)
}

/// A real number without decimals as a whole one.
fn whole_of(value: f64) -> Option<Value> {
    // Beyond it a cast would not give the number.
    let limit = 2f64.powi(126);
    (value.is_finite() && value.abs() < limit).then_some(Value::Int(value as i128))
}

fn of_numpy(name: &str, arguments: &[Value]) -> Option<Value> {
    match (name, arguments) {
        ("array", [values]) => Some(Value::List(values.items()?.to_vec())),
        ("abs" | "absolute", [value]) => absolute(value),
        ("log", [value]) => Some(Value::Float(value.as_f64()?.ln())),
        ("power", [base, power]) => binary("**", base, power),
        ("sum", [values]) => call("sum", std::slice::from_ref(values)),
        ("round", values) => call("round", values),
        (name, [value]) => elementary(name, value.as_f64()?).map(Value::Float),
        _ => None,
    }
}

fn of_math(name: &str, arguments: &[Value]) -> Option<Value> {
    let finite = |value: f64| value.is_finite().then_some(Value::Float(value));
    match (name, arguments) {
        ("pow", [base, power]) => finite(base.as_f64()?.powf(power.as_f64()?)),
        ("log", [value, base]) => finite(value.as_f64()?.log(base.as_f64()?)),
        ("floor", [value]) => whole_of(value.as_f64()?.floor()),
        ("ceil", [value]) => whole_of(value.as_f64()?.ceil()),
        ("fabs", [value]) => finite(value.as_f64()?.abs()),
        ("factorial", [value]) => {
            let value = u32::try_from(value.as_int()?)
                .ok()
                .filter(|it| *it <= 170)?;
            let mut factors = (1..=i128::from(value)).map(Value::Int);
            factors.try_fold(Value::Int(1), |product, it| binary("*", &product, &it))
        }
        ("comb", [all, chosen]) => {
            let all = all.as_int().filter(|it| (0..=1000).contains(it))?;
            let chosen = chosen.as_int().filter(|it| *it >= 0)?;
            // Each product of these is a whole number again.
            (0..chosen.min(all + 1)).try_fold(Value::Int(1), |ways, at| {
                let more = binary("*", &ways, &Value::Int(all - at))?;
                binary("//", &more, &Value::Int(at + 1))
            })
        }
        ("gcd", [a, b]) => {
            let (mut a, mut b) = (a.as_int()?.checked_abs()?, b.as_int()?.checked_abs()?);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            Some(Value::Int(a))
        }
        ("degrees", [value]) => finite(value.as_f64()?.to_degrees()),
        ("radians", [value]) => finite(value.as_f64()?.to_radians()),
        (name, [value]) => finite(elementary(name, value.as_f64()?)?),
        _ => None,
    }
}

/// The functions of one real number that both modules have.
fn elementary(name: &str, value: f64) -> Option<f64> {
    Some(match name {
        "sqrt" => value.sqrt(),
        "exp" => value.exp(),
        "log" => value.ln(),
        "log2" => value.log2(),
        "log10" => value.log10(),
        "sin" => value.sin(),
        "cos" => value.cos(),
        "tan" => value.tan(),
        "arcsin" | "asin" => value.asin(),
        "arccos" | "acos" => value.acos(),
        "arctan" | "atan" => value.atan(),
        "sinh" => value.sinh(),
        "cosh" => value.cosh(),
        "tanh" => value.tanh(),
        "floor" => value.floor(),
        "ceil" => value.ceil(),
        "cbrt" => value.cbrt(),
        _ => return None,
    })
}
