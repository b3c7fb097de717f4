//! Critics of different strength.

use std::sync::{Mutex, PoisonError};

use token_forest::ChatTokenizer;
use ultrainteract_synth::{Critic, CritiqueRequest, Result, RuleCritic};

/// Says nothing.
pub struct NoCritic;

impl Critic for NoCritic {
    fn critique(&self, _: &CritiqueRequest<'_>) -> Result<String> {
        Ok(String::new())
    }
}

/// Tells the answer.
pub struct Teller;

impl Critic for Teller {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        let truth = request.problem.ground_truth().unwrap_or_default();
        Ok(format!("The answer is {truth}."))
    }
}

/// Says the contrary of the rule-based critic, and sends the actor after a number of the problem that it did use.
pub struct WrongCritic;

impl Critic for WrongCritic {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        let right = RuleCritic.critique(request)?;
        let outcome = match right.split_once(". ").map_or(&*right, |(first, _)| first) {
            "The answer is too large" => "The answer is too small.",
            "The answer is too small" => "The answer is too large.",
            "The answer is a number" => "The answer is not a number.",
            _ => "The answer is a number.",
        };
        let used = numbers(&without_labels(request.action));
        let given = numbers(&request.problem.instruction);
        let answer = request.problem.ground_truth();
        let hint = given
            .iter()
            .find(|it| used.contains(it) && Some(it.as_str()) != answer.as_deref());
        Ok(match hint {
            Some(number) => format!("{outcome} You did not use {number}."),
            None => outcome.to_owned(),
        })
    }
}

/// An action without comments and the numbers of its steps.
fn without_labels(action: &str) -> String {
    let lines = action.lines().map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        match line.strip_prefix("Step ") {
            Some(step) => step.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The numbers of a text, in order.
fn numbers(text: &str) -> Vec<String> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    let numbers = digits.filter(|digits| !digits.is_empty());
    numbers.map(str::to_owned).collect()
}

/// A critic whose work is counted.
pub struct Counted<'a> {
    critic: &'a dyn Critic,
    tokenizer: &'a ChatTokenizer,
    given: Mutex<Vec<String>>,
}

impl<'a> Counted<'a> {
    pub fn new(critic: &'a dyn Critic, tokenizer: &'a ChatTokenizer) -> Self {
        Self {
            critic,
            tokenizer,
            given: Mutex::new(Vec::new()),
        }
    }

    /// Critiques that were given, and their tokens.
    pub fn counts(&self) -> anyhow::Result<(usize, usize)> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tokens = 0;
        for critique in given.iter() {
            tokens += self.tokenizer.encode_text(critique)?.len();
        }
        Ok((given.len(), tokens))
    }
}

impl Critic for Counted<'_> {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        let critique = self.critic.critique(request)?;
        if !critique.is_empty() {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.push(critique.clone());
        }
        Ok(critique)
    }
}
