//! Critics of different strength.

use std::sync::atomic::{AtomicUsize, Ordering};

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
        Ok(format!("The answer is {}.", request.problem.ground_truth))
    }
}

/// Says the contrary of the rule-based critic, and sends the actor after a number that it did use.
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
        let digits = request.action.split(|c: char| !c.is_ascii_digit());
        let used = digits.filter(|digits| request.problem.instruction.contains(digits));
        let hint = match used.max_by_key(|digits| digits.len()).unwrap_or_default() {
            "" => "Check every step.".to_owned(),
            number => format!("You did not use {number}."),
        };
        Ok(format!("{outcome} {hint}"))
    }
}

/// A critic whose work is counted.
pub struct Counted<'a> {
    critic: &'a dyn Critic,
    tokenizer: &'a ChatTokenizer,
    calls: AtomicUsize,
    tokens: AtomicUsize,
}

impl<'a> Counted<'a> {
    pub fn new(critic: &'a dyn Critic, tokenizer: &'a ChatTokenizer) -> Self {
        Self {
            critic,
            tokenizer,
            calls: AtomicUsize::new(0),
            tokens: AtomicUsize::new(0),
        }
    }

    /// Critiques that were given, and their tokens.
    pub fn counts(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.calls), count(&self.tokens))
    }
}

impl Critic for Counted<'_> {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        let critique = self.critic.critique(request)?;
        if !critique.is_empty() {
            let tokens = self.tokenizer.encode_text(&critique);
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.tokens
                .fetch_add(tokens.map_or(0, |tokens| tokens.len()), Ordering::Relaxed);
        }
        Ok(critique)
    }
}
