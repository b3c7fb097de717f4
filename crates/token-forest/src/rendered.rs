//! Nothing vanishes in rendering: every message stands whole in the text that the template makes of it.

use std::fmt;
use std::ops::AddAssign;

use crate::{Beside, ChatTokenizer, Error, Message, Result, Role};

/// What templates and tokenizers made of texts that are not simply written as they are. Counts of several trees are added
/// with `+=`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct TextCounts {
    /// Messages whose white space the template changes, mostly by taking it off at the ends.
    pub other_white_space: usize,
    /// Messages that hold the spelling of a special token. It is encoded as this token, as everywhere.
    pub special_tokens: usize,
    /// The first of these tokens and where it is.
    pub first_special_token: Option<String>,
    /// Messages of the developer that are written as the system's, since the template does not name that role.
    pub developer_as_system: usize,
}

impl AddAssign for TextCounts {
    fn add_assign(&mut self, other: Self) {
        self.other_white_space += other.other_white_space;
        self.special_tokens += other.special_tokens;
        self.developer_as_system += other.developer_as_system;
        if self.first_special_token.is_none() {
            self.first_special_token = other.first_special_token;
        }
    }
}

/// A line, empty if there is nothing to say.
impl fmt::Display for TextCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::new();
        if self.special_tokens > 0 {
            let first = self.first_special_token.as_deref().unwrap_or_default();
            said.push(format!(
                "{} hold the spelling of a special token, which is encoded as that token (first: {first})",
                self.special_tokens
            ));
        }
        if self.other_white_space > 0 {
            said.push(format!(
                "{} are written with other white space by the template",
                self.other_white_space
            ));
        }
        if self.developer_as_system > 0 {
            said.push(format!(
                "{} of the role `developer` are written as `system`, since the template does not name that role",
                self.developer_as_system
            ));
        }
        f.write_str(&said.join("; "))
    }
}

/// Switches that a template takes out of a system message and acts on, such as SmolLM3's.
const SWITCHES: [&str; 3] = ["/think", "/no_think", "/system_override"];

impl ChatTokenizer {
    /// Looks for the messages after the first few in the text that was added for them, each whole and in its place, and counts
    /// those whose white space is another one. `whole` is the text of all messages, `before` that of the first few.
    pub(crate) fn check_texts(
        &self,
        before: &str,
        whole: &str,
        messages: &[Message],
        earlier: usize,
    ) -> Result<usize> {
        let asks = messages
            .last()
            .is_some_and(|last| last.role != Role::Assistant);
        for index in earlier..messages.len() {
            self.check_beside(whole, messages, index, asks)?;
        }
        let marked = self.marked(messages, earlier.., asks);
        if let Some(pieces) = marked
            .as_deref()
            .and_then(|text| between_marks(text, messages.len() - earlier))
            && let Some(changed) = walk(whole, &pieces, &messages[earlier..])
        {
            return Ok(changed);
        }
        // What a message says decides what the template does with it.
        let added = &whole[before.len()..];
        let mut rest = added;
        let mut changed = 0;
        for (index, message) in messages.iter().enumerate().skip(earlier) {
            let written = marked
                .as_deref()
                .is_none_or(|text| text.contains(&mark(index - earlier)));
            let found = match message.content.trim() {
                // It has the text of its calls.
                "" if !message.tool_calls().is_empty() => Some((rest, false)),
                "" => self
                    .is_empty_there(whole, messages, index, asks)
                    .then_some((rest, false)),
                text => written.then(|| find(rest, text)).flatten(),
            };
            let found = found.or_else(|| self.begun_by_prompt(before, rest, messages, index));
            let found = found.or_else(|| without_switches(rest, message));
            let Some((after, differs)) = found else {
                return Err(self.lost(message, index, added));
            };
            rest = after;
            changed += usize::from(differs);
        }
        Ok(changed)
    }

