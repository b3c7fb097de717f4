//! Several answers to one instruction, with scores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Origin, Preference};
use crate::formats::number;
use crate::{Error, Message};

/// Which scores of a [`Ranking`] say what is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreSource {
    /// The overall scores; where fewer than two answers have one, the means of the ratings.
    #[default]
    Overall,
    /// The means of the fine-grained ratings; where fewer than two answers have one, the overall scores.
    FineGrained,
}

impl fmt::Display for ScoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScoreSource::Overall => "overall",
            ScoreSource::FineGrained => "fine-grained",
        })
    }
}

impl FromStr for ScoreSource {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "overall" => Ok(ScoreSource::Overall),
            "fine-grained" => Ok(ScoreSource::FineGrained),
            _ => Err(Error::ScoreSourceName {
                found: name.to_string(),
            }),
        }
    }
}

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
    /// The mean of the ratings as the file gives it, or of those in the annotations.
    pub fn mean_rating(&self) -> Option<f64> {
        self.fine_grained_score.or_else(|| {
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
    /// The score of each answer. All are of one kind, as the two kinds have scales of their own: the overall scores; where
    /// fewer than two answers have one, the means of the ratings.
    pub fn scores(&self) -> Vec<Option<f64>> {
        let several = |scores: &[Option<f64>]| scores.iter().flatten().count() > 1;
        let overall: Vec<_> = self.completions.iter().map(|it| it.overall_score).collect();
        if several(&overall) {
            return overall;
        }
        let means: Vec<_> = self.completions.iter().map(Scored::mean_rating).collect();
        match several(&means) {
            true => means,
            false => overall,
        }
    }

    /// Makes the scores those of a source: without the overall scores the means of the ratings are what is left.
    pub fn score_by(&mut self, source: ScoreSource) {
        let rated = self.completions.iter().filter_map(Scored::mean_rating);
        if source == ScoreSource::FineGrained && rated.count() > 1 {
            for answer in &mut self.completions {
                answer.overall_score = None;
            }
        }
    }

    /// The first answer whose overall score is the best there is where its ratings are not: in releases of UltraFeedback
    /// some scores of 10 were 1 ([UltraFeedback#8](https://github.com/OpenBMB/UltraFeedback/issues/8)).
    pub fn doubtful_score(&self) -> Option<Error> {
        /// The best overall score.
        const BEST: f64 = 10.0;
        /// Of 5; below it the ratings do not call an answer good.
        const GOOD: f64 = 4.0;
        let mut answers = self.completions.iter().enumerate();
        answers.find_map(|(answer, it)| match (it.overall_score, it.mean_rating()) {
            (Some(overall), Some(mean)) if overall >= BEST && mean < GOOD => {
                Some(Error::DoubtfulScore {
                    answer,
                    overall,
                    mean,
                })
            }
            _ => None,
        })
    }

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
        let scores = self.scores();
        for (index, first) in self.completions.iter().enumerate() {
            for (second, score) in self.completions.iter().zip(&scores).skip(index + 1) {
                let (Some(a), Some(b)) = (scores[index], *score) else {
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
