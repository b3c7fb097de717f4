//! What the schema says of a key.

use std::sync::LazyLock;

use serde_json::Value as Json;
use ultrainteract::nearest::nearest;

use crate::RecipeFile;

/// The kind of value that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Integer,
    Number,
    Text,
    List,
}

static SCHEMA: LazyLock<Json> = LazyLock::new(RecipeFile::schema);

/// What stands for a schema: what it refers to, and of `null` or another the other.
fn resolved(mut schema: &Json) -> &Json {
    loop {
        let next = match (schema["$ref"].as_str(), schema["anyOf"].as_array()) {
            (Some(place), _) => SCHEMA.pointer(place.trim_start_matches('#')),
            (None, Some(any)) => any.iter().find(|it| it["type"] != "null"),
            (None, None) => None,
        };
        match next {
            Some(next) => schema = next,
            None => return schema,
        }
    }
}

/// The kind of the value with this key.
pub(crate) fn kind_of(key: &str) -> Result<Kind, String> {
    let mut schema = &*SCHEMA;
    let mut passed = String::new();
    for name in key.split('.') {
        let properties = schema["properties"].as_object();
        let further = &schema["additionalProperties"];
        schema = match properties.and_then(|it| it.get(name)) {
            Some(property) => resolved(property),
            None if further.is_object() && !name.is_empty() => resolved(further),
            None => {
                let known: Vec<&str> = properties
                    .into_iter()
                    .flat_map(|it| it.keys().map(String::as_str))
                    .collect();
                return Err(unknown(key, &passed, name, &known));
            }
        };
        if !passed.is_empty() {
            passed.push('.');
        }
        passed.push_str(name);
    }
    kind(schema).ok_or_else(|| format!("`{key}` is a table; give the key of one value in it"))
}

fn unknown(key: &str, passed: &str, name: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("there is no key `{key}`: `{passed}` is a value, not a table");
    }
    let meant = match nearest(name, known) {
        Some(near) if passed.is_empty() => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{passed}.{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    format!("there is no key `{key}`; {meant}")
}

fn kind(schema: &Json) -> Option<Kind> {
    // A choice is a list of constants, each with its description.
    if schema["oneOf"].is_array() || schema["enum"].is_array() {
        return Some(Kind::Text);
    }
    let types = match &schema["type"] {
        Json::Array(types) => types.iter().find(|it| *it != "null")?.as_str()?,
        one => one.as_str()?,
    };
    match types {
        "boolean" => Some(Kind::Flag),
        "integer" => Some(Kind::Integer),
        "number" => Some(Kind::Number),
        "string" => Some(Kind::Text),
        "array" => Some(Kind::List),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_kind_of_its_option() {
        assert_eq!(kind_of("sft.learning_rate"), Ok(Kind::Number));
        assert_eq!(kind_of("preference.algorithm"), Ok(Kind::Text));
        assert_eq!(kind_of("reward.rank_only"), Ok(Kind::List));
        assert_eq!(kind_of("data.sft.sources.mine.take"), Ok(Kind::Text));
        assert_eq!(kind_of("eval.reward_benches.rewardbench"), Ok(Kind::Text));
        assert_eq!(kind_of("sft.drop_unusable"), Ok(Kind::Flag));
        assert_eq!(kind_of("version"), Ok(Kind::Integer));
    }

    #[test]
    fn the_nearest_key_is_named_where_there_is_none() {
        let problem = kind_of("sft.learning_rat").unwrap_err();
        assert!(
            problem.contains("did you mean `sft.learning_rate`?"),
            "{problem}"
        );
        assert!(kind_of("sft").unwrap_err().contains("is a table"));
        assert!(kind_of("sft.seed.x").unwrap_err().contains("is a value"));
        assert!(kind_of("").is_err());
    }
}
