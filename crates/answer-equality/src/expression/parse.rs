//! Plain mathematics to an expression: how numbers and terms are written.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::{Constant, Expression, Function};

/// Stands before the digits of a decimal that repeat without end.
pub(crate) const REPEATING: char = '¯';

/// How a number was written that is nothing but a literal, perhaps with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Digits from the first that is not zero.
    pub significant: usize,
    /// Digits behind the point, less the exponent, if the number is still the one that was written.
    pub decimals: Option<i64>,
    /// With a point or an exponent: perhaps rounded.
    pub rounded: bool,
}

/// The number at the start of a text, as far as it is one, and what follows it.
///
/// Read are decimals with commas or spaces between thousands, fractions, mixed numbers, sums, products, powers, roots,
/// functions of numbers, factorials, `pi`, `e` and `Fraction(1, 2)`. Digits with hyphens alone (`3-5`) may be a range, a
/// score or a date and are no number; neither are chains of slashes.
pub(crate) fn number_prefix(text: &str) -> Option<(Expression, Option<Written>, &str)> {
    let mut parser = Parser::new(text, false);
    let value = parser.sum()?;
    let is_one = parser.differences == 0 || parser.composed;
    is_one.then(|| (value, parser.written(), &text[parser.at..]))
}

/// The expression that a text is as a whole, with variables: single letters, perhaps with an index, and Greek ones.
///
/// Words are no products of letters: a text of letters alone is no expression, unless it is one letter or a
/// function of some.
pub(crate) fn whole(text: &str) -> Option<(Expression, Option<Written>)> {
    let text = text.trim();
    let one_name = text.chars().count() == 1 || text.starts_with('\\') || text == "pi";
    let applied = text
        .split_once(' ')
        .is_some_and(|(name, _)| function(name).is_some());
    if !one_name && !applied && text.chars().all(|c| c.is_alphabetic() || c.is_whitespace()) {
        return None;
    }
    let mut parser = Parser::new(text, true);
    let value = parser.sum()?;
    let ends = parser.rest().trim().is_empty();
    let is_one = parser.differences == 0 || parser.composed;
    (ends && is_one).then(|| (value, parser.written()))
}

/// What is read of a text by rules as loose as those of algebra systems: every letter is a variable, and what cannot be read
/// at the end is left. Also whether factors stand side by side in it.
pub(crate) fn leading(text: &str) -> Option<(Expression, bool, &str)> {
    let mut parser = Parser::new(text, true);
    parser.any_letters = true;
    let value = parser.sum()?;
    Some((value, parser.side_by_side, &text[parser.at..]))
}

const DEEPEST: usize = 32;

/// Terms that are tried before a text is given up.
const MOST_STEPS: usize = 20_000;

/// Digits before or behind the point.
const MOST_PLACES: u64 = 5_000;

