//! The arguments of an instruction.

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::graders::Rules;

/// The arguments of an instruction, by name.
pub(super) struct Arguments<'a> {
    pub(super) instruction: &'a str,
    pub(super) values: &'a Map<String, Value>,
    pub(super) rules: Rules,
}

impl Arguments<'_> {
    /// A text.
    pub(super) fn text(&self, name: &'static str) -> Result<&str> {
        let text = self.values.get(name).and_then(Value::as_str);
        text.ok_or_else(|| self.refused(name, "a text"))
    }

    /// Several texts.
    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<&str>> {
        let refused = || self.refused(name, "a list of texts");
        let list = self.values.get(name).and_then(Value::as_array);
        let texts = list.ok_or_else(refused)?.iter().map(Value::as_str);
        texts.collect::<Option<_>>().ok_or_else(refused)
    }

    /// A number of things; published files also write it as a fraction, `3.0`.
    pub(super) fn count(&self, name: &'static str) -> Result<usize> {
        let value = self.values.get(name);
        let whole = |number: f64| {
            (number >= 0.0 && number.fract() == 0.0 && number < 2_f64.powi(53))
                .then_some(number as usize)
        };
        let count = value.and_then(Value::as_f64).and_then(whole);
        count.ok_or_else(|| self.refused(name, "a whole number from 0"))
    }

    /// Whether so many are as many as asked for: at least, or fewer than.
    pub(super) fn holds(
        &self,
        relation: &'static str,
        found: usize,
        count: &'static str,
    ) -> Result<bool> {
        let count = self.count(count)?;
        match self.text(relation)? {
            "at least" => Ok(found >= count),
            "less than" => Ok(found < count),
            _ => Err(self.refused(relation, "`at least` or `less than`")),
        }
    }

    pub(super) fn refused(&self, name: &'static str, expected: &'static str) -> Error {
        Error::InstructionArgument {
            instruction: self.instruction.to_owned(),
            argument: name,
            expected,
            actual: self.values.get(name).unwrap_or(&Value::Null).to_string(),
        }
    }
}
