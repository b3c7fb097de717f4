//! Files in: patterns, compression, Parquet, and parsing on all cores with places kept.
//!
//! ```
//! use ultrainteract::formats::{PairRow, Record};
//! use ultrainteract::input;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # std::fs::write(folder.path().join("a.jsonl"), "").unwrap();
//! # let pattern = folder.path().join("*.jsonl*");
//! # let pattern = pattern.to_str().unwrap();
//! let files = input::expand([pattern])?; // data/*.jsonl.gz
//! for row in input::read(files, PairRow::from_json) {
//!     let row = row.map_err(|rejected| rejected.error)?;
//!     println!("{} at {}", row.value.id, row.location);
//! }
//! # Ok::<(), ultrainteract::Error>(())
//! ```
//!
//! The kind of a file is told by its first bytes, not by its name: gzip and zstd are decompressed,
//! Parquet is read with the feature `parquet`, a file that begins with `[` is one JSON array, and
//! everything else is JSONL. Nothing is read as a whole.

mod array;
#[cfg(feature = "parquet")]
mod arrow;
mod files;
mod line;
#[cfg(feature = "parquet")]
mod parquet;
mod place;
#[cfg(feature = "parquet")]
mod record_batches;
mod records;
mod source;

pub use files::expand;
pub(crate) use line::{BYTE_ORDER_MARK, NextLine, next_line};
pub use place::{Location, Place};
pub(crate) use records::first_found;
pub use records::{Located, Parsed, ReadBytes, Records, Rejected, read, read_counting};
pub use source::{Text, open_text};