/// Letters side by side that are factors; more are a word.
const MOST_FACTORS: usize = 3;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    steps: usize,
    /// Whether letters are variables.
    variables: bool,
    /// Whether words are products of their letters, and no letter is a constant.
    any_letters: bool,
    /// Whether factors stood beside each other without a sign.
    side_by_side: bool,
    /// Inside the bars of an absolute value, where the next one closes.
    in_bars: bool,
    /// Inside the argument of a function, where degrees are angles.
    in_argument: bool,
    /// Numbers taken from others.
    differences: usize,
    /// Whether there is more than digits and hyphens.
    composed: bool,
    /// The only literal so far, and how many there are.
    literal: Option<Written>,
    literals: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, variables: bool) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            steps: 0,
            variables,
            any_letters: false,
            side_by_side: false,
            in_bars: false,
            in_argument: false,
            differences: 0,
            composed: false,
            literal: None,
            literals: 0,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn written(&self) -> Option<Written> {
        let alone = self.literals == 1 && !self.composed;
        self.literal.filter(|_| alone)
    }

    /// Passes over a sign, and spaces before it.
    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        let found = trimmed.starts_with(sign);
        if found {
            self.at += rest.len() - trimmed.len() + sign.len();
        }
        found
    }

    /// Reads something whole or not at all.
    fn try_to<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let (at, depth) = (self.at, self.depth);
        let (differences, composed) = (self.differences, self.composed);
        let (literal, literals) = (self.literal, self.literals);
        let (in_bars, in_argument) = (self.in_bars, self.in_argument);
        let found = read(self);
        if found.is_none() {
            (self.at, self.depth) = (at, depth);
            (self.differences, self.composed) = (differences, composed);
            (self.literal, self.literals) = (literal, literals);
            (self.in_bars, self.in_argument) = (in_bars, in_argument);
        }
        found
    }

    fn sum(&mut self) -> Option<Expression> {
        self.steps += 1;
        if self.depth > DEEPEST || self.steps > MOST_STEPS {
            return None;
        }
        self.depth += 1;
        let mut terms = vec![self.product()?];
        while let Some(term) = self.try_to(|it| {
            if it.takes("+") {
                it.composed = true;
                return it.product();
            }
            if it.takes("-") {
                it.differences += 1;
                return it.product().map(negative);
            }
            None
        }) {
            terms.push(term);
        }
        self.depth -= 1;
        Some(match terms.len() {
            1 => terms.swap_remove(0),
            _ => Expression::Sum(terms),
        })
    }

    fn product(&mut self) -> Option<Expression> {
        let mut total = self.signed()?;
        let mut quotients = 0;
        loop {
            if let Some(factor) = self.try_to(Self::factor) {
                self.composed = true;
                total = product(total, factor);
            } else if let Some(divisor) = self.try_to(|it| match it.takes("/") {
                true => it.signed(),
                false => None,
            }) {
                quotients += 1;
                total = Expression::Quotient(Box::new(total), Box::new(divisor));
                self.literals += 1;
            } else {
                break;
            }
        }
        // "1/2/3" is a date.
        (quotients < 2 || self.variables && self.composed).then_some(total)
    }

    /// What a product goes on with, with or without a sign.
    fn factor(&mut self) -> Option<Expression> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if self.takes("*") {
            return self.signed();
        }
        let rest = self.rest();
        let trimmed = rest.trim_start();
        // "1.5 x 10^3"
        if let Some(after) = trimmed.strip_prefix(['x', 'X'])
            && after.trim_start().starts_with("10")
            && after.trim_start()[2..].starts_with(['^', '*'])
        {
            self.at += rest.len() - trimmed.len() + 1;
            return self.power();
        }
        let factor = self.beside()?;
        self.side_by_side = true;
        Some(factor)
    }

    /// A factor that stands beside another without a sign.
    fn beside(&mut self) -> Option<Expression> {
        let rest = self.rest();
        if rest.starts_with('(') || (self.variables && rest.trim_start().starts_with('(')) {
            return self.power();
        }
        if self.variables {
            let letter = rest.trim_start().starts_with(|c: char| {
                is_letter(c) || (self.any_letters && c.is_ascii_digit() && rest.starts_with(' '))
            });
            let bars = !self.in_bars && rest.trim_start().starts_with('|');
            // "x 2" is no product, but "x^2 3" may be.
            return (letter || bars).then(|| self.power())?;
        }
        let name = self.name();
        let known = function(name).is_some() || ["pi", "sqrt", "root", "cbrt"].contains(&name);
        known.then(|| self.power()).flatten()
    }

    fn signed(&mut self) -> Option<Expression> {
        if self.takes("-") {
            return self.signed_power().map(negative);
        }
        self.takes("+");
        self.signed_power()
    }

    fn signed_power(&mut self) -> Option<Expression> {
        match self.rest().trim_start().starts_with(['-', '+']) {
            true => None,
            false => self.power(),
        }
    }

    fn power(&mut self) -> Option<Expression> {
        self.steps += 1;
        if self.depth > DEEPEST || self.steps > MOST_STEPS {
            return None;
        }
        let mut base = self.atom()?;
        loop {
            if self.rest().starts_with('!') && !self.rest().starts_with("!=") {
                self.at += 1;
                self.composed = true;
                base = Expression::Call(Function::Factorial, vec![base]);
            } else if self.in_argument && self.takes("°") {
                let half_turn = Expression::Constant(Constant::Pi);
                let degree =
                    Expression::Quotient(Box::new(half_turn), Box::new(Expression::whole(180)));
                base = product(base, degree);
            } else {
                break;
            }
        }
        if self.takes("^") {
            self.composed = true;
            self.depth += 1;
            let minus = self.takes("-");
            let exponent = self.power()?;
            self.depth -= 1;
            let exponent = if minus { negative(exponent) } else { exponent };
            base = Expression::Power(Box::new(base), Box::new(exponent));
        }
        Some(base)
    }

    /// The letters at the place, after spaces.
    fn name(&self) -> &'a str {
        let rest = self.rest().trim_start();
        let end = rest.find(|c: char| !c.is_alphabetic());
        &rest[..end.unwrap_or(rest.len())]
    }

    fn atom(&mut self) -> Option<Expression> {
        if self.takes("(") {
            self.composed = true;
            let (in_bars, in_argument) = (self.in_bars, self.in_argument);
            self.in_bars = false;
            let inside = self.sum()?;
            self.in_bars = in_bars;
            self.in_argument = in_argument;
            return self.takes(")").then_some(inside);
        }
        if self.variables && self.takes("|") {
            self.composed = true;
            if std::mem::replace(&mut self.in_bars, true) {
                return None;
            }
            let inside = self.sum()?;
            self.in_bars = false;
            let closed = self.takes("|");
            return closed.then(|| Expression::Call(Function::Absolute, vec![inside]));
        }
        self.takes("");
        if !self.rest().trim_start().starts_with(is_letter) {
            return self.mixed();
        }
        self.composed = true;
        match self.variables {
            true => self.letters(),
            false => self.constant(),
        }
    }

    /// A name without variables: the whole run of letters must be known.
    fn constant(&mut self) -> Option<Expression> {
        let name = self.name();
        self.takes(name);
        match name {
            "pi" => Some(Expression::Constant(Constant::Pi)),
            "e" => Some(Expression::Constant(Constant::E)),
            _ => self.call(name),
        }
    }

    /// A function, a constant or a variable at the start of a run of letters.
    fn letters(&mut self) -> Option<Expression> {
        self.takes("");
        let rest = self.rest().trim_start();
        self.at += self.rest().len() - rest.len();
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

    /// What stands behind the name of a function, and its value.
    fn call(&mut self, name: &str) -> Option<Expression> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let base = match name == "log" && self.rest().starts_with('_') {
            true => {
                self.at += 1;
                Some(self.atom()?)
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

    /// A decimal, or a whole number with a fraction behind it: "1 1/2".
    fn mixed(&mut self) -> Option<Expression> {
        let (whole, is_whole) = self.decimal()?;
        if !is_whole || self.any_letters {
            return Some(whole);
        }
        let fraction = self.try_to(|it| {
            let rest = it.rest();
            if !rest.starts_with(' ') {
                return None;
            }
            it.takes("");
            let top = it.digits_alone()?;
            let over = it.takes("/");
            let bottom = over.then(|| it.digits_alone()).flatten()?;
            it.literals += 2;
            Some(Expression::Quotient(Box::new(top), Box::new(bottom)))
        });
        Some(match fraction {
            Some(fraction) => Expression::Sum(vec![whole, fraction]),
            None => whole,
        })
    }

    fn digits_alone(&mut self) -> Option<Expression> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let count = digits(self.rest());
        let (value, _) = literal(&self.rest()[..count])?;
        self.at += count;
        Some(Expression::Number(value))
    }

    /// Digits with commas or spaces between thousands, a fraction and an exponent, and whether these are digits alone.
    fn decimal(&mut self) -> Option<(Expression, bool)> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let text = self.rest();
        let mut end = digits(text);
        let mut spelled = text[..end].to_string();
        if (1..=3).contains(&end) {
            for separator in [',', ' '] {
                while text[end..].starts_with(separator)
                    && digits(&text[end + 1..]) == 3
                    // "1 285/1492" is a mixed number.
                    && !(separator == ' ' && text[end + 4..].starts_with('/'))
                {
                    spelled.push_str(&text[end + 1..end + 4]);
                    end += 4;
                }
                if spelled.len() > 3 {
                    break;
                }
            }
        }
        let whole = spelled.len();
        let mut repeating = "";
        if text[end..].starts_with('.') {
            let places = digits(&text[end + 1..]);
            spelled.push_str(&text[end..end + 1 + places]);
            end += 1 + places;
            if let Some(after) = text[end..].strip_prefix(REPEATING) {
                repeating = &after[..digits(after)];
                end += REPEATING.len_utf8() + repeating.len();
            }
        }
        if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(exponent.starts_with(['+', '-']));
            let places = digits(&exponent[sign..]);
            if places > 0 {
                spelled.push_str(&text[end..end + 1 + sign + places]);
                end += 1 + sign + places;
            }
        }
        let (mut value, written) = literal(&spelled)?;
        // The base of "101_2" is a question's; the digits alone are another number.
        if text[end..].starts_with('_') {
            return None;
        }
        self.literals += 1;
        self.literal = Some(written);
        if !repeating.is_empty() {
            value += repeated(&spelled, repeating)?;
            self.literal = None;
        }
        self.at += end;
        Some((Expression::Number(value), spelled.len() == whole))
    }
}

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

