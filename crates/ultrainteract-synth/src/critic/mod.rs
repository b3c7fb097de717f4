//! Critics: they tell an actor where it went wrong.

mod model;
mod rule;

use chat_model::Message;
use code_interpreter::Execution;

use crate::{Problem, Result, arithmetic};

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
    let Some(truth) = problem.ground_truth() else {
        return false;
    };
    let truth = truth.trim();
    match answer_equality::parse_number(truth) {
        // Numbers are found in a text without their sign.
        Some(value) => arithmetic::mentions(text, value.abs()),
        None => !truth.is_empty() && text.to_lowercase().contains(&truth.to_lowercase()),
    }
}
