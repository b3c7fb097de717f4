//! The nodes of a tree: instruction, actions and observations.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action_text;

/// The environment's verdict on an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It solves the problem; it ends its trajectory.
    Correct,
    /// It does not solve the problem; it may be expanded.
    Incorrect,
    /// Nobody judged it, or the judgement is not recorded.
    Unjudged,
}

/// How an action reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schema {
    /// Steps in words.
    ChainOfThought,
    /// Steps in words, then a program.
    ModularProgramming,
}

impl Schema {
    /// How an action with this text reasons: with a program if it has a [Python block](crate::action_text::python_blocks).
    ///
    /// ```
    /// use ultrainteract::Schema;
    /// assert_eq!(Schema::of("```python\nprint(1)\n```"), Schema::ModularProgramming);
    /// assert_eq!(Schema::of("It is 1."), Schema::ChainOfThought);
    /// ```
    pub fn of(action: &str) -> Self {
        match action_text::python_blocks(action).is_empty() {
            true => Self::ChainOfThought,
            false => Self::ModularProgramming,
        }
    }
}

/// Where an action comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSource {
    /// A model wrote it.
    Sampled,
    /// A model wrote it with an annotated solution before its eyes, where no sampled action was correct.
    Elicited,
    /// The annotated solution itself, where no other action was correct.
    GroundTruth,
}

/// One answer of the assistant to a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The message.
    pub text: String,
    /// The environment's verdict on the action.
    pub verdict: Verdict,
    /// Name of the model that wrote it.
    pub actor: String,
    /// How it reasons.
    pub schema: Schema,
    /// Where it comes from.
    pub source: ActionSource,
}

/// An observation: the reply to an action that was not correct.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The output of the interpreter, if the action was executed.
    pub execution: Option<String>,
    /// The binary feedback, as in "Your answer is wrong."
    pub feedback: String,
    /// The critique of the action.
    pub critique: Option<String>,
}

/// Sentences of the released rows that carry the binary feedback.
const FEEDBACK: [&str; 2] = ["Your answer is wrong.", "Your answer is correct."];

impl Observation {
    /// The user message: `Out: <execution>`, feedback and critique, each on its own line;
    /// absent parts are skipped.
    ///
    /// ```
    /// use ultrainteract::Observation;
    /// let observation = Observation {
    ///     execution: Some("41".into()),
    ///     feedback: "Your answer is wrong.".into(),
    ///     critique: None,
    /// };
    /// assert_eq!(observation.render(), "Out: 41\nYour answer is wrong.");
    /// ```
    pub fn render(&self) -> String {
        let mut parts = Vec::with_capacity(3);
        if let Some(execution) = &self.execution {
            parts.push(Cow::Owned(format!("Out: {execution}")));
        }
        if !self.feedback.is_empty() {
            parts.push(Cow::Borrowed(self.feedback.as_str()));
        }
        if let Some(critique) = &self.critique {
            parts.push(Cow::Borrowed(critique.as_str()));
        }
        parts.join("\n")
    }

    /// Takes a rendered message apart again, as far as its feedback sentence can be recognized;
    /// what is not recognized is all feedback. Rendering the result gives `text` back, always.
    ///
    /// ```
    /// use ultrainteract::Observation;
    /// let observation = Observation::parse("Out: 41\nYour answer is wrong.\nAdd one.");
    /// assert_eq!(observation.execution.as_deref(), Some("41"));
    /// assert_eq!(observation.critique.as_deref(), Some("Add one."));
    /// ```
    pub fn parse(text: &str) -> Self {
        let unrecognized = || Observation {
            execution: None,
            feedback: text.to_string(),
            critique: None,
        };
        let (execution, rest) = match text.strip_prefix("Out: ") {
            None => (None, text),
            Some(output) => {
                let end = FEEDBACK
                    .iter()
                    .filter_map(|sentence| output.find(&format!("\n{sentence}")))
                    .min();
                match end {
                    Some(end) => (Some(output[..end].to_string()), &output[end + 1..]),
                    None => return unrecognized(),
                }
            }
        };
        for sentence in FEEDBACK {
            match rest.strip_prefix(sentence) {
                Some("") => {
                    return Observation {
                        execution,
                        feedback: sentence.to_string(),
                        critique: None,
                    };
                }
                Some(after) => {
                    if let Some(critique) = after.strip_prefix('\n') {
                        return Observation {
                            execution,
                            feedback: sentence.to_string(),
                            critique: Some(critique.to_string()),
                        };
                    }
                }
                None => {}
            }
        }
        Observation {
            execution,
            feedback: rest.to_string(),
            critique: None,
        }
    }
}

/// Position of a node in its tree. Parents come before children, the instruction is node 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// The instruction.
    pub const ROOT: NodeId = NodeId(0);

    /// The position as a number, for tables that run beside the tree's nodes.
    pub fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a node: instruction, action or observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The problem; the root of a tree and nothing else.
    Instruction(String),
    /// An answer of the assistant.
    Action(Action),
    /// The reply of environment and critic to an action.
    Observation(Observation),
}

impl Content {
    /// The message text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Content::Instruction(text) => Cow::Borrowed(text),
            Content::Action(action) => Cow::Borrowed(&action.text),
            Content::Observation(observation) => Cow::Owned(observation.render()),
        }
    }

    /// The action, if it is one.
    pub fn as_action(&self) -> Option<&Action> {
        match self {
            Content::Action(action) => Some(action),
            _ => None,
        }
    }

    /// The observation, if it is one.
    pub fn as_observation(&self) -> Option<&Observation> {
        match self {
            Content::Observation(observation) => Some(observation),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Content::Instruction(_) => "the instruction",
            Content::Action(_) => "an action",
            Content::Observation(_) => "an observation",
        }
    }
}

/// A node: what it holds and what it follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub(crate) parent: Option<NodeId>,
    pub(crate) content: Content,
}

impl Node {
    /// The node that this one follows; none for the instruction.
    pub fn parent(&self) -> Option<NodeId> {
        self.parent
    }

    /// The content of the node.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The message text.
    pub fn text(&self) -> Cow<'_, str> {
        self.content.text()
    }

    /// The action, if it is one.
    pub fn action(&self) -> Option<&Action> {
        self.content.as_action()
    }

    /// The observation, if it is one.
    pub fn observation(&self) -> Option<&Observation> {
        self.content.as_observation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parsing_a_message_never_changes_its_rendering(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "Out: ", "\n", "Your answer is wrong.", "Your answer is correct.", "x", " ", "",
                ]),
                0..8,
            )
        ) {
            let text = parts.concat();
            prop_assert_eq!(Observation::parse(&text).render(), text);
        }
    }

    #[test]
    fn a_traceback_and_a_critique_come_apart_at_the_feedback() {
        let text = "Out: Cell In[1], line 2\nSyntaxError: invalid syntax\nYour answer is wrong.\nUse j.\nTry again.";
        let observation = Observation::parse(text);
        assert_eq!(
            observation.execution.as_deref(),
            Some("Cell In[1], line 2\nSyntaxError: invalid syntax")
        );
        assert_eq!(observation.feedback, "Your answer is wrong.");
        assert_eq!(observation.critique.as_deref(), Some("Use j.\nTry again."));
    }

    #[test]
    fn a_message_without_the_feedback_sentence_is_all_feedback() {
        let observation = Observation::parse("Out: 4\nAlmost.");
        assert_eq!(observation.execution, None);
        assert_eq!(observation.feedback, "Out: 4\nAlmost.");
    }
}
