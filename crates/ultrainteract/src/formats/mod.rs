//! The files: released pair and SFT rows, and this crate's own trees, all as JSONL.
//!
//! | file | a line holds | type |
//! | --- | --- | --- |
//! | pairs | one preference, with the history that both actions answer | [`PairRow`] |
//! | SFT | an instruction and a correct answer | [`SftRow`] |
//! | trees | a whole tree, every node once; nothing is lost | [`TreeRecord`], read as [`PreferenceTree`] |
//!
//! Reading is streaming: [`JsonlReader`] keeps one line in memory and yields one checked item at a
//! time. A bad line is an error that names file, row and field; the reader goes on after it, so a
//! caller may drop bad rows. Writing goes to a temporary file beside the target, which is renamed
//! when everything is there; a run that fails leaves nothing half-written.
//!
//! ```
//! use ultrainteract::{PreferenceTree, Task, formats};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("trees.jsonl");
//! let tree = PreferenceTree::new("p1", Task::MathCot, "toy", "What is 1 + 1?")?;
//! formats::write_jsonl(&path, [&tree])?;
//! let back = formats::read_jsonl::<PreferenceTree>(&path)?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(back, [tree]);
//! # Ok::<(), ultrainteract::Error>(())
//! ```
//!
//! [`PreferenceTree`]: crate::PreferenceTree

mod chat;
pub(crate) mod check;
mod jsonl;
mod kind;
mod lenient;
mod messages;
mod picked;
mod ranking;
mod record;
mod rows;
mod unused;
mod values;
mod wire;

pub use jsonl::{
    JsonlReader, JsonlWriter, MAX_LINE_BYTES, Record, parse_json, read_jsonl, write_jsonl,
};
pub(crate) use jsonl::{WHOLE_ROW, parse_object};
pub use kind::Format;
pub(crate) use messages::TrajectoryMessage;
pub use record::{FORMAT, PairRecord, TreeRecord, VERSION};
pub(crate) use rows::{LoosePair, LooseSft};
pub use rows::{PairRow, RowId, SftRow, UNKNOWN_DATASET};
pub(crate) use values::number;
