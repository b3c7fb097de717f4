//! The kinds of example that data sets consist of, without the spelling of any format.
//!
//! Every format of [`formats`](crate::formats) is read into an [`Example`], and an example is
//! written in every format that can hold it. What kinds there are:
//!
//! | kind | what it is | where from |
//! | --- | --- | --- |
//! | [`PreferenceTree`] | a problem with everything tried on it | trees |
//! | [`PairRow`], [`SftRow`] | rows of UltraInteract | `UltraInteract_pair`, `UltraInteract_sft` |
//! | [`Conversation`] | messages in turn | UltraChat, ShareGPT, OpenOrca, TRL `messages` |
//! | [`Completion`] | a prompt and its answer | TRL prompt-completion |
//! | [`Preference`] | a prompt, a better and a worse answer | TRL preference |
//! | [`Unpaired`] | a prompt, an answer, and whether it is good | TRL unpaired preference |
//! | [`Ranking`] | a prompt and several answers with scores | UltraFeedback, UltraSafety |

mod ranking;

use serde::{Deserialize, Serialize};

pub use ranking::{Ranking, ScoreSource, Scored};

use crate::formats::{PairRow, SftRow};
use crate::{Error, Message, PreferenceTree, Role, Task};

/// Where an example comes from, as far as its file says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Name of the problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Kind of problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
}

/// Messages in turn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Conversation {
    /// Where it comes from.
    pub origin: Origin,
    /// The messages; the system's, if there is one, comes first.
    pub messages: Vec<Message>,
}

/// A prompt and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Completion {
    /// Where it comes from.
    pub origin: Origin,
    /// The history.
    pub prompt: Vec<Message>,
    /// The messages to be learned.
    pub completion: Vec<Message>,
}

/// A prompt, a better and a worse answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Preference {
    /// Where it comes from.
    pub origin: Origin,
    /// The history that both answer.
    pub prompt: Vec<Message>,
    /// The better answer.
    pub chosen: Vec<Message>,
    /// The worse answer.
    pub rejected: Vec<Message>,
    /// Scores of the two, chosen first, if the file has them.
    pub scores: Option<(f64, f64)>,
}

/// A prompt, an answer, and whether it is good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unpaired {
    /// Where it comes from.
    pub origin: Origin,
    /// The history.
    pub prompt: Vec<Message>,
    /// The answer.
    pub completion: Vec<Message>,
    /// Whether the answer is desirable.
    pub label: bool,
}

/// An example of any kind.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Example {
    /// A tree.
    Tree(Box<PreferenceTree>),
    /// A row of `UltraInteract_pair`.
    Pair(PairRow),
    /// A row of `UltraInteract_sft`.
    Sft(SftRow),
    /// A conversation.
    Conversation(Conversation),
    /// A prompt and its answer.
    Completion(Completion),
    /// A preference.
    Preference(Preference),
    /// A judged answer.
    Unpaired(Unpaired),
    /// Answers with scores.
    Ranking(Ranking),
}

impl Example {
    /// The kind, as messages name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Example::Tree(_) => "tree",
            Example::Pair(_) => "pair row",
            Example::Sft(_) => "SFT row",
            Example::Conversation(_) => "conversation",
            Example::Completion(_) => "prompt with completion",
            Example::Preference(_) => "preference",
            Example::Unpaired(_) => "unpaired answer",
            Example::Ranking(_) => "ranking",
        }
    }

    /// Takes the scores of a ranking from a source; nothing changes in others.
    pub fn score_by(&mut self, source: ScoreSource) {
        if let Example::Ranking(ranking) = self {
            ranking.score_by(source);
        }
    }

    /// A score that contradicts the ratings beside it, in a ranking: the first one.
    pub fn doubtful_score(&self) -> Option<Error> {
        match self {
            Example::Ranking(ranking) => ranking.doubtful_score(),
            _ => None,
        }
    }

    /// The first text of the user: the instruction. Decontamination looks at this.
    pub fn instruction(&self) -> &str {
        match self {
            Example::Tree(tree) => tree.instruction(),
            Example::Pair(row) => row.trajectory.first().map_or("", |first| &first.content),
            Example::Sft(row) => &row.instruction,
            Example::Ranking(ranking) => &ranking.instruction,
            Example::Conversation(Conversation { messages, .. })
            | Example::Completion(Completion {
                prompt: messages, ..
            })
            | Example::Preference(Preference {
                prompt: messages, ..
            })
            | Example::Unpaired(Unpaired {
                prompt: messages, ..
            }) => messages
                .iter()
                .find(|message| message.role == Role::User)
                .map_or("", |message| &message.content),
        }
    }

    /// The conversation that waits for an answer: the history of what there is to learn, without the answers at its end.
    pub fn prompt(&self) -> Vec<Message> {
        match self {
            Example::Tree(_) | Example::Sft(_) | Example::Ranking(_) => {
                vec![Message::user(self.instruction())]
            }
            Example::Pair(row) => row.trajectory.clone(),
            Example::Conversation(Conversation { messages, .. }) => {
                let answers = messages.iter().rev();
                let answers = answers.take_while(|it| it.role == Role::Assistant).count();
                messages[..messages.len() - answers].to_vec()
            }
            Example::Completion(Completion { prompt, .. })
            | Example::Preference(Preference { prompt, .. })
            | Example::Unpaired(Unpaired { prompt, .. }) => prompt.clone(),
        }
    }

    /// The messages in it, of examples that have some.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        let parts: [&[Message]; 3] = match self {
            Example::Tree(_) | Example::Sft(_) | Example::Ranking(_) => [&[], &[], &[]],
            Example::Pair(row) => [&row.trajectory, &[], &[]],
            Example::Conversation(it) => [&it.messages, &[], &[]],
            Example::Completion(it) => [&it.prompt, &it.completion, &[]],
            Example::Unpaired(it) => [&it.prompt, &it.completion, &[]],
            Example::Preference(it) => [&it.prompt, &it.chosen, &it.rejected],
        };
        parts.into_iter().flatten()
    }

    /// Name, problem, task and data set.
    pub fn origin(&self) -> Origin {
        match self {
            Example::Tree(tree) => Origin {
                id: Some(tree.id().to_string()),
                parent_id: Some(tree.id().to_string()),
                task: Some(tree.task()),
                dataset: Some(tree.dataset().to_string()),
            },
            Example::Pair(row) => pair_origin(row),
            Example::Sft(row) => sft_origin(row),
            Example::Conversation(Conversation { origin, .. })
            | Example::Completion(Completion { origin, .. })
            | Example::Preference(Preference { origin, .. })
            | Example::Unpaired(Unpaired { origin, .. }) => origin.clone(),
            Example::Ranking(ranking) => Origin {
                dataset: ranking.source.clone(),
                ..Origin::default()
            },
        }
    }
}

pub(crate) fn pair_origin(row: &PairRow) -> Origin {
    Origin {
        id: Some(row.id.clone()),
        parent_id: Some(row.parent_id.clone()),
        task: Some(row.task),
        dataset: Some(row.dataset.clone()),
    }
}

pub(crate) fn sft_origin(row: &SftRow) -> Origin {
    Origin {
        id: Some(row.id.clone()),
        parent_id: Some(row.parent_id.clone()),
        task: Some(row.task),
        dataset: Some(row.dataset.clone()),
    }
}
