//! What stands in a task file.
//!
//! *Expressions* and *templates* are minijinja's. They see the fields of a row by their names, `row` with all of them, and
//! `rules` (`authors` or `fixed`); strings have Python's methods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grading::Grader;
use crate::graders::generic::Extraction;

/// A benchmark: its data, prompts and graders. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A task of eurus-eval")]
pub struct TaskFile {
    /// What the task is called on command lines: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What people call it. Default the name.
    #[serde(default)]
    pub title: Option<String>,
    /// Raised with each change that changes a prompt or a verdict. Default 1.
    #[serde(default = "one")]
    pub version: u32,
    /// What it measures, in a sentence or two. Default nothing.
    #[serde(default)]
    pub about: Option<String>,
    /// The right answer, as an expression: a field of the row, or what is computed from it. Default none, for tasks whose answers
    /// a model judges.
    #[serde(default)]
    pub gold: Option<String>,
    /// What results are reported by besides the whole: an expression by the name of what it divides by. Default nothing.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
    /// An expression that is equal for items which are not independent, such as variants of one problem. Default none: all are
    /// independent.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The files that items come from.
    pub data: Data,
    /// What the model is sent. May stand in each setting instead.
    #[serde(default)]
    pub prompt: Option<Prompt>,
    /// How answers are drawn.
    #[serde(default)]
    pub decoding: Decoding,
    /// The part of an answer that is graded, for graders that work on any task. Default the whole answer.
    #[serde(default)]
    pub extraction: Option<Extraction>,
    /// When an answer is right. May stand in each setting instead.
    #[serde(default)]
    pub grader: Option<Grader>,
    /// Ways to run the task, by name, such as with words (`cot`) and with programs (`pot`). Each is run; the better one is
    /// reported, and all are shown. Default a single one, without a name.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// Results that were published, to be compared with.
    #[serde(default)]
    pub published: Vec<Published>,
}

impl TaskFile {
    /// The JSON Schema of task files.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

fn one() -> u32 {
    1
}

/// What a setting has in place of the task's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// In place of the task's prompt.
    #[serde(default)]
    pub prompt: Option<Prompt>,
    /// In place of the task's decoding.
    #[serde(default)]
    pub decoding: Option<Decoding>,
    /// In place of the task's extraction.
    #[serde(default)]
    pub extraction: Option<Extraction>,
    /// In place of the task's grader.
    #[serde(default)]
    pub grader: Option<Grader>,
}

/// The files that items come from, compressed with gzip or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The name of the file as it is published, or of the archive.
    pub file: String,
    /// Names of files with the same fields and other rows, such as a smaller selection. Default none.
    #[serde(default)]
    pub also: Vec<String>,
    /// For data of several files: their paths in a folder or archive (.tar, .tar.gz), with `*` for the part of the name that is
    /// another in each. Default none: the data are one file.
    #[serde(default)]
    pub parts: Option<String>,
    /// The name under which templates and rows have what `*` stood for. Default `part`.
    #[serde(default = "part")]
    pub part: String,
    /// How rows are written. Default `json`.
    #[serde(default)]
    pub format: Format,
    /// Fields that each row has.
    pub fields: Vec<String>,
    /// Fields that some rows have; null in the others.
    #[serde(default)]
    pub optional: Vec<String>,
    /// In `json`: the field of a file's one object that holds the list of rows. Default none.
    #[serde(default)]
    pub list: Option<String>,
    /// In `json`: rows that are grouped in objects. Default none.
    #[serde(default)]
    pub nested: Option<Nested>,
    /// The texts that a field may be; rows with another one are left out. Default all are taken.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, Vec<String>>,
    /// Rows of another file that belong to those of this one. Default none.
    #[serde(default)]
    pub join: Option<Join>,
    /// An expression that is another for each item. Default the row's number, from 0.
    #[serde(default)]
    pub id: Option<String>,
    /// Rows that are shown solved before each item: a file beside the data, with `*` where each part has its own. Default none.
    #[serde(default)]
    pub shots: Option<String>,
    /// Texts that templates have by name: files beside the data, with `*` where each part has its own. Default none.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
    /// Cells that the released code reads as missing and writes as `nan`; under the rules `fixed` they stay. Default none.
    #[serde(default)]
    pub nan_for_authors: Vec<String>,
    /// Where the file is published. Default nowhere.
    #[serde(default)]
    pub published_at: Option<String>,
    /// The number of items of the published file. Default unknown.
    #[serde(default)]
    pub items: Option<usize>,
}

