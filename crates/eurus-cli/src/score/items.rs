//! What is scored: the answers of conversations, pairs, rankings, trees, and of files of samples.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eurus::chat::{ChatRequest, Role};
use eurus::data::example::Example;
use eurus::data::formats::{Format, parse_json};
use eurus::data::input::{self, Located};
use eurus::data::{Error, Message, Node, PreferenceTree};
use eurus::eval::samples::Sample;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::prompts;

/// Conversations that end with answers, and how their scores are written.
pub struct Item {
    /// What the line of the output begins with.
    pub head: Value,
    pub answers: Vec<Answer>,
    pub shape: Shape,
}

/// One of an item's answers.
pub struct Answer {
    /// Its name among them.
    pub name: String,
    /// The conversation through it.
    pub messages: Vec<Message>,
    /// What is known of it and stands beside its scores: of an action of a tree its verdict, its source and the action before.
    pub known: Map<String, Value>,
}

/// How the scores of an item stand in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One answer's, in the line itself.
    One,
    /// Each under its name.
    Named,
    /// A list under this name.
    List(&'static str),
}

/// The prompts that samples answer, and how they were drawn.
pub struct Prompts {
    /// Each with how its answers begin.
    by_id: HashMap<String, (Vec<Message>, String)>,
}

/// An item as a run of `eurus eval` asked it: a line of its `items.jsonl`.
#[derive(Deserialize)]
struct AskedItem {
    id: String,
    request: ChatRequest,
}

