//! The rows of chat and preference data sets as they are spelled in files.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::example::Origin;
use crate::{Message, Role, Task};

/// Every field that one of these formats has. A format uses some of them; others are absent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    #[serde(
        alias = "prompt_id",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "name"
    )]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "name")]
    pub parent_id: Option<String>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "known_task"
    )]
    pub task: Option<Task>,
    #[serde(alias = "source", skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,

    // TRL
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Text>,
    #[serde(alias = "chosen_score", skip_serializing_if = "Option::is_none")]
    pub score_chosen: Option<f64>,
    #[serde(alias = "rejected_score", skip_serializing_if = "Option::is_none")]
    pub score_rejected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,

    // ShareGPT
    #[serde(alias = "items", skip_serializing_if = "Option::is_none")]
    pub conversations: Option<Vec<Said>>,

    // UltraChat
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<String>>,

    // OpenOrca
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

impl Wire {
    pub fn from_origin(origin: &Origin) -> Self {
        Self {
            id: origin.id.clone(),
            parent_id: origin.parent_id.clone(),
            task: origin.task,
            dataset: origin.dataset.clone(),
            ..Self::default()
        }
    }

    pub fn origin(&mut self) -> Origin {
        Origin {
            id: self.id.take(),
            parent_id: self.parent_id.take(),
            task: self.task.take(),
            dataset: self.dataset.take(),
        }
    }
}

/// A text that TRL spells as a string (standard) or as messages (conversational).
#[derive(Debug)]
pub(super) enum Text {
    Plain(String),
    Chat(Vec<Message>),
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Text::Plain(text) => serializer.serialize_str(text),
            Text::Chat(messages) => messages.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    /// By hand, so that an error keeps the path to the message it lies in.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of messages")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text::Plain(text.to_string()))
            }

            fn visit_string<E>(self, text: String) -> Result<Text, E> {
                Ok(Text::Plain(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
                let mut messages = Vec::new();
                while let Some(message) = items.next_element()? {
                    messages.push(message);
                }
                Ok(Text::Chat(messages))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A message as ShareGPT spells it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Said {
    pub from: Sharer,
    pub value: String,
}

/// ShareGPT's names of the roles; several are in use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sharer {
    System,
    #[serde(alias = "user")]
    Human,
    #[serde(alias = "assistant", alias = "chatgpt", alias = "bing", alias = "bard")]
    Gpt,
}

impl From<Said> for Message {
    fn from(said: Said) -> Self {
        Message {
            role: match said.from {
                Sharer::System => Role::System,
                Sharer::Human => Role::User,
                Sharer::Gpt => Role::Assistant,
            },
            content: said.value,
        }
    }
}

impl From<&Message> for Said {
    fn from(message: &Message) -> Self {
        Said {
            from: match message.role {
                Role::System => Sharer::System,
                Role::User => Sharer::Human,
                Role::Assistant => Sharer::Gpt,
            },
            value: message.content.clone(),
        }
    }
}

/// A message of a pair row's trajectory, which has no system.
#[derive(Deserialize)]
pub(crate) struct TrajectoryMessage {
    from: Speaker,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    User,
    Assistant,
}

impl From<TrajectoryMessage> for Message {
    fn from(message: TrajectoryMessage) -> Self {
        let role = match message.from {
            Speaker::User => Role::User,
            Speaker::Assistant => Role::Assistant,
        };
        Message::new(role, message.value)
    }
}

/// A trajectory in the spelling of its rows, for serde.
pub(super) mod trajectory {
    use super::{
        Deserialize, Deserializer, Message, Role, Serialize, Serializer, TrajectoryMessage,
    };

    #[derive(Serialize)]
    struct Written<'a> {
        from: Role,
        value: &'a str,
    }

    pub fn serialize<S: Serializer>(
        messages: &[Message],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(messages.iter().map(|message| Written {
            from: message.role,
            value: &message.content,
        }))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Message>, D::Error> {
        let messages = Vec::<TrajectoryMessage>::deserialize(deserializer)?;
        Ok(messages.into_iter().map(Message::from).collect())
    }
}

/// A name that some files spell as a number.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    struct Name;
    impl<'de> Visitor<'de> for Name {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a whole number")
        }

        fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
            Ok(Some(name.to_string()))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number.to_string()))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Name)
}

/// A task if it is one of ours; in other data sets the field means other things.
fn known_task<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Task>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|name| name.parse().ok()))
}