fn is_letter(c: char) -> bool {
    c.is_alphabetic() || c == '\\'
}

fn negative(expression: Expression) -> Expression {
    Expression::Negative(Box::new(expression))
}

fn product(a: Expression, b: Expression) -> Expression {
    match a {
        Expression::Product(mut parts) => {
            parts.push(b);
            Expression::Product(parts)
        }
        a => Expression::Product(vec![a, b]),
    }
}

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

fn function(name: &str) -> Option<&'static (&'static str, Option<Function>)> {
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

/// A decimal literal: digits, a point, an exponent.
fn literal(text: &str) -> Option<(RBig, Written)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (text, 0i64),
    };
    let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let power = exponent.checked_sub(i64::try_from(places.len()).ok()?)?;
    let all = whole.len() + places.len();
    if all == 0 || all as u64 > MOST_PLACES || power.unsigned_abs() > MOST_PLACES {
        return None;
    }
    let spelled = format!("{whole}{places}");
    let digits: UBig = spelled.parse().ok()?;
    let scale = ten_to_the(power.unsigned_abs());
    let value = match power < 0 {
        true => RBig::from_parts(digits.into(), scale),
        false => RBig::from(digits * scale),
    };
    let written = Written {
        significant: spelled.trim_start_matches('0').len(),
        decimals: Some(-power),
        rounded: text.len() > whole.len(),
    };
    Some((value, written))
}

