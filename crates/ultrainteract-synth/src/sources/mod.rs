//! Problems from the twelve data sets that UltraInteract is made of, as they are published, and from any table.
//!
//! [`SOURCES`] says of each where it is published, what is read, what its actions are judged by and what is left out. A row that
//! cannot be judged is listed with its reason, and never left out silently.
//!
//! ```
//! use ultrainteract_synth::read_problems;
//! use ultrainteract_synth::sources::{ImportOptions, Origin, Source, import_to};
//!
//! let folder = tempfile::tempdir()?;
//! let (rows, out) = (folder.path().join("train.jsonl"), folder.path().join("problems.jsonl"));
//! std::fs::write(&rows, concat!(
//!     r##"{"question": "What is 6 * 7?", "answer": "6 * 7 = <<6*7=42>>42\n#### 42"}"##, "\n",
//!     r##"{"question": "And 6 * 8?", "answer": "48"}"##,
//! ))?;
//! let summary = import_to(&Origin::Source(Source::Gsm8k), &[rows], &ImportOptions::default(), &out)?;
//! // Asked with and without a program.
//! assert_eq!((summary.rows, summary.problems), (2, 2));
//! assert!(summary.left_out[0].to_string().contains("has no `####`"));
//! assert_eq!(read_problems(&[out])?[0].solutions, ["6 * 7 = 42\nAnswer:\n\\boxed{42}"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An instruction is the question as it is published, without the heads that released instructions have: how an actor is asked is
//! for its prompt to say. Where choices, tables or starter code have to be shown, the form is ours.
//!
//! Rows are read one at a time. What is kept of a row are a hash of its id and the reason if it is left out; of problems that
//! others are [compared with](ImportOptions::not_like), their runs of five words.

mod arithmetic_tasks;
mod columns;
mod import;
mod logic;
mod math_qa;
mod options;
mod programs;
mod row;
mod rows;
mod separated;
mod summary;
mod table;
mod tables;
mod worked_math;

pub use columns::Columns;
pub use import::{import, import_to};
pub use options::{ImportOptions, Mode, Origin};
pub use summary::{LeftOut, Summary};
pub use table::{SOURCES, Source, SourceInfo};
