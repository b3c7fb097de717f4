//! Templates that change text once more follows, and templates that come along to stand in for them.

use std::fmt;

use crate::{BuiltInTemplate, ChatTemplate, ChatTokenizer, Error, Message, Result, Role};

/// What a template does that changes the text of earlier messages. A shared history then has no one text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rewriting {
    /// The reasoning of an answer is left out once another question follows.
    LeavesOutReasoning,
    /// The prompt for generation has a text that is not there before an answer.
    AddsToPrompt(String),
    /// The system message goes along with the last question.
    MovesSystemMessage,
    /// A turn is ended once another message follows.
    EndsTurnsLate,
    /// Another change.
    Other,
}

/// A clause: "it leaves ...".
impl fmt::Display for Rewriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeavesOutReasoning => {
                f.write_str("it leaves the reasoning out of earlier answers")
            }
            Self::AddsToPrompt(text) => write!(
                f,
                "it adds {text:?} to the prompt for generation, and does not write it before an answer"
            ),
            Self::MovesSystemMessage => {
                f.write_str("it moves the system message along with the last question")
            }
            Self::EndsTurnsLate => f.write_str("it ends a turn only once another message follows"),
            Self::Other => {
                f.write_str("it writes earlier messages in another way once others follow")
            }
        }
    }
}

impl Rewriting {
    /// What made the text of a conversation differ, from this byte on, from that of the conversation without its last message.
    pub(crate) fn found(
        template: &ChatTemplate,
        eos: &str,
        messages: &[Message],
        [before, now]: [&str; 2],
        at: usize,
    ) -> Self {
        /// Bytes in which a removed mark must be found.
        const NEAR: usize = 200;
        // The texts may agree in the first characters of a mark.
        let begins = |text: &str, mark: &str| {
            let first = at.saturating_sub(mark.len() - 1);
            (first..=at).any(|place| text.as_bytes()[place..].starts_with(mark.as_bytes()))
        };
        if begins(now, eos) && !begins(before, eos) {
            return Self::EndsTurnsLate;
        }
        let near = |text: &str| {
            let end = text.len().min(at + NEAR);
            String::from_utf8_lossy(&text.as_bytes()[at..end]).to_lowercase()
        };
        let answers = messages
            .last()
            .is_some_and(|last| last.role == Role::Assistant);
        let prompt = messages.split_last().map_or(&[][..], |(_, prompt)| prompt);
        if answers
            && let Ok(asked) = template.render(prompt, false)
            && before.starts_with(&asked)
            && asked.len() <= at
        {
            return Self::AddsToPrompt(before[at..].to_owned());
        }
        let system = messages.iter().filter(|message| message.role.instructs());
        let moved = |message: &Message| {
            let places = [before, now].map(|text| text.find(message.content.trim()));
            !message.content.trim().is_empty() && places[0] != places[1]
        };
        if system.into_iter().any(moved) {
            Self::MovesSystemMessage
        } else if near(before).contains("think>") && near(before) != near(now) {
            Self::LeavesOutReasoning
        } else {
            Self::Other
        }
    }
}

/// A template that comes along, used in place of a model's own.
///
/// It renders prompts of one question and conversations of one turn to the letter as the model's own does, and later turns
/// after an answer too; it differs in what the model's own changes afterwards. So a model that was trained with it is used
/// with its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// The template.
    pub built_in: BuiltInTemplate,
    /// What the model's own does; `None` where it only appends as well.
    pub rewriting: Option<Rewriting>,
    /// Where the model's own comes from.
    pub own: String,
}

/// A line that says what is used, why, and what stays.
impl fmt::Display for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.built_in.name();
        write!(f, "chat template {}", self.own)?;
        match &self.rewriting {
            Some(rewriting) => write!(f, " rewrites history ({rewriting}), so `{name}`")?,
            None => write!(f, " only appends; `{name}`, which was chosen,")?,
        }
        f.write_str(
            " (built in) stands in for it: prompts and conversations of one turn are the same, later turns keep what came \
             before; the model keeps its own template",
        )
    }
}

