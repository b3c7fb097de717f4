//! Who speaks with a model.

use std::collections::VecDeque;

use crate::error::Result;
use crate::tasks::Item;

/// What a conversation goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// The model's answer as it stands in the conversation.
    pub answer: String,
    /// What the user says to it.
    pub user: String,
}

/// Who speaks with the model.
pub trait Partner: Send {
    /// Takes an answer: what the conversation goes on with, or nothing at its end.
    ///
    /// # Errors
    ///
    /// Trouble with the machine, never with the answer.
    fn step(&mut self, answer: &str) -> Result<Option<Say>>;
}

/// A user who asks a list of questions, whatever is answered.
#[derive(Debug, Clone)]
pub struct Questions(VecDeque<String>);

impl Questions {
    /// The questions behind the first one.
    pub fn of(item: &Item) -> Self {
        Self(item.later_turns.iter().cloned().collect())
    }
}

impl Partner for Questions {
    fn step(&mut self, answer: &str) -> Result<Option<Say>> {
        let next = self.0.pop_front();
        Ok(next.map(|user| Say {
            answer: answer.to_owned(),
            user,
        }))
    }
}
