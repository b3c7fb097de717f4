//! Arithmetic without variables: how numbers are written, and what they are.

use super::number::Number;

/// Stands before the digits of a decimal that repeat without end.
pub(super) const REPEATING: char = '¯';

/// The number at the start of a text, as far as it is one, and what follows it.
///
/// Read are decimals with commas or spaces between thousands, fractions, mixed numbers, sums, products, powers, roots,
/// factorials, `pi`, `e` and `Fraction(1, 2)`. Digits with hyphens alone (`3-5`) may be a range, a score or a date and are
/// no number; neither are chains of slashes.
pub(super) fn number_prefix(text: &str) -> Option<(Number, &str)> {
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        differences: 0,
        composed: false,
    };
    let value = parser.sum()?;
    (parser.differences == 0 || parser.composed).then(|| (value, &text[parser.at..]))
}

const DEEPEST: usize = 32;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Numbers taken from others.
    differences: usize,
    /// Whether there is more than digits and hyphens.
    composed: bool,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes over a sign, and spaces before it; not if it is the beginning of a longer one.
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
        let found = read(self);
        if found.is_none() {
            (self.at, self.depth) = (at, depth);
            (self.differences, self.composed) = (differences, composed);
        }
        found
    }

    fn sum(&mut self) -> Option<Number> {
        if self.depth > DEEPEST {
            return None;
        }
        self.depth += 1;
        let mut total = self.product()?;
        loop {
            let next = self.try_to(|it| {
                if it.takes("+") {
                    it.composed = true;
                    return it.product();
                }
                if it.takes("-") {
                    it.differences += 1;
                    return it.product().map(Number::negated);
                }
                None
            });
            match next {
                Some(next) => total = total.plus(&next)?,
                None => break,
            }
        }
        self.depth -= 1;
        Some(total)
    }

    fn product(&mut self) -> Option<Number> {
        let mut total = self.signed()?;
        let mut quotients = 0;
        loop {
            if let Some(factor) = self.try_to(Self::factor) {
                self.composed = true;
                total = total.times(&factor)?;
            } else if let Some(divisor) = self.try_to(|it| match it.takes("/") {
                true => it.signed(),
                false => None,
            }) {
                quotients += 1;
                total = total.over(&divisor)?;
            } else {
                break;
            }
        }
        // "1/2/3" is a date.
        (quotients < 2).then_some(total)
    }

    /// What a product goes on with, with or without a sign.
    fn factor(&mut self) -> Option<Number> {
        if self.takes("*") {
            return self.signed();
        }
        let rest = self.rest();
        if rest.starts_with('(') {
            return self.power();
        }
        // "1.5 x 10^3"
        let trimmed = rest.trim_start();
        if let Some(after) = trimmed.strip_prefix(['x', 'X'])
            && after.trim_start().starts_with("10")
            && after.trim_start()[2..].starts_with(['^', '*'])
        {
            self.at += rest.len() - trimmed.len() + 1;
            return self.power();
        }
        let named = ["pi", "sqrt", "root", "cbrt", "ln"];
        let name = self.name();
        named.contains(&name).then(|| self.power()).flatten()
    }

    fn signed(&mut self) -> Option<Number> {
        if self.takes("-") {
            return self.signed_power().map(Number::negated);
        }
        self.takes("+");
        self.signed_power()
    }

    fn signed_power(&mut self) -> Option<Number> {
        match self.rest().trim_start().starts_with(['-', '+']) {
            true => None,
            false => self.power(),
        }
    }

    fn power(&mut self) -> Option<Number> {
        let mut base = self.atom()?;
        while self.rest().starts_with('!') && !self.rest().starts_with("!=") {
            self.at += 1;
            self.composed = true;
            base = base.factorial()?;
        }
        if self.takes("^") {
            self.composed = true;
            let negative = self.takes("-");
            let exponent = self.atom()?;
            return base.to_the(&match negative {
                true => exponent.negated(),
                false => exponent,
            });
        }
        Some(base)
    }

    /// The letters at the place, after spaces.
    fn name(&self) -> &'a str {
        let rest = self.rest().trim_start();
        let end = rest.find(|c: char| !c.is_alphabetic());
        &rest[..end.unwrap_or(rest.len())]
    }

    fn atom(&mut self) -> Option<Number> {
        if self.takes("(") {
            self.composed = true;
            let inside = self.sum()?;
            return self.takes(")").then_some(inside);
        }
        let name = self.name();
        if name.is_empty() {
            self.takes("");
            return self.mixed();
        }
        let number = match name {
            "pi" => Some(Number::irrational(std::f64::consts::PI)),
            "e" => Some(Number::irrational(std::f64::consts::E)),
            _ => None,
        };
        self.takes(name);
        self.composed = true;
        if number.is_some() {
            return number;
        }
        if !self.takes("(") {
            return None;
        }
        let first = self.sum()?;
        let second = match self.takes(",") {
            true => Some(self.sum()?),
            false => None,
        };
        if !self.takes(")") {
            return None;
        }
        match (name, second) {
            ("sqrt", None) => first.root(2),
            ("cbrt", None) => first.root(3),
            ("ln", None) => first.logarithm(),
            ("root", Some(of)) => of.root(first.small()?),
            ("Fraction" | "Rational", Some(bottom)) => first.over(&bottom),
            ("binom", Some(bottom)) => first.choose(&bottom),
            _ => None,
        }
    }

    /// A decimal, or a whole number with a fraction behind it: "1 1/2".
    fn mixed(&mut self) -> Option<Number> {
        let (whole, is_whole) = self.decimal()?;
        if !is_whole {
            return Some(whole);
        }
        let fraction = self.try_to(|it| {
            let rest = it.rest();
            if !rest.starts_with(' ') {
                return None;
            }
            it.takes("");
            let (top, _) = it.digits_alone()?;
            let over = it.takes("/");
            let (bottom, _) = over.then(|| it.digits_alone()).flatten()?;
            top.over(&bottom)
        });
        match fraction {
            Some(fraction) => whole.plus(&fraction),
            None => Some(whole),
        }
    }

    fn digits_alone(&mut self) -> Option<(Number, bool)> {
        self.takes("");
        let count = digits(self.rest());
        let number = Number::parse(&self.rest()[..count])?;
        self.at += count;
        Some((number, true))
    }

    /// Digits with commas or spaces between thousands, a fraction and an exponent, and whether these are digits alone.
    fn decimal(&mut self) -> Option<(Number, bool)> {
        self.takes("");
        let text = self.rest();
        let mut end = digits(text);
        let mut literal = text[..end].to_string();
        if (1..=3).contains(&end) {
            for separator in [',', ' '] {
                while text[end..].starts_with(separator) && digits(&text[end + 1..]) == 3 {
                    literal.push_str(&text[end + 1..end + 4]);
                    end += 4;
                }
                if literal.len() > 3 {
                    break;
                }
            }
        }
        let whole = literal.len();
        let mut repeating = "";
        if text[end..].starts_with('.') {
            let places = digits(&text[end + 1..]);
            literal.push_str(&text[end..end + 1 + places]);
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
                literal.push_str(&text[end..end + 1 + sign + places]);
                end += 1 + sign + places;
            }
        }
        let number = match repeating {
            "" => Number::parse(&literal)?,
            digits => Number::repeating(&literal, digits)?,
        };
        self.at += end;
        Some((number, literal.len() == whole))
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_exact_where_it_can_be() {
        for (text, is) in [
            ("1 1/2", "1.5"),
            ("2^10", "1024"),
            ("5!", "120"),
            ("1.5 x 10^3", "1500"),
            ("1.5*10^-3", "0.0015"),
            ("Fraction(1, 2)", "0.5"),
            ("((2)/(4))", "0.5"),
            ("binom(5,2)", "10"),
            ("sqrt(16)", "4"),
            ("0.¯3", "1/3"),
            ("10 000", "10000"),
            ("2(3 + 4)", "14"),
        ] {
            let (number, rest) = number_prefix(text).expect(text);
            assert_eq!(rest, "", "{text}");
            let (is, _) = number_prefix(is).expect(is);
            assert_eq!(number.exact(), is.exact(), "{text}");
            assert!(number.exact().is_some(), "{text}");
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
            assert_eq!(number_prefix(text).expect(text).1, rest, "{text}");
        }
        for text in [
            "3-5",
            "1/2/3",
            "2026-11-29",
            "",
            "(",
            "x",
            "1/0",
            "1e99999999999",
        ] {
            assert!(number_prefix(text).is_none(), "{text}");
        }
    }
}
