//! `eurus eval show`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use eurus::eval::tasks::{Bos, Item, Items, Task};
use eurus::forest::ChatTokenizer;
use serde_json::{Value, json};

use super::sent::Sent;
use super::task::{self, TaskData};
use crate::job::print;
use crate::model_folder;

pub const EXAMPLES: &str = "\
Without --model the messages are shown; with it the text that its chat template makes of them, and the tokens. Of the model the \
tokenizer alone is read.

Examples:
  eurus eval show svamp --data SVAMP.json
  eurus eval show svamp --data SVAMP.json --setting pot --model runs/kto
  eurus eval show mmlu --data mmlu_csv.tar.gz --item 100 --model runs/kto --json
  eurus eval show own.toml";

#[derive(Debug, Args)]
pub struct Show {
    /// A built-in task, or a task file (.toml)
    #[arg(value_name = "TASK")]
    task: String,

    #[command(flatten)]
    data: TaskData,

    /// The setting, such as cot or pot [default: the first]
    #[arg(long, value_name = "NAME")]
    setting: Option<String>,

    /// The number of the item, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    item: usize,

    /// A model folder, an adapter folder, or a model of the hub (organization/name)
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,

    /// How often the token that begins a text stands before the prompt [default: as the task says]
    #[arg(long, value_name = "WHICH")]
    bos: Option<BosOption>,

    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

/// `--bos`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum BosOption {
    /// As the chat template writes it
    Template,
    /// Once more, by the tokenizer, as the released scripts have it
    Twice,
}

impl Show {
    pub fn run(&self) -> Result<()> {
        let mut task = task::find(&self.task)?;
        if let Some(setting) = &self.setting {
            task = task.with_setting(setting)?;
        }
        let items = self.data.load(&task)?;
        let item = items.items.get(self.item).ok_or_else(|| {
            anyhow!(
                "--item {}: there are {} items, numbered from 0",
                self.item,
                items.items.len()
            )
        })?;
        let sent = self.model.as_ref().map(|model| {
            let folder = model_folder::find(model, "--model")?.folder;
            let tokenizer = ChatTokenizer::from_folder(folder)?;
            Sent::new(item, self.bos(&task), &tokenizer)
        });
        let shown = Shown {
            task: &task,
            items: &items,
            item,
            sent: sent.transpose()?,
            rules: self.data.rules().to_string(),
        };
        match self.json {
            true => print(&shown.to_json().to_string()),
            false => print(shown.to_text()?.trim_end()),
        }
        Ok(())
    }

    fn bos(&self, task: &Task) -> Bos {
        match self.bos {
            None => task.prompt().bos,
            Some(BosOption::Template) => Bos::Template,
            Some(BosOption::Twice) => Bos::Twice,
        }
    }
}

/// All that is shown.
struct Shown<'a> {
    task: &'a Task,
    items: &'a Items,
    item: &'a Item,
    sent: Option<Sent>,
    rules: String,
}

impl Shown<'_> {
    fn to_json(&self) -> Value {
        let sent = self.sent.as_ref().map(|sent| {
            let bos = sent.bos.as_ref();
            json!({
                "text": sent.text,
                "tokens": sent.tokens,
                "bos": bos.map(|(token, _)| token),
                "bos_count": bos.map_or(0, |(_, count)| *count),
                "without_system": sent.without_system,
            })
        });
        json!({
            "task": self.task.name(),
            "version": self.task.file().version,
            "setting": self.task.setting(),
            "rules": self.rules,
            "grader": self.task.grader(),
            "extraction": self.task.extraction(),
            "items": self.items.items.len(),
            "bad": self.items.bad,
            "note": self.items.note(),
            "data": self.items.origin,
            "data_sha256": self.items.sha256,
            "item": self.item,
            "sent": sent,
        })
    }

    fn to_text(&self) -> Result<String> {
        let Self {
            task, items, item, ..
        } = self;
        let mut text = String::new();
        let setting = task.setting().map(|setting| format!(", setting {setting}"));
        writeln!(
            text,
            "{} ({}), version {}{}",
            task.title(),
            task.name(),
            task.file().version,
            setting.unwrap_or_default()
        )?;
        writeln!(
            text,
            "{} items of {}",
            items.items.len(),
            items.origin.display()
        )?;
        if let Some(note) = items.note() {
            writeln!(text, "note: {note}")?;
        }
        let groups = item
            .groups
            .iter()
            .map(|(name, group)| format!(", {name} {group}"));
        writeln!(text, "\nitem {}{}", item.id, groups.collect::<String>())?;
        self.write_prompt(&mut text)?;
        for turn in &item.later_turns {
            writeln!(text, "\n--- then the user says\n{turn}")?;
        }
        let sampling = &item.request.sampling;
        writeln!(
            text,
            "\n--- drawn with\ntemperature {}, top_p {}, at most {} tokens, ended by {}",
            sampling.temperature,
            sampling.top_p,
            sampling.max_tokens,
            json!(sampling.stop)
        )?;
        let gold = match &item.gold {
            Value::String(gold) => gold.clone(),
            Value::Null => "none: a model judges".to_owned(),
            other => other.to_string(),
        };
        writeln!(text, "\n--- the right answer\n{gold}")?;
        writeln!(
            text,
            "\n--- graded by\n{} (rules: {})",
            json!(task.grader()),
            self.rules
        )?;
        Ok(text)
    }

    fn write_prompt(&self, text: &mut String) -> Result<()> {
        let request = &self.item.request;
        let Some(sent) = &self.sent else {
            for message in &request.messages {
                writeln!(
                    text,
                    "\n--- {}\n{}",
                    json!(message.role).as_str().unwrap_or_default(),
                    message.content
                )?;
            }
            if let Some(raw) = &request.raw_prompt {
                writeln!(text, "\n--- the prompt, without a chat template\n{raw}")?;
            }
            if let Some(prefix) = &request.answer_prefix {
                writeln!(text, "\n--- the answer begins\n{prefix}")?;
            }
            return Ok(());
        };
        writeln!(
            text,
            "\n--- the prompt as sent, {} characters\n{}",
            sent.text.chars().count(),
            sent.text
        )?;
        if sent.without_system {
            writeln!(
                text,
                "\nThe chat template refuses messages of the system; their text begins the user's first message."
            )?;
        }
        let bos = match &sent.bos {
            Some((token, count)) => format!("{token} begins them {count} times"),
            None => "the tokenizer begins texts with no token of its own".to_owned(),
        };
        let tokens: Vec<String> = sent.tokens.iter().map(u32::to_string).collect();
        writeln!(
            text,
            "\n--- its {} tokens; {bos}\n{}",
            tokens.len(),
            tokens.join(" ")
        )?;
        Ok(())
    }
}
