//! The command line as it was given: to say it again, and to keep it with the result.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use clap::ArgMatches;
use serde_json::{Value, json};

/// All options of the command with their values, defaults included.
static OPTIONS: OnceLock<BTreeMap<String, Value>> = OnceLock::new();

/// The words of the command, as they were given.
pub fn words() -> Vec<String> {
    let words = std::env::args_os();
    words.map(|it| it.to_string_lossy().into_owned()).collect()
}

/// The variable that tells a step of a recipe which command goes on.
pub const GO_ON: &str = "EURUS_GO_ON_WITH";

/// The command that goes on with this one's run, as a shell reads it.
pub fn to_go_on() -> String {
    if let Ok(command) = std::env::var(GO_ON) {
        return command;
    }
    let mut words = words();
    if !words.iter().any(|word| word == "--resume") {
        words.push("--resume".to_owned());
    }
    shown(&words)
}

/// This command again, as a shell reads it.
pub fn again() -> String {
    std::env::var(GO_ON).unwrap_or_else(|_| shown(&words()))
}

fn shown(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}

/// A word as a POSIX shell reads it as that word.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

/// Remembers the options of the command that is run.
pub fn remember(matches: &ArgMatches) {
    let mut command = matches;
    while let Some((_, inner)) = command.subcommand() {
        command = inner;
    }
    let value_of = |name: &str| -> Option<Value> {
        // A group of options has a name too, and no values.
        let raw = command.try_get_raw(name).ok()??;
        let mut values: Vec<Value> = raw.map(|it| json!(it.to_string_lossy())).collect();
        Some(match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        })
    };
    let names = command.ids().map(|id| id.as_str());
    let options = names.filter_map(|name| Some((name.to_owned(), value_of(name)?)));
    let _ = OPTIONS.set(options.collect());
}

/// All options of the command with their values as text, by their names.
pub fn options() -> BTreeMap<String, Value> {
    OPTIONS.get().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_as_shells_need_it() {
        assert_eq!(quoted("runs/kto-1"), "runs/kto-1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(r#"{"type": "simpo"}"#), r#"'{"type": "simpo"}'"#);
        assert_eq!(quoted("data/*.jsonl"), "'data/*.jsonl'");
        assert_eq!(quoted(""), "''");
    }
}