impl Prompts {
    /// Those of the data that the samples were drawn for; `NAME.run.json` beside the samples says what came before and after.
    pub fn read(samples: &[PathBuf], data: &[String]) -> Result<Self> {
        let mut settings = Value::Null;
        for file in samples {
            let beside = file.with_extension("run.json");
            let text = std::fs::read(&beside).with_context(|| beside.display().to_string())?;
            let of_file: Value =
                serde_json::from_slice(&text).with_context(|| beside.display().to_string())?;
            if of_file["raw"] == true {
                bail!(
                    "{}: drawn with --raw, without a chat template; such answers have no conversation to score",
                    file.display()
                );
            }
            settings = of_file;
        }
        let files = crate::hub_data::expand(data)?;
        let first = input::read(files.clone(), parse_json::<AskedItem>).next();
        if matches!(first, Some(Ok(_))) {
            return Self::of_run(files);
        }
        let system = settings["system"].as_str().map(Message::system);
        let answer_prefix = settings["answer_prefix"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let named = prompts::read(&files, None)?;
        let by_id = named.into_iter().map(|prompt| {
            let mut messages: Vec<Message> = prompt.messages.into_iter().map(from_chat).collect();
            let has_system = messages.first().is_some_and(|it| it.role.instructs());
            if let Some(system) = system.clone().filter(|_| !has_system) {
                messages.insert(0, system);
            }
            (prompt.id, (messages, answer_prefix.clone()))
        });
        Ok(Self {
            by_id: by_id.collect(),
        })
    }

    /// What a run asked.
    fn of_run(files: Vec<PathBuf>) -> Result<Self> {
        let mut by_id = HashMap::new();
        for row in input::read(files, parse_json::<AskedItem>) {
            let Located { value, location } = row.map_err(|rejected| Error::from(*rejected))?;
            let prefix = value.request.begun_answer().unwrap_or_default().to_owned();
            if value.request.raw_prompt.is_some() {
                bail!(
                    "{} of {}: asked without a chat template; such answers have no conversation to score",
                    location.place,
                    location.file.display()
                );
            }
            let messages = value.request.messages.into_iter().map(from_chat).collect();
            by_id.insert(value.id, (messages, prefix));
        }
        Ok(Self { by_id })
    }

    fn item(&self, sample: Sample) -> Result<Item, Error> {
        let Some((prompt, answer_prefix)) = self.by_id.get(&sample.id) else {
            let problem = format!(
                "`{}` is no prompt of --prompts; give the data that the samples were drawn for",
                sample.id
            );
            return Err(Error::malformed("id", problem));
        };
        let mut messages = prompt.clone();
        messages.push(Message::assistant(format!(
            "{}{}",
            answer_prefix, sample.text
        )));
        Ok(Item {
            head: json!({"id": sample.id, "sample": sample.sample}),
            answers: vec![one(messages)],
            shape: Shape::One,
        })
    }
}

/// The items of files, in order, one after the other.
pub fn read(files: Vec<PathBuf>, prompts: Option<Prompts>) -> impl Iterator<Item = Result<Item>> {
    let mut count = 0;
    let rows = input::read(files, move |record| match &prompts {
        Some(prompts) => prompts.item(parse_json(record)?),
        None => item(record),
    });
    rows.map(move |row| {
        count += 1;
        let Located { mut value, .. } = row.map_err(|rejected| Error::from(*rejected))?;
        if value.head["id"].is_null() {
            value.head["id"] = json!(format!("row-{count}"));
        }
        Ok(value)
    })
}

/// Whether a file has the samples of `eurus generate`.
pub fn has_samples(file: &Path) -> bool {
    let first = input::read(vec![file.to_owned()], parse_json::<Sample>).next();
    matches!(first, Some(Ok(_)))
}

fn item(record: &[u8]) -> Result<Item, Error> {
    let value: Value = parse_json(record)?;
    let Some(format) = Format::of_record(&value) else {
        let problem =
            "this is a row of no format that `eurus data` reads, nor an answer of `eurus generate`";
        return Err(Error::malformed("the row", problem));
    };
    let example = format.parse(record)?;
    let head = json!({"id": example.origin().id});
    let prompt = example.prompt();
    let with = |answer: &[Message]| [&prompt[..], answer].concat();
    let text = |text: &str| with(&[Message::assistant(text)]);
    let (answers, shape) = match &example {
        Example::Tree(tree) => (of_tree(tree), Shape::List("nodes")),
        Example::Pair(row) => (pair(text(&row.chosen), text(&row.rejected)), Shape::Named),
        Example::Preference(row) => (pair(with(&row.chosen), with(&row.rejected)), Shape::Named),
        Example::Sft(row) => (vec![one(text(&row.response))], Shape::One),
        Example::Conversation(row) => (vec![one(row.messages.clone())], Shape::One),
        Example::Completion(row) => (vec![one(with(&row.completion))], Shape::One),
        Example::Unpaired(row) => (vec![one(with(&row.completion))], Shape::One),
        Example::Ranking(row) => {
            let answers = row.completions.iter().enumerate();
            let answers = answers.map(|(place, answer)| Answer {
                name: place.to_string(),
                messages: text(&answer.response),
                known: Map::new(),
            });
            (answers.collect(), Shape::List("answers"))
        }
        _ => return Err(Error::malformed("the row", "has no answer to score")),
    };
    Ok(Item {
        head,
        answers,
        shape,
    })
}

fn one(messages: Vec<Message>) -> Answer {
    Answer {
        name: "answer".to_owned(),
        messages,
        known: Map::new(),
    }
}

fn pair(chosen: Vec<Message>, rejected: Vec<Message>) -> Vec<Answer> {
    let named = [("chosen", chosen), ("rejected", rejected)];
    named
        .map(|(name, messages)| Answer {
            name: name.to_owned(),
            messages,
            known: Map::new(),
        })
        .into()
}

/// The actions of a tree, by the number of their node, as `eurus eval process` wants them.
fn of_tree(tree: &PreferenceTree) -> Vec<Answer> {
    let actions = tree
        .nodes()
        .filter_map(|(id, node)| Some((id, node, node.action()?)));
    // What an action follows is the instruction, which follows nothing, or an observation of the action before.
    let before = |node: &Node| node.parent().and_then(|it| tree.node(it).parent());
    actions
        .map(|(id, node, action)| Answer {
            name: id.to_string(),
            messages: tree.messages(id),
            known: Map::from_iter([
                (
                    "parent".to_owned(),
                    json!(before(node).map(|it| it.to_string())),
                ),
                ("verdict".to_owned(), json!(action.verdict)),
                ("source".to_owned(), json!(action.source)),
            ]),
        })
        .collect()
}

fn from_chat(message: eurus::chat::Message) -> Message {
    match message.role {
        Role::System => Message::system(message.content),
        Role::User => Message::user(message.content),
        Role::Assistant => Message::assistant(message.content),
    }
}
