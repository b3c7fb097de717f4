//! Chat and preference rows: between their spelling and [`Example`]s.

use super::check;
use super::jsonl::Record;
use super::messages::Text;
use super::wire::Wire;
use crate::convert::one_message;
use crate::example::{Completion, Conversation, Example, Preference, Unpaired};
use crate::{Error, Message, Result, Role};

/// Whether texts are written as strings or as messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Chat,
}

// ---- conversations ----

const MESSAGES: &[&[&str]] = &[&["messages"]];
const CONVERSATIONS: &[&[&str]] = &[&["conversations", "items"]];
const DATA: &[&[&str]] = &[&["data"]];
const QUESTION: &[&[&str]] = &[&["question"], &["response"]];
const COMPLETION: &[&[&str]] = &[&["prompt", "instruction"], &["completion", "output"]];
const VERDICT: &[&[&str]] = &[
    &["prompt", "instruction"],
    &["completion", "output"],
    &["messages"],
    &["label", "kto_tag"],
];
const PREFERENCE: &[&[&str]] = &[
    &["prompt", "instruction", "question"],
    &["conversations", "items"],
    &["chosen"],
    &["rejected"],
    &["score_chosen", "chosen_score"],
    &["score_rejected", "rejected_score"],
    &["response_a"],
    &["response_b"],
    &["preference"],
];

pub(super) fn read_messages(record: &[u8]) -> Result<Example> {
    let mut row = Wire::parse(record, MESSAGES)?;
    let messages = taken(row.messages.take(), "messages")?;
    conversation(row, messages)
}

pub(super) fn read_sharegpt(record: &[u8]) -> Result<Example> {
    let mut row = Wire::parse(record, CONVERSATIONS)?;
    let messages = taken(row.conversations.take(), "conversations")?;
    conversation(row, messages)
}

pub(super) fn read_ultrachat(record: &[u8]) -> Result<Example> {
    let mut row = Wire::parse(record, DATA)?;
    let in_turn = |(index, text): (usize, String)| match index % 2 {
        0 => Message::user(text),
        _ => Message::assistant(text),
    };
    let data = taken(row.data.take(), "data")?.into_iter().enumerate();
    let messages = data.map(in_turn).collect();
    conversation(row, messages)
}

pub(super) fn read_openorca(record: &[u8]) -> Result<Example> {
    let mut row = Wire::parse(record, QUESTION)?;
    let question = taken(row.question.take(), "question")?;
    let response = taken(row.response.take(), "response")?;
    conversation(
        row,
        vec![Message::user(question), Message::assistant(response)],
    )
}

fn taken<T>(field: Option<T>, name: &str) -> Result<T> {
    field.ok_or_else(|| Error::missing(name))
}

fn conversation(mut row: Wire, messages: Vec<Message>) -> Result<Example> {
    let messages = row.in_context(messages)?;
    Ok(Example::Conversation(Conversation {
        origin: row.origin(),
        messages,
    }))
}

pub(super) fn write_messages(from: Conversation) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.messages = Some(from.messages);
    Ok(row)
}

pub(super) fn write_sharegpt(from: Conversation) -> Result<Wire, String> {
    let mut row = Wire::from_origin(&from.origin);
    row.conversations = Some(from.messages);
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
    row.orca_system = match roles[..] {
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
    let mut row = Wire::parse(record, COMPLETION)?;
    let asked = prompt(taken(row.prompt.take(), "prompt")?);
    let completion = answer(taken(row.completion.take(), "completion")?);
    Ok(Example::Completion(Completion {
        prompt: row.in_context(asked)?,
        completion,
        origin: row.origin(),
    }))
}

pub(super) fn read_unpaired(record: &[u8]) -> Result<Unpaired> {
    let mut row = Wire::parse(record, VERDICT)?;
    let (asked, completion) = match (row.prompt.take(), row.messages.take()) {
        // The last of the messages is the one that was judged.
        (None, Some(mut messages)) => {
            let last = messages.split_off(messages.len().saturating_sub(1));
            (messages, last)
        }
        (asked, _) => (
            prompt(taken(asked, "prompt")?),
            answer(taken(row.completion.take(), "completion")?),
        ),
    };
    let label = taken(row.label, "label")?;
    Ok(Unpaired {
        prompt: row.in_context(asked)?,
        completion,
        label,
        origin: row.origin(),
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
    let mut row = Wire::parse(record, PREFERENCE)?;
    let [chosen, rejected] = match (row.response_a.take(), row.response_b.take(), row.preference) {
        (Some(a), Some(b), Some(0)) => [a, b],
        (Some(a), Some(b), Some(1)) => [b, a],
        (Some(_), Some(_), Some(other)) => {
            let problem = format!("is {other}, expected 0 for `response_a` or 1 for `response_b`");
            return Err(Error::malformed("preference", problem));
        }
        _ => [
            taken(row.chosen.take(), "chosen")?,
            taken(row.rejected.take(), "rejected")?,
        ],
    };
    let question = || row.question.take().map(Text::Plain);
    let asked = row.prompt.take().or_else(question);
    let asked = asked.or_else(|| row.conversations.take().map(Text::Chat));
    let (asked, chosen, rejected) = match (asked, chosen, rejected) {
        (Some(Text::Chat(asked)), chosen, rejected) => (asked, answer(chosen), answer(rejected)),
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
        (None, Text::Plain(chosen), Text::Plain(rejected)) => {
            match (transcript(&chosen), transcript(&rejected)) {
                (Some(chosen), Some(rejected)) => split_prompt(chosen, rejected)?,
                _ => return Err(Error::missing("prompt")),
            }
        }
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
        prompt: row.in_context(asked)?,
        chosen,
        rejected,
        scores,
        origin: row.origin(),
    }))
}

/// The messages of a text in which `Human:` and `Assistant:` begin paragraphs, as in Anthropic's HH-RLHF; `None` for other
/// texts.
pub(super) fn transcript(text: &str) -> Option<Vec<Message>> {
    const HUMAN: &str = "\n\nHuman:";
    const ASSISTANT: &str = "\n\nAssistant:";
    let mut rest = text.strip_prefix(HUMAN)?;
    let mut messages = Vec::new();
    let mut role = Role::User;
    loop {
        let next = match role {
            Role::User => ASSISTANT,
            _ => HUMAN,
        };
        let (said, after) = match rest.split_once(next) {
            Some((said, after)) => (said, Some(after)),
            None => (rest, None),
        };
        messages.push(Message::new(role, said.trim()));
        role = match role {
            Role::User => Role::Assistant,
            _ => Role::User,
        };
        match after {
            Some(after) => rest = after,
            None => return (messages.len() > 1).then_some(messages),
        }
    }
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
    // The prompt ends with what is answered even if the first answers are the same.
    let end = chosen[..shared]
        .iter()
        .rposition(|message| message.role.asks())
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
