//! The builder: turn after turn, over all problems at once.

use std::collections::HashMap;

use chat_model::ChatModel;
use ultrainteract::PreferenceTree;

use super::record::Growing;
use super::turn::Turn;
use super::{Event, SynthConfig, SynthStats, TreeStore};
use crate::{Critic, Environment, Error, Problem, Result};

/// Builds a preference tree for each problem.
///
/// # The rule
///
/// This is what is implemented of arXiv 2404.02078, section 2.3 ("preference trees"). At each turn
/// of each problem:
///
/// 1. `samples_per_turn` actions are drawn for the history so far, or, with `samples_per_round`, only
///    until there are a correct and an incorrect one.
/// 2. Dropped are actions that were cut off or withheld, empty ones, repetitions of an action of the
///    same turn, and those whose code is not Python.
/// 3. The rest are tried and judged. One correct and one incorrect action are kept, drawn by the
///    seed among the different ones; if both exist they are a pair.
/// 4. The correct action ends its path. The incorrect one is answered with an observation (what the
///    code did, "Your answer is wrong.", a critique), and the next turn starts from there.
/// 5. A tree ends after `max_turns` turns, or at a turn that has no incorrect action. A turn without
///    a correct action does not end it.
/// 6. When a tree ends and has no correct action at all, the annotated solution of the problem takes
///    its place, marked [`ActionSource::GroundTruth`](ultrainteract::ActionSource), and is paired
///    with the incorrect action of the last turn if there is one ([`Fallback::LastTurn`](crate::Fallback::LastTurn); see
///    [`Fallback`](crate::Fallback) for the alternatives).
///
/// # What does not matter
///
/// Every draw has a seed made from the seed of the settings, the id of the problem and the turn. So
/// neither the order of the problems, nor the cut into batches, nor a kill and a resume change any
/// tree, as long as the models answer equal requests equally.
///
/// All problems take turn 1 together, then those that go on take turn 2, and so on: a model that
/// computes batches is asked for as many actions at once as there are.
///
/// ```
/// use chat_model::{ChatModel, ChatRequest, Completion, FnModel};
/// use code_interpreter::{Limits, Python};
/// use ultrainteract_synth::word_problems::{self, Options};
/// use ultrainteract_synth::{PythonEnvironment, RuleCritic, SynthConfig, TreeBuilder};
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
/// let actors: [&dyn ChatModel; 1] = [&actor];
/// let builder = TreeBuilder::new(config, &actors, &environment, &RuleCritic)?;
/// let build = builder.build(&problems, &mut |_event| {})?;
///
/// let tree = &build.trees[0];
/// assert_eq!(tree.pairs().len(), 2);
/// assert_eq!(build.stats.turns[0].counts.dropped.duplicate, 18);
/// # Ok(())
/// # }
/// ```
pub struct TreeBuilder<'a> {
    config: SynthConfig,
    actors: &'a [&'a dyn ChatModel],
    environment: &'a dyn Environment,
    critic: &'a dyn Critic,
}

/// The result of a run: trees, statistics and failures.
#[derive(Debug)]
pub struct Build {
    /// The finished trees, in the order of the problems.
    pub trees: Vec<PreferenceTree>,
    /// Statistics of the run, turns that a store had already included.
    pub stats: SynthStats,
    /// Problems that could not be finished, in the order in which they failed. With a store, the
    /// next run takes them up where they failed.
    pub failures: Vec<Failure>,
}

/// A problem that could not be finished.
#[derive(Debug)]
pub struct Failure {
    /// The id of the problem.
    pub problem: String,
    /// The turn at which it failed.
    pub turn: usize,
    /// Why.
    pub error: Error,
}

/// Who is told what happens.
pub(super) type Observer<'o> = dyn FnMut(Event<'_>) + 'o;