    /// Looks whether the template writes each of what a message says beside its text. What a result and its call refer to each
    /// other by is no text: most templates leave it out.
    fn check_beside(
        &self,
        whole: &str,
        messages: &[Message],
        index: usize,
        asks: bool,
    ) -> Result<()> {
        let message = &messages[index];
        let Some(beside) = message.beside.as_deref() else {
            return Ok(());
        };
        let mut marked: Vec<(&'static str, Beside)> = Vec::new();
        if beside.name.is_some() {
            let name = Some(mark(0));
            marked.push((
                "name",
                Beside {
                    name,
                    ..beside.clone()
                },
            ));
        }
        if beside.reasoning_content.is_some() {
            let reasoning_content = Some(mark(0));
            let other = Beside {
                reasoning_content,
                ..beside.clone()
            };
            marked.push(("reasoning_content", other));
        }
        for call in 0..beside.tool_calls.len() {
            let mut named = beside.clone();
            named.tool_calls[call].name = mark(0);
            let mut given = beside.clone();
            given.tool_calls[call].arguments = format!("{{\"{0}\": \"{0}\"}}", mark(0));
            marked.extend([("tool_calls", named), ("tool_calls", given)]);
        }
        for (field, other) in marked {
            let mut with_mark = messages.to_vec();
            with_mark[index].beside = Some(Box::new(other));
            let rendered = self.template().render(&with_mark, asks);
            let marks = |text: &str| text.matches(&mark(0)).count();
            if !rendered.is_ok_and(|text| marks(&text) > marks(whole)) {
                return Err(Error::FieldNotRendered {
                    template: self.template().name().to_string(),
                    message: index + 1,
                    role: message.role.as_str(),
                    field,
                });
            }
        }
        Ok(())
    }

    /// Counts the messages after the first few that hold the spelling of a special token, and those of the developer that are
    /// written as the system's.
    pub(crate) fn count_special(
        &self,
        messages: &[Message],
        earlier: usize,
        tree: &str,
    ) -> TextCounts {
        let mut counts = TextCounts::default();
        for (index, message) in messages.iter().enumerate().skip(earlier) {
            counts.developer_as_system +=
                usize::from(self.template().writes_as_system(message.role));
            let mut texts = message.texts();
            if let Some(token) = texts.find_map(|text| self.special_token_in(text)) {
                counts.special_tokens += 1;
                let tree = if tree.is_empty() {
                    String::new()
                } else {
                    format!(" of {tree}")
                };
                counts.first_special_token.get_or_insert_with(|| {
                    format!(
                        "`{token}` in message {} ({}){tree}",
                        index + 1,
                        message.role.as_str()
                    )
                });
            }
        }
        counts
    }

    /// The conversation with a mark in place of each of some texts; `None` where the template refuses that.
    fn marked(
        &self,
        messages: &[Message],
        places: impl std::slice::SliceIndex<[Message], Output = [Message]>,
        asks: bool,
    ) -> Option<String> {
        let mut marked = messages.to_vec();
        for (number, message) in marked[places].iter_mut().enumerate() {
            message.content = mark(number);
        }
        self.template().render(&marked, asks).ok()
    }

    /// Whether nothing stands where a blank message belongs, rather than a default of the template's.
    fn is_empty_there(&self, whole: &str, messages: &[Message], index: usize, asks: bool) -> bool {
        let marked = self.marked(messages, index..index + 1, asks);
        marked.is_some_and(|text| {
            text.matches(&mark(0)).count() == 1 && text.replace(&mark(0), "").starts_with(whole)
        })
    }

    /// An answer whose first words are those with which the prompt for generation ends: the model is given them.
    fn begun_by_prompt<'a>(
        &self,
        before: &str,
        added: &'a str,
        messages: &[Message],
        index: usize,
    ) -> Option<(&'a str, bool)> {
        let message = &messages[index];
        if message.role != Role::Assistant {
            return None;
        }
        let asked = self.template().render(&messages[..index], false).ok()?;
        let prompt = before.strip_prefix(&asked)?;
        let text = message.content.trim();
        let begun = text.char_indices().map(|(at, _)| at).rev();
        let begun = begun.filter(|&at| at > 0 && prompt.ends_with(&text[..at]));
        begun.into_iter().find_map(|at| {
            let rest = added.trim_start().starts_with(text[at..].trim_start());
            rest.then(|| find(added, text[at..].trim())).flatten()
        })
    }

