//! The value of a Python expression without variables: what `eval` gives for the answers that models write.
//!
//! Numbers (whole, real, complex), text, lists, tuples, sets, arithmetic, comparisons, `and`, `or`, `not`, `in`, `if`..`else`,
//! the built-in functions of numbers and lists, `Rational`, and the numbers and functions of `np` (and of `math` where it is
//! in scope). No program is started and nothing is executed; whatever else stands there has no value.
//!
//! Two things are simpler than in Python: whole numbers beyond 128 bits become real ones, and both sides of `and`, `or` and
//! `if`..`else` are computed, so that an error on the side not taken is one of the whole.

mod arithmetic;
mod functions;
mod parse;
mod tokens;

/// A value as Python has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`, and what cannot be computed.
    None,
    /// `True` or `False`, which count as 1 and 0.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A real number in double precision.
    Float(f64),
    /// A complex number: its real and its imaginary part.
    Complex(f64, f64),
    /// A text.
    Text(String),
    /// A list, or an array.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A set; its items in the order in which they were written.
    Set(Vec<Value>),
    /// A dictionary, of which nothing is kept: it is no answer.
    Dict,
}

impl Value {
    /// A number, where it is one that is ordered: whole, real or a truth value.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// What is inside a list, a tuple or a set.
    fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => Some(items),
            _ => None,
        }
    }

    /// A whole number, or a truth value as one.
    fn as_int(&self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(i128::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether Python takes it for true.
    fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => !items.is_empty(),
            Self::Dict => true,
        }
    }

    /// Equality as `==` has it: numbers of all kinds by what they are worth.
    pub fn equals(&self, other: &Self) -> bool {
        if let (Some(a), Some(b)) = (self.as_int(), other.as_int()) {
            return a == b;
        }
        if let (Some(a), Some(b)) = (self.as_f64(), other.as_f64()) {
            return a == b;
        }
        let all = |a: &[Self], b: &[Self]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
        };
        match (self, other) {
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => all(a, b),
            (Self::Set(a), Self::Set(b)) => {
                a.len() == b.len() && a.iter().all(|item| b.iter().any(|it| it.equals(item)))
            }
            _ => self == other,
        }
    }
}

/// The value of an expression; nothing where it has none or is beyond what is known here. With `has_math` the module `math`
/// is in scope.
///
/// ```
/// use eurus_eval::graders::theorem_qa::python::{Value, evaluate};
/// assert_eq!(evaluate("[1, 2**3]", false), Some(Value::List(vec![Value::Int(1), Value::Int(8)])));
/// assert_eq!(evaluate("math.sqrt(4)", true), Some(Value::Float(2.0)));
/// assert_eq!(evaluate("math.sqrt(4)", false), None);
/// ```
pub fn evaluate(text: &str, has_math: bool) -> Option<Value> {
    let tokens = tokens::tokens(text)?;
    parse::Parser::new(&tokens, has_math).whole()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_the_values_that_python_gives_them() {
        let table = [
            ("7 // -2", Value::Int(-4)),
            ("-7 % 3", Value::Int(2)),
            ("-2 ** 2", Value::Int(-4)),
            ("2 ** -1", Value::Float(0.5)),
            ("2 ^ 10", Value::Int(8)),
            ("1_000", Value::Int(1000)),
            ("0x10", Value::Int(16)),
            (".5e1", Value::Float(5.0)),
            ("1 < 2 <= 2", Value::Bool(true)),
            ("not 0", Value::Bool(true)),
            ("3 and 4", Value::Int(4)),
            ("1 if True else 2", Value::Int(1)),
            ("3 + 4j", Value::Complex(3.0, 4.0)),
            ("[3, 1][-1]", Value::Int(1)),
            (
                "sorted((3, 1))",
                Value::List(vec![Value::Int(1), Value::Int(3)]),
            ),
            ("{1, 1}", Value::Set(vec![Value::Int(1)])),
            ("round(2.5)", Value::Int(2)),
            ("2 in [1, 2]", Value::Bool(true)),
            ("1,", Value::Tuple(vec![Value::Int(1)])),
        ];
        for (text, value) in table {
            assert_eq!(evaluate(text, false), Some(value), "{text}");
        }
    }

    #[test]
    fn what_python_does_not_evaluate_has_no_value() {
        let deep = "(".repeat(5_000);
        for text in [
            "",
            "007",
            "1 +",
            "x",
            "3 4",
            "1/0",
            "10.0**999",
            "exit()",
            "open('a')",
            "1j < 2",
            &deep,
        ] {
            assert_eq!(evaluate(text, true), None, "{text}");
        }
    }
}
