//! A chat model as the judge of answers, in the style of MT-Bench (arXiv 2306.05685).
//!
//! [`rate`] gives one answer, or the second of two turns, a number from 1 to 10. [`prefer`] and [`compare`] say which of two
//! answers is better; the judge sees them in both orders, and where it contradicts itself it is a tie, so that liking the
//! first place decides nothing. For mathematics, programming and reasoning the judge is given a reference answer.
//!
//! The judge is any [`ChatModel`]. It answers greedily, and its seed is part of every request. It is asked in words of this
//! project; verdicts are not those of MT-Bench's own prompts. What holds no verdict is unjudged, never a number.
//!
//! ```
//! use chat_model::{ChatRequest, Completion, FnModel};
//! use eurus_eval::graders::judge::{Preference, Rating, Turn, prefer, rate};
//!
//! let judge = FnModel::new("likes four", |request: &ChatRequest| {
//!     let asked = &request.messages[1].content;
//!     let verdict = match (asked.find("It is 4"), asked.find("It is 5")) {
//!         (Some(right), Some(wrong)) if right < wrong => "[[A]]",
//!         (Some(_), Some(_)) => "[[B]]",
//!         (Some(_), None) => "Right. [[9]]",
//!         _ => "Wrong. [[1]]",
//!     };
//!     Ok(vec![Completion::stopped(verdict); request.samples])
//! });
//!
//! assert_eq!(prefer(&judge, "2 + 2?", "It is 4.", "It is 5.", 0)?, Preference::First);
//! let turn = Turn { question: "2 + 2?", answer: "It is 4.", reference: Some("4") };
//! assert_eq!(rate(&judge, &[turn], 0)?, Rating::Rated(9.0));
//! # Ok::<(), eurus_eval::Error>(())
//! ```

use std::sync::LazyLock;

use chat_model::{ChatModel, ChatRequest, Message, Sampling};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Categories of MT-Bench in which the judge is given a reference answer.
pub const WITH_REFERENCE: [&str; 3] = ["coding", "math", "reasoning"];

/// The longest judgement, in tokens.
const JUDGEMENT_TOKENS: usize = 2048;

/// A question, its answer, and the reference answer where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Turn<'a> {
    /// What the user asked.
    pub question: &'a str,
    /// What the model that is judged answered.
    pub answer: &'a str,
    /// A right answer.
    pub reference: Option<&'a str>,
}

/// A question and two answers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PairTurn<'a> {
    /// What the user asked.
    pub question: &'a str,
    /// The first answer.
    pub first: &'a str,
    /// The second.
    pub second: &'a str,
    /// A right answer.
    pub reference: Option<&'a str>,
}

/// The number that a judge gives an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// From 1 (worst) to 10 (best).
    Rated(f64),
    /// The judgement holds no such number.
    Unjudged {
        /// What is wrong with it.
        reason: String,
    },
}

impl Rating {
    /// The number, where there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Rated(value) => Some(*value),
            Self::Unjudged { .. } => None,
        }
    }
}

/// Which of two answers a judge likes better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// The first, in both orders, or in one of them beside a tie in the other.
    First,
    /// The second, likewise.
    Second,
    /// Both are as good, or the judge contradicts itself when the answers change places.
    Tie,
    /// A judgement holds no verdict.
    Unjudged {
        /// What is wrong with it.
        reason: String,
    },
}

