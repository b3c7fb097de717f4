//! The settings of a run, and where those of another run differ.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// What a run's trees depend on, as a JSON object: hashes of prompts, actors, endpoints, seed, rule.
///
/// It is stored as it is given and shown in messages: no secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings(Value);

impl Settings {
    /// The settings as JSON.
    ///
    /// # Errors
    ///
    /// `Config` for what is no JSON object.
    pub fn new(settings: &impl Serialize) -> Result<Self> {
        match serde_json::to_value(settings) {
            Ok(value @ Value::Object(_)) => Ok(Self(value)),
            Ok(other) => Error::config(
                "settings",
                format!("{other} is no object; give names to the values"),
            ),
            Err(error) => Error::config(
                "settings",
                format!("they can't be written as JSON ({error})"),
            ),
        }
    }

    /// The object.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The first key, in alphabetical order, in which `other` differs.
    pub(super) fn difference(&self, other: &Self) -> Option<Difference> {
        difference(String::new(), Some(&self.0), Some(&other.0))
    }
}

/// A place in a JSON document, and what two documents have there.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    /// A JSON pointer (RFC 6901).
    pub pointer: String,
    pub stored: String,
    pub given: String,
}

fn difference(
    pointer: String,
    stored: Option<&Value>,
    given: Option<&Value>,
) -> Option<Difference> {
    match (stored, given) {
        (Some(Value::Object(stored)), Some(Value::Object(given))) => {
            keys(stored, given).into_iter().find_map(|key| {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                difference(
                    format!("{pointer}/{escaped}"),
                    stored.get(key),
                    given.get(key),
                )
            })
        }
        (Some(Value::Array(stored)), Some(Value::Array(given))) => {
            (0..stored.len().max(given.len())).find_map(|index| {
                difference(
                    format!("{pointer}/{index}"),
                    stored.get(index),
                    given.get(index),
                )
            })
        }
        (stored, given) if stored == given => None,
        (stored, given) => Some(Difference {
            pointer,
            stored: shown(stored),
            given: shown(given),
        }),
    }
}

fn keys<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(one: Value, other: Value) -> Option<(String, String, String)> {
        let difference = Settings(one).difference(&Settings(other))?;
        Some((difference.pointer, difference.stored, difference.given))
    }

    #[test]
    fn the_first_key_that_differs_is_named_with_both_values() {
        let found = of(
            json!({"b": 1, "a": {"x/y~": [1, 2]}, "c": 1}),
            json!({"c": 2, "a": {"x/y~": [1, 3]}, "b": 1}),
        );
        assert_eq!(found, Some(("/a/x~1y~0/1".into(), "2".into(), "3".into())));
        let found = of(json!({"a": []}), json!({"a": [null]}));
        assert_eq!(
            found,
            Some(("/a/0".into(), "nothing".into(), "null".into()))
        );
        let found = of(json!({"a": {}}), json!({}));
        assert_eq!(found, Some(("/a".into(), "{}".into(), "nothing".into())));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u8>().prop_map(Value::from),
            "[a/~]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a/~]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_pointer_leads_to_the_values_and_there_is_one_exactly_if_they_differ(one in value(), other in value()) {
            let (one, other) = (json!({"k": one}), json!({"k": other}));
            match of(one.clone(), other.clone()) {
                None => prop_assert_eq!(one, other),
                Some((pointer, stored, given)) => {
                    prop_assert_eq!(shown(one.pointer(&pointer)), stored);
                    prop_assert_eq!(shown(other.pointer(&pointer)), given);
                    prop_assert_ne!(one, other);
                }
            }
        }
    }
}
