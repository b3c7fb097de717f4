//! What is typed: a message, or a command that begins with a slash.

use std::path::PathBuf;

/// A line that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Message(String),
    /// The message of the system, which begins the conversation anew; none takes it away.
    System(Option<String>),
    /// So many answers at once, of which one is gone on with.
    Samples(usize),
    /// Goes on with another one of the last answers, the first being 1.
    Take(usize),
    /// Adds the conversation to a file.
    Save(PathBuf),
    /// Takes back the last message and its answer.
    Undo,
    /// Forgets the conversation.
    Reset,
    Help,
    Quit,
    /// What is wrong with a line.
    Wrong(String),
}

pub const HELP: &str = "\
/system TEXT   begins anew with this message of the system; without a text with none
/samples N     asks for N answers; the first is gone on with
/take N        goes on with another one of the last answers
/undo          takes back your last message and its answer
/reset         forgets the conversation
/save FILE     adds the conversation to a file, as a row of messages that `eurus data` reads
/quit          ends; so does Ctrl-D";

const COMMANDS: [&str; 8] = [
    "system", "samples", "take", "save", "undo", "reset", "help", "quit",
];

impl Typed {
    /// Reads a line.
    pub fn read(line: &str) -> Self {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/') else {
            return Self::Message(line.to_owned());
        };
        let (name, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        let rest = rest.trim();
        let count = |made: fn(usize) -> Self| match rest.parse() {
            Ok(count) if count > 0 => made(count),
            _ => Self::Wrong(format!("/{name} wants a number from 1, as in /{name} 2")),
        };
        match name {
            "system" => Self::System((!rest.is_empty()).then(|| rest.to_owned())),
            "samples" => count(Self::Samples),
            "take" => count(Self::Take),
            "save" if rest.is_empty() => {
                Self::Wrong("/save wants a file, as in /save chat.jsonl".to_owned())
            }
            "save" => Self::Save(PathBuf::from(rest)),
            "undo" => Self::Undo,
            "reset" => Self::Reset,
            "help" => Self::Help,
            "quit" => Self::Quit,
            _ => Self::Wrong(format!(
                "there is no /{name}; there are {}",
                COMMANDS.map(|it| format!("/{it}")).join(", ")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_unless_they_begin_with_a_slash() {
        assert_eq!(Typed::read(" 1/2? "), Typed::Message("1/2?".into()));
        assert_eq!(
            Typed::read("/system Be brief."),
            Typed::System(Some("Be brief.".into()))
        );
        assert_eq!(Typed::read("/system"), Typed::System(None));
        assert_eq!(Typed::read("/samples 3"), Typed::Samples(3));
        assert_eq!(
            Typed::read("/save a b.jsonl"),
            Typed::Save("a b.jsonl".into())
        );
        for wrong in ["/samples", "/samples 0", "/take x", "/save", "/sample 3"] {
            assert!(matches!(Typed::read(wrong), Typed::Wrong(_)), "{wrong}");
        }
    }

    #[test]
    fn every_command_is_in_the_help() {
        for command in COMMANDS.into_iter().filter(|it| *it != "help") {
            assert!(HELP.contains(&format!("/{command}")), "{command}");
            assert!(!matches!(
                Typed::read(&format!("/{command} 1")),
                Typed::Wrong(_)
            ));
        }
    }
}
