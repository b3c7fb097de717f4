//! Names in expressions: functions, constants, variables, and words that are none of them.

use super::literal::digits;
use super::parse::{Parser, negative, product};
use super::{Constant, Expression, Function};

/// Names of functions; of those that begin alike the longer one first.
const FUNCTIONS: &[(&str, Option<Function>)] = &[
    ("arcsin", Some(Function::ArcSine)),
    ("arccos", Some(Function::ArcCosine)),
    ("arctan", Some(Function::ArcTangent)),
    ("asin", Some(Function::ArcSine)),
    ("acos", Some(Function::ArcCosine)),
    ("atan", Some(Function::ArcTangent)),
    ("sinh", Some(Function::HyperbolicSine)),
    ("cosh", Some(Function::HyperbolicCosine)),
    ("tanh", Some(Function::HyperbolicTangent)),
    ("sin", Some(Function::Sine)),
    ("cos", Some(Function::Cosine)),
    ("tan", Some(Function::Tangent)),
    ("cot", Some(Function::Cotangent)),
    ("sec", Some(Function::Secant)),
    ("csc", Some(Function::Cosecant)),
    ("exp", Some(Function::Exponential)),
    ("abs", Some(Function::Absolute)),
    ("floor", Some(Function::Floor)),
    ("ceil", Some(Function::Ceiling)),
    ("factorial", Some(Function::Factorial)),
    ("binom", Some(Function::Binomial)),
    ("root", Some(Function::Root)),
    ("sqrt", None),
    ("cbrt", None),
    ("log", None),
    ("ln", None),
    ("lg", None),
];

pub(super) fn function(name: &str) -> Option<&'static (&'static str, Option<Function>)> {
    FUNCTIONS.iter().find(|(known, _)| *known == name)
}

/// Short words and units that are no products of their letters.
const WORDS: &[&str] = &[
    "to", "or", "and", "of", "is", "at", "by", "no", "on", "if", "in", "per", "the", "for", "all",
    "any", "yes", "not", "cm", "mm", "km", "dm", "kg", "mg", "lb", "oz", "ft", "yd", "mi", "mph",
    "hr", "min", "sec", "am", "pm", "usd", "mod", "gcd", "lcm", "max", "inf", "mol", "atm", "deg",
    "rad",
];

fn apply(
    name: &str,
    base: Option<Expression>,
    power: Option<Expression>,
    mut arguments: Vec<Expression>,
) -> Option<Expression> {
    let second = (arguments.len() == 2).then(|| arguments.pop()).flatten();
    let first = (arguments.len() == 1).then(|| arguments.pop()).flatten()?;
    let call = |function, arguments| Some(Expression::Call(function, arguments));
    let value = match (name, second) {
        ("Fraction" | "Rational", Some(bottom)) => {
            Some(Expression::Quotient(Box::new(first), Box::new(bottom)))
        }
        ("Fraction" | "Rational", None) => Some(first),
        ("sqrt", None) => call(Function::Root, vec![Expression::whole(2), first]),
        ("cbrt", None) => call(Function::Root, vec![Expression::whole(3), first]),
        // Python's order is the number, then the base.
        ("log", Some(of_base)) => call(Function::Logarithm, vec![of_base, first]),
        ("lg", None) => call(Function::Logarithm, vec![Expression::whole(10), first]),
        ("log" | "ln", None) => call(
            Function::Logarithm,
            base.into_iter().chain([first]).collect(),
        ),
        (name, second) => {
            let known = function(name)?.1?;
            let two = matches!(known, Function::Root | Function::Binomial);
            if two != second.is_some() {
                return None;
            }
            let inverse = match known {
                Function::Sine => Some(Function::ArcSine),
                Function::Cosine => Some(Function::ArcCosine),
                Function::Tangent => Some(Function::ArcTangent),
                _ => None,
            };
            // "sin^-1" is the inverse, not a power.
            let minus_one = negative(Expression::whole(1));
            if let Some(inverse) = inverse.filter(|_| power.as_ref() == Some(&minus_one)) {
                return call(inverse, vec![first]);
            }
            call(known, [first].into_iter().chain(second).collect())
        }
    }?;
    Some(match power {
        Some(power) => Expression::Power(Box::new(value), Box::new(power)),
        None => value,
    })
}

/// Letters side by side that are factors; more are a word.
const MOST_FACTORS: usize = 3;

/// Letters of a run that would be variables side by side.
fn factors(run: &str) -> usize {
    let mut rest = run;
    let mut count = 0;
    while let Some(letter) = rest.chars().next() {
        let known = FUNCTIONS.iter().find(|(name, _)| rest.starts_with(name));
        if known.is_some() {
            break;
        }
        rest = &rest[letter.len_utf8()..];
        count += 1;
    }
    count
}

