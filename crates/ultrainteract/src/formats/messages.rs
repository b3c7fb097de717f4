//! Messages as files spell them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::values::is_set;
use crate::{Beside, Message, Role, ToolCall};

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
                while let Some(Said(message)) = items.next_element()? {
                    messages.push(message);
                }
                Ok(Text::Chat(messages))
            }

            // One message without a list around it.
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Text, A::Error> {
                let fields = de::value::MapAccessDeserializer::new(fields);
                Said::deserialize(fields).map(|said| Text::Chat(vec![said.0]))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A message as files spell it: `role` and `content`, or ShareGPT's `from` and `value`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Spelled")]
struct Said(Message);

#[derive(Debug, Default)]
struct Spelled {
    role: Option<String>,
    from: Option<String>,
    content: Value,
    value: Value,
    others: serde_json::Map<String, Value>,
}

impl<'de> Deserialize<'de> for Spelled {
    /// By hand, so that what is not looked at takes no memory.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Spelled;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spelled, A::Error> {
                fn once<'de, A: MapAccess<'de>>(
                    field: &mut Value,
                    name: &str,
                    map: &mut A,
                ) -> Result<(), A::Error> {
                    let value = map.next_value()?;
                    if !field.is_null() && *field != value {
                        let problem = format!("`{name}` of a message is there twice");
                        return Err(de::Error::custom(problem));
                    }
                    *field = value;
                    Ok(())
                }
                let (mut spelled, mut role, mut from) =
                    (Spelled::default(), Value::Null, Value::Null);
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "role" => once(&mut role, &name, &mut map)?,
                        "from" => once(&mut from, &name, &mut map)?,
                        "content" => once(&mut spelled.content, &name, &mut map)?,
                        "value" => once(&mut spelled.value, &name, &mut map)?,
                        field if BESIDE.contains(&field) || UNUSED_OF_MESSAGE.contains(&field) => {
                            let value = spelled.others.entry(field).or_insert(Value::Null);
                            once(value, field, &mut map)?;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let named = |name: &str, value: Value| match value {
                    Value::Null => Ok(None),
                    Value::String(role) => Ok(Some(role)),
                    other => Err(de::Error::custom(format!(
                        "`{name}` of a message is {other}, expected a string"
                    ))),
                };
                spelled.role = named("role", role)?;
                spelled.from = named("from", from)?;
                Ok(spelled)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// What a message may have beside its role and text that templates may write.
const BESIDE: [&str; 4] = ["name", "reasoning_content", "tool_calls", "tool_call_id"];

/// What a message may have beside its role and text that changes what is asked or learned.
const UNUSED_OF_MESSAGE: [&str; 9] = [
    "function_call",
    "reasoning",
    "thinking",
    "weight",
    "images",
    "image",
    "audio",
    "train",
    "loss",
];

impl TryFrom<Spelled> for Said {
    type Error = String;

    fn try_from(spelled: Spelled) -> Result<Self, String> {
        let name = match (&spelled.role, &spelled.from) {
            (Some(role), Some(from)) if role_of(role)? != role_of(from)? => {
                return Err(format!("`role` is `{role}` and `from` is `{from}`"));
            }
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Err("missing field `role`".to_string()),
        };
        let role = role_of(name)?;
        let trains = |value: &Value| value == true || value.as_f64() == Some(1.0);
        let is_used = |name: &str, value: &Value| match name {
            "weight" | "train" | "loss" => value.is_null() || trains(value),
            _ => !is_set(value),
        };
        let mut others = spelled.others.iter();
        let unused =
            others.find(|(name, value)| !BESIDE.contains(&name.as_str()) && !is_used(name, value));
        if let Some((field, _)) = unused {
            return Err(format!(
                "`{field}` of a message is set, and would not be used; leave it out"
            ));
        }
        let mut beside = beside_of(&spelled.others)?;
        let said = match (spelled.content, spelled.value) {
            (Value::Null, value) => value,
            (content, Value::Null) => content,
            (content, value) if content == value => content,
            _ => return Err("`content` and `value` of a message differ".to_string()),
        };
        let content = match said {
            // The whole message of LLaMA-Factory's `function_call` is the call.
            Value::String(text) if CALL_ROLES.contains(&name.to_ascii_lowercase().as_str()) => {
                let call = serde_json::from_str::<Value>(&text).ok();
                let call = call.as_ref().and_then(tool_call);
                beside.tool_calls.push(call.ok_or_else(|| {
                    format!("a message of `{name}` is no call: expected JSON with `name` and `arguments`")
                })?);
                String::new()
            }
            Value::String(text) => text,
            Value::Array(parts) => parts.iter().map(text_part).collect::<Result<_, _>>()?,
            Value::Null if !beside.tool_calls.is_empty() => String::new(),
            Value::Null => {
                return Err(format!("a message of `{name}` has no `content`"));
            }
            _ => return Err("`content` is neither a string nor a list of parts".to_string()),
        };
        if !beside.tool_calls.is_empty() && role != Role::Assistant {
            return Err(format!(
                "`tool_calls` of a message of `{name}`: the assistant alone calls tools"
            ));
        }
        Ok(Self(Message::new(role, content).with_beside(beside)))
    }
}

/// The fields of a message that templates may write.
fn beside_of(fields: &serde_json::Map<String, Value>) -> Result<Beside, String> {
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(value) if is_set(value) => Err(format!("`{name}` of a message is no string")),
        _ => Ok(None),
    };
    let calls = match fields.get("tool_calls") {
        Some(Value::Array(calls)) => calls.iter().map(tool_call).collect(),
        Some(value) if is_set(value) => None,
        _ => Some(Vec::new()),
    };
    Ok(Beside {
        name: text("name")?,
        reasoning_content: text("reasoning_content")?,
        tool_call_id: text("tool_call_id")?,
        tool_calls: calls.ok_or(
            "`tool_calls` of a message is no list of calls with a `function` of `name` and `arguments`",
        )?,
    })
}

/// A call as OpenAI spells it, or without what stands around its function; `None` for anything else.
fn tool_call(call: &Value) -> Option<ToolCall> {
    let function = call.get("function").unwrap_or(call);
    Some(ToolCall {
        id: call.get("id").and_then(Value::as_str).map(str::to_string),
        name: function
            .get("name")?
            .as_str()
            .filter(|it| !it.is_empty())?
            .to_string(),
        arguments: match function.get("arguments") {
            Some(Value::String(json)) => json.clone(),
            Some(Value::Null) | None => "{}".to_string(),
            Some(arguments) => arguments.to_string(),
        },
    })
}

/// Roles whose messages are calls of tools.
const CALL_ROLES: [&str; 1] = ["function_call"];

fn text_part(part: &Value) -> Result<&str, String> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or("?");
    let text = part.get("text").and_then(Value::as_str);
    text.filter(|_| kind == "text")
        .ok_or_else(|| format!("a part of `content` is of type `{kind}`, and only text is read"))
}

/// The names of the roles that are in use, in any case.
fn role_of(name: &str) -> Result<Role, String> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "system" => Role::System,
        // OpenAI's later name of the system's messages.
        "developer" => Role::Developer,
        "user" | "human" => Role::User,
        "assistant" | "gpt" | "model" | "chatgpt" | "bing" | "bard" | "function_call" => {
            Role::Assistant
        }
        "tool" | "observation" => Role::Tool,
        _ => {
            return Err(format!(
                "unknown role `{name}`, expected `system`, `user`, `assistant` or `tool`"
            ));
        }
    })
}

