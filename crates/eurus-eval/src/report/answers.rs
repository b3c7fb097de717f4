//! Answers of a model that a reader looks through, filtered by kind without a script.

use serde::Serialize;

/// Kinds that the page's style has a filter for; what is of a further kind is shown with all others alone.
const MOST_KINDS: usize = 8;

/// An answer with what was said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Names the answer among the others.
    pub id: String,
    /// What readers choose by, such as "wrong" or "cut off".
    pub kind: String,
    /// What was asked.
    pub prompt: String,
    /// What was answered.
    pub text: String,
    /// The part of it that was judged.
    pub extracted: Option<String>,
    /// What is right.
    pub gold: Option<String>,
    /// Why it was judged so.
    pub why: String,
}

/// The context of the template.
#[derive(Debug, Serialize)]
pub(super) struct AnswersView {
    number: usize,
    caption: String,
    kinds: Vec<Kind>,
    answers: Vec<Shown>,
    total: usize,
}

#[derive(Debug, Serialize)]
struct Kind {
    name: String,
    count: usize,
}

#[derive(Debug, Serialize)]
struct Shown {
    /// Number of the kind's filter; 0 is that of all.
    filter: usize,
    #[serde(flatten)]
    answer: Answer,
}

impl AnswersView {
    pub fn new(caption: String, answers: Vec<Answer>, number: usize) -> Self {
        let mut kinds: Vec<Kind> = Vec::new();
        let mut shown = Vec::with_capacity(answers.len());
        for answer in answers {
            let place = kinds.iter().position(|kind| kind.name == answer.kind);
            let place = place.unwrap_or_else(|| {
                kinds.push(Kind {
                    name: answer.kind.clone(),
                    count: 0,
                });
                kinds.len() - 1
            });
            kinds[place].count += 1;
            let filter = if place < MOST_KINDS { place + 1 } else { 0 };
            shown.push(Shown { filter, answer });
        }
        kinds.truncate(MOST_KINDS);
        Self {
            number,
            caption,
            kinds,
            total: shown.len(),
            answers: shown,
        }
    }
}
