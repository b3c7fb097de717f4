//! A task of a user's own, with its files.

use std::fs;

use eurus_eval::tasks::{DataPlace, Items, Task};

pub const OWN_TASK: &str = include_str!("../../../../docs/src/evaluation/own-task.toml");
pub const OWN_ROWS: &str = include_str!("../../../../docs/src/evaluation/own-task.jsonl");

/// A task over rows that are written to a file.
pub struct Own {
    pub folder: tempfile::TempDir,
    task: String,
}

impl Own {
    pub fn new(task: &str, file: &str, content: impl AsRef<[u8]>) -> Self {
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
            task: task.to_owned(),
        };
        own.with(file, content)
    }

    pub fn with(self, file: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn read(&self) -> eurus_eval::Result<Task> {
        let path = self.folder.path().join("task.toml");
        fs::write(&path, &self.task).unwrap();
        Task::read(path)
    }

    pub fn load(&self) -> eurus_eval::Result<Items> {
        self.read()?.load(&DataPlace::new(self.folder.path()))
    }
}
