//! What a run is: all that its answers depend on.

use std::path::PathBuf;

use chat_model::Sampling;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// All that the answers of a run depend on, as `run.json` has it. A run goes on only with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of the program.
    pub eurus: String,
    /// The task.
    pub task: TaskStamp,
    /// The data.
    pub data: DataStamp,
    /// The model.
    pub model: ModelStamp,
    /// Answers to each item.
    pub samples: usize,
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Items that were asked, if not all: the first so many.
    #[serde(default)]
    pub limit: Option<usize>,
    /// How each setting of the task draws, by its name.
    pub settings: Vec<SettingStamp>,
}

/// Which task, to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStamp {
    /// Its name.
    pub name: String,
    /// Its version, which changes with its prompts and graders.
    pub version: u32,
    /// Of the task file.
    pub sha256: String,
    /// Where the task file is; nothing for a task that is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Which data, to the bit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataStamp {
    /// Of the files, one after the other by name.
    pub sha256: String,
    /// Items that can be asked.
    pub items: usize,
    /// Items of the published data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<usize>,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStamp {
    /// Its folder or address.
    pub name: String,
    /// The check sum of its files, or what names it at its server.
    pub identity: Value,
    /// Of what its chat template makes of a short conversation; nothing where a server has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_sha256: Option<String>,
}

/// One setting of a task in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingStamp {
    /// Its name.
    pub name: String,
    /// Of all prompts, in order.
    pub prompts_sha256: String,
    /// How often the token that begins a text stands at the start of the first prompt; nothing where a server has the
    /// tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bos: Option<usize>,
    /// How answers are drawn. Its seed is that of the run.
    pub sampling: Sampling,
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub fn sha256(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_ref());
    }
    let digits = hasher.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}