    fn lost(&self, message: &Message, index: usize, added: &str) -> Error {
        let beginning = |text: &str| text.trim().chars().take(60).collect();
        Error::TextNotRendered {
            template: self.template().name().to_string(),
            message: index + 1,
            role: message.role.as_str(),
            text: beginning(&message.content),
            rendered: beginning(added),
        }
    }
}

/// Text that no template changes and no message holds: characters for private use, with a number.
fn mark(number: usize) -> String {
    format!("\u{F8F1}{number}\u{F8F2}")
}

/// What stands before, between and after so many marks, if each is there once and in order.
fn between_marks(text: &str, count: usize) -> Option<Vec<&str>> {
    let mut pieces = Vec::with_capacity(count + 1);
    let mut rest = text;
    for number in 0..count {
        let (piece, after) = rest.split_once(&mark(number))?;
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let once = pieces.iter().all(|piece| !piece.contains('\u{F8F1}'));
    once.then_some(pieces)
}

/// Follows a text through what the template writes and the messages between, and counts those without their outer white space;
/// `None` where the text goes another way. It may end early: after an answer it does.
fn walk(whole: &str, pieces: &[&str], messages: &[Message]) -> Option<usize> {
    let mut changed = 0;
    let mut rest = whole.strip_prefix(pieces[0])?;
    for (message, next) in messages.iter().zip(&pieces[1..]) {
        let follows = |after: &&str| after.starts_with(next) || next.starts_with(after);
        let text = trimmed(&message.content)
            .into_iter()
            .find(|text| rest.strip_prefix(text).as_ref().is_some_and(follows))?;
        changed += usize::from(text.len() < message.content.len());
        rest = &rest[text.len()..];
        rest = rest.strip_prefix(next).unwrap_or_default();
    }
    Some(changed)
}

/// A text, and what templates leave of it at its ends; longer ones first.
fn trimmed(text: &str) -> Vec<&str> {
    let starts = |text| {
        [
            text,
            str::trim_start_matches(text, '\n'),
            str::trim_start(text),
        ]
    };
    let ends = |text| [text, str::trim_end_matches(text, '\n'), str::trim_end(text)];
    let mut all: Vec<&str> = starts(text).into_iter().flat_map(ends).collect();
    all.sort_by_key(|text| std::cmp::Reverse(text.len()));
    all.dedup();
    all
}

/// What comes after a text, and whether its white space is another one; `None` if it is not there.
fn find<'a>(place: &'a str, text: &str) -> Option<(&'a str, bool)> {
    if let Some(at) = place.find(text) {
        return Some((&place[at + text.len()..], false));
    }
    let dense = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
    let (there, wanted) = (dense(place), dense(text));
    let end = there.find(&wanted)? + wanted.len();
    // The same byte in the text with its white space.
    let mut seen = 0;
    let after = place.char_indices().find(|(_, c)| {
        let passed = seen >= end;
        seen += if c.is_whitespace() { 0 } else { c.len_utf8() };
        passed
    });
    let after = after.map_or(place.len(), |(at, _)| at);
    Some((&place[after..], true))
}

/// As [`find`], without the switches of a system message.
fn without_switches<'a>(place: &'a str, message: &Message) -> Option<(&'a str, bool)> {
    let words = || message.content.split_whitespace();
    let is_switch = |word: &&str| SWITCHES.contains(word);
    if !message.role.instructs() || !words().any(|word| is_switch(&word)) {
        return None;
    }
    let kept: Vec<&str> = words().filter(|word| !is_switch(word)).collect();
    let (rest, _) = find(place, &kept.join(" "))?;
    Some((rest, false))
}
