//! The builder: many trees at the same time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ultrainteract::PreferenceTree;

use super::growth::{Grown, Growth};
use super::{Event, SynthConfig, SynthStats, Team};
use crate::{Critic, Environment, Error, Problem, Prompts, Result};

/// Builds a preference tree for each problem.
///
/// # The rule
///
/// This is what is implemented of arXiv 2404.02078, section 2.3 ("preference trees"). At each turn
/// of each problem:
///
/// 1. The actor draws up to `samples_per_turn` actions for the history so far, with `samples_per_round` only until there
///    are a correct and an incorrect one. Each draws one of the `schemas`, if there are any.
/// 2. Dropped are actions that were cut off or withheld, empty ones, repetitions of an action of the
///    same turn, and those whose code is not Python.
/// 3. The rest are tried and judged. While nothing is correct, [stronger](Team::stronger) actors are asked one after the
///    other; where nothing is incorrect, one of the actors of [incorrect](Team::incorrect) actions is.
/// 4. One correct and one incorrect action are kept, drawn by the seed among the different ones, of different actors where
///    there are such; if both exist they are a pair. Actions that cannot be judged are never kept.
/// 5. The correct action ends its path. The incorrect one is answered with an observation (what the
///    code did, "Your answer is wrong.", a critique), and the next turn starts from there.
/// 6. A tree ends after `max_turns` turns, or at a turn that has no incorrect action. A turn without
///    a correct action does not end it.
/// 7. Where nobody found a correct action, as often as [`Fallback`](crate::Fallback) says, a [teacher](Team::teacher) works
///    the annotated solution into an action, which is judged as any other
///    ([`ActionSource::Elicited`](ultrainteract::ActionSource)); without success, or without a teacher, the solution itself
///    takes its place ([`ActionSource::GroundTruth`](ultrainteract::ActionSource)).
/// 8. A problem that needed this and has several annotated solutions gets an action of the teacher for each further one, paired
///    with an incorrect action of the first turn, as long as some are left.
///
/// # What does not matter
///
/// Every draw has a seed made from the seed of the settings, the id of the problem and the turn. So
/// neither the order of the problems, nor how many trees are built at the same time, nor a kill and another start change any
/// tree, as long as the models answer equal requests equally.
///
/// ```
/// use chat_model::{ChatRequest, Completion, FnModel};
/// use code_interpreter::{Limits, Python};
/// use ultrainteract_synth::word_problems::{self, Options};
/// use ultrainteract_synth::{PythonEnvironment, RuleCritic, SynthConfig, Team, TreeBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let problems = word_problems::generate(7, 1, &Options::default())?;
/// let problems = problems.into_iter().map(|word| word.problem).collect::<Vec<_>>();
/// // An actor that always gives 1, and sometimes what the problem's solution prints.
/// let solution = problems[0].solutions[0].clone();
/// let actor = FnModel::new("actor", move |request: &ChatRequest| {
///     let wrong = Completion::stopped("Step 1: Guess.\n```python\nprint(1)\n```");
///     let mut completions = vec![wrong; request.samples];
///     completions[0] = Completion::stopped(&solution);
///     Ok(completions)
/// });
///
/// let environment = PythonEnvironment::start(&Python::find()?, Limits::default(), 1)?;
/// let config = SynthConfig { max_turns: 2, ..SynthConfig::default() };
/// let builder = TreeBuilder::new(config, Team::new(&actor), &environment, &RuleCritic)?;
/// let build = builder.build(&problems, &|_event| {})?;
///
/// let tree = &build.trees[0];
/// assert_eq!(tree.pairs().len(), 2);
/// assert_eq!(build.stats.turns[0].counts.dropped.duplicate, 18);
/// # Ok(())
/// # }
/// ```
pub struct TreeBuilder<'a> {
    config: SynthConfig,
    team: Team<'a>,
    environment: &'a dyn Environment,
    critic: &'a dyn Critic,
    prompts: Prompts,
    has_system: bool,
    stop: Option<&'a AtomicBool>,
}

/// Who is told what happens, from several threads.
pub(crate) type Observer<'o> = dyn Fn(Event<'_>) + Sync + 'o;

/// The result of a run: trees, statistics and failures.
#[derive(Debug)]
pub struct Build {
    /// The finished trees, in the order of the problems.
    pub trees: Vec<PreferenceTree>,
    /// Statistics of the run.
    pub stats: SynthStats,
    /// Problems that could not be finished, in the order of the problems.
    pub failures: Vec<Failure>,
}

/// A problem that could not be finished.
#[derive(Debug)]
pub struct Failure {
    /// The id of the problem.
    pub problem: String,
    /// Why.
    pub error: Error,
}

