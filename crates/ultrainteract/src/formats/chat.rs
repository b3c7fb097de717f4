//! Chat and preference rows: between their spelling and [`Example`]s.

use super::check;
use super::jsonl::{Record, parse_object};
use super::wire::{Said, Text, Wire};
use crate::example::{
    Completion, Conversation, Example, Origin, Preference, Unpaired, one_message,
};
use crate::{Error, Message, Result, Role};

/// Whether texts are written as strings or as messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Chat,
}

// ---- conversations ----

pub(super) fn read_messages(record: &[u8]) -> Result<Example> {
    let mut row: Wire = parse_object(record)?;
    let messages = row
        .messages
        .take()
        .ok_or_else(|| Error::missing("messages"))?;
    Ok(conversation(row.origin(), messages))
}

pub(super) fn read_sharegpt(record: &[u8]) -> Result<Example> {
    let mut row: Wire = parse_object(record)?;
    let said = row
        .conversations
        .take()
        .ok_or_else(|| Error::missing("conversations"))?;
    let messages = said.into_iter().map(Message::from).collect();
    Ok(conversation(row.origin(), messages))
}

pub(super) fn read_ultrachat(record: &[u8]) -> Result<Example> {
    let mut row: Wire = parse_object(record)?;
    let data = row.data.take().ok_or_else(|| Error::missing("data"))?;
    let messages = data
        .into_iter()
        .enumerate()
        .map(|(index, text)| match index % 2 {
            0 => Message::user(text),
            _ => Message::assistant(text),
        })
        .collect();
    Ok(conversation(row.origin(), messages))
}

pub(super) fn read_openorca(record: &[u8]) -> Result<Example> {
    let mut row: Wire = parse_object(record)?;
    let question = row
        .question
        .take()
        .ok_or_else(|| Error::missing("question"))?;
    let response = row
        .response
        .take()
        .ok_or_else(|| Error::missing("response"))?;
    // Most rows have an empty system prompt; that is none.
    let system = row.system_prompt.take().filter(|text| !text.is_empty());
    let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
    messages.extend([Message::user(question), Message::assistant(response)]);
    Ok(conversation(row.origin(), messages))
}

fn conversation(origin: Origin, messages: Vec<Message>) -> Example {
    Example::Conversation(Conversation { origin, messages })
}

pub(super) fn write_messages(from: Conversation) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.messages = Some(from.messages);
    Ok(row)
}

pub(super) fn write_sharegpt(from: Conversation) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.conversations = Some(from.messages.iter().map(Said::from).collect());
    Ok(row)
}

pub(super) fn write_ultrachat(from: Conversation) -> Result<Wire, String> {
    let in_turn = |(index, message): (usize, &Message)| match index % 2 {
        0 => message.role == Role::User,
        _ => message.role == Role::Assistant,
    };
    if !from.messages.iter().enumerate().all(in_turn) {
        return Err("its messages go user, assistant, user, ...".to_string());
    }
    let mut row = Wire::from_origin(&from.origin);
    row.data = Some(
        from.messages
            .into_iter()
            .map(|message| message.content)
            .collect(),
    );
    Ok(row)
}

pub(super) fn write_openorca(from: Conversation) -> Result<Wire, String> {
    let roles: Vec<Role> = from.messages.iter().map(|message| message.role).collect();
    let mut texts = from.messages.into_iter().map(|message| message.content);
    let mut row = Wire::from_origin(&from.origin);
    row.system_prompt = match roles[..] {
        [Role::System, Role::User, Role::Assistant] => texts.next(),
        [Role::User, Role::Assistant] => Some(String::new()),
        _ => return Err("its rows have one question and one response".to_string()),
    };
    row.question = texts.next();
    row.response = texts.next();
    Ok(row)
}

// ---- TRL ----

pub(super) fn read_completion(record: &[u8]) -> Result<Example> {
    let mut row: Wire = parse_object(record)?;
    let prompt = prompt(row.prompt.take().ok_or_else(|| Error::missing("prompt"))?);
    let completion = answer(
        row.completion
            .take()
            .ok_or_else(|| Error::missing("completion"))?,
    );
    Ok(Example::Completion(Completion {
        origin: row.origin(),
        prompt,
        completion,
    }))
}

pub(super) fn read_unpaired(record: &[u8]) -> Result<Unpaired> {
    let mut row: Wire = parse_object(record)?;
    let prompt = prompt(row.prompt.take().ok_or_else(|| Error::missing("prompt"))?);
    let completion = answer(
        row.completion
            .take()
            .ok_or_else(|| Error::missing("completion"))?,
    );
    let label = row.label.ok_or_else(|| Error::missing("label"))?;
    Ok(Unpaired {
        origin: row.origin(),
        prompt,
        completion,
        label,
    })
}

