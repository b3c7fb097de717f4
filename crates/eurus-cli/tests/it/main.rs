//! The program as its users run it.
//!
//! All tests of the crate are one program: it is linked once, and they share the threads of this machine.

mod adapter_folders;
mod bad_input;
#[cfg(unix)]
mod book;
mod cases;
mod chat;
mod command_line;
mod common;
mod data;
mod devices;
mod eval;
mod forms;
mod found_checkpoints;
#[cfg(target_os = "linux")]
mod full_disk;
mod generate;
#[cfg(feature = "wgpu")]
mod gpu;
mod hub_data;
mod identity;
#[cfg(unix)]
mod interrupts;
mod judging;
mod keeping;
mod losses;
#[cfg(feature = "mpi")]
mod mpi;
mod mutations;
mod no_effect;
mod plan;
mod recipe;
mod released_rows;
mod rendered_forms;
mod report;
mod resume;
mod rows;
mod score;
mod scored;
mod serve;
#[cfg(unix)]
mod shell;
mod synth;
mod tables;
mod templates;
mod text_options;
mod unpaired;
mod unusable_rows;
mod vector_width;
mod weights;
