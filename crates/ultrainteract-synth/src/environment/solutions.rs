//! Whether the annotated solutions of problems are right themselves.

use ultrainteract::Verdict;

use super::{Attempt, Environment};
use crate::{Gold, Problem, Result};

/// Problems that nothing decides about, and those with an annotated solution that the environment does not find right, by their
/// position, with the reason: nobody could be right there, and money would be spent in vain.
///
/// Programs must pass their tests. Of a worked solution the answer that it marks, or that its code shows, must be the gold one;
/// one in words that marks none is not looked at.
///
/// # Errors
///
/// When the environment itself fails.
pub fn failing_solutions(
    environment: &dyn Environment,
    problems: &[Problem],
) -> Result<Vec<(usize, String)>> {
    let attempts: Vec<(usize, Attempt<'_>)> = problems
        .iter()
        .enumerate()
        .filter(|(_, problem)| !matches!(problem.gold, Gold::Unjudged))
        .flat_map(|(place, problem)| {
            problem.solutions.iter().map(move |solution| {
                let attempt = Attempt {
                    problem,
                    history: &[],
                    action: solution,
                };
                (place, attempt)
            })
        })
        .collect();
    let all: Vec<Attempt<'_>> = attempts.iter().map(|(_, attempt)| *attempt).collect();
    let checks = environment.check(&all)?;
    let outcomes = environment.execute(&all)?;
    let mut failing: Vec<(usize, String)> = Vec::new();
    for (place, problem) in problems.iter().enumerate() {
        if problem.gold == Gold::Unjudged {
            let reason = "nothing decides about its actions, so no tree can grow; it is for fine-tuning alone";
            failing.push((place, reason.to_owned()));
        }
    }
    for (((place, attempt), check), outcome) in attempts.iter().zip(checks).zip(outcomes) {
        let is_program = matches!(attempt.problem.gold, Gold::Tests(_) | Gold::Asserts { .. });
        let says = outcome.execution.as_ref().map_or("", |it| it.render());
        let failure = match (&outcome.verdict, &outcome.answer) {
            (Verdict::Correct, _) => None,
            (_, Some(answer)) => Some(format!(
                "its solution answers `{answer}`, and the answer is `{}`",
                attempt.problem.ground_truth().unwrap_or_default()
            )),
            (_, None) if is_program || !says.is_empty() => {
                Some(format!("its solution fails: {}", says.trim_end()))
            }
            (_, None) => None,
        };
        let failure = match check {
            Ok(()) => failure,
            Err(fault) => Some(format!("its solution is no Python: {fault}")),
        };
        if let Some(failure) = failure
            && failing.last().is_none_or(|(last, _)| last != place)
        {
            failing.push((*place, failure));
        }
    }
    failing.sort_unstable_by_key(|(place, _)| *place);
    Ok(failing)
}
