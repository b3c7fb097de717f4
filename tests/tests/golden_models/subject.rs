//! A golden folder, read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use eurus_tests::tensors::{self, Stored};
use serde::de::DeserializeOwned;

use super::rows::{Row, rows};
use super::schema::{Case, Expected, Trees};

/// A checkpoint with everything that is expected of it.
pub struct Subject {
    pub folder: PathBuf,
    pub expected: Expected,
    /// `expected.safetensors`.
    pub stored: BTreeMap<String, Stored>,
    pub trees: Trees,
}

pub fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

impl Subject {
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.into(),
            expected: json(&folder.join("expected.json"))?,
            stored: tensors::read(&folder.join("expected.safetensors"))?,
            trees: json(&folder.join("trees.json"))?,
        })
    }

    pub fn title(&self) -> String {
        let expected = &self.expected;
        let head = if expected.reward_model {
            " reward model"
        } else {
            ""
        };
        let (name, kind, dtype) = (&expected.name, &expected.kind, &expected.checkpoint_dtype);
        format!("{name} ({kind}{head}, {dtype} file)")
    }

    /// The rows of the case that a gradient or a training run names.
    pub fn rows_of(&self, case: &str) -> Result<Vec<Row>> {
        let found = self.expected.cases.iter().find(|other| other.id == case);
        Ok(rows(found.with_context(|| format!("no case `{case}`"))?))
    }

    /// The expected values per row and real token of `<case>.<what>`: in float64 where the file has that. The two ragged
    /// cases hold the same rows and only one of them is stored.
    pub fn per_token(&self, case: &Case, what: &str) -> Option<Vec<Vec<&[f64]>>> {
        let own = rows(case);
        let same = |other: &&Case| {
            let other = rows(other);
            other
                .iter()
                .map(|row| &row.tokens)
                .eq(own.iter().map(|row| &row.tokens))
        };
        self.expected.cases.iter().filter(same).find_map(|case| {
            let stored = |suffix: &str| self.stored.get(&format!("{}.{what}{suffix}", case.id));
            let stored = stored("_f64").or_else(|| stored(""))?;
            let [_, len, width] = *stored.shape.as_slice() else {
                return None;
            };
            let entries = |row: usize, token: usize| {
                let start = (row * len + token) * width;
                &stored.entries[start..start + width]
            };
            let rows = rows(case);
            let of_row = |(index, row): (usize, &Row)| {
                row.places
                    .iter()
                    .map(|&place| entries(index, place))
                    .collect()
            };
            Some(rows.iter().enumerate().map(of_row).collect())
        })
    }
}
