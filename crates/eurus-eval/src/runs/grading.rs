//! Judging the answers of a run, several at a time.

use std::collections::HashMap;
use std::sync::Mutex;

use code_interpreter::Interpreter;

use super::verdicts::ItemVerdict;
use crate::error::Result;
use crate::graders::Grade;
use crate::samples::Sample;
use crate::tasks::{Item, Pythons};
use crate::threads::on_threads;

/// Judges the answer to an item.
pub type JudgeAnswer<'a> = dyn Fn(&Item, &str, Option<Pythons<'_>>) -> Result<Grade> + Sync + 'a;

/// What judges the answers of one run.
pub struct Judging<'a> {
    /// Judges the answer to an item; the interpreters are there where [`interpreter`](Self::interpreter) gives some.
    pub judge: &'a JudgeAnswer<'a>,
    /// Starts an interpreter, if programs are to be run; a worker has two.
    pub interpreter: Option<&'a (dyn Fn() -> Result<Interpreter> + Sync)>,
    /// How many answers are judged at once.
    pub workers: usize,
}

/// Judges all answers, in the order of items and samples. An item without an answer has one verdict that says so, with the
/// reason, if it is known why.
///
/// # Errors
///
/// When an interpreter cannot be started or fails: not when an answer's program does.
pub fn grade_answers(
    items: &[Item],
    answers: &[Sample],
    unanswered: &HashMap<String, String>,
    judging: &Judging<'_>,
    on_verdict: &(dyn Fn() + Sync),
) -> Result<Vec<ItemVerdict>> {
    let start = || {
        let start = || judging.interpreter.map(|start| start()).transpose();
        Ok((start()?, start()?))
    };
    let judge = |(tests, candidate): &mut (Option<Interpreter>, Option<Interpreter>),
                 item: &Item,
                 sample: &Sample| {
        let protection = candidate.as_ref().map(|it| it.safeguards().protection);
        let pythons = match (tests, candidate) {
            (Some(tests), Some(candidate)) => Some(Pythons { tests, candidate }),
            _ => None,
        };
        Ok(ItemVerdict {
            id: item.id.clone(),
            sample: sample.sample,
            grade: (judging.judge)(item, &sample.text, pythons)?,
            rating: None,
            turn_ratings: Vec::new(),
            finish: Some(sample.finish),
            protection,
        })
    };
    judge_each(
        items,
        answers,
        unanswered,
        &Workers {
            start: &start,
            judge: &judge,
            count: judging.workers,
        },
        on_verdict,
    )
}

/// Judges one answer with what its worker has.
type JudgeSample<'a, W> = dyn Fn(&mut W, &Item, &Sample) -> Result<ItemVerdict> + Sync + 'a;

/// Threads that judge, each with something of its own.
pub(super) struct Workers<'a, W> {
    /// Makes what a worker has.
    pub start: &'a (dyn Fn() -> Result<W> + Sync),
    pub judge: &'a JudgeSample<'a, W>,
    pub count: usize,
}

/// As [`grade_answers`], by any judge.
pub(super) fn judge_each<W>(
    items: &[Item],
    answers: &[Sample],
    unanswered: &HashMap<String, String>,
    workers: &Workers<'_, W>,
    on_verdict: &(dyn Fn() + Sync),
) -> Result<Vec<ItemVerdict>> {
    let mut by_item: HashMap<&str, Vec<&Sample>> = HashMap::new();
    for answer in answers {
        by_item.entry(&answer.id).or_default().push(answer);
    }
    let mut verdicts = Vec::new();
    let mut work: Vec<(&Item, &Sample)> = Vec::new();
    for item in items {
        match by_item.get(item.id.as_str()) {
            Some(samples) => work.extend(samples.iter().map(|sample| (item, *sample))),
            None => verdicts.push(without_answer(item, unanswered.get(&item.id))),
        }
    }
    let done = Mutex::new(Vec::new());
    on_threads(
        workers.count,
        &work,
        workers.start,
        |own, &(item, sample)| {
            let verdict = (workers.judge)(own, item, sample)?;
            done.lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(verdict);
            on_verdict();
            Ok(())
        },
    )?;
    verdicts.extend(
        done.into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    );
    let places: HashMap<&str, usize> = items
        .iter()
        .enumerate()
        .map(|(place, item)| (item.id.as_str(), place))
        .collect();
    verdicts.sort_by_key(|it| (places.get(it.id.as_str()).copied(), it.sample));
    Ok(verdicts)
}

fn without_answer(item: &Item, reason: Option<&String>) -> ItemVerdict {
    let reason = reason
        .map_or("there is no answer", String::as_str)
        .to_owned();
    ItemVerdict {
        id: item.id.clone(),
        sample: 0,
        grade: Grade::new(false, None, reason),
        rating: None,
        turn_ratings: Vec::new(),
        finish: None,
        protection: None,
    }
}