impl StandIn {
    /// The template that stands in for a tokenizer's own, if that one rewrites history and there is one that agrees with it.
    pub(crate) fn found(tokenizer: &ChatTokenizer) -> Option<Self> {
        let rewriting = rewriting(tokenizer)?;
        let mut all = BuiltInTemplate::ALL.into_iter();
        all.find_map(|built_in| Self::agreeing(tokenizer, built_in, Some(rewriting.clone())))
    }

    /// This template, if it agrees with the tokenizer's own.
    pub(crate) fn chosen(tokenizer: &ChatTokenizer, built_in: BuiltInTemplate) -> Option<Self> {
        Self::agreeing(tokenizer, built_in, rewriting(tokenizer))
    }

    fn agreeing(
        tokenizer: &ChatTokenizer,
        built_in: BuiltInTemplate,
        rewriting: Option<Rewriting>,
    ) -> Option<Self> {
        let own = tokenizer.template();
        let stand_in = Self {
            built_in,
            rewriting,
            own: own.name().to_owned(),
        };
        let other = stand_in.template(own).ok()?;
        agree(own, &other).then_some(stand_in)
    }

    /// The compiled template, for the tokenizer of the model's own.
    pub(crate) fn template(&self, own: &ChatTemplate) -> Result<ChatTemplate> {
        let name = format!("`{}` (built in, for {})", self.built_in.name(), self.own);
        own.with_source(name, self.built_in.source())
    }
}

const SYSTEM: &str = "Be brief.";
const QUESTION: &str = "How many are two and two?";
const SECOND_QUESTION: &str = "And three and three?";
/// Ends each first answer.
const ANSWER: &str = "There are four.";
const THOUGHT: &str = "<think>\nTwo more than two.\n</think>\n\n";

/// Conversations to try templates on: two turns, with and without a system message, with and without reasoning.
fn probes() -> Vec<Vec<Message>> {
    let mut all = Vec::new();
    for system in [false, true] {
        for thought in ["", THOUGHT] {
            let first = system.then(|| Message::system(SYSTEM));
            let turns = [
                Message::user(QUESTION),
                Message::assistant(format!("{thought}{ANSWER}")),
                Message::user(SECOND_QUESTION),
                Message::assistant(format!("{thought}Six.")),
            ];
            all.push(first.into_iter().chain(turns).collect());
        }
    }
    all
}

/// What a tokenizer's template does to earlier messages, if it changes any.
fn rewriting(tokenizer: &ChatTokenizer) -> Option<Rewriting> {
    for messages in probes() {
        let asked = messages.iter().position(|it| it.role == Role::User)?;
        let mut before = String::new();
        for end in asked + 1..=messages.len() {
            match tokenizer.text_through(&before, &messages[..end]) {
                Ok(text) => before = text,
                Err(Error::TemplateNotPrefixStable { cause, .. }) => return Some(cause),
                // Such conversations are refused anyway.
                Err(_) => break,
            }
        }
    }
    None
}

/// Whether two templates render the same where none of them has changed anything yet: all that the first one renders.
fn agree(own: &ChatTemplate, other: &ChatTemplate) -> bool {
    let mut compared = 0;
    // From the last place of a text on: what comes after an answer, whatever became of it.
    let after = |text: &str, mark: &str| {
        let place = text.rfind(mark)? + mark.len();
        Some(text[place..].to_owned())
    };
    for messages in probes() {
        let turns = messages.len() - 4;
        for (end, generation, mark) in [
            (turns + 1, true, None),
            (turns + 2, false, None),
            (turns + 3, true, Some(ANSWER)),
            (turns + 4, false, Some(SECOND_QUESTION)),
        ] {
            let Ok(expected) = own.render(&messages[..end], generation) else {
                continue;
            };
            let Ok(given) = other.render(&messages[..end], generation) else {
                return false;
            };
            let same = match mark {
                None => given == expected,
                Some(mark) => after(&given, mark) == after(&expected, mark),
            };
            if !same {
                return false;
            }
            compared += 1;
        }
    }
    // With nothing rendered, nothing is known.
    compared >= 4
}