impl<'a> TreeBuilder<'a> {
    /// A builder. The actors see the conversation alone, without a system message, until it gets
    /// [prompts](Self::with_prompts).
    ///
    /// # Errors
    ///
    /// When a setting cannot be right.
    pub fn new(
        config: SynthConfig,
        team: Team<'a>,
        environment: &'a dyn Environment,
        critic: &'a dyn Critic,
    ) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            team,
            environment,
            critic,
            prompts: Prompts::default(),
            has_system: false,
            stop: None,
        })
    }

    /// Has the actors told what to do, in these words, and the teacher asked with them.
    #[must_use]
    pub fn with_prompts(mut self, prompts: Prompts) -> Self {
        self.prompts = prompts;
        self.has_system = true;
        self
    }

    /// Has the actors see the conversation alone, and only the teacher asked with the prompts.
    #[must_use]
    pub fn without_system_message(mut self) -> Self {
        self.has_system = false;
        self
    }

    /// Ends the work soon after this becomes true, with [`Error::Stopped`] for the trees that are not finished.
    #[must_use]
    pub fn with_stop(mut self, stop: &'a AtomicBool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The settings.
    pub fn config(&self) -> &SynthConfig {
        &self.config
    }

    /// Builds one tree.
    ///
    /// # Errors
    ///
    /// When the problem cannot be the root of a tree, or a model, the environment or the critic fails.
    pub fn grow(&self, problem: &Problem, observer: &Observer<'_>) -> Result<Grown> {
        self.grow_while(problem, observer, &|| Ok(()))
    }

    /// Builds one tree, and ends with what `check` returns where that is an error: it is asked before every request.
    pub(crate) fn grow_while(
        &self,
        problem: &Problem,
        observer: &Observer<'_>,
        check: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Grown> {
        let site = Site {
            builder: self,
            observer,
            check,
        };
        Growth::new(site, problem)?.grow()
    }

    /// Builds the trees, [`trees_in_flight`](SynthConfig::trees_in_flight) at a time, each in a thread of its own.
    ///
    /// A problem for which a model fails is left out and reported in [`Build::failures`].
    ///
    /// # Errors
    ///
    /// When two problems have the same id; when nothing but failures came of all problems, the first of them.
    pub fn build(&self, problems: &[Problem], observer: &Observer<'_>) -> Result<Build> {
        different_ids(problems)?;
        let next = AtomicUsize::new(0);
        let grown = Mutex::new(Vec::with_capacity(problems.len()));
        let work = || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(problem) = problems.get(place) else {
                    return;
                };
                let result = self.grow(problem, observer);
                if let Err(error) = &result {
                    observer(Event::ProblemFailed {
                        problem: &problem.id,
                        error,
                    });
                }
                let mut grown = grown.lock().unwrap_or_else(PoisonError::into_inner);
                grown.push((place, result));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.config.trees_in_flight.min(problems.len()) {
                scope.spawn(work);
            }
        });
        let mut grown = grown.into_inner().unwrap_or_else(PoisonError::into_inner);
        grown.sort_by_key(|(place, _)| *place);
        let results = grown.into_iter().map(|(_, result)| result);
        gather(problems, results)
    }
}

/// What a tree is built with, and who is told.
#[derive(Clone, Copy)]
pub(super) struct Site<'s> {
    builder: &'s TreeBuilder<'s>,
    observer: &'s Observer<'s>,
    check: &'s (dyn Fn() -> Result<()> + Sync),
}

impl<'s> Site<'s> {
    pub fn config(&self) -> &'s SynthConfig {
        &self.builder.config
    }

    pub fn team(&self) -> &'s Team<'s> {
        &self.builder.team
    }

    pub fn environment(&self) -> &'s dyn Environment {
        self.builder.environment
    }

    pub fn critic(&self) -> &'s dyn Critic {
        self.builder.critic
    }

    pub fn prompts(&self) -> &'s Prompts {
        &self.builder.prompts
    }

    /// The prompts, if the actors have a system message.
    pub fn actor_prompts(&self) -> Option<&'s Prompts> {
        self.builder.has_system.then_some(&self.builder.prompts)
    }

    pub fn tell(&self, event: Event<'_>) {
        (self.observer)(event);
    }

    /// An error once the work is to end.
    pub fn check_stop(&self) -> Result<()> {
        match self.builder.stop {
            Some(stop) if stop.load(Ordering::Relaxed) => Err(Error::Stopped),
            _ => (self.check)(),
        }
    }
}

fn gather(problems: &[Problem], results: impl Iterator<Item = Result<Grown>>) -> Result<Build> {
    let mut build = Build {
        trees: Vec::with_capacity(problems.len()),
        stats: SynthStats::default(),
        failures: Vec::new(),
    };
    for (problem, result) in problems.iter().zip(results) {
        match result {
            Ok(grown) => {
                build.stats += &grown.stats;
                build.trees.extend(grown.tree);
            }
            Err(error) => build.failures.push(Failure {
                problem: problem.id.clone(),
                error,
            }),
        }
    }
    // When nothing came through, it is no matter of single problems.
    if build.failures.len() == problems.len() && !problems.is_empty() {
        return Err(build.failures.swap_remove(0).error);
    }
    Ok(build)
}

impl std::fmt::Debug for TreeBuilder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TreeBuilder")
            .field("config", &self.config)
            .field("team", &self.team)
            .finish_non_exhaustive()
    }
}

fn different_ids(problems: &[Problem]) -> Result<()> {
    let mut seen = HashMap::with_capacity(problems.len());
    for (second, problem) in problems.iter().enumerate() {
        if let Some(first) = seen.insert(&problem.id, second) {
            return Err(Error::DuplicateProblem {
                id: problem.id.clone(),
                first,
                second,
            });
        }
    }
    Ok(())
}