/// What digits that repeat add to a decimal before them.
fn repeated(before: &str, digits: &str) -> Option<RBig> {
    let places = before.split_once('.')?.1.len();
    if (places + digits.len()) as u64 > MOST_PLACES {
        return None;
    }
    let nines = (ten_to_the(digits.len() as u64) - UBig::ONE) * ten_to_the(places as u64);
    let top: IBig = digits.parse().ok()?;
    Some(RBig::from_parts(top, nines))
}

fn ten_to_the(power: u64) -> UBig {
    UBig::from(10u8).pow(power as usize)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Value, value_at};

    fn value(expression: &Expression) -> Option<Value> {
        value_at(expression, &|_| None)
    }

    #[test]
    fn arithmetic_is_exact_where_it_can_be() {
        for (text, is) in [
            ("1 1/2", "1.5"),
            ("1 285/1492", "1777/1492"),
            ("2^10", "1024"),
            ("5!", "120"),
            ("1.5 x 10^3", "1500"),
            ("1.5*10^-3", "0.0015"),
            ("Fraction(1, 2)", "0.5"),
            ("((2)/(4))", "0.5"),
            ("binom(5,2)", "10"),
            ("sqrt(16)", "4"),
            ("root(3,-8)", "-2"),
            ("8^(2/3)", "4"),
            ("0.¯3", "1/3"),
            ("10 000", "10000"),
            ("2(3 + 4)", "14"),
            ("2 + -3", "-1"),
        ] {
            let (number, _, rest) = number_prefix(text).expect(text);
            assert_eq!(rest, "", "{text}");
            let (is, ..) = number_prefix(is).expect(is);
            let (number, is) = (value(&number).expect(text), value(&is).expect(text));
            assert!(number.as_exact().is_some(), "{text}");
            assert_eq!(number.as_exact(), is.as_exact(), "{text}");
        }
    }

    #[test]
    fn what_follows_a_number_is_left() {
        for (text, rest) in [
            ("3.5 m/s", " m/s"),
            ("5x", "x"),
            ("18 (eighteen)", " (eighteen)"),
            ("3,14", ",14"),
            ("2 3", " 3"),
            ("7 - apples", " - apples"),
        ] {
            assert_eq!(number_prefix(text).expect(text).2, rest, "{text}");
        }
        for text in [
            "3-5",
            "1/2/3",
            "2026-11-29",
            "",
            "(",
            "x",
            "101_2",
            "1e99999999999",
        ] {
            assert!(number_prefix(text).is_none(), "{text}");
        }
    }

    #[test]
    fn letters_are_variables_and_words_are_not() {
        for (text, variables) in [
            ("2xy", &["x", "y"][..]),
            ("x_1 + x_(12)", &["x_1", "x_12"]),
            ("sin^2 x + cos x", &["x"]),
            ("log_2 n", &["n"]),
            ("\\alpha r^2 pi", &["\\alpha", "r"]),
            ("|x - 1|", &["x"]),
            ("e^(i pi)", &[]),
        ] {
            let (expression, _) = whole(text).expect(text);
            assert_eq!(expression.variables(), variables, "{text}");
        }
        for text in [
            "no", "Paris", "5 to 7", "7 apples", "x +", "(x", "101_2", "",
        ] {
            assert!(whole(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_literal_tells_how_it_was_written() {
        let of = |text| number_prefix(text).expect(text).1;
        let written = of("-012.50").expect("a literal");
        assert_eq!((written.significant, written.decimals), (4, Some(2)));
        assert!(written.rounded);
        assert!(!of("12").expect("a literal").rounded);
        assert_eq!(of("1.5e3").expect("a literal").decimals, Some(-2));
        for composed in ["1/2", "2^3", "1 1/2", "2*3", "0.¯3"] {
            assert_eq!(of(composed), None, "{composed}");
        }
    }
}
