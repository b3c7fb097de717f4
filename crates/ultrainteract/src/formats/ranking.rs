//! Rows of several scored answers.

use super::check;
use super::jsonl::{Record, parse_object};
use crate::Result;
use crate::example::Ranking;

/// A row of UltraFeedback or UltraSafety.
impl Record for Ranking {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row = parse_object(line)?;
        let mut found = Vec::new();
        check::ranking(&row, &mut found);
        match found.into_iter().next() {
            None => Ok(row),
            Some(fault) => Err(fault),
        }
    }
}
