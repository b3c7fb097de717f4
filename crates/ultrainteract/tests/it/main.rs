//! Trees and rows as text: formats, validation, derivations, faults.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod broken_files;
mod decontaminate;
mod derivations;
mod formats;
mod fuzz_entries;
mod mixtures;
mod problems;
mod released_rows;
mod roundtrips;
mod rows;
mod schema;
mod stats;
mod support;
#[cfg(feature = "parquet")]
mod tables;
mod test_sets;
mod tree;
mod validate;