/// Rates the answer of the last of these turns, from 1 to 10. The earlier ones are its context.
///
/// # Errors
///
/// When the judge cannot be asked.
pub fn rate<M: ChatModel + ?Sized>(judge: &M, turns: &[Turn<'_>], seed: u64) -> Result<Rating> {
    let question = rendered(
        include_str!("judge/rate.txt"),
        context! { turns => Value::from(Serde(turns)) },
    )?;
    let text = judgement(judge, question, seed)?;
    Ok(rating(&text))
}

/// Says which of two answers to a prompt is better, asking in both orders.
///
/// # Errors
///
/// When the judge cannot be asked.
pub fn prefer<M: ChatModel + ?Sized>(
    judge: &M,
    prompt: &str,
    first: &str,
    second: &str,
    seed: u64,
) -> Result<Preference> {
    let turn = PairTurn {
        question: prompt,
        first,
        second,
        reference: None,
    };
    compare(judge, &[turn], seed)
}

/// Says which of two conversations is better in its last turn, asking in both orders.
///
/// # Errors
///
/// When the judge cannot be asked.
pub fn compare<M: ChatModel + ?Sized>(
    judge: &M,
    turns: &[PairTurn<'_>],
    seed: u64,
) -> Result<Preference> {
    let swapped: Vec<PairTurn<'_>> = turns
        .iter()
        .map(|turn| PairTurn {
            first: turn.second,
            second: turn.first,
            ..*turn
        })
        .collect();
    let straight = in_one_order(judge, turns, seed)?;
    let swapped = match in_one_order(judge, &swapped, seed)? {
        Preference::First => Preference::Second,
        Preference::Second => Preference::First,
        other => other,
    };
    Ok(match (straight, swapped) {
        (Preference::Unjudged { reason }, _) | (_, Preference::Unjudged { reason }) => {
            Preference::Unjudged { reason }
        }
        (Preference::Tie, one) | (one, Preference::Tie) => one,
        (one, other) if one == other => one,
        _ => Preference::Tie,
    })
}

/// Which answer is better, for a judge that sees them in this order.
///
/// # Errors
///
/// When the judge cannot be asked.
pub fn in_one_order<M: ChatModel + ?Sized>(
    judge: &M,
    turns: &[PairTurn<'_>],
    seed: u64,
) -> Result<Preference> {
    let question = rendered(
        include_str!("judge/compare.txt"),
        context! { turns => Value::from(Serde(turns)) },
    )?;
    let text = judgement(judge, question, seed)?;
    Ok(preference(&text))
}

fn rendered(template: &str, values: Value) -> Result<String> {
    Ok(Environment::new().render_str(template, values)?)
}

fn judgement<M: ChatModel + ?Sized>(judge: &M, question: String, seed: u64) -> Result<String> {
    let system = Message::system(include_str!("judge/system.txt").trim());
    let request = ChatRequest::new([system, Message::user(question)]).with_sampling(Sampling {
        temperature: 0.0,
        max_tokens: JUDGEMENT_TOKENS,
        seed,
        ..Sampling::default()
    });
    let completions = judge.complete(&request)?;
    let first = completions.into_iter().next();
    Ok(first.map(|completion| completion.text).unwrap_or_default())
}

/// The last verdict of a judgement counts: a judge that thinks aloud may name others before.
fn last_verdict<'a>(pattern: &Regex, judgement: &'a str) -> Option<&'a str> {
    let last = pattern.captures_iter(judgement).last()?;
    last.get(1).map(|verdict| verdict.as_str())
}

fn rating(judgement: &str) -> Rating {
    static RATING: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\[\[\s*(-?[0-9]+(?:\.[0-9]+)?)\s*(?:/\s*10\s*)?\]\]"));
    let Some(verdict) = last_verdict(&RATING, judgement) else {
        return Rating::Unjudged {
            reason: format!("no rating as [[5]] in the judgement: {}", shown(judgement)),
        };
    };
    match verdict.parse() {
        Ok(value) if (1.0..=10.0).contains(&value) => Rating::Rated(value),
        _ => Rating::Unjudged {
            reason: format!("the rating is {verdict}, not from 1 to 10"),
        },
    }
}

fn preference(judgement: &str) -> Preference {
    static PREFERENCE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[\[\s*([ABC])\s*\]\]"));
    match last_verdict(&PREFERENCE, judgement) {
        Some("A") => Preference::First,
        Some("B") => Preference::Second,
        Some(_) => Preference::Tie,
        None => Preference::Unjudged {
            reason: format!(
                "no verdict as [[A]], [[B]] or [[C]] in the judgement: {}",
                shown(judgement)
            ),
        },
    }
}

/// The end of a judgement, where its verdict should be.
fn shown(judgement: &str) -> String {
    const SHOWN: usize = 80;
    let length = judgement.chars().count();
    let end: String = judgement
        .chars()
        .skip(length.saturating_sub(SHOWN))
        .collect();
    format!("{end:?}")
}

fn pattern(expression: &str) -> Regex {
    Regex::new(expression).expect("a regular expression of this crate's own is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rating_in_brackets_counts() {
        assert_eq!(
            rating("First [[3]], on reflection [[7.5]]."),
            Rating::Rated(7.5)
        );
        assert_eq!(rating("[[ 8/10 ]]"), Rating::Rated(8.0));
    }

    #[test]
    fn a_rating_out_of_range_or_without_brackets_is_unjudged() {
        for text in ["[[0]]", "[[11]]", "[[-3]]", "8", "[8]", "[[A]]", ""] {
            assert_eq!(rating(text).value(), None, "{text}");
        }
    }
}
