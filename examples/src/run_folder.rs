//! The output folder: built under a temporary name, renamed when the run is complete.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// Marks a folder as made by this program, so that it may be replaced.
const MARK: &str = "metrics.jsonl";

/// The folder of a run.
pub struct RunFolder {
    target: PathBuf,
    partial: tempfile::TempDir,
    /// Whole lines, so that whoever looks on sees how far it is.
    metrics: LineWriter<File>,
}

impl RunFolder {
    /// Starts a folder that gets its name when it is complete.
    ///
    /// # Errors
    ///
    /// When something is there that is no run folder.
    pub fn create(target: &Path) -> Result<Self> {
        if target.exists() && !target.join(MARK).is_file() {
            bail!(
                "{} exists and is no folder of a run (it has no {MARK}); choose another --out",
                target.display()
            );
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent)
            .with_context(|| format!("creating {}", parent.display()))?;
        // Who wants to look on while it runs finds it by the name that it will have.
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let partial = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .tempdir_in(parent)
            .with_context(|| format!("creating a folder in {}", parent.display()))?;
        let path = partial.path().join(MARK);
        let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self {
            target: target.to_owned(),
            partial,
            metrics: LineWriter::new(file),
        })
    }

    /// Where a file of the run is written.
    pub fn path(&self, name: &str) -> PathBuf {
        self.partial.path().join(name)
    }

    /// Writes one line of `metrics.jsonl`: the fields of `event` after the stage's name.
    pub fn metric(&mut self, stage: &str, event: &impl Serialize) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a, E> {
            stage: &'a str,
            #[serde(flatten)]
            event: &'a E,
        }
        serde_json::to_writer(&mut self.metrics, &Line { stage, event })?;
        self.metrics.write_all(b"\n")?;
        Ok(())
    }

    /// Gives the folder its name; an earlier run's is replaced.
    pub fn finish(mut self) -> Result<PathBuf> {
        self.metrics.flush()?;
        if self.target.exists() {
            std::fs::remove_dir_all(&self.target)
                .with_context(|| format!("replacing {}", self.target.display()))?;
        }
        std::fs::rename(self.partial.path(), &self.target)
            .with_context(|| format!("renaming into {}", self.target.display()))?;
        // It has its name now; the temporary guard must not remove anything.
        let _ = self.partial.keep();
        Ok(self.target)
    }
}
