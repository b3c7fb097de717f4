//! A graded score, as a teacher gives marks: more than right or wrong.

use anyhow::Result;
use eurus_examples::policy::Answered;
use ultrainteract_synth::{Critic, CritiqueRequest, Problem, RuleCritic};

/// The mark of a right answer.
pub const RIGHT: u8 = 4;

/// 4 for a right answer; 3 for the right operations with a slip, 2 for a wrong operation, 1 for a number where a word is asked
/// for or a word where a number is, 0 for no answer at all.
pub fn grade(problem: &Problem, answered: &Answered) -> Result<u8> {
    if answered.is_correct() {
        return Ok(RIGHT);
    }
    let critique = RuleCritic.critique(&CritiqueRequest {
        problem,
        action: &answered.action,
        execution: answered.outcome.execution.as_ref(),
        answer: answered.outcome.answer.as_deref(),
        history: &[],
        seed: 0,
    })?;
    let says = |texts: &[&str]| texts.iter().any(|text| critique.contains(text));
    Ok(if says(&["There is no answer", "The code "]) {
        0
    } else if says(&["is a number", "is not a number"]) {
        1
    } else if says(&["Operation ", "operation"]) {
        2
    } else {
        3
    })
}
