//! The rows of chat and preference data sets as they are spelled in files.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::jsonl::parse_object;
use super::messages::{Text, said, shared};
use super::picked::{Picked, Written};
use super::values::{data_set, known_task, name, number, verdict};
use crate::example::Origin;
use crate::{Error, Message, Result, Role, Task};

/// Every field that one of these formats has. A format uses some of them; others are absent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    #[serde(
        alias = "prompt_id",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "name"
    )]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "name")]
    pub parent_id: Option<String>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known_task"
    )]
    pub task: Option<Task>,
    #[serde(
        alias = "source",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "data_set"
    )]
    pub dataset: Option<String>,

    // What stands around a prompt.
    #[serde(alias = "system_prompt", skip_serializing)]
    pub system: Option<String>,
    #[serde(skip_serializing)]
    pub history: Option<Vec<(String, String)>>,
    #[serde(alias = "context", skip_serializing)]
    pub input: Option<String>,

    // TRL
    #[serde(alias = "instruction", skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Text>,
    #[serde(alias = "output", skip_serializing_if = "Option::is_none")]
    pub completion: Option<Text>,
    #[serde(
        alias = "kto_tag",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "verdict"
    )]
    pub label: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Text>,
    #[serde(
        alias = "chosen_score",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub score_chosen: Option<f64>,
    #[serde(
        alias = "rejected_score",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub score_rejected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub messages: Option<Vec<Message>>,

    // Two answers and the better one's number, from 0.
    #[serde(skip_serializing)]
    pub response_a: Option<Text>,
    #[serde(skip_serializing)]
    pub response_b: Option<Text>,
    #[serde(skip_serializing)]
    pub preference: Option<u8>,

    // ShareGPT
    #[serde(
        alias = "items",
        skip_serializing_if = "Option::is_none",
        serialize_with = "shared",
        deserialize_with = "said"
    )]
    pub conversations: Option<Vec<Message>>,

    // UltraChat
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<String>>,

    // OpenOrca
    #[serde(
        rename = "system_prompt",
        skip_deserializing,
        skip_serializing_if = "Option::is_none"
    )]
    pub orca_system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// The fields that say where a record comes from. One that is neither a string nor a whole number is not used.
const ORIGIN: [&[&str]; 4] = [
    &["id", "prompt_id"],
    &["parent_id"],
    &["task"],
    &["dataset", "source"],
];

/// The fields that stand around a prompt.
const CONTEXT: [&[&str]; 3] = [
    &["system", "system_prompt"],
    &["history"],
    &["input", "context"],
];

impl Wire {
    /// Reads a record of which a format uses these fields, each by one of several names. Whatever else stands in it does not
    /// matter.
    pub fn parse(record: &[u8], used: &[&[&str]]) -> Result<Self> {
        // What is as it should be needs no second look.
        let fault = match parse_object::<Self>(record) {
            Ok(row) => return Ok(row),
            Err(fault) => fault,
        };
        let wanted = used.iter().chain(&CONTEXT).chain(&ORIGIN);
        let wanted: Vec<&str> = wanted.flat_map(|names| names.iter().copied()).collect();
        let Some(Picked(fields)) = Picked::from_record(record, &wanted) else {
            return Err(fault);
        };
        let mut kept: Vec<(String, Written)> = Vec::new();
        for names in used.iter().chain(&CONTEXT).chain(&ORIGIN) {
            // Of several names the first one that is set counts.
            let mut found = names.iter().map(|&name| (name, taken_once(&fields, name)));
            let found = found.find(|(_, value)| !matches!(value, Ok(None)));
            if let Some((_, value)) = found
                && let Some(value) = value?
            {
                kept.push((names[0].to_string(), value));
            }
        }
        kept.retain(|(name, value)| !ORIGIN.iter().any(|names| names[0] == name) || is_name(value));
        let used = serde_json::to_vec(&Written::Object(kept)).map_err(|_| fault)?;
        parse_object(&used)
    }

    pub fn from_origin(origin: &Origin) -> Self {
        Self {
            id: origin.id.clone(),
            parent_id: origin.parent_id.clone(),
            task: origin.task,
            dataset: origin.dataset.clone(),
            ..Self::default()
        }
    }

    pub fn origin(&mut self) -> Origin {
        Origin {
            id: self.id.take(),
            parent_id: self.parent_id.take(),
            task: self.task.take(),
            dataset: self.dataset.take(),
        }
    }

    /// Puts what stands in columns of its own around the messages of a prompt: the system's message and the history before
    /// them, the input after the first one.
    pub fn in_context(&mut self, messages: Vec<Message>) -> Result<Vec<Message>> {
        let refuse = |field: &str, problem: &str| Err(Error::malformed(field, problem));
        let not_empty = |text: &String| !text.is_empty();
        let system = self.system.take().filter(not_empty);
        let history = self.history.take().unwrap_or_default();
        let input = self.input.take().filter(not_empty);
        if system.is_none() && history.is_empty() && input.is_none() {
            return Ok(messages);
        }
        let has_system = messages.first().is_some_and(|first| first.role.instructs());
        if system.is_some() && has_system {
            return refuse(
                "system",
                "is set, and the messages begin with one of the system",
            );
        }
        if !history.is_empty() && has_system {
            return refuse(
                "history",
                "is set, and the messages begin with one of the system",
            );
        }
        let mut whole: Vec<Message> = system.map(Message::system).into_iter().collect();
        for (asked, answered) in history {
            whole.extend([Message::user(asked), Message::assistant(answered)]);
        }
        let first = whole.len();
        whole.extend(messages);
        if let Some(input) = input {
            match whole.get_mut(first) {
                Some(message) if message.role == Role::User => {
                    message.content = format!("{}\n{input}", message.content);
                }
                _ => return refuse("input", "is set, and there is no instruction to go with it"),
            }
        }
        Ok(whole)
    }
}

/// Whether a value can say where a record comes from.
fn is_name(value: &Written) -> bool {
    match value {
        Written::Scalar(value) => value.is_string() || value.is_u64() || value.is_i64(),
        Written::List(_) | Written::Object(_) => false,
    }
}

/// The value of a field that is there, if it says anything. What two of one name say must be the same.
fn taken_once(fields: &[(String, Written)], name: &str) -> Result<Option<Written>> {
    let says = |value: &&Written| **value != Written::Scalar(Value::Null);
    let named = fields.iter().filter(|(known, _)| known == name);
    let mut values = named.map(|(_, value)| value).filter(says);
    let first = values.next();
    match values.find(|value| Some(*value) != first) {
        Some(_) => Err(Error::malformed(
            name,
            "is there twice, with different values",
        )),
        None => Ok(first.cloned()),
    }
}