/// A list, or a string that holds one as JSON: tables of other tools keep lists of messages so.
struct Listed<T>(Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for Items<T> {
            type Value = Listed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or a string that holds one as JSON")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Listed(list))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let list = serde_json::from_str(text);
                list.map(Listed).map_err(|error| {
                    E::custom(format!("the string holds no list as JSON: {error}"))
                })
            }
        }
        deserializer.deserialize_any(Items(PhantomData))
    }
}

pub(super) fn said<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Message>>, D::Error> {
    let said = Option::<Listed<Said>>::deserialize(deserializer)?;
    Ok(said.map(|said| said.0.into_iter().map(|said| said.0).collect()))
}

/// Messages with ShareGPT's names.
pub(super) fn shared<S: Serializer>(
    messages: &Option<Vec<Message>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Shared<'a> {
        from: &'static str,
        value: &'a str,
    }
    let messages = messages.as_deref().unwrap_or_default();
    serializer.collect_seq(messages.iter().map(|message| Shared {
        from: match message.role {
            Role::User => "human",
            Role::Assistant => "gpt",
            other => other.as_str(),
        },
        value: &message.content,
    }))
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
        Deserialize, Deserializer, Listed, Message, Role, Serialize, Serializer, TrajectoryMessage,
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
        let messages = Listed::<TrajectoryMessage>::deserialize(deserializer)?;
        Ok(messages.0.into_iter().map(Message::from).collect())
    }
}
