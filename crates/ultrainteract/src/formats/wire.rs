//! The rows of chat and preference data sets as they are spelled in files.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::jsonl::parse_object;
use super::picked::Picked;
use crate::example::Origin;
use crate::{Beside, Error, Message, Role, Task, ToolCall};

type Result<T, E = Error> = std::result::Result<T, E>;

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
    #[serde(
        alias = "source",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "data_set"
    )]
    pub dataset: Option<String>,

    // What stands around a prompt.
    #[serde(alias = "system_prompt", skip_serializing)]
    pub system: Option<String>,
    #[serde(skip_serializing)]
    pub history: Option<Vec<(String, String)>>,
    #[serde(alias = "context", skip_serializing)]
    pub input: Option<String>,

    // TRL
    #[serde(alias = "instruction", skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Text>,
    #[serde(alias = "output", skip_serializing_if = "Option::is_none")]
    pub completion: Option<Text>,
    #[serde(
        alias = "kto_tag",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "verdict"
    )]
    pub label: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Text>,
    #[serde(
        alias = "chosen_score",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub score_chosen: Option<f64>,
    #[serde(
        alias = "rejected_score",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub score_rejected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    pub messages: Option<Vec<Message>>,

    // Two answers and the better one's number, from 0.
    #[serde(skip_serializing)]
    pub response_a: Option<Text>,
    #[serde(skip_serializing)]
    pub response_b: Option<Text>,
    #[serde(skip_serializing)]
    pub preference: Option<u8>,

    // ShareGPT
    #[serde(
        alias = "items",
        skip_serializing_if = "Option::is_none",
        serialize_with = "shared",
        deserialize_with = "said"
    )]
    pub conversations: Option<Vec<Message>>,

    // UltraChat
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<String>>,

    // OpenOrca
    #[serde(
        rename = "system_prompt",
        skip_deserializing,
        skip_serializing_if = "Option::is_none"
    )]
    pub orca_system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// The fields that say where a record comes from. One that is neither a string nor a whole number is not used.
const ORIGIN: [&[&str]; 4] = [
    &["id", "prompt_id"],
    &["parent_id"],
    &["task"],
    &["dataset", "source"],
];

/// The fields that stand around a prompt.
const CONTEXT: [&[&str]; 3] = [
    &["system", "system_prompt"],
    &["history"],
    &["input", "context"],
];

impl Wire {
    /// Reads a record of which a format uses these fields, each by one of several names. Whatever else stands in it does not
    /// matter.
    pub fn parse(record: &[u8], used: &[&[&str]]) -> Result<Self> {
        // What is as it should be needs no second look.
        let fault = match parse_object::<Self>(record) {
            Ok(row) => return Ok(row),
            Err(fault) => fault,
        };
        let wanted = used.iter().chain(&CONTEXT).chain(&ORIGIN);
        let wanted: Vec<&str> = wanted.flat_map(|names| names.iter().copied()).collect();
        let Some(Picked(fields)) = Picked::from_record(record, &wanted) else {
            return Err(fault);
        };
        let mut kept = serde_json::Map::new();
        for names in used.iter().chain(&CONTEXT).chain(&ORIGIN) {
            // Of several names the first one that is set counts.
            let mut found = names.iter().map(|&name| (name, taken_once(&fields, name)));
            let found = found.find(|(_, value)| !matches!(value, Ok(None)));
            if let Some((_, value)) = found
                && let Some(value) = value?
            {
                kept.insert(names[0].to_string(), value);
            }
        }
        for names in ORIGIN {
            let is_name = |value: &mut Value| value.is_string() || value.is_u64() || value.is_i64();
            if kept.get_mut(names[0]).is_some_and(|value| !is_name(value)) {
                kept.remove(names[0]);
            }
        }
        let used = serde_json::to_vec(&kept).map_err(|_| fault)?;
        parse_object(&used)
    }

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

