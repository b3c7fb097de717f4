//! One kind of example as another, where nothing has to be made up.

use crate::example::{
    Completion, Conversation, Example, Origin, Preference, Unpaired, pair_origin, sft_origin,
};
use crate::formats::{LoosePair, LooseSft, PairRow, SftRow, check};
use crate::{Message, PreferenceTree, Role, derive};

impl From<&PairRow> for Preference {
    fn from(row: &PairRow) -> Self {
        Self {
            origin: pair_origin(row),
            prompt: row.trajectory.clone(),
            chosen: vec![Message::assistant(&row.chosen)],
            rejected: vec![Message::assistant(&row.rejected)],
            scores: None,
        }
    }
}

impl From<&SftRow> for Completion {
    fn from(row: &SftRow) -> Self {
        Self {
            origin: sft_origin(row),
            prompt: vec![Message::user(&row.instruction)],
            completion: vec![Message::assistant(&row.response)],
        }
    }
}

impl From<Completion> for Conversation {
    fn from(completion: Completion) -> Self {
        let mut messages = completion.prompt;
        messages.extend(completion.completion);
        Self {
            origin: completion.origin,
            messages,
        }
    }
}

/// Why one kind cannot be had from another, in the words of [`Error::NotHeld`](crate::Error).
type Unfit = String;

impl Example {
    /// The preferences in it: the pairs of a tree, all pairs of a ranking.
    pub fn preferences(&self) -> Option<Vec<Preference>> {
        match self {
            Example::Tree(tree) => Some(
                derive::pair_rows(tree)
                    .iter()
                    .map(Preference::from)
                    .collect(),
            ),
            Example::Pair(row) => Some(vec![Preference::from(row)]),
            Example::Preference(preference) => Some(vec![preference.clone()]),
            Example::Ranking(ranking) => Some(ranking.preferences()),
            _ => None,
        }
    }

    /// The judged answers in it: both of a preference, the judged actions of a tree.
    pub fn unpaired(&self) -> Option<Vec<Unpaired>> {
        match self {
            Example::Tree(tree) => Some(derive::unpaired(tree)),
            Example::Unpaired(unpaired) => Some(vec![unpaired.clone()]),
            other => Some(
                other
                    .preferences()?
                    .into_iter()
                    .flat_map(Unpaired::of_preference)
                    .collect(),
            ),
        }
    }

    /// The prompts with completions in it: a conversation is cut before its last answer, a tree
    /// gives its correct actions without history.
    pub fn completions(&self) -> Option<Vec<Completion>> {
        match self {
            Example::Tree(tree) => Some(
                derive::sft_rows(tree)
                    .iter()
                    .map(Completion::from)
                    .collect(),
            ),
            Example::Sft(row) => Some(vec![Completion::from(row)]),
            Example::Completion(completion) => Some(vec![completion.clone()]),
            Example::Conversation(conversation) => {
                let (last, prompt) = conversation.messages.split_last()?;
                (last.role == Role::Assistant && !prompt.is_empty()).then(|| {
                    vec![Completion {
                        origin: conversation.origin.clone(),
                        prompt: prompt.to_vec(),
                        completion: vec![last.clone()],
                    }]
                })
            }
            _ => None,
        }
    }

    /// The conversations in it.
    pub fn conversations(&self) -> Option<Vec<Conversation>> {
        match self {
            Example::Conversation(conversation) => Some(vec![conversation.clone()]),
            other => Some(
                other
                    .completions()?
                    .into_iter()
                    .map(Conversation::from)
                    .collect(),
            ),
        }
    }

    pub(crate) fn pair_rows(&self) -> Result<Vec<LoosePair>, Unfit> {
        match self {
            Example::Tree(tree) => Ok(derive::pair_rows(tree)
                .iter()
                .map(LoosePair::from)
                .collect()),
            Example::Pair(row) => Ok(vec![row.into()]),
            other => other
                .preferences()
                .ok_or("there is no preference in it")?
                .into_iter()
                .map(pair_row)
                .collect(),
        }
    }

    pub(crate) fn sft_rows(&self) -> Result<Vec<LooseSft>, Unfit> {
        match self {
            Example::Tree(tree) => Ok(derive::sft_rows(tree).iter().map(LooseSft::from).collect()),
            Example::Sft(row) => Ok(vec![row.into()]),
            other => other
                .completions()
                .ok_or("there is no answer to learn in it")?
                .into_iter()
                .map(sft_row)
                .collect(),
        }
    }

    pub(crate) fn tree(&self) -> Option<&PreferenceTree> {
        match self {
            Example::Tree(tree) => Some(tree),
            _ => None,
        }
    }
}

impl Unpaired {
    fn of_preference(preference: Preference) -> [Unpaired; 2] {
        let Preference {
            origin,
            prompt,
            chosen,
            rejected,
            ..
        } = preference;
        [(chosen, true), (rejected, false)].map(|(completion, label)| Unpaired {
            origin: origin.clone(),
            prompt: prompt.clone(),
            completion,
            label,
        })
    }
}

fn pair_row(preference: Preference) -> Result<LoosePair, Unfit> {
    let mut messages = preference.prompt.iter();
    if messages.any(|message| message.role.instructs()) {
        return Err("its rows have no system message".to_string());
    }
    let mut wrong = Vec::new();
    check::trajectory(&preference.prompt, &mut wrong);
    if !wrong.is_empty() {
        return Err("its messages go user, assistant, user, ...".to_string());
    }
    let Origin {
        id,
        parent_id,
        task,
        dataset,
    } = preference.origin;
    Ok(LoosePair {
        id,
        parent_id,
        task,
        dataset,
        trajectory: preference.prompt,
        chosen: one_message(preference.chosen)?,
        rejected: one_message(preference.rejected)?,
    }
    .with_names())
}

fn sft_row(completion: Completion) -> Result<LooseSft, Unfit> {
    let mut prompt = completion.prompt;
    let instruction = match (prompt.pop(), prompt.is_empty()) {
        (Some(message), true) if message.role == Role::User => message.content,
        _ => return Err("its rows have one user message and its answer".to_string()),
    };
    let Origin {
        id,
        parent_id,
        task,
        dataset,
    } = completion.origin;
    Ok(LooseSft {
        id,
        parent_id,
        task,
        dataset,
        system: None,
        instruction,
        input: None,
        response: one_message(completion.completion)?,
    }
    .with_names())
}

/// The text of an answer that is a single message.
pub(crate) fn one_message(mut messages: Vec<Message>) -> Result<String, Unfit> {
    match (messages.pop(), messages.is_empty()) {
        (Some(message), true) => Ok(message.content),
        (_, _) => Err("its answers are single messages".to_string()),
    }
}
