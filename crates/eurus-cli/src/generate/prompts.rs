//! The prompts of files: of every format that `eurus data` reads, and of rows with a `prompt` or `messages` alone.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use eurus::chat::{Message, Role};
use eurus::data;
use eurus::data::formats::{Format, parse_json};
use eurus::data::input::{self, Located};
use eurus::data::{Error, Role as DataRole};
use serde::Deserialize;
use serde_json::Value;

/// A conversation that waits for an answer, and its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPrompt {
    pub id: String,
    pub messages: Vec<Message>,
}

/// The prompts of all files, in order, each once: pairs of one tree share theirs.
pub fn read(files: &[PathBuf], limit: Option<usize>) -> Result<Vec<NamedPrompt>> {
    let mut prompts: Vec<NamedPrompt> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for row in input::read(files.to_vec(), parse) {
        if limit.is_some_and(|limit| prompts.len() >= limit) {
            break;
        }
        let Located { value, location } = row.map_err(|rejected| Error::from(*rejected))?;
        let id = value
            .id
            .unwrap_or_else(|| format!("row-{}", prompts.len() + 1));
        match places.get(&id) {
            Some(&place) if prompts[place].messages == value.messages => continue,
            Some(_) => bail!(
                "{} of {}: the id `{id}` stands before another prompt too; ids name the answers and must be unique",
                location.place,
                location.file.display()
            ),
            None => {}
        }
        places.insert(id.clone(), prompts.len());
        prompts.push(NamedPrompt {
            id,
            messages: value.messages,
        });
    }
    if prompts.is_empty() {
        let names: Vec<String> = files.iter().map(|it| it.display().to_string()).collect();
        bail!("{}: there is no prompt", names.join(", "));
    }
    Ok(prompts)
}

struct Row {
    id: Option<String>,
    messages: Vec<Message>,
}

/// A row that is nothing but a prompt.
#[derive(Deserialize)]
struct Bare {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    prompt: Option<Asked>,
    #[serde(default)]
    messages: Option<Vec<data::Message>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Asked {
    Text(String),
    Messages(Vec<data::Message>),
}

fn parse(record: &[u8]) -> Result<Row, Error> {
    let value: Value = parse_json(record)?;
    let format = Format::of_record(&value).filter(|_| !ends_with_question(&value));
    let (id, messages) = match format {
        Some(format) => {
            let example = format.parse(record)?;
            (example.origin().id, example.prompt())
        }
        None => {
            let bare: Bare = parse_json(record)?;
            let id = bare
                .id
                .map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
            let messages = match (bare.prompt, bare.messages) {
                (Some(Asked::Text(text)), _) => vec![data::Message::user(text)],
                (Some(Asked::Messages(messages)), _) | (None, Some(messages)) => messages,
                (None, None) => {
                    return Err(Error::malformed(
                        "prompt",
                        "is missing; a row has `prompt` (a text or messages), `messages`, or the fields of a format that `eurus data` reads",
                    ));
                }
            };
            (id, messages)
        }
    };
    if messages
        .last()
        .is_none_or(|last| last.role == DataRole::Assistant)
    {
        let problem =
            "there is nothing that waits for an answer; the last message must be the user's";
        return Err(Error::malformed("messages", problem));
    }
    let messages = messages
        .into_iter()
        .map(message)
        .collect::<Result<_, _>>()?;
    Ok(Row { id, messages })
}

/// Whether a row of messages waits for an answer, which no format of training rows has.
fn ends_with_question(value: &Value) -> bool {
    let last = value["messages"].as_array().and_then(|it| it.last());
    last.is_some_and(|last| last["role"] != "assistant")
}

fn message(message: data::Message) -> Result<Message, Error> {
    let role = match message.role {
        DataRole::System | DataRole::Developer => Role::System,
        DataRole::User => Role::User,
        DataRole::Assistant => Role::Assistant,
        DataRole::Tool => {
            let problem =
                "is a tool's result; models are asked with messages of system, user and assistant";
            return Err(Error::malformed("messages.role", problem));
        }
    };
    Ok(Message {
        role,
        content: message.content,
    })
}