impl<'a> TreeBuilder<'a> {
    /// A builder.
    ///
    /// # Errors
    ///
    /// When a setting cannot be right, or there are no actors or more than samples to share.
    pub fn new(
        config: SynthConfig,
        actors: &'a [&'a dyn ChatModel],
        environment: &'a dyn Environment,
        critic: &'a dyn Critic,
    ) -> Result<Self> {
        config.validate()?;
        if actors.is_empty() {
            return Error::config("actors", "is an empty list; give at least one model");
        }
        if config.actors == super::ActorPlan::Share && actors.len() > config.samples_per_turn {
            return Error::config(
                "samples_per_turn",
                format!(
                    "is {}, which {} actors cannot share; raise it, or give fewer actors",
                    config.samples_per_turn,
                    actors.len()
                ),
            );
        }
        Ok(Self {
            config,
            actors,
            environment,
            critic,
        })
    }

    /// The settings.
    pub fn config(&self) -> &SynthConfig {
        &self.config
    }

    /// Builds the trees in one go.
    ///
    /// A problem for which a model fails is left out and reported in [`Build::failures`].
    ///
    /// # Errors
    ///
    /// When two problems have the same id, or a problem cannot be the root of a tree; when a model
    /// fails for every problem of a batch; when the environment fails.
    pub fn build(&self, problems: &[Problem], observer: &mut Observer<'_>) -> Result<Build> {
        self.run(problems, None, observer)
    }

    /// Builds the trees, going on from what the store has and adding to it.
    ///
    /// The result is the same as that of [`build`](Self::build) in one go.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build); also when the store belongs to another run or cannot be
    /// written.
    pub fn resume(
        &self,
        problems: &[Problem],
        store: &mut TreeStore,
        observer: &mut Observer<'_>,
    ) -> Result<Build> {
        let names: Vec<&str> = self.actors.iter().map(|actor| actor.name()).collect();
        store.begin(&self.config, &names)?;
        self.run(problems, Some(store), observer)
    }

    fn run(
        &self,
        problems: &[Problem],
        mut store: Option<&mut TreeStore>,
        observer: &mut Observer<'_>,
    ) -> Result<Build> {
        different_ids(problems)?;
        let mut stats = SynthStats::default();
        let mut growing = Vec::with_capacity(problems.len());
        for problem in problems {
            let mut tree = Growing::new(problem, self.config.max_turns)?;
            if let Some(store) = &store {
                store.replay(&mut tree, &mut stats)?;
            }
            growing.push(tree);
        }
        let finished = growing.iter().filter(|tree| tree.end.is_some()).count();
        let started = growing.iter().filter(|tree| tree.turn > 1).count();
        if started > 0 {
            observer(Event::Resumed { finished, started });
        }

        let mut failures: Vec<Failure> = Vec::new();
        for turn in 1..=self.config.max_turns {
            let mut open: Vec<&mut Growing<'_>> = growing
                .iter_mut()
                .filter(|tree| tree.end.is_none() && tree.turn == turn)
                .collect();
            if open.is_empty() {
                continue;
            }
            observer(Event::TurnStarted {
                turn,
                problems: open.len(),
            });
            let batch = self.config.problems_per_batch.unwrap_or(open.len());
            for batch in open.chunks_mut(batch) {
                let (records, failed) = Turn {
                    config: &self.config,
                    actors: self.actors,
                    environment: self.environment,
                    critic: self.critic,
                    turn,
                }
                .take(batch, observer)?;
                // Stored before the trees grow: a tree that the observer hears of is on disk.
                if let Some(store) = &mut store {
                    store.append(&records)?;
                }
                let mut records = records.iter().peekable();
                for tree in batch.iter_mut() {
                    // Records are in the order of the batch; problems that failed have none.
                    let Some(record) = records.next_if(|r| r.problem == tree.problem.id) else {
                        continue;
                    };
                    tree.grow(record)?;
                    stats.count(turn, &record.counts, record.end);
                    if let Some(end) = tree.end {
                        observer(Event::TreeFinished {
                            tree: &tree.tree,
                            end,
                        });
                    }
                }
                failures.extend(failed);
            }
            observer(Event::TurnFinished {
                stats: stats.turn(turn),
            });
        }
        Ok(Build {
            trees: growing
                .into_iter()
                .filter(|tree| tree.end.is_some())
                .map(|tree| tree.tree)
                .collect(),
            stats,
            failures,
        })
    }
}

impl std::fmt::Debug for TreeBuilder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let actors: Vec<&str> = self.actors.iter().map(|actor| actor.name()).collect();
        formatter
            .debug_struct("TreeBuilder")
            .field("config", &self.config)
            .field("actors", &actors)
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
