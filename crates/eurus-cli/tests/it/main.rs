//! The program as its users run it.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod adapter_folders;
mod bad_input;
mod command_line;
mod common;
mod data;
mod devices;
mod found_checkpoints;
mod judging;
mod losses;
#[cfg(feature = "mpi")]
mod mpi;
mod no_effect;
mod plan;
mod rendered_forms;
mod resume;
mod rows;
mod scored;
mod templates;
mod text_options;
mod unpaired;
mod unusable_rows;
mod vector_width;
mod weights;
