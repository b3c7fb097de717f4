//! Where a record stands in a file.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::Error;

/// The position of a record in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// 1-based line of a JSONL file.
    Line(u64),
    /// 1-based element of a file that is one JSON array.
    Element(u64),
    /// Row of a Parquet file: 1-based row group, 1-based row in it.
    Row {
        /// The row group.
        group: u64,
        /// The row in it.
        row: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "row {line}"),
            Place::Element(element) => write!(f, "element {element}"),
            Place::Row { group, row } => write!(f, "row {row} of row group {group}"),
        }
    }
}

/// A record's file and its place there; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The file.
    pub file: Arc<Path>,
    /// Where in it.
    pub place: Place,
}

impl Location {
    /// Puts this place around an error.
    ///
    /// ```
    /// use ultrainteract::Error;
    /// use ultrainteract::input::{Location, Place};
    ///
    /// let location = Location {
    ///     file: std::path::Path::new("pairs.parquet").into(),
    ///     place: Place::Row { group: 2, row: 7 },
    /// };
    /// let error = location.locate(Error::IdenticalPair).to_string();
    /// assert!(error.starts_with("row 7 of row group 2 of pairs.parquet: field `rejected`"));
    /// ```
    pub fn locate(&self, fault: Error) -> Error {
        fault.at(&self.file, self.place)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.place, self.file.display())
    }
}

impl Serialize for Location {
    /// As its text: `row 3 of pairs.jsonl`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
