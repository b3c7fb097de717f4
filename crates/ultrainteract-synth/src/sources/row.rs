//! A row of a published data set, and what is made of it.

use serde_json::{Map, Value};
use ultrainteract::input::Location;

use crate::problem::Gold;

/// A row as it is published.
#[derive(Debug)]
pub(super) struct Row {
    pub fields: Map<String, Value>,
    pub location: Location,
    /// Its key, where the file is an object of rows.
    pub key: Option<String>,
}

/// A problem without what the import gives it: id, task and dataset.
#[derive(Debug)]
pub(super) struct Draft {
    /// The source's own id, if it has one.
    pub id: Option<String>,
    pub instruction: String,
    pub gold: Gold,
    pub solutions: Vec<String>,
}

/// Why a row is left out.
pub(super) type Reason = String;

impl Row {
    /// A field that is there.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A text that may be missing or empty.
    pub fn optional(&self, name: &str) -> Result<Option<&str>, Reason> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|it| !it.trim().is_empty())),
            Some(_) => Err(format!("field `{name}` is no string")),
        }
    }

    /// A text that must be there.
    pub fn text(&self, name: &str) -> Result<&str, Reason> {
        self.optional(name)?
            .ok_or_else(|| format!("field `{name}` is missing or empty"))
    }

    /// The first of these texts that is there: data sets are published under several names.
    pub fn text_of(&self, names: &[&str]) -> Result<&str, Reason> {
        for name in names {
            if let Some(text) = self.optional(name)? {
                return Ok(text);
            }
        }
        Err(format!(
            "field `{}` is missing or empty",
            names.join("` or `")
        ))
    }

    /// A text or a number as text.
    pub fn shown(&self, name: &str) -> Result<String, Reason> {
        match self.value(name) {
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            None | Some(Value::String(_)) => Err(format!("field `{name}` is missing or empty")),
            Some(_) => Err(format!("field `{name}` is neither a string nor a number")),
        }
    }

    /// A list of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, Reason> {
        let Some(Value::Array(items)) = self.value(name) else {
            return Err(format!("field `{name}` is no list"));
        };
        items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                _ => Err(format!("field `{name}` has an entry that is no string")),
            })
            .collect()
    }
}

/// A list of choices below a question, with letters.
pub(super) fn with_choices(question: &str, choices: &[String]) -> String {
    let mut text = question.trim().to_owned();
    for (index, choice) in choices.iter().enumerate() {
        let letter = crate::problem::letter(index).unwrap_or('?');
        text += &format!("\n({letter}) {}", choice.trim());
    }
    text
}

/// A solution that ends with its answer, so that it is recognised as one.
pub(super) fn ending_with(rationale: &str, answer: &str) -> Vec<String> {
    match rationale.trim() {
        "" => Vec::new(),
        rationale => vec![format!("{rationale}\nAnswer:\n\\boxed{{{answer}}}")],
    }
}
