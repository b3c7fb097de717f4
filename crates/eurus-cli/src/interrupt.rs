//! Ctrl-C and its kin: a clear message, and nothing half-written.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

/// Exit code of a program that was interrupted, as shells expect it.
const INTERRUPTED: i32 = 130;

/// Files and folders that an interrupt must know of.
#[derive(Debug, Default)]
pub struct Files {
    /// Folders and files to remove.
    temporary: Vec<PathBuf>,
    /// The result, once it is whole.
    pub written: Option<PathBuf>,
    /// Whether another process says that the run was interrupted.
    pub silent: bool,
}

static FILES: Mutex<Files> = Mutex::new(Files {
    temporary: Vec::new(),
    written: None,
    silent: false,
});

impl Files {
    /// Removes this hidden folder or file on an interrupt, if it is still there.
    pub fn remove_when_interrupted(&mut self, path: &Path) {
        self.temporary.push(path.to_path_buf());
    }
}

/// Handles interrupts from now on.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        // Held until the process is gone, so that the main thread cannot begin to write the result meanwhile.
        let files = files();
        for path in &files.temporary {
            // Nobody is left to be told of a failure; what stays is hidden and harmless.
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
        }
        match &files.written {
            _ if files.silent => {}
            Some(out) => eprintln!("\ninterrupted; {} is complete", out.display()),
            None => eprintln!("\ninterrupted; nothing was written"),
        }
        std::process::exit(INTERRUPTED);
    })
    .context("cannot listen for interrupts")
}

/// The files to care for. While the guard is held, an interrupt waits: hold it to write a result that must be whole.
pub fn files() -> MutexGuard<'static, Files> {
    // The paths are valid whatever another thread did while it held them.
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}
