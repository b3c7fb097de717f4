//! Messages of a conversation.

use serde::{Deserialize, Deserializer, Serialize};

/// Who says a message of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The instructions that stand above the conversation.
    System,
    /// The same, by OpenAI's later name.
    Developer,
    /// The person, or the environment.
    User,
    /// The model: actions.
    Assistant,
    /// A tool that the model called: its result.
    Tool,
}

impl Role {
    /// The name in chat formats and templates, such as `system`, `user` or `assistant`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        }
    }

    /// Whether it instructs the model: the system, by either name.
    #[must_use]
    pub fn instructs(self) -> bool {
        matches!(self, Role::System | Role::Developer)
    }

    /// Whether the model answers it: the user, or a tool's result.
    #[must_use]
    pub fn asks(self) -> bool {
        matches!(self, Role::User | Role::Tool)
    }
}

/// A message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// The text of the message.
    pub content: String,
    /// What it says beside its text; few messages say anything there.
    #[serde(
        flatten,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "set"
    )]
    pub beside: Option<Box<Beside>>,
}

/// What a message may say beside its text, for chat templates that write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Beside {
    /// Who of those with this role says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the assistant thought before it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The tools that the assistant calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool's result belongs to. Few templates write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Beside {
    /// The name of a field that is set.
    pub fn field(&self) -> Option<&'static str> {
        let set = [
            ("tool_calls", !self.tool_calls.is_empty()),
            ("reasoning_content", self.reasoning_content.is_some()),
            ("name", self.name.is_some()),
            ("tool_call_id", self.tool_call_id.is_some()),
        ];
        set.into_iter()
            .find_map(|(name, is_set)| is_set.then_some(name))
    }
}

/// A call of a tool, in files as OpenAI spells it: `{"id": .., "type": "function", "function": {"name": .., "arguments": ..}}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Called", into = "Called")]
pub struct ToolCall {
    /// What its result refers to.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// Its arguments in JSON, mostly an object.
    pub arguments: String,
}

#[derive(Serialize, Deserialize)]
struct Called {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Kind,
    function: Function,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Function,
}

#[derive(Serialize, Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

impl From<Called> for ToolCall {
    fn from(called: Called) -> Self {
        Self {
            id: called.id,
            name: called.function.name,
            arguments: called.function.arguments,
        }
    }
}

impl From<ToolCall> for Called {
    fn from(call: ToolCall) -> Self {
        Self {
            id: call.id,
            kind: Kind::Function,
            function: Function {
                name: call.name,
                arguments: call.arguments,
            },
        }
    }
}

/// What is said beside a text, if anything is.
fn set<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Beside>>, D::Error> {
    let beside = Beside::deserialize(deserializer)?;
    Ok((beside != Beside::default()).then(|| Box::new(beside)))
}

impl Message {
    /// A message of the system.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// A message of the assistant.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// A message of anyone.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            beside: None,
        }
    }

    /// The same with something beside its text.
    #[must_use]
    pub fn with_beside(mut self, beside: Beside) -> Self {
        self.beside = (beside != Beside::default()).then(|| Box::new(beside));
        self
    }

    /// The tools that it calls.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        self.beside.as_deref().map_or(&[], |it| &it.tool_calls)
    }

    /// All texts in it: its own, and those beside it.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let beside = self.beside.as_deref();
        let named = beside.and_then(|it| it.name.as_deref());
        let thought = beside.and_then(|it| it.reasoning_content.as_deref());
        let calls = self.tool_calls().iter();
        let calls = calls.flat_map(|call| [call.name.as_str(), &call.arguments]);
        [Some(self.content.as_str()), named, thought]
            .into_iter()
            .flatten()
            .chain(calls)
    }
}