fn part() -> String {
    "part".to_owned()
}

/// How rows are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Objects, one a line or in one array.
    #[default]
    Json,
    /// One object with a field for each column, which holds a list or an object of the column's values.
    Columns,
    /// Comma-separated values without a header; `fields` names the columns in their order.
    Csv,
}

/// Rows in objects of objects: `{group: {field: {kind: row}}}`. A file with plain rows is read as such.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nested {
    /// The field of a group that holds its rows.
    pub field: String,
    /// The field that rows get for the name of their group.
    pub group: String,
    /// The field that rows get for their own name.
    pub kind: String,
}

/// Rows of another file, as JSON, that belong to those of the first. A row that has none gets null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The file, beside the data. Where it is missing, no row has one.
    pub file: String,
    /// The field that is equal in both.
    pub on: String,
    /// The field that rows get for the other row.
    pub field: String,
}

/// What a model is sent: `messages`, or a `raw` text without a chat template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prompt {
    /// Examples with their solutions, before the messages.
    pub shots: Option<Shots>,
    /// The conversation that the model answers.
    pub messages: Vec<MessageTemplate>,
    /// A template of a text that is sent as it is, without a chat template, instead of messages.
    pub raw: Option<String>,
    /// How the answer begins; the model goes on from there. Default nothing.
    pub answer_prefix: Option<String>,
    /// Templates of texts that end an answer. Default none.
    pub stops: Vec<String>,
    /// An expression for the list of the user's later messages, each sent after an answer. Default none.
    pub later_turns: Option<String>,
    /// How often the token that begins a text stands before the prompt. Default `template`.
    pub bos: Bos,
}

/// Examples with their solutions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shots {
    /// How many.
    pub count: usize,
    /// An expression for the list of them. Default the rows of the data's `shots`.
    #[serde(default)]
    pub from: Option<String>,
    /// The messages of each, of which templates have it as `shot` and its number, from 0, as `index`. None for a raw prompt, whose
    /// template has the list as `shots`.
    #[serde(default)]
    pub messages: Vec<MessageTemplate>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageTemplate {
    /// Who speaks.
    pub role: Role,
    /// The text, as a template.
    pub content: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Directions for the whole conversation. Where a chat template knows no such message, its text begins the user's first.
    System,
    /// The side that asks.
    User,
    /// The model.
    Assistant,
}

/// How often the token that begins a text (BOS) stands before a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bos {
    /// As the chat template writes it. A raw prompt gets the tokenizer's.
    #[default]
    Template,
    /// Once more: the released scripts tokenize the text of the chat template as if it had none, and tokenizers that begin
    /// texts with one add it again.
    Twice,
}

/// How answers are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decoding {
    /// Softness of the distribution; 0 takes the most likely token every time. Default 0.
    pub temperature: f32,
    /// Sample from the smallest set of tokens whose probabilities sum to this. Default 1.
    pub top_p: f32,
    /// Longest answer, in tokens. Default 1024.
    pub max_tokens: usize,
}

impl Default for Decoding {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: 1024,
        }
    }
}

/// A result that was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Where it stands.
    pub table: String,
    /// The model.
    pub model: String,
    /// The number, in percent unless `counted` says otherwise.
    pub value: f64,
    /// What was counted.
    pub counted: String,
    /// The group that it is about, such as `split = "code"`, by the names of `groups`. Default none: the whole.
    #[serde(default)]
    pub group: BTreeMap<String, String>,
}
