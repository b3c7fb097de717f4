//! Several answers to one instruction, with scores.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Origin, Preference};
use crate::Message;
use crate::formats::number;

/// A row of UltraFeedback or UltraSafety: an instruction and the answers of several models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// Data set that the instruction comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// UltraSafety's jailbreak prompt, which goes with the instruction; kept, and not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The instruction that the models were given.
    pub instruction: String,
    /// The models that were to answer.
    #[serde(default)]
    pub models: Vec<String>,
    /// The answers.
    pub completions: Vec<Scored>,
    /// Answers known to be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct_answers: Option<Vec<String>>,
    /// Answers known to be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incorrect_answers: Option<Vec<String>>,
}

/// An answer of a [`Ranking`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The model that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The system prompt that it was written under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_system_prompt: Option<String>,
    /// The principle that the system prompt asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principle: Option<String>,
    /// The answer.
    pub response: String,
    /// Ratings by aspect, each with its rationale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Value>,
    /// The critique of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critique: Option<String>,
    /// Mean of the ratings.
    #[serde(
        default,
        rename = "fine-grained_score",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub fine_grained_score: Option<f64>,
    /// The score of the answer as a whole.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number"
    )]
    pub overall_score: Option<f64>,
}

impl Scored {
    /// The overall score; without one, the mean of the ratings as the file gives it, or of those in the annotations.
    pub fn score(&self) -> Option<f64> {
        let given = self.overall_score.or(self.fine_grained_score);
        given.or_else(|| {
            let mut ratings = Vec::new();
            collect_ratings(self.annotations.as_ref()?, 0, &mut ratings);
            (!ratings.is_empty()).then(|| ratings.iter().sum::<f64>() / ratings.len() as f64)
        })
    }
}

/// Annotations are `{aspect: {"Rating": "4", ..}}`, or a list of such under each aspect.
fn collect_ratings(value: &Value, depth: usize, ratings: &mut Vec<f64>) {
    const DEEPEST: usize = 4;
    match value {
        _ if depth > DEEPEST => {}
        Value::Array(items) => {
            for item in items {
                collect_ratings(item, depth + 1, ratings);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "Rating" {
                    let number = match value {
                        Value::String(text) => text.trim().parse().ok(),
                        other => other.as_f64(),
                    };
                    ratings.extend(number.filter(|rating: &f64| rating.is_finite()));
                } else {
                    collect_ratings(value, depth + 1, ratings);
                }
            }
        }
        _ => {}
    }
}

impl Ranking {
    /// Every two answers whose scores differ, the better one chosen: up to n (n - 1) / 2
    /// preferences. Answers without a score or with the same text are in none.
    ///
    /// ```
    /// use ultrainteract::example::Ranking;
    ///
    /// let ranking: Ranking = serde_json::from_str(r#"{"instruction": "Hi?", "completions": [
    ///     {"response": "a", "overall_score": 3.0}, {"response": "b", "overall_score": 8.5},
    ///     {"response": "c", "overall_score": 3.0}]}"#).unwrap();
    /// let pairs = ranking.preferences();
    /// assert_eq!(pairs.len(), 2);
    /// assert!(pairs.iter().all(|pair| pair.chosen[0].content == "b"));
    /// ```
    pub fn preferences(&self) -> Vec<Preference> {
        let mut preferences = Vec::new();
        for (index, first) in self.completions.iter().enumerate() {
            for second in &self.completions[index + 1..] {
                let (Some(a), Some(b)) = (first.score(), second.score()) else {
                    continue;
                };
                if a == b || first.response == second.response {
                    continue;
                }
                let (chosen, rejected, scores) = if a > b {
                    (first, second, (a, b))
                } else {
                    (second, first, (b, a))
                };
                preferences.push(Preference {
                    origin: Origin {
                        dataset: self.source.clone(),
                        ..Origin::default()
                    },
                    prompt: vec![Message::user(&self.instruction)],
                    chosen: vec![Message::assistant(&chosen.response)],
                    rejected: vec![Message::assistant(&rejected.response)],
                    scores: Some(scores),
                });
            }
        }
        preferences
    }
}
