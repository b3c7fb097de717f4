//! Conversations that a model judges.

use std::collections::HashMap;

use chat_model::ChatModel;
use serde_json::Value;

use super::super::grading::{Workers, judge_each};
use super::super::verdicts::ItemVerdict;
use crate::error::Result;
use crate::graders::Grade;
use crate::graders::judge::{Rating, Turn, rate};
use crate::samples::{Sample, prompt_seed};
use crate::tasks::Item;

/// Has a judge rate conversations from 1 to 10: each turn with those before it, and a conversation by their mean.
///
/// # Errors
///
/// When the judge cannot be asked.
pub fn rate_conversations(
    items: &[Item],
    answers: &[Sample],
    unanswered: &HashMap<String, String>,
    model: &dyn ChatModel,
    workers: usize,
    on_verdict: &(dyn Fn() + Sync),
) -> Result<Vec<ItemVerdict>> {
    let judge = |_: &mut (), item: &Item, sample: &Sample| {
        let (turn_ratings, rating, reason) = match rated(model, item, sample)? {
            Ok(ratings) => {
                let mean = ratings.iter().sum::<f64>() / ratings.len() as f64;
                (ratings, Some(mean), format!("rated {mean} of 10"))
            }
            Err(reason) => (Vec::new(), None, reason),
        };
        Ok(ItemVerdict {
            id: item.id.clone(),
            sample: sample.sample,
            grade: Grade {
                extracted: rating.map(|it| it.to_string()),
                ..Grade::unjudged(reason)
            },
            rating,
            turn_ratings,
            finish: Some(sample.finish),
            protection: None,
        })
    };
    let workers = Workers {
        start: &|| Ok(()),
        judge: &judge,
        count: workers,
    };
    judge_each(items, answers, unanswered, &workers, on_verdict)
}

/// What the judge gives each turn, of which there is one at least, or why it gives nothing.
fn rated(
    model: &dyn ChatModel,
    item: &Item,
    sample: &Sample,
) -> Result<std::result::Result<Vec<f64>, String>> {
    let first = item.request.messages.last().map(|it| it.content.as_str());
    let questions = first
        .into_iter()
        .chain(item.later_turns.iter().map(String::as_str));
    let references = &item.row.get("reference").unwrap_or(&Value::Null)["choices"][0]["turns"];
    let turns = questions.zip(&sample.turns).enumerate();
    let turns: Vec<Turn<'_>> = turns
        .map(|(at, (question, answer))| Turn {
            question,
            answer,
            reference: references[at].as_str(),
        })
        .collect();
    if turns.len() <= item.later_turns.len() {
        let reason = "the conversation no longer fitted the model's context".to_owned();
        return Ok(Err(reason));
    }
    let seed = prompt_seed(sample.seed, &format!("sample {}", sample.sample));
    let mut ratings = Vec::with_capacity(turns.len());
    for end in 1..=turns.len() {
        match rate(model, &turns[..end], seed)? {
            Rating::Rated(value) => ratings.push(value),
            Rating::Unjudged { reason } => return Ok(Err(reason)),
        }
    }
    Ok(Ok(ratings))
}
