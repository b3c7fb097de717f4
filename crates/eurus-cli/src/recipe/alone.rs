//! One walk at a time in a folder.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt::child;

/// How long the last step of a walk that was killed may take to notice it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The file that is locked while a walk goes on.
const LOCK: &str = ".eurus-recipe.lock";

/// A folder in which nobody else runs a recipe. It is freed with the value.
pub struct Alone {
    _file: File,
}

impl Alone {
    /// Waits a little for the last step of a walk that was killed.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let problem = || {
            format!(
                "{}: cannot write there; name another folder with --out",
                folder.display()
            )
        };
        fs::create_dir_all(folder).with_context(problem)?;
        let walk = File::create(folder.join(LOCK)).with_context(problem)?;
        let step = File::create(child::lock_in(folder)).with_context(problem)?;
        locked(&walk, folder)?;
        locked(&step, folder)?;
        Ok(Self { _file: walk })
    }
}

fn locked(file: &File, folder: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => bail!(
                "{}: another `eurus recipe run` is at work there; wait for it, or name another folder with --out",
                folder.display()
            ),
            // A file system without locks: two walks at once are the user's to avoid.
            Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
}

/// A step's command failed: it has said why.
#[derive(Debug)]
pub struct StepFailed {
    pub exit_code: u8,
    pub message: String,
}

impl std::fmt::Display for StepFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StepFailed {}
