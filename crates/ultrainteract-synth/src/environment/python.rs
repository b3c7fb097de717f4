//! A Python interpreter as the environment.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use answer_equality::Tolerance;
use code_interpreter::asserts::AssertTests;
use code_interpreter::{Execution, Limits, Pool, Python, Status};
use ultrainteract::Task;

use super::branches::{run_branches, run_with_tool};
use super::judge::{by_answer, by_asserts, by_tests, cells};
use super::{Attempt, Environment, Outcome, Tool};
use crate::{Gold, IoTest, Result};

/// Runs the Python blocks of actions and judges what comes of them.
///
/// Where the problem has an answer or choices:
///
/// - An action with code is run after the code of the actions before it on its path, so variables live on from turn to
///   turn as in a notebook; actions that answer the same history are forks of it. Earlier code that did not come to an
///   end (it ran into a limit, or took its process down) is left out. The answer is what the action's own code shows: a
///   marked answer, or the last line. What the text beside the code says does not count.
/// - An action without code is not run; the answer is its boxed answer or `Answer:` line.
/// - Without an answer, or when its code fails, an action is incorrect.
///
/// Where it has tests, the last block of the action is the program: it reads standard input and its output is compared, or it
/// defines what assert tests call from another process ([`asserts`](code_interpreter::asserts)). What the tests say stands in
/// for the output.
///
/// An action that needs a package that is not installed, or whose results cannot be compared, is
/// [`Unjudged`](ultrainteract::Verdict::Unjudged).
pub struct PythonEnvironment {
    pool: Pool,
    tolerance: Tolerance,
    tool: Option<Box<dyn Tool>>,
}

impl PythonEnvironment {
    /// An environment that uses this pool.
    pub fn new(pool: Pool) -> Self {
        Self {
            pool,
            tolerance: Tolerance::default(),
            tool: None,
        }
    }

    /// Gives the code of actions on [`Logic`](ultrainteract::Task::Logic) problems a tool.
    #[must_use]
    pub fn with_tool(mut self, tool: impl Tool + 'static) -> Self {
        self.tool = Some(Box::new(tool));
        self
    }

    /// Sets how far an answer may be from the gold one. Default: numbers are compared exactly, except for what double precision
    /// leaves.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = tolerance;
        self
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
}

impl std::fmt::Debug for PythonEnvironment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PythonEnvironment")
            .field("pool", &self.pool)
            .field("tolerance", &self.tolerance)
            .field("tool", &self.tool.as_ref().map(|tool| tool.name()))
            .finish()
    }
}

impl Environment for PythonEnvironment {
    fn tool(&self) -> Option<&dyn Tool> {
        self.tool.as_deref()
    }

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
        let mut outcomes: HashMap<usize, Outcome> = HashMap::new();
        let (asserts, others) = work(attempts);
        if !asserts.is_empty() {
            let judged = self
                .pool
                .map_pairs(&asserts, |tests, candidate, (place, asserts)| {
                    by_asserts(tests, candidate, &attempts[*place], asserts)
                })?;
            outcomes.extend(asserts.iter().map(|(place, _)| *place).zip(judged));
        }
        let done = self.pool.map(&others, |interpreter, work| match work {
            Work::Tests(place, tests) => Ok(vec![(
                *place,
                by_tests(interpreter, &attempts[*place], tests)?,
            )]),
            Work::Text(place) => {
                let outcome = by_answer(&attempts[*place], None, &self.tolerance);
                Ok(vec![(*place, outcome)])
            }
            Work::Branches { history, branches } => {
                let cells: Vec<&[String]> = branches.iter().map(|(_, cells)| &**cells).collect();
                let executions = match &self.tool {
                    Some(tool) if attempts[branches[0].0].problem.task == Task::Logic => {
                        run_with_tool(interpreter, &**tool, history, &cells)?
                    }
                    _ => run_branches(interpreter, history, &cells)?,
                };
                let outcome = |((place, _), runs): (&Branch, Vec<Execution>)| {
                    (
                        *place,
                        by_answer(&attempts[*place], Some(together(&runs)), &self.tolerance),
                    )
                };
                Ok(branches.iter().zip(executions).map(outcome).collect())
            }
        })?;
        outcomes.extend(done.into_iter().flatten());
        Ok((0..attempts.len())
            .filter_map(|place| outcomes.remove(&place))
            .collect())
    }
}

/// The place of an attempt, and its own cells.
type Branch = (usize, Vec<String>);

/// What one interpreter does in one go, with the places of its attempts.
enum Work<'a> {
    Tests(usize, &'a [IoTest]),
    Text(usize),
    /// Code after the same history; without one, each is work of its own.
    Branches {
        history: Vec<String>,
        branches: Vec<Branch>,
    },
}

/// The attempts that assert tests decide about, and the work that the others are.
fn work<'a>(attempts: &[Attempt<'a>]) -> (Vec<(usize, AssertTests)>, Vec<Work<'a>>) {
    let (mut asserts, mut others) = (Vec::new(), Vec::new());
    let mut by_history: BTreeMap<(Task, Vec<String>), Vec<Branch>> = BTreeMap::new();
    for (place, attempt) in attempts.iter().enumerate() {
        match &attempt.problem.gold {
            Gold::Asserts { code, entry_point } => asserts.push((
                place,
                AssertTests {
                    code: code.clone(),
                    entry_point: entry_point.clone(),
                },
            )),
            Gold::Tests(tests) => others.push(Work::Tests(place, tests)),
            Gold::Answer(_) | Gold::Choice { .. } | Gold::Unjudged => {
                let own = cells(attempt.action);
                if own.is_empty() {
                    others.push(Work::Text(place));
                    continue;
                }
                let history: Vec<String> =
                    attempt.history.iter().flat_map(|it| cells(it)).collect();
                match history.is_empty() {
                    true => others.push(Work::Branches {
                        history,
                        branches: vec![(place, own)],
                    }),
                    false => by_history
                        .entry((attempt.problem.task, history))
                        .or_default()
                        .push((place, own)),
                }
            }
        }
    }
    let branches = by_history.into_iter();
    others.extend(branches.map(|((_, history), branches)| Work::Branches { history, branches }));
    (asserts, others)
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