    /// Puts what stands in columns of its own around the messages of a prompt: the system's message and the history before
    /// them, the input after the first one.
    pub fn in_context(&mut self, messages: Vec<Message>) -> Result<Vec<Message>> {
        let refuse = |field: &str, problem: &str| Err(Error::malformed(field, problem));
        let not_empty = |text: &String| !text.is_empty();
        let system = self.system.take().filter(not_empty);
        let history = self.history.take().unwrap_or_default();
        let input = self.input.take().filter(not_empty);
        if system.is_none() && history.is_empty() && input.is_none() {
            return Ok(messages);
        }
        let has_system = messages.first().is_some_and(|first| first.role.instructs());
        if system.is_some() && has_system {
            return refuse(
                "system",
                "is set, and the messages begin with one of the system",
            );
        }
        if !history.is_empty() && has_system {
            return refuse(
                "history",
                "is set, and the messages begin with one of the system",
            );
        }
        let mut whole: Vec<Message> = system.map(Message::system).into_iter().collect();
        for (asked, answered) in history {
            whole.extend([Message::user(asked), Message::assistant(answered)]);
        }
        let first = whole.len();
        whole.extend(messages);
        if let Some(input) = input {
            match whole.get_mut(first) {
                Some(message) if message.role == Role::User => {
                    message.content = format!("{}\n{input}", message.content);
                }
                _ => return refuse("input", "is set, and there is no instruction to go with it"),
            }
        }
        Ok(whole)
    }
}

/// The value of a field that is there, if it says anything. What two of one name say must be the same.
fn taken_once(fields: &[(String, Value)], name: &str) -> Result<Option<Value>> {
    let mut values = fields.iter().filter(|(known, _)| known == name);
    let first = values.next().map(|(_, value)| value);
    match values.find(|(_, value)| Some(value) != first) {
        Some(_) => Err(Error::malformed(
            name,
            "is there twice, with different values",
        )),
        None => Ok(first.filter(|value| !value.is_null()).cloned()),
    }
}

/// Whether a value says anything.
pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        // Tables fill up what other rows have with nulls.
        Value::Array(items) => items.iter().any(is_set),
        Value::Object(fields) => fields.values().any(is_set),
        Value::String(text) => !text.is_empty(),
        _ => true,
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

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Message>>, D::Error> {
    let said = Option::<Listed<Said>>::deserialize(deserializer)?;
    Ok(said.map(|said| said.0.into_iter().map(|said| said.0).collect()))
}

/// Messages with ShareGPT's names.
fn shared<S: Serializer>(
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

/// A verdict: true or false, 1 or 0, or a word for one of them.
fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let verdict = match &value {
        Value::Null => return Ok(None),
        Value::Bool(verdict) => Some(*verdict),
        Value::Number(number) => match number.as_f64() {
            Some(1.0) => Some(true),
            Some(0.0) => Some(false),
            _ => None,
        },
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "chosen" | "desirable" | "good" => Some(true),
            "false" | "0" | "no" | "rejected" | "undesirable" | "bad" => Some(false),
            _ => None,
        },
        _ => None,
    };
    verdict.map(Some).ok_or_else(|| {
        de::Error::custom(format!(
            "{value} is no verdict; expected a boolean, 1 or 0, or a word such as `chosen` or `rejected`"
        ))
    })
}

/// A number, also one in a string.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_nan() => Ok(None),
            Ok(number) if number.is_infinite() => {
                Err(de::Error::custom(format!("{text} is not finite")))
            }
            Ok(number) => Ok(Some(number)),
            Err(_)
                if ["", "n/a", "na", "none"]
                    .contains(&text.trim().to_ascii_lowercase().as_str()) =>
            {
                Ok(None)
            }
            Err(_) => Err(de::Error::custom(format!("{text:?} is no number"))),
        },
        other => Err(de::Error::custom(format!("{other} is no number"))),
    }
}

/// The name of a data set; in some files the field has another type and means another thing.
fn data_set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(name) => Some(name),
        _ => None,
    })
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

/// A name that some files spell as a number.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
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
