//! A recipe as text.

use std::fmt::Write;

use toml::{Table, Value};

use crate::Recipe;

impl Recipe {
    /// The whole recipe as TOML: what it extends and what was overridden is in it, and where a value comes from stands behind it.
    /// Read again, it is a recipe of the same values.
    pub fn resolved(&self) -> String {
        let mut text = String::new();
        self.write_table(self.table(), "", &mut text);
        text
    }

    /// Values stand before tables, as TOML wants it.
    fn write_table(&self, table: &Table, prefix: &str, text: &mut String) {
        let is_table = |value: &Value| value.is_table();
        for (key, value) in table.iter().filter(|(_, value)| !is_table(value)) {
            let name = format!("{prefix}{key}");
            let source = self.source(&name).map(one_line).unwrap_or_default();
            let value = match value {
                // As papers write learning rates.
                Value::Float(number) if number.abs() < 1e-3 && *number != 0.0 => {
                    format!("{number:e}")
                }
                other => other.to_string(),
            };
            let _ = writeln!(text, "{key} = {value}{source}");
        }
        for (key, value) in table {
            if let Value::Table(inner) = value {
                let name = format!("{prefix}{key}");
                // Tables that hold tables alone need no line.
                if inner.is_empty() || inner.values().any(|value| !is_table(value)) {
                    let _ = writeln!(text, "\n[{name}]");
                }
                self.write_table(inner, &format!("{name}."), text);
            }
        }
    }
}

/// A source as a comment; TOML allows no control characters in one.
fn one_line(source: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    format!("  # {}", source.chars().map(plain).collect::<String>())
}
