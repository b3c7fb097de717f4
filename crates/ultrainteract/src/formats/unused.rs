//! Columns that say what a model is asked or how it is trained, and that no reader uses: refused by name.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::picked::Picked;
use super::values::is_set;
use crate::{Error, Result};

/// Of every format: tools, other media than text, weights, thoughts beside the answer.
const EVERYWHERE: [&str; 18] = [
    "tools",
    "functions",
    "tool_calls",
    "function_call",
    "image",
    "images",
    "video",
    "videos",
    "audio",
    "audios",
    "weight",
    "weights",
    "sample_weight",
    "loss_weight",
    "reasoning",
    "reasoning_content",
    "thinking",
    "thought",
];

/// What stands around a prompt, for formats whose rows have no place for it.
pub(super) const CONTEXT: [&str; 5] = ["system", "system_prompt", "history", "input", "context"];

/// Refuses a record that has one of these columns set, or one of `others`.
pub(super) fn refuse(record: &[u8], others: &[&str]) -> Result<()> {
    static QUOTED: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let names = EVERYWHERE.iter().chain(&CONTEXT);
        AhoCorasick::new(names.map(|name| format!("\"{name}\""))).ok()
    });
    // Nearly every record has none of the words in it.
    if QUOTED.as_ref().is_some_and(|names| !names.is_match(record)) {
        return Ok(());
    }
    let columns: Vec<&str> = EVERYWHERE.iter().chain(others).copied().collect();
    let Some(Picked(columns)) = Picked::<serde_json::Value>::from_record(record, &columns) else {
        return Ok(()); // its reader says what is wrong
    };
    for (name, value) in columns {
        let neutral = name.contains("weight") && value.as_f64() == Some(1.0);
        if is_set(&value) && !neutral {
            let problem = "is set, and would not be used; leave the column out, or put what it says into the messages";
            return Err(Error::malformed(name, problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_are_set_and_not_used_are_refused_by_name() {
        let said = |row: &str, others: &[&str]| {
            refuse(row.as_bytes(), others)
                .err()
                .map(|error| error.to_string())
        };
        for (row, name) in [
            (r#"{"prompt": "?", "tools": [{"name": "f"}]}"#, "tools"),
            (r#"{"weight": 0.5}"#, "weight"),
            (r#"{"reasoning": "since"}"#, "reasoning"),
            (r#"{"images": ["a.png"]}"#, "images"),
        ] {
            let said = said(row, &[]).expect(row);
            assert!(
                said.starts_with(&format!("field `{name}`: is set")),
                "{said}"
            );
        }
        assert!(said(r#"{"system": "Be brief."}"#, &CONTEXT).is_some());
        for row in [
            r#"{"tools": [], "weight": 1, "images": null, "reasoning": ""}"#,
            r#"{"system": "Be brief."}"#,
            r#"{"prompt": "the \"tools\" are set"}"#,
            r#"{"tools": [{"#,
        ] {
            assert_eq!(said(row, &[]), None, "{row}");
        }
    }
}
