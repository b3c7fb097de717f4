//! Reads an object field by field, so that one bad field does not hide the others.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Error;

/// The fields of a record and what is wrong with those looked at.
pub(super) struct Fields<'a> {
    fields: &'a Map<String, Value>,
    pub found: Vec<Error>,
}

impl<'a> Fields<'a> {
    pub fn new(fields: &'a Map<String, Value>) -> Self {
        Self {
            fields,
            found: Vec::new(),
        }
    }

    /// A field that must be there.
    pub fn required<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        match self.fields.get(name) {
            Some(value) => self.decode(name, value),
            None => {
                self.found.push(Error::missing(name));
                None
            }
        }
    }

    /// A field that may be absent or null.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        match self.fields.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.decode(name, value),
        }
    }

    /// The items of a list; those that cannot be read are `None`.
    pub fn list<T: DeserializeOwned>(&mut self, name: &str) -> Option<Vec<Option<T>>> {
        let items = match self.fields.get(name) {
            Some(Value::Array(items)) => items,
            Some(value) => {
                self.decode::<Vec<Value>>(name, value);
                return None;
            }
            None => {
                self.found.push(Error::missing(name));
                return None;
            }
        };
        let decode = |(index, item)| self.decode(&format!("{name}[{index}]"), item);
        Some(items.iter().enumerate().map(decode).collect())
    }

    /// Reports fields that are not among those known.
    pub fn refuse_unknown(&mut self, known: &[&str]) {
        for name in self.fields.keys() {
            if !known.contains(&name.as_str()) {
                let message = format!("unknown field, expected one of {}", known.join(", "));
                self.found.push(Error::malformed(name, message));
            }
        }
    }

    fn decode<T: DeserializeOwned>(&mut self, name: &str, value: &Value) -> Option<T> {
        match serde_path_to_error::deserialize(value) {
            Ok(value) => Some(value),
            Err(error) => {
                let path = error.path().to_string();
                let inner = path.trim_matches(['.', '?']);
                let field = match inner.chars().next() {
                    None => name.to_string(),
                    Some('[') => format!("{name}{inner}"),
                    Some(_) => format!("{name}.{inner}"),
                };
                let message = error.into_inner().to_string();
                self.found.push(Error::malformed(field, message));
                None
            }
        }
    }
}