/// A row of TRL's unpaired preference, standard or conversational.
impl Record for Unpaired {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row = read_unpaired(line)?;
        match check::unpaired(&row).into_iter().next() {
            None => Ok(row),
            Some(fault) => Err(fault),
        }
    }
}

pub(super) fn read_preference(record: &[u8]) -> Result<Example> {
    let mut row: Wire = parse_object(record)?;
    let chosen = row.chosen.take().ok_or_else(|| Error::missing("chosen"))?;
    let rejected = row
        .rejected
        .take()
        .ok_or_else(|| Error::missing("rejected"))?;
    let (prompt, chosen, rejected) = match (row.prompt.take(), chosen, rejected) {
        (Some(Text::Chat(prompt)), chosen, rejected) => (prompt, answer(chosen), answer(rejected)),
        (Some(Text::Plain(text)), Text::Plain(chosen), Text::Plain(rejected)) => (
            vec![Message::user(text)],
            vec![Message::assistant(chosen)],
            vec![Message::assistant(rejected)],
        ),
        (Some(Text::Plain(text)), Text::Chat(chosen), Text::Chat(rejected))
            if begins_with_answer(&chosen) && begins_with_answer(&rejected) =>
        {
            (vec![Message::user(text)], chosen, rejected)
        }
        // The prompt stands at the beginning of both; a string beside that repeats it.
        (_, Text::Chat(chosen), Text::Chat(rejected)) => split_prompt(chosen, rejected)?,
        (None, _, _) => return Err(Error::missing("prompt")),
        (Some(Text::Plain(_)), _, _) => {
            return Err(Error::malformed(
                "rejected",
                "is not of the same form as `chosen`: both are strings or both are lists of messages",
            ));
        }
    };
    let scores = row.score_chosen.zip(row.score_rejected);
    Ok(Example::Preference(Preference {
        origin: row.origin(),
        prompt,
        chosen,
        rejected,
        scores,
    }))
}

fn begins_with_answer(messages: &[Message]) -> bool {
    messages
        .first()
        .is_some_and(|first| first.role == Role::Assistant)
}

type Split = (Vec<Message>, Vec<Message>, Vec<Message>);

fn split_prompt(mut chosen: Vec<Message>, mut rejected: Vec<Message>) -> Result<Split> {
    let shared = chosen
        .iter()
        .zip(&rejected)
        .take_while(|(a, b)| a == b)
        .count();
    // The prompt ends with the user even if the first answers are the same.
    let end = chosen[..shared]
        .iter()
        .rposition(|message| message.role == Role::User)
        .map_or(0, |last| last + 1);
    if end == 0 {
        return Err(Error::malformed(
            "prompt",
            "is missing, and `chosen` and `rejected` do not begin with the same messages",
        ));
    }
    let (chosen_answer, rejected_answer) = (chosen.split_off(end), rejected.split_off(end));
    Ok((chosen, chosen_answer, rejected_answer))
}

fn prompt(text: Text) -> Vec<Message> {
    match text {
        Text::Plain(text) => vec![Message::user(text)],
        Text::Chat(messages) => messages,
    }
}

fn answer(text: Text) -> Vec<Message> {
    match text {
        Text::Plain(text) => vec![Message::assistant(text)],
        Text::Chat(messages) => messages,
    }
}

pub(super) fn write_completion(from: Completion, style: Style) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.prompt = Some(styled_prompt(from.prompt, style)?);
    row.completion = Some(styled_answer(from.completion, style)?);
    Ok(row)
}

pub(super) fn write_unpaired(from: Unpaired, style: Style) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.prompt = Some(styled_prompt(from.prompt, style)?);
    row.completion = Some(styled_answer(from.completion, style)?);
    row.label = Some(from.label);
    Ok(row)
}

pub(super) fn write_preference(from: Preference, style: Style) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.prompt = Some(styled_prompt(from.prompt, style)?);
    row.chosen = Some(styled_answer(from.chosen, style)?);
    row.rejected = Some(styled_answer(from.rejected, style)?);
    (row.score_chosen, row.score_rejected) = from.scores.unzip();
    Ok(row)
}

fn styled_prompt(mut messages: Vec<Message>, style: Style) -> Result<Text, String> {
    if style == Style::Chat {
        return Ok(Text::Chat(messages));
    }
    match (messages.pop(), messages.is_empty()) {
        (Some(message), true) if message.role == Role::User => Ok(Text::Plain(message.content)),
        _ => Err(
            "a prompt of several messages needs the conversational form of this format".to_string(),
        ),
    }
}

fn styled_answer(messages: Vec<Message>, style: Style) -> Result<Text, String> {
    match style {
        Style::Chat => Ok(Text::Chat(messages)),
        Style::Plain => one_message(messages).map(Text::Plain),
    }
}
