//! What the types of an example do not say: no blank text, roles in turn, answers that differ.

use super::{PairRow, SftRow};
use crate::example::{Example, Ranking, Unpaired};
use crate::{Error, Message, Role};

/// Everything that is wrong with an example, each with its field.
pub(super) fn violations(example: &Example) -> Vec<Error> {
    let mut found = Vec::new();
    match example {
        Example::Tree(_) => {} // valid by construction
        Example::Pair(row) => pair(row, &mut found),
        Example::Sft(row) => sft(row, &mut found),
        Example::Conversation(conversation) => {
            chat("messages", &conversation.messages, Part::Whole, &mut found);
        }
        Example::Completion(row) => {
            chat("prompt", &row.prompt, Part::Prompt, &mut found);
            chat("completion", &row.completion, Part::Answer, &mut found);
        }
        Example::Unpaired(row) => found = unpaired(row),
        Example::Preference(row) => {
            chat("prompt", &row.prompt, Part::Prompt, &mut found);
            chat("chosen", &row.chosen, Part::Answer, &mut found);
            chat("rejected", &row.rejected, Part::Answer, &mut found);
            if row.chosen == row.rejected {
                found.push(Error::IdenticalPair);
            }
        }
        Example::Ranking(ranking) => self::ranking(ranking, &mut found),
    }
    found
}

pub(super) fn unpaired(row: &Unpaired) -> Vec<Error> {
    let mut found = Vec::new();
    chat("prompt", &row.prompt, Part::Prompt, &mut found);
    chat("completion", &row.completion, Part::Answer, &mut found);
    found
}

pub(crate) fn pair(row: &PairRow, found: &mut Vec<Error>) {
    not_blank("id", &row.id, found);
    not_blank("parent_id", &row.parent_id, found);
    trajectory(&row.trajectory, found);
    not_blank("chosen", &row.chosen, found);
    not_blank("rejected", &row.rejected, found);
    if row.chosen == row.rejected && !row.chosen.trim().is_empty() {
        found.push(Error::IdenticalPair);
    }
}

pub(crate) fn trajectory(messages: &[Message], found: &mut Vec<Error>) {
    if messages.is_empty() {
        not_blank("trajectory", "", found);
    }
    for (index, message) in messages.iter().enumerate() {
        let expected = match index % 2 {
            0 => Role::User,
            _ => Role::Assistant,
        };
        if message.role != expected {
            found.push(Error::WrongSpeaker {
                field: format!("trajectory[{index}].from"),
                expected: expected.as_str(),
                found: message.role.as_str(),
            });
        }
        if message.content.trim().is_empty() {
            not_blank(&format!("trajectory[{index}].value"), "", found);
        }
    }
    if messages.len().is_multiple_of(2) && !messages.is_empty() {
        found.push(Error::TrajectoryEndsWithAssistant {
            messages: messages.len(),
        });
    }
}

pub(super) fn sft(row: &SftRow, found: &mut Vec<Error>) {
    not_blank("id", &row.id, found);
    not_blank("parent_id", &row.parent_id, found);
    not_blank("instruction", &row.instruction, found);
    not_blank("response", &row.response, found);
}

pub(super) fn ranking(ranking: &Ranking, found: &mut Vec<Error>) {
    not_blank("instruction", &ranking.instruction, found);
    for (index, completion) in ranking.completions.iter().enumerate() {
        if completion.response.trim().is_empty() {
            not_blank(&format!("completions[{index}].response"), "", found);
        }
    }
}

/// Which part of a chat a list of messages is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// From the system or user to the assistant.
    Whole,
    /// From the system or user to the user.
    Prompt,
    /// From the assistant to the assistant.
    Answer,
}

fn chat(field: &str, messages: &[Message], part: Part, found: &mut Vec<Error>) {
    if messages.is_empty() {
        not_blank(field, "", found);
        return;
    }
    for (index, message) in messages.iter().enumerate() {
        // An answer is a trajectory. What else may follow what is the chat template's business, and a refusal of its own.
        let (expected, is_in_turn) = match index % 2 {
            0 => (Role::Assistant, message.role == Role::Assistant),
            _ => (Role::User, message.role.asks()),
        };
        if part == Part::Answer && !is_in_turn {
            found.push(Error::WrongSpeaker {
                field: format!("{field}[{index}].role"),
                expected: expected.as_str(),
                found: message.role.as_str(),
            });
        }
        // An empty message of the system says that there is none, where a template would write one of its own.
        let may_be_empty = message.role.instructs() || !message.tool_calls().is_empty();
        if message.content.trim().is_empty() && !may_be_empty {
            not_blank(&format!("{field}[{index}].content"), "", found);
        }
    }
    let last = match part {
        Part::Prompt => Role::User,
        Part::Whole | Part::Answer => Role::Assistant,
    };
    let ends_with = messages[messages.len() - 1].role;
    // What the user says after the last answer teaches nothing, and does no harm.
    let is_answered = part == Part::Whole && messages.iter().any(|it| it.role == last);
    let is_asked = part == Part::Prompt && ends_with.asks();
    if ends_with != last && !is_asked && !is_answered {
        found.push(Error::WrongEnd {
            field: field.to_string(),
            expected: last.as_str(),
            found: ends_with.as_str(),
        });
    }
}

pub(crate) fn not_blank(field: &str, text: &str, found: &mut Vec<Error>) {
    if text.trim().is_empty() {
        found.push(Error::EmptyField {
            field: field.to_string(),
        });
    }
}
