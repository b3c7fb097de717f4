//! The formats by name: which one a file has, reading a record, writing an example.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;

use super::chat::{self, Style};
use super::check;
use super::jsonl::{Record, parse_object};
use super::{FORMAT, TreeRecord, ranking, rows, unused};
use crate::example::Example;
use crate::{Error, PreferenceTree, Result, input};

/// A file format, whatever the file's compression and whether it is JSONL or Parquet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    /// This crate's trees.
    Tree,
    /// `UltraInteract_pair`.
    Pair,
    /// `UltraInteract_sft`.
    Sft,
    /// UltraFeedback: an instruction and answers with scores. Nectar's ranked answers and rows of `generations` with
    /// `ratings` are read as this.
    UltraFeedback,
    /// UltraSafety: as UltraFeedback, with a jailbreak prompt and ratings of harmlessness.
    UltraSafety,
    /// UltraChat: texts of user and assistant in turn.
    UltraChat,
    /// ShareGPT: messages of human and gpt.
    ShareGpt,
    /// OpenOrca: system prompt, question and response.
    OpenOrca,
    /// TRL's conversational language modelling, which is also UltraChat-200k's form: `messages`.
    TrlMessages,
    /// TRL's standard prompt-completion.
    TrlCompletion,
    /// TRL's conversational prompt-completion.
    TrlCompletionChat,
    /// TRL's standard preference.
    TrlPreference,
    /// TRL's conversational preference; UltraFeedback-binarized is read as this.
    TrlPreferenceChat,
    /// TRL's standard unpaired preference.
    TrlUnpaired,
    /// TRL's conversational unpaired preference.
    TrlUnpairedChat,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 15] = [
        Format::Tree,
        Format::Pair,
        Format::Sft,
        Format::UltraFeedback,
        Format::UltraSafety,
        Format::UltraChat,
        Format::ShareGpt,
        Format::OpenOrca,
        Format::TrlMessages,
        Format::TrlCompletion,
        Format::TrlCompletionChat,
        Format::TrlPreference,
        Format::TrlPreferenceChat,
        Format::TrlUnpaired,
        Format::TrlUnpairedChat,
    ];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Tree => "tree",
            Format::Pair => "pair",
            Format::Sft => "sft",
            Format::UltraFeedback => "ultrafeedback",
            Format::UltraSafety => "ultrasafety",
            Format::UltraChat => "ultrachat",
            Format::ShareGpt => "sharegpt",
            Format::OpenOrca => "openorca",
            Format::TrlMessages => "trl-messages",
            Format::TrlCompletion => "trl-completion",
            Format::TrlCompletionChat => "trl-completion-chat",
            Format::TrlPreference => "trl-preference",
            Format::TrlPreferenceChat => "trl-preference-chat",
            Format::TrlUnpaired => "trl-unpaired",
            Format::TrlUnpairedChat => "trl-unpaired-chat",
        }
    }

    fn names() -> Vec<&'static str> {
        Format::ALL.map(Format::as_str).to_vec()
    }

    /// The format of a file, by the fields of the first record that has those of one; `None` if the file has no record.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or no format has the fields of its records.
    pub fn of_file(path: &Path) -> Result<Option<Format>> {
        // A first record that is damaged does not hide what the others are.
        let mut unknown = None;
        let found = input::first_found(path, |record| {
            let value = parse_object::<Value>(record);
            let format = value.as_ref().ok().and_then(Format::of_record);
            if format.is_none() && unknown.is_none() {
                unknown = Some(match value {
                    Ok(Value::Object(fields)) => fields
                        .keys()
                        .map(|name| format!("`{name}`"))
                        .collect::<Vec<_>>()
                        .join(", "),
                    Ok(_) => "of anything but an object".to_string(),
                    Err(error) => format!("of its first record ({error})"),
                });
            }
            format
        })?;
        match (found, unknown) {
            (None, Some(found)) => Err(Error::UnknownFormat {
                file: path.to_path_buf(),
                found,
                known: Format::names(),
            }),
            (found, _) => Ok(found),
        }
    }

    /// The format that a record has by its fields.
    ///
    /// ```
    /// use ultrainteract::formats::Format;
    /// let row = serde_json::json!({"id": "1", "system_prompt": "", "question": "?", "response": "!"});
    /// assert_eq!(Format::of_record(&row), Some(Format::OpenOrca));
    /// ```
    pub fn of_record(record: &Value) -> Option<Format> {
        let has = |name: &str| record.get(name).is_some_and(|value| !value.is_null());
        let chat = |name: &str| record.get(name).is_some_and(Value::is_array);
        let styled = |name: &str, plain, conversational| {
            if chat(name) { conversational } else { plain }
        };
        Some(match () {
            _ if record.get("format").is_some_and(|name| name == FORMAT) => Format::Tree,
            _ if has("trajectory") => Format::Pair,
            _ if chat("completions") && has("prompt") => Format::UltraSafety,
            _ if chat("completions") => Format::UltraFeedback,
            _ if chat("generations") && chat("ratings") => Format::UltraFeedback,
            _ if chat("answers") && has("prompt") => Format::UltraFeedback,
            _ if has("chosen") && has("rejected") => {
                styled("chosen", Format::TrlPreference, Format::TrlPreferenceChat)
            }
            _ if has("response_a") && has("response_b") && has("preference") => styled(
                "response_a",
                Format::TrlPreference,
                Format::TrlPreferenceChat,
            ),
            _ if has("question") && has("response") => Format::OpenOrca,
            _ if has("instruction") && has("response") => Format::Sft,
            _ if chat("conversations") || chat("items") => Format::ShareGpt,
            _ if has("completion") && has("label") => {
                styled("completion", Format::TrlUnpaired, Format::TrlUnpairedChat)
            }
            _ if chat("messages") && has("kto_tag") => Format::TrlUnpairedChat,
            _ if has("instruction") && has("output") => Format::TrlCompletion,
            _ if has("completion") => styled(
                "completion",
                Format::TrlCompletion,
                Format::TrlCompletionChat,
            ),
            _ if chat("messages") => Format::TrlMessages,
            _ if chat("data") => Format::UltraChat,
            _ => return None,
        })
    }

    /// Reads a record and checks it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with it.
    pub fn parse(self, record: &[u8]) -> Result<Example> {
        let example = self.parse_unchecked(record)?;
        match check::violations(&example).into_iter().next() {
            None => Ok(example),
            Some(fault) => Err(fault),
        }
    }

    /// Reads a record of the right form; what is in it may break the rules of its kind.
    pub(crate) fn parse_unchecked(self, record: &[u8]) -> Result<Example> {
        match self {
            Format::Tree => {}
            // What stands around the instruction of a tree is in its nodes.
            Format::Pair | Format::UltraFeedback | Format::UltraSafety => {
                unused::refuse(record, &unused::CONTEXT)?;
            }
            Format::Sft => unused::refuse(record, &["history"])?,
            _ => unused::refuse(record, &[])?,
        }
        match self {
            Format::Tree => {
                PreferenceTree::from_json(record).map(|tree| Example::Tree(Box::new(tree)))
            }
            Format::Pair => rows::read_pair(record),
            Format::Sft => rows::read_sft(record),
            Format::UltraFeedback | Format::UltraSafety => {
                ranking::read(record).map(Example::Ranking)
            }
            Format::UltraChat => chat::read_ultrachat(record),
            Format::ShareGpt => chat::read_sharegpt(record),
            Format::OpenOrca => chat::read_openorca(record),
            Format::TrlMessages => chat::read_messages(record),
            Format::TrlCompletion | Format::TrlCompletionChat => chat::read_completion(record),
            Format::TrlPreference | Format::TrlPreferenceChat => chat::read_preference(record),
            Format::TrlUnpaired | Format::TrlUnpairedChat => {
                chat::read_unpaired(record).map(Example::Unpaired)
            }
        }
    }

    /// Everything that is wrong with an example that was read.
    pub(crate) fn violations(example: &Example) -> Vec<Error> {
        check::violations(example)
    }

    /// Appends an example as JSON lines and returns how many there are: a tree has as many pair
    /// rows as pairs, a ranking as many preferences as two of its answers differ.
    ///
    /// # Errors
    ///
    /// [`Error::NotHeld`]: the format cannot hold the example.
    pub fn encode(self, example: &Example, lines: &mut Vec<u8>) -> Result<usize> {
        let not_held = |why: String| Error::NotHeld {
            format: self.as_str(),
            what: example.kind(),
            why,
        };
        let style = match self {
            Format::TrlCompletion | Format::TrlPreference | Format::TrlUnpaired => Style::Plain,
            _ => Style::Chat,
        };
        let has_place_beside_texts = matches!(
            self,
            Format::TrlMessages
                | Format::TrlCompletionChat
                | Format::TrlPreferenceChat
                | Format::TrlUnpairedChat
        );
        let mut messages = example.messages();
        if let Some(field) = messages.find_map(|it| it.beside.as_deref()?.field())
            && !has_place_beside_texts
        {
            return Err(not_held(format!(
                "its messages have no place for `{field}`"
            )));
        }
        let rows: Result<usize, String> = match self {
            Format::Tree => example
                .tree()
                .ok_or_else(|| "trees are rebuilt from pair rows or built".to_string())
                .map(|tree| push_line(lines, &TreeRecord::from(tree))),
            Format::Pair => example.pair_rows().map(|rows| push_lines(lines, &rows)),
            Format::Sft => example.sft_rows().map(|rows| push_lines(lines, &rows)),
            Format::UltraFeedback | Format::UltraSafety => match example {
                Example::Ranking(ranking) => Ok(push_line(lines, ranking)),
                _ => Err("its rows have all answers to an instruction with their scores".into()),
            },
            Format::UltraChat | Format::ShareGpt | Format::OpenOrca | Format::TrlMessages => {
                let write = match self {
                    Format::UltraChat => chat::write_ultrachat,
                    Format::ShareGpt => chat::write_sharegpt,
                    Format::OpenOrca => chat::write_openorca,
                    _ => chat::write_messages,
                };
                wires(example.conversations(), "no answer to learn", write)
                    .map(|rows| push_lines(lines, &rows))
            }
            Format::TrlCompletion | Format::TrlCompletionChat => {
                let write = |row| chat::write_completion(row, style);
                wires(example.completions(), "no answer to learn", write)
                    .map(|rows| push_lines(lines, &rows))
            }
            Format::TrlPreference | Format::TrlPreferenceChat => {
                let write = |row| chat::write_preference(row, style);
                wires(example.preferences(), "no preference", write)
                    .map(|rows| push_lines(lines, &rows))
            }
            Format::TrlUnpaired | Format::TrlUnpairedChat => {
                let write = |row| chat::write_unpaired(row, style);
                wires(example.unpaired(), "no judged answer", write)
                    .map(|rows| push_lines(lines, &rows))
            }
        };
        rows.map_err(not_held)
    }
}

fn wires<T, W>(
    rows: Option<Vec<T>>,
    lacks: &str,
    write: impl Fn(T) -> Result<W, String>,
) -> Result<Vec<W>, String> {
    rows.ok_or_else(|| format!("there is {lacks} in it"))?
        .into_iter()
        .map(write)
        .collect()
}

fn push_lines<T: Serialize>(lines: &mut Vec<u8>, rows: &[T]) -> usize {
    rows.iter().map(|row| push_line(lines, row)).sum()
}

fn push_line<T: Serialize>(lines: &mut Vec<u8>, row: &T) -> usize {
    // Our rows have string keys and a vector takes what is written, so this cannot fail.
    serde_json::to_writer(&mut *lines, row).expect("rows have a JSON form");
    lines.push(b'\n');
    1
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| Error::FormatName {
                found: name.to_string(),
                known: Format::names(),
            })
    }
}
