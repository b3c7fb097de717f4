//! Critics: they tell an actor where it went wrong.

mod model;
mod rule;

use chat_model::Message;
use code_interpreter::Execution;

use crate::problem::letter;
use crate::{Gold, Problem, Result, arithmetic};

pub use model::ModelCritic;
pub use rule::RuleCritic;

/// An incorrect action that wants a critique.
#[derive(Debug, Clone, Copy)]
pub struct CritiqueRequest<'a> {
    /// The problem that it was meant to solve.
    pub problem: &'a Problem,
    /// The action.
    pub action: &'a str,
    /// The execution of the action's code, if it has code.
    pub execution: Option<&'a Execution>,
    /// The answer that was compared with the ground truth, if there was one.
    pub answer: Option<&'a str>,
    /// The conversation before the action.
    pub history: &'a [Message],
    /// Seed for critics that draw.
    pub seed: u64,
}

/// A critic tells an actor where it went wrong, without telling the answer.
pub trait Critic: Sync {
    /// The critique of one action.
    ///
    /// # Errors
    ///
    /// When the critic itself fails.
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String>;
}

/// Whether a text has the ground truth of a problem in it, be it by chance.
fn mentions_answer(text: &str, problem: &Problem) -> bool {
    let truth = match &problem.gold {
        Gold::Answer(truth) => truth.trim(),
        Gold::Choice { answer, .. } => {
            return letter(*answer).is_some_and(|letter| names_choice(text, letter));
        }
        // Nobody tells a program in a sentence.
        Gold::Tests(_) | Gold::Asserts { .. } | Gold::Unjudged => return false,
    };
    match answer_equality::parse_number(truth) {
        // Numbers are found in a text without their sign.
        Some(value) => arithmetic::mentions(text, value.abs()),
        None => !truth.is_empty() && text.to_lowercase().contains(&truth.to_lowercase()),
    }
}

/// Whether a text has the letter of a choice as one: alone between signs, as in `(B)`, `B.` or `choice B`. The texts of choices
/// are part of the problem and tell nothing.
fn names_choice(text: &str, letter: char) -> bool {
    let is_alone = |(at, _): (usize, &str)| {
        let before = text[..at].chars().next_back();
        let after = text[at + letter.len_utf8()..].chars().next();
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '\'');
        // "A" and "I" begin sentences.
        let begins = letter == 'A' || letter == 'I';
        !(is_word(before) || is_word(after) || begins && after == Some(' '))
    };
    text.match_indices(letter).any(is_alone)
}
