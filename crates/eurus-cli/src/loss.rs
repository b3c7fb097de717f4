//! Losses of the library by name, or with their settings.

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::usage::UsageError;

/// A loss as JSON, given directly or as a file; `names` are those it may have.
pub fn described_loss<L: DeserializeOwned>(given: &str, names: &[&str]) -> Result<L> {
    let name = given.replace('-', "_");
    let text = match given.trim_start().starts_with('{') {
        true => given.to_owned(),
        false if names.contains(&name.as_str()) => format!(r#"{{"type": "{name}"}}"#),
        false => std::fs::read_to_string(given).with_context(|| {
            format!(
                "{given}: --loss is neither a name ({}), nor JSON, nor a file that can be read",
                names.join(", ")
            )
        })?,
    };
    serde_json::from_str(&text).map_err(|error| {
        let names = names.join(", ");
        UsageError::new(format!("--loss: {error}; `type` is one of {names}")).into()
    })
}
