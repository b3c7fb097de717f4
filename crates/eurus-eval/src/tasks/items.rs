//! The items of a task.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use chat_model::{ChatRequest, Message, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a model is asked, and what is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Tells it from the others of its task.
    pub id: String,
    /// What the model is sent.
    pub request: ChatRequest,
    /// Messages of the user that follow, each after an answer. Most tasks have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_turns: Vec<String>,
    /// The right answer.
    pub gold: Value,
    /// The row that it comes from.
    pub row: Map<String, Value>,
    /// What results are reported by.
    pub groups: BTreeMap<String, String>,
    /// The same for items that are not independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
}

impl Item {
    /// The request for a chat template that refuses messages of the system: their text begins the user's first message, in
    /// lines of its own.
    pub fn request_without_system(&self) -> ChatRequest {
        let mut request = self.request.clone();
        let is_system = |message: &Message| message.role == Role::System;
        let mut system = String::new();
        request.messages.retain(|message| {
            if is_system(message) {
                system.push_str(&message.content);
                if !system.ends_with('\n') {
                    system.push('\n');
                }
            }
            !is_system(message)
        });
        let first = request
            .messages
            .iter_mut()
            .find(|message| message.role == Role::User);
        if let Some(first) = first {
            first.content.insert_str(0, &system);
        }
        request
    }
}

/// A row that is no item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadItem {
    /// The file.
    pub file: String,
    /// The row in it, from 1.
    pub row: usize,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl fmt::Display for BadItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "row {} of {}: {}",
            self.row, self.file, self.problem
        )
    }
}

/// All items of a task's data.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    /// In the order of the files.
    pub items: Vec<Item>,
    /// The rows that are no items.
    pub bad: Vec<BadItem>,
    /// The file, folder or archive that they come from.
    pub origin: PathBuf,
    /// The SHA-256 of what is in it, in hexadecimal digits: the same whether it is compressed or not.
    pub sha256: String,
    /// The number of items that are published.
    pub published: Option<usize>,
}

impl Items {
    /// What must be said of a result on these data: that there are others than are published, or rows that are no items.
    pub fn note(&self) -> Option<String> {
        let found = self.items.len();
        let size = self
            .published
            .filter(|published| *published != found)
            .map(|published| format!("{found} items, where the published data have {published}"));
        let bad = self.bad.first().map(|first| {
            let count = self.bad.len();
            let rows = if count == 1 { "row is" } else { "rows are" };
            format!("{count} {rows} left out, the first: {first}")
        });
        let said: Vec<String> = size.into_iter().chain(bad).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}
