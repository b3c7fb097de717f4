//! What is said of each answer of a run.

use std::fmt;

use chat_model::{ChatRequest, Finish, Role};
use code_interpreter::Protection;
use serde::{Deserialize, Serialize};

use crate::graders::{Cause, Grade, Verdict};

/// A request as one text for readers: the raw prompt, or the messages with their roles, and how the answer begins.
pub fn shown_prompt(request: &ChatRequest) -> String {
    let mut text = match &request.raw_prompt {
        Some(raw) => raw.clone(),
        None => {
            let messages = request.messages.iter();
            let texts = messages.map(|it| format!("[{}]\n{}", role(it.role), it.content));
            texts.collect::<Vec<_>>().join("\n\n")
        }
    };
    if let Some(prefix) = request.begun_answer() {
        text.push_str("\n\n[assistant begins]\n");
        text.push_str(prefix);
    }
    text
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

/// The verdict on one answer: a line of `verdicts.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemVerdict {
    /// The item.
    pub id: String,
    /// Which of its samples, from 0.
    pub sample: usize,
    /// What is said of it.
    #[serde(flatten)]
    pub grade: Grade,
    /// The number from 1 to 10 that a judge gives it, where one does; nobody then says whether it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// What it gives each turn of a conversation, of which `rating` is the mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turn_ratings: Vec<f64>,
    /// Why the answer ended; nothing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// What stood between the answer's program and the machine, where a program was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<Protection>,
}

impl ItemVerdict {
    /// What became of the answer.
    pub fn outcome(&self) -> Outcome {
        match &self.grade.verdict {
            _ if self.finish.is_none() => Outcome::Unanswered,
            _ if self.rating.is_some() => Outcome::Rated,
            Verdict::Correct => Outcome::Right,
            Verdict::Unjudged { .. } => Outcome::Unjudged,
            Verdict::Incorrect {
                cause: Cause::TimedOut,
                ..
            } => Outcome::TimedOut,
            Verdict::Incorrect { .. } if self.finish == Some(Finish::Length) => Outcome::CutOff,
            Verdict::Incorrect { .. } if self.grade.extracted.is_none() => {
                Outcome::NothingExtracted
            }
            Verdict::Incorrect { .. } => Outcome::Wrong,
        }
    }
}

/// What became of an answer, the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// It is wrong, and was ended by the limit of its length.
    CutOff,
    /// It is wrong, and has nothing in it that could be judged.
    NothingExtracted,
    /// Its program did not end in time.
    TimedOut,
    /// A judge gave it a number.
    Rated,
    /// Nobody can say: a package is missing, or the judge was not understood.
    Unjudged,
    /// There is none: the prompt was too long for the model, or the server gave none.
    Unanswered,
}

impl Outcome {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 8] = [
        Self::Right,
        Self::Wrong,
        Self::CutOff,
        Self::NothingExtracted,
        Self::TimedOut,
        Self::Rated,
        Self::Unjudged,
        Self::Unanswered,
    ];
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::CutOff => "cut off",
            Self::NothingExtracted => "nothing extracted",
            Self::TimedOut => "timed out",
            Self::Rated => "rated",
            Self::Unjudged => "unjudged",
            Self::Unanswered => "unanswered",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(verdict: Verdict, extracted: Option<&str>, finish: Option<Finish>) -> ItemVerdict {
        ItemVerdict {
            id: "a".into(),
            sample: 0,
            grade: Grade::of(verdict, extracted.map(str::to_owned), "rule"),
            rating: None,
            turn_ratings: Vec::new(),
            finish,
            protection: None,
        }
    }

    #[test]
    fn every_answer_has_one_outcome_and_a_right_one_is_right_however_it_ended() {
        let wrong = Verdict::incorrect;
        let unjudged = Verdict::Unjudged { reason: "r".into() };
        for (row, outcome) in [
            (
                verdict(Verdict::Correct, Some("1"), Some(Finish::Length)),
                Outcome::Right,
            ),
            (
                verdict(wrong("r"), Some("1"), Some(Finish::Stop)),
                Outcome::Wrong,
            ),
            (
                verdict(wrong("r"), None, Some(Finish::Length)),
                Outcome::CutOff,
            ),
            (
                verdict(wrong("r"), None, Some(Finish::Stop)),
                Outcome::NothingExtracted,
            ),
            (
                verdict(
                    wrong("case 2").because(Cause::TimedOut),
                    None,
                    Some(Finish::Stop),
                ),
                Outcome::TimedOut,
            ),
            (
                // The words are the answer's own.
                verdict(
                    wrong("ValueError: timed out"),
                    Some("1"),
                    Some(Finish::Stop),
                ),
                Outcome::Wrong,
            ),
            (
                verdict(unjudged, None, Some(Finish::Stop)),
                Outcome::Unjudged,
            ),
            (verdict(wrong("r"), None, None), Outcome::Unanswered),
        ] {
            assert_eq!(row.outcome(), outcome);
            let line = serde_json::to_string(&row).unwrap();
            assert_eq!(serde_json::from_str::<ItemVerdict>(&line).unwrap(), row);
        }
    }
}
