//! A Python interpreter as the environment.

use std::collections::HashMap;
use std::time::Duration;

use code_interpreter::asserts::AssertTests;
use code_interpreter::{Execution, Limits, Pool, Python, Status};

use super::judge::{by_answer, by_asserts, by_tests, cells};
use super::{Attempt, Environment, Outcome};
use crate::{Gold, Result};

/// Runs the Python blocks of actions and judges what comes of them.
///
/// Where the problem has an answer or choices:
///
/// - An action with code is run after the code of the actions before it on its path, in one fresh
///   process, so variables live on from turn to turn as in a notebook. Earlier code that did not
///   come to an end (it ran into a limit, or took its process down) is left out of the replay.
///   The answer is the last line that the action's own code shows, or the boxed answer in it.
/// - An action without code is not run; the answer is its boxed answer or `Answer:` line.
/// - Without an answer, or when its code fails, an action is incorrect.
///
/// Where it has tests, the last block of the action is the program: it reads standard input and its output is compared, or it
/// defines what assert tests call from another process ([`asserts`](code_interpreter::asserts)). What the tests say stands in
/// for the output.
///
/// An action that needs a package that is not installed, or whose results cannot be compared, is
/// [`Unjudged`](ultrainteract::Verdict::Unjudged).
#[derive(Debug)]
pub struct PythonEnvironment {
    pool: Pool,
}

impl PythonEnvironment {
    /// An environment that uses this pool.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Starts `size` interpreters.
    ///
    /// # Errors
    ///
    /// When Python cannot be started under these limits.
    pub fn start(python: &Python, limits: Limits, size: usize) -> Result<Self> {
        Ok(Self::new(Pool::start(python, limits, size)?))
    }

    /// The interpreters.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The code before each attempt, less what did not come to an end.
    fn replays(&self, attempts: &[Attempt<'_>]) -> Result<HashMap<Vec<String>, Vec<String>>> {
        let mut histories: Vec<Vec<String>> = attempts
            .iter()
            .filter(|attempt| is_notebook(attempt) && !cells(attempt.action).is_empty())
            .map(|attempt| history_cells(attempt))
            .filter(|cells| !cells.is_empty())
            .collect();
        // The attempts of one turn share their history; it is looked at once.
        histories.sort_unstable();
        histories.dedup();
        let replays = self.pool.map(&histories, |interpreter, cells| {
            let mut cells = cells.clone();
            loop {
                let runs = interpreter.run(&cells)?;
                match runs.iter().position(|run| !came_to_an_end(run)) {
                    None => return Ok(cells),
                    // Only the first: what comes after it may not have been run at all.
                    Some(endless) => cells.remove(endless),
                };
                if cells.is_empty() {
                    return Ok(cells);
                }
            }
        })?;
        Ok(histories.into_iter().zip(replays).collect())
    }
}

impl Environment for PythonEnvironment {
    fn check(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Result<(), String>>> {
        Ok(self.pool.map(attempts, |interpreter, attempt| {
            for cell in cells(attempt.action) {
                if let Err(error) = interpreter.check_syntax(&cell)? {
                    return Ok(Err(error.to_string()));
                }
            }
            Ok(Ok(()))
        })?)
    }

    fn execute(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Outcome>> {
        let replays = self.replays(attempts)?;
        let asserts: Vec<usize> = (0..attempts.len())
            .filter(|&place| matches!(attempts[place].problem.gold, Gold::Asserts { .. }))
            .collect();
        let mut by_place: HashMap<usize, Outcome> = HashMap::new();
        if !asserts.is_empty() {
            let outcomes = self.pool.map_pairs(&asserts, |tests, candidate, &place| {
                let attempt = &attempts[place];
                match &attempt.problem.gold {
                    Gold::Asserts { code, entry_point } => {
                        let asserts = AssertTests {
                            code: code.clone(),
                            entry_point: entry_point.clone(),
                        };
                        by_asserts(tests, candidate, attempt, &asserts)
                    }
                    _ => Ok(by_answer(attempt, None)),
                }
            })?;
            by_place.extend(asserts.iter().copied().zip(outcomes));
        }
        let others: Vec<usize> = (0..attempts.len())
            .filter(|place| !by_place.contains_key(place))
            .collect();
        let outcomes = self.pool.map(&others, |interpreter, &place| {
            let attempt = &attempts[place];
            if let Gold::Tests(tests) = &attempt.problem.gold {
                return by_tests(interpreter, attempt, tests);
            }
            let own = cells(attempt.action);
            if own.is_empty() {
                return Ok(by_answer(attempt, None));
            }
            let mut all = replays
                .get(&history_cells(attempt))
                .cloned()
                .unwrap_or_default();
            let before = all.len();
            all.extend(own);
            let runs = interpreter.run(&all)?;
            let execution = together(&runs[before.min(runs.len())..]);
            Ok(by_answer(attempt, Some(execution)))
        })?;
        by_place.extend(others.into_iter().zip(outcomes));
        Ok((0..attempts.len())
            .filter_map(|place| by_place.remove(&place))
            .collect())
    }
}

/// Whether the action's code goes on from that of the actions before it.
fn is_notebook(attempt: &Attempt<'_>) -> bool {
    !matches!(attempt.problem.gold, Gold::Tests(_) | Gold::Asserts { .. })
}

fn history_cells(attempt: &Attempt<'_>) -> Vec<String> {
    attempt
        .history
        .iter()
        .flat_map(|action| cells(action))
        .collect()
}

fn came_to_an_end(run: &Execution) -> bool {
    matches!(run.status, Status::Ok | Status::Exception { .. })
}

/// The blocks of an action as one execution.
fn together(runs: &[Execution]) -> Execution {
    let shown: Vec<&str> = runs
        .iter()
        .map(|run| run.output.as_str())
        .filter(|output| !output.is_empty())
        .collect();
    let status = runs
        .iter()
        .map(|run| &run.status)
        .find(|status| **status != Status::Ok)
        .cloned();
    Execution {
        output: shown.join("\n"),
        status: status.unwrap_or(Status::Ok),
        truncated: runs.iter().any(|run| run.truncated),
        wall: runs.iter().map(|run| run.wall).sum::<Duration>(),
    }
}
