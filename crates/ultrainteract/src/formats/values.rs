//! Single values that files spell in several ways.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::Task;

/// Whether a value says anything.
pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        // Tables fill up what other rows have with nulls.
        Value::Array(items) => items.iter().any(is_set),
        Value::Object(fields) => fields.values().any(is_set),
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

/// A verdict: true or false, 1 or 0, or a word for one of them.
pub(super) fn verdict<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let verdict = match &value {
        Value::Null => return Ok(None),
        Value::Bool(verdict) => Some(*verdict),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "chosen" | "desirable" | "good" => Some(true),
            "false" | "0" | "no" | "rejected" | "undesirable" | "bad" => Some(false),
            _ => None,
        },
        _ => None,
    };
    verdict.map(Some).ok_or_else(|| {
        de::Error::custom(format!(
            "{value} is no verdict; expected a boolean, 1 or 0, or a word such as `chosen` or `rejected`"
        ))
    })
}

/// A number, also one in a string.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_nan() => Ok(None),
            Ok(number) if number.is_infinite() => {
                Err(de::Error::custom(format!("{text} is not finite")))
            }
            Ok(number) => Ok(Some(number)),
            Err(_)
                if ["", "n/a", "na", "none"]
                    .contains(&text.trim().to_ascii_lowercase().as_str()) =>
            {
                Ok(None)
            }
            Err(_) => Err(de::Error::custom(format!("{text:?} is no number"))),
        },
        other => Err(de::Error::custom(format!("{other} is no number"))),
    }
}

/// The name of a data set; in some files the field has another type and means another thing.
pub(super) fn data_set<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(name) => Some(name),
        _ => None,
    })
}

/// A name that some files spell as a number.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Name;
    impl<'de> Visitor<'de> for Name {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a whole number")
        }

        fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
            Ok(Some(name.to_string()))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Name)
}

/// A task if it is one of ours; in other data sets the field means other things.
pub(super) fn known_task<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Task>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|name| name.parse().ok()))
}
