//! The grammar of expressions, whose values are computed as they are read.

use super::Value;
use super::arithmetic::{binary, compares, unary};
use super::functions::{call, constant, set};
use super::tokens::Token;

/// Parentheses inside each other that are followed.
const DEEPEST: usize = 64;

/// Operators of two sides from the loosest to the tightest, those of a line alike.
const LEVELS: [&[&str]; 6] = [
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "//", "/", "%"],
];

/// Names that are part of the language.
const WORDS: [&str; 8] = ["and", "or", "not", "in", "is", "if", "else", "lambda"];

/// What is left of an expression.
pub(super) struct Parser<'a> {
    rest: &'a [Token],
    has_math: bool,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub fn new(tokens: &'a [Token], has_math: bool) -> Self {
        Self {
            rest: tokens,
            has_math,
            depth: 0,
        }
    }

    /// The value of all that is there: several expressions with commas are a tuple.
    pub fn whole(mut self) -> Option<Value> {
        let value = self.tuple_until("")?;
        self.rest.is_empty().then_some(value)
    }

    /// Expressions until a sign, or the end: one is itself, several are a tuple.
    fn tuple_until(&mut self, end: &str) -> Option<Value> {
        let first = self.expression()?;
        if !self.takes(",") {
            return Some(first);
        }
        let mut items = vec![first];
        items.extend(self.items_until(end)?);
        Some(Value::Tuple(items))
    }

    /// Expressions with commas between them; one may stand behind the last.
    fn items_until(&mut self, end: &str) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        while !self.rest.is_empty() && self.sign() != Some(end) {
            items.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        Some(items)
    }

    fn expression(&mut self) -> Option<Value> {
        self.depth += 1;
        let value = match self.depth <= DEEPEST {
            true => self.conditional(),
            false => None,
        };
        self.depth -= 1;
        value
    }

    fn conditional(&mut self) -> Option<Value> {
        // A function without parameters is called, so its body is what counts.
        if self.takes_word("lambda") {
            return self.takes(":").then(|| self.expression())?;
        }
        let value = self.either()?;
        if !self.takes_word("if") {
            return Some(value);
        }
        let is_so = self.either()?.is_true();
        let other = self.takes_word("else").then(|| self.expression())??;
        Some(if is_so { value } else { other })
    }

    fn either(&mut self) -> Option<Value> {
        let mut value = self.both()?;
        while self.takes_word("or") {
            let other = self.both()?;
            value = if value.is_true() { value } else { other };
        }
        Some(value)
    }

    fn both(&mut self) -> Option<Value> {
        let mut value = self.negated()?;
        while self.takes_word("and") {
            let other = self.negated()?;
            value = if value.is_true() { other } else { value };
        }
        Some(value)
    }

    fn negated(&mut self) -> Option<Value> {
        let mut is_negated = None;
        while self.takes_word("not") {
            is_negated = Some(!is_negated.unwrap_or(false));
        }
        let value = self.comparison()?;
        Some(match is_negated {
            Some(negated) => Value::Bool(value.is_true() != negated),
            None => value,
        })
    }

    /// `a < b <= c` is true where each pair is.
    fn comparison(&mut self) -> Option<Value> {
        let mut left = self.level(0)?;
        let mut holds = None;
        while let Some(operator) = self.comparing() {
            let right = self.level(0)?;
            let pair = compares(operator, &left, &right)?;
            holds = Some(holds.unwrap_or(true) && pair);
            left = right;
        }
        Some(holds.map_or(left, Value::Bool))
    }

    fn comparing(&mut self) -> Option<&'static str> {
        let signs = ["==", "!=", "<=", ">=", "<", ">"];
        if let Some(sign) = signs.into_iter().find(|sign| self.takes(sign)) {
            return Some(sign);
        }
        let words = [
            ("not in", &["not", "in"][..]),
            ("in", &["in"]),
            ("is not", &["is", "not"]),
            ("is", &["is"]),
        ];
        words.into_iter().find_map(|(operator, words)| {
            let mut all = words.iter().zip(self.rest);
            let is_here = self.rest.len() >= words.len()
                && all.all(|(word, token)| matches!(token, Token::Name(name) if name == word));
            is_here.then(|| {
                self.rest = &self.rest[words.len()..];
                operator
            })
        })
    }

    fn level(&mut self, level: usize) -> Option<Value> {
        let Some(signs) = LEVELS.get(level) else {
            return self.signed();
        };
        let mut value = self.level(level + 1)?;
        while let Some(sign) = signs.iter().find(|sign| self.takes(sign)) {
            value = binary(sign, &value, &self.level(level + 1)?)?;
        }
        Some(value)
    }

    fn signed(&mut self) -> Option<Value> {
        let mut signs = Vec::new();
        while let Some(sign) = ["-", "+", "~"].into_iter().find(|sign| self.takes(sign)) {
            signs.push(sign);
        }
        let value = self.power()?;
        signs
            .iter()
            .rev()
            .try_fold(value, |value, sign| unary(sign, &value))
    }

    /// A power binds tighter than a sign before it, looser than one behind it.
    fn power(&mut self) -> Option<Value> {
        let base = self.atom()?;
        if !self.takes("**") {
            return Some(base);
        }
        self.depth += 1;
        let power = (self.depth <= DEEPEST).then(|| self.signed())??;
        self.depth -= 1;
        binary("**", &base, &power)
    }

    fn atom(&mut self) -> Option<Value> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        let mut value = match first {
            Token::Literal(value) => value.clone(),
            Token::Name(name) => return self.named(name),
            Token::Sign("(") => {
                let value = match self.sign() {
                    Some(")") => Value::Tuple(Vec::new()),
                    _ => self.tuple_until(")")?,
                };
                self.takes(")").then_some(value)?
            }
            Token::Sign("[") => {
                let items = self.items_until("]")?;
                self.takes("]").then_some(Value::List(items))?
            }
            Token::Sign("{") => self.braces()?,
            Token::Sign(_) => return None,
        };
        while self.takes("[") {
            let index = self.expression()?.as_int()?;
            let items = self.takes("]").then(|| value.items())??;
            let at = if index < 0 {
                index + items.len() as i128
            } else {
                index
            };
            value = items.get(usize::try_from(at).ok()?)?.clone();
        }
        Some(value)
    }

    fn braces(&mut self) -> Option<Value> {
        if self.takes("}") {
            return Some(Value::Dict);
        }
        let first = self.expression()?;
        if self.takes(":") {
            self.expression()?;
            while self.takes(",") && self.sign() != Some("}") {
                self.expression()?;
                self.takes(":").then(|| self.expression())??;
            }
            return self.takes("}").then_some(Value::Dict);
        }
        let mut items = vec![first];
        if self.takes(",") {
            items.extend(self.items_until("}")?);
        }
        let is_hashable = |it: &Value| !matches!(it, Value::List(_) | Value::Set(_) | Value::Dict);
        let closed = self.takes("}") && items.iter().all(is_hashable);
        closed.then(|| set(items))
    }

    /// A constant or a call of a function, of a module or not.
    fn named(&mut self, name: &str) -> Option<Value> {
        if WORDS.contains(&name) {
            return None;
        }
        let mut path = name.to_owned();
        while self.takes(".") {
            let (Token::Name(part), rest) = self.rest.split_first()? else {
                return None;
            };
            self.rest = rest;
            path = format!("{path}.{part}");
        }
        if path.starts_with("math.") && !self.has_math {
            return None;
        }
        if !self.takes("(") {
            return constant(&path);
        }
        let arguments = self.items_until(")")?;
        self.takes(")").then(|| call(&path, &arguments))?
    }

    fn sign(&self) -> Option<&'static str> {
        match self.rest.first() {
            Some(Token::Sign(sign)) => Some(sign),
            _ => None,
        }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_next = self.sign() == Some(sign);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.rest.first(), Some(Token::Name(name)) if name == word);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }
}
