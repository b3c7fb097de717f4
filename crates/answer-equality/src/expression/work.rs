//! How much may be computed for one comparison, or one search for an answer.

use std::cell::Cell;

use super::value::Value;

/// Additions that one comparison may cost; more is not computed, and then nothing is equal.
const MOST: u32 = 60_000;

/// Additions that a function or a power with a fraction costs.
pub(super) const FUNCTION: u32 = 40;

/// Binary digits of an exact number that cost as much as an addition of short ones.
const DIGITS: usize = 64;

/// What is left of the work that a comparison may cost.
#[derive(Debug)]
pub(crate) struct Work(Cell<u32>);

impl Default for Work {
    fn default() -> Self {
        Self(Cell::new(MOST))
    }
}

impl Work {
    /// Takes a part of it; nothing if so much is not left.
    pub fn spend(&self, part: u32) -> Option<()> {
        let left = self.0.get().checked_sub(part);
        self.0.set(left.unwrap_or(0));
        left.map(|_| ())
    }

    /// Pays for a value that was computed.
    pub(super) fn pay_for(&self, value: &Value) -> Option<()> {
        let digits = value.as_exact().map_or(0, super::value::bits) / DIGITS;
        self.spend(1 + u32::try_from(digits).unwrap_or(u32::MAX))
    }
}
