//! `eurus eval list`.

use anyhow::Result;
use clap::Args;
use eurus::eval::tasks::Task;
use eurus::eval::{Table, terminal};
use serde_json::{Value, json};

use crate::job::print;

pub const EXAMPLES: &str = "\
Examples:
  eurus eval list
  eurus eval list --json";

#[derive(Debug, Args)]
pub struct List {
    /// Write one JSON object for each task, with all that its file says
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(&self) -> Result<()> {
        let tasks = Task::all()?;
        if self.json {
            for task in &tasks {
                print(&json(task)?.to_string());
            }
            return Ok(());
        }
        let mut table =
            Table::new("Built-in tasks").headers(["name", "items", "settings", "data", "what"]);
        for task in &tasks {
            let file = task.file();
            let items = file.data.items.map(|items| items.to_string());
            table = table.row([
                task.name().to_owned(),
                items.unwrap_or_default(),
                task.settings().join(", "),
                file.data.file.clone(),
                file.about.clone().unwrap_or_default(),
            ]);
        }
        let table = table.note(
            "Data are files that you have, as they are published; `eurus eval show TASK` says where, and which fields they have.",
        );
        print(&terminal::render(&table));
        Ok(())
    }
}

fn json(task: &Task) -> Result<Value> {
    Ok(json!({
        "name": task.name(),
        "title": task.title(),
        "sha256": task.sha256(),
        "file": task.file(),
    }))
}