impl Parser<'_> {
    /// A name without variables: the whole run of letters must be known.
    pub(super) fn constant(&mut self) -> Option<Expression> {
        let name = self.name();
        self.takes(name);
        match name {
            "pi" => Some(Expression::Constant(Constant::Pi)),
            "e" => Some(Expression::Constant(Constant::E)),
            _ => self.call(name),
        }
    }

    /// A function, a constant or a variable at the start of a run of letters.
    pub(super) fn letters(&mut self) -> Option<Expression> {
        self.pass_spaces();
        let rest = self.rest();
        let escaped = rest.strip_prefix('\\');
        let run = escaped.map_or_else(
            || self.name(),
            |after| {
                let end = after.find(|c: char| !c.is_ascii_alphabetic());
                &rest[..1 + end.unwrap_or(after.len())]
            },
        );
        if escaped.is_some() {
            if run.len() < 2 || run == "\\overline" {
                return None;
            }
            self.at += run.len();
            return Some(Expression::Variable(self.indexed(run)));
        }
        if let Some(name) = FUNCTIONS.iter().find(|(name, _)| run.starts_with(name)) {
            self.at += name.0.len();
            return self.call(name.0);
        }
        if let Some(name) = ["Fraction", "Rational"].iter().find(|it| run == **it) {
            self.at += name.len();
            return self.call(name);
        }
        if run.starts_with("pi") {
            self.at += 2;
            return Some(Expression::Constant(Constant::Pi));
        }
        let begins = !self.text[..self.at].ends_with(char::is_alphabetic);
        if begins && !self.any_letters && (WORDS.contains(&run) || factors(run) > MOST_FACTORS) {
            return None;
        }
        let letter = run.chars().next()?;
        self.at += letter.len_utf8();
        let follows = self.rest().starts_with(['_', '\'']);
        Some(match letter {
            'e' if !follows && !self.any_letters => Expression::Constant(Constant::E),
            'i' if !follows && !self.any_letters => Expression::Constant(Constant::I),
            _ => Expression::Variable(self.indexed(&letter.to_string())),
        })
    }

    /// A name with its index and primes.
    fn indexed(&mut self, name: &str) -> String {
        let mut name = name.to_string();
        loop {
            let rest = self.rest();
            if rest.starts_with('\'') {
                self.at += 1;
                name.push('\'');
            } else if let Some(after) = rest.strip_prefix('_') {
                let inside = after.strip_prefix('(').and_then(|it| it.split_once(')'));
                let digits = digits(after);
                let (index, length) = match inside {
                    Some((index, _)) => (index, index.len() + 2),
                    None if digits > 0 => (&after[..digits], digits),
                    None => {
                        let length = after.chars().next().map_or(0, char::len_utf8);
                        (&after[..length], length)
                    }
                };
                name.push('_');
                name.push_str(index.trim());
                self.at += 1 + length;
            } else {
                return name;
            }
        }
    }

    /// The base of a logarithm: digits, or what is in parentheses; "log_10 100" has no thousands.
    fn base(&mut self) -> Option<Expression> {
        let count = digits(self.rest());
        match self.rest()[..count].parse() {
            Ok(base) => {
                self.at += count;
                Some(Expression::whole(base))
            }
            Err(_) => self.atom(),
        }
    }

    /// What stands behind the name of a function, and its value.
    fn call(&mut self, name: &str) -> Option<Expression> {
        self.depth += 1;
        if self.depth > super::parse::DEEPEST {
            return None;
        }
        let base = match name == "log" && self.rest().starts_with('_') {
            true => {
                self.at += 1;
                Some(self.base()?)
            }
            false => None,
        };
        let power = match self.takes("^") {
            true => {
                let minus = self.takes("-");
                let exponent = self.atom()?;
                Some(if minus { negative(exponent) } else { exponent })
            }
            false => None,
        };
        let was_inside = std::mem::replace(&mut self.in_argument, true);
        let mut arguments = Vec::new();
        if self.takes("(") {
            let in_bars = std::mem::replace(&mut self.in_bars, false);
            arguments.push(self.sum()?);
            while self.takes(",") {
                arguments.push(self.sum()?);
            }
            if !self.takes(")") {
                return None;
            }
            self.in_bars = in_bars;
        } else if self.variables || name == "ln" || name == "log" {
            arguments.push(self.bare_argument()?);
        } else {
            return None;
        }
        self.in_argument = was_inside;
        self.depth -= 1;
        apply(name, base, power, arguments)
    }

    /// The argument of a function without parentheses: factors side by side, up to the next function.
    fn bare_argument(&mut self) -> Option<Expression> {
        let mut total = self.power()?;
        while let Some(factor) = self.try_to(|it| {
            let name = it.name();
            let another = FUNCTIONS.iter().any(|(known, _)| name.starts_with(known));
            (!another && !it.rest().trim_start().starts_with('('))
                .then(|| it.beside())
                .flatten()
        }) {
            total = product(total, factor);
        }
        Some(total)
    }
}
