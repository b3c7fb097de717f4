//! Any table, with its columns named.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value};
use ultrainteract::Task;

use super::row::{Reason, Row};
use ultrainteract::nearest::nearest;

use crate::problem::KEYS;
use crate::{Error, Result};

/// Which column of a table holds which key of a [`Problem`](crate::Problem).
///
/// Written as `instruction=question,answer=final`. A key may have several columns, with `+` between them:
/// `choices=A+B+C+D`. A cell for a list (`choices`, `tests`, `solutions`) may be a list in JSON. Rows without `id` get one from
/// their content, rows without `task` the one that is given for all.
///
/// ```
/// use ultrainteract_synth::sources::Columns;
/// assert!("instruction=question,answer=final".parse::<Columns>().is_ok());
/// let error = "instruction=question,anser=final".parse::<Columns>().unwrap_err().to_string();
/// assert!(error.contains("did you mean `answer`?"), "{error}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    columns: BTreeMap<&'static str, Vec<String>>,
}

/// Keys whose value is a list.
const LISTS: [&str; 3] = ["choices", "solutions", "tests"];

impl FromStr for Columns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fault = |problem: String| Error::import("columns", problem);
        let mut columns = BTreeMap::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (key, names) = part.split_once('=').ok_or_else(|| {
                fault(format!(
                    "`{part}` has no `=`; write KEY=COLUMN, as in instruction=question"
                ))
            })?;
            let key = key.trim();
            let known = KEYS.iter().find(|known| **known == key).ok_or_else(|| {
                let meant = match nearest(key, &KEYS) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("known are {}", KEYS.join(", ")),
                };
                fault(format!("a problem has no key `{key}`; {meant}"))
            })?;
            let names: Vec<String> = names.split('+').map(|it| it.trim().to_owned()).collect();
            if names.iter().any(String::is_empty) {
                return Err(fault(format!("`{part}` names no column after `=`")));
            }
            if names.len() > 1 && !LISTS.contains(known) {
                return Err(fault(format!(
                    "`{key}` is one value; `+` is for {}",
                    LISTS.join(", ")
                )));
            }
            if columns.insert(*known, names).is_some() {
                return Err(fault(format!("`{key}` is named twice; name it once")));
            }
        }
        if !columns.contains_key("instruction") {
            return Err(fault(
                "no column is named for `instruction`; write instruction=COLUMN".to_owned(),
            ));
        }
        Ok(Self { columns })
    }
}

impl Columns {
    /// Whether a column holds this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.columns.contains_key(key)
    }

    /// The column of the instruction, which every row has.
    pub(super) fn instruction(&self) -> &str {
        self.columns
            .get("instruction")
            .and_then(|names| names.first())
            .map_or("instruction", String::as_str)
    }

    /// A row as the fields of a problem. `task` and `dataset` are for rows that have none.
    pub(super) fn fields(
        &self,
        row: &Row,
        task: Option<Task>,
        dataset: &str,
    ) -> Result<Map<String, Value>, Reason> {
        let mut fields = Map::new();
        for (key, names) in &self.columns {
            let mut values = Vec::with_capacity(names.len());
            for name in names {
                let Some(value) = row.fields.get(name) else {
                    let there: Vec<&str> = row.fields.keys().map(String::as_str).collect();
                    let meant = match nearest(name, &there) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("there are {}", there.join(", ")),
                    };
                    return Err(format!("there is no column `{name}`; {meant}"));
                };
                values.push(value.clone());
            }
            if let Some(value) = of_cells(key, values) {
                fields.insert((*key).to_owned(), value);
            }
        }
        if let Some(task) = task {
            let missing = || Value::String(task.as_str().to_owned());
            fields.entry("task").or_insert_with(missing);
        }
        let missing = || Value::String(dataset.to_owned());
        fields.entry("dataset").or_insert_with(missing);
        Ok(fields)
    }
}

/// The value of a key, from its cells. Empty cells of a table are no values.
fn of_cells(key: &str, mut values: Vec<Value>) -> Option<Value> {
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    };
    values.retain(is_set);
    let is_list = LISTS.contains(&key);
    let one = match values.len() {
        0 => return None,
        1 => values.remove(0),
        _ => return Some(Value::Array(values)),
    };
    match one {
        Value::String(text) if is_list || key == "asserts" => {
            let trimmed = text.trim_start();
            if trimmed.starts_with('[')
                && let Ok(list @ Value::Array(_)) = serde_json::from_str(trimmed)
            {
                return Some(list);
            }
            match key {
                "solutions" => Some(Value::Array(vec![Value::String(text)])),
                _ => Some(Value::String(text)),
            }
        }
        Value::String(text) if key == "unjudged" => match text.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" => Some(Value::Bool(true)),
            "false" | "0" | "no" => None,
            _ => Some(Value::String(text)),
        },
        one => Some(one),
    }
}
