//! The task that a command line names, and its data.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use eurus::eval::graders::Rules;
use eurus::eval::tasks::{DataPlace, Items, Task};

use crate::hub_data;
use crate::usage::UsageError;

/// The options that say where the data of a task are and how they are read.
#[derive(Debug, Args)]
pub struct TaskData {
    /// The file of the task's data, the folder that has it, or data of the hub as organization/name[@revision][/file] [default:
    /// beside an own task file]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,

    /// Whose rules: the released code's, or the same without its defects (authors, fixed)
    #[arg(long, value_name = "RULES", default_value_t)]
    grader: Rules,
}

impl TaskData {
    pub fn rules(&self) -> Rules {
        self.grader
    }

    pub fn load(&self, task: &Task) -> Result<Items> {
        let path = self.data.as_deref().or(task.folder());
        let path = path.ok_or_else(|| {
            UsageError::new(format!(
                "the data of `{}` are files that you have: {}; give the path of the file or its folder with --data",
                task.name(),
                task.wanted_data()
            ))
        })?;
        // The folder of a file without one is this one.
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        let path = hub_data::path(path)?;
        Ok(task.load(&DataPlace::new(path).with_rules(self.grader))?)
    }
}

/// The task of a name: a path that ends with `.toml`, or a built-in one.
pub fn find(name: &str) -> Result<Task> {
    Ok(match Path::new(name).extension() {
        Some(extension) if extension == "toml" => Task::read(name)?,
        _ => Task::built_in(name)?,
    })
}
