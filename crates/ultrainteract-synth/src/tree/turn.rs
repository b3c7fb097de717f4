//! One turn of a batch of problems: sample, filter, try, choose, observe.

use std::collections::HashSet;

use chat_model::{ChatModel, ChatRequest, Message, Sampling};
use rand::seq::IndexedRandom;
use ultrainteract::{Observation, Role, Verdict};

use super::builder::{Failure, Observer};
use super::candidate::{Candidate, Draft, Work, action, annotated, attempts, filter};
use super::record::{End, Growing, TurnRecord};
use super::{ActorPlan, Event, Fallback, SynthConfig, TurnCounts};
use crate::{Critic, CritiqueRequest, Environment, Error, Result, seed};

/// A turn and what it is taken with.
pub(super) struct Turn<'a> {
    pub config: &'a SynthConfig,
    pub actors: &'a [&'a dyn ChatModel],
    pub environment: &'a dyn Environment,
    pub critic: &'a dyn Critic,
    pub turn: usize,
}

impl Turn<'_> {
    /// Takes the turn: the records of the problems for which it succeeded, in order, and the others.
    pub fn take(
        &self,
        batch: &[&mut Growing<'_>],
        observer: &mut Observer<'_>,
    ) -> Result<(Vec<TurnRecord>, Vec<Failure>)> {
        let mut works: Vec<Work<'_, '_>> = batch
            .iter()
            .map(|tree| Work {
                tree,
                messages: self.messages(tree),
                seen: HashSet::new(),
                candidates: Vec::new(),
                counts: TurnCounts::default(),
                failure: None,
            })
            .collect();
        for index in 0..self.actors.len() {
            self.ask_actor(index, &mut works, observer)?;
        }
        let mut records: Vec<Option<TurnRecord>> = works
            .iter()
            .map(|work| work.failure.is_none().then(|| self.choose(work)))
            .collect();
        self.observe(&mut works, &mut records)?;

        let mut failures = Vec::new();
        for work in works {
            if let Some(error) = work.failure {
                let problem = &work.tree.problem.id;
                observer(Event::ProblemFailed {
                    problem,
                    turn: self.turn,
                    error: &error,
                });
                failures.push(Failure {
                    problem: problem.clone(),
                    turn: self.turn,
                    error,
                });
            }
        }
        Ok((records.into_iter().flatten().collect(), failures))
    }

    fn messages(&self, tree: &Growing<'_>) -> Vec<Message> {
        let system = self.config.system.as_ref().map(Message::system);
        let path = tree.tree.messages(tree.at);
        system
            .into_iter()
            .chain(path.into_iter().map(|message| match message.role {
                Role::System | Role::Developer => Message::system(message.content),
                Role::User | Role::Tool => Message::user(message.content),
                Role::Assistant => Message::assistant(message.content),
            }))
            .collect()
    }

    /// Has one actor draw its samples for all problems that want them, round by round, and tries these.
    fn ask_actor(
        &self,
        index: usize,
        works: &mut [Work<'_, '_>],
        observer: &mut Observer<'_>,
    ) -> Result<()> {
        let actor = self.actors[index];
        let samples = match self.config.actors {
            ActorPlan::Escalate => self.config.samples_per_turn,
            ActorPlan::Share => {
                let (each, rest) = (
                    self.config.samples_per_turn / self.actors.len(),
                    self.config.samples_per_turn % self.actors.len(),
                );
                each + usize::from(index < rest)
            }
        };
        let mut asked: Vec<usize> = (0..works.len())
            .filter(|&work| {
                self.config.actors == ActorPlan::Share || works[work].counts.correct == 0
            })
            .collect();
        let most = self.config.samples_per_round.unwrap_or(samples);
        let mut drawn = 0;
        while drawn < samples {
            asked.retain(|&work| works[work].failure.is_none());
            if self.config.samples_per_round.is_some() {
                asked.retain(|&work| !works[work].counts.has_both());
            }
            if asked.is_empty() {
                break;
            }
            let count = most.min(samples - drawn);
            let purpose = match drawn {
                0 => format!("sample {index}"),
                drawn => format!("sample {index} after {drawn}"),
            };
            self.draw(actor, &asked, count, &purpose, works, observer)?;
            drawn += count;
        }
        Ok(())
    }

    /// Has one actor draw so many samples for each of these problems, and tries them.
    fn draw(
        &self,
        actor: &dyn ChatModel,
        asked: &[usize],
        samples: usize,
        purpose: &str,
        works: &mut [Work<'_, '_>],
        observer: &mut Observer<'_>,
    ) -> Result<()> {
        let requests: Vec<ChatRequest> = asked
            .iter()
            .map(|&work| ChatRequest {
                messages: works[work].messages.clone(),
                samples,
                sampling: Sampling {
                    seed: self.seed(works[work].tree, purpose),
                    ..self.config.sampling.clone()
                },
                ..ChatRequest::default()
            })
            .collect();
        let answers = actor.complete_batch(&requests);
        if answers.len() != requests.len() {
            return Err(wrong_count(actor, "answers", answers.len(), requests.len()));
        }
        let all_failed = answers.iter().all(|answer| answer.is_err());
        let mut drafts = Vec::new();
        let mut drawn = 0;
        for (&work, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(completions) if completions.len() == samples => {
                    drawn += samples;
                    drafts.extend(filter(work, &mut works[work], completions));
                }
                Ok(completions) => {
                    return Err(wrong_count(
                        actor,
                        "completions",
                        completions.len(),
                        samples,
                    ));
                }
                Err(source) => {
                    let error = Error::Model {
                        problem: works[work].tree.problem.id.clone(),
                        turn: self.turn,
                        source,
                    };
                    // When nothing came through, it is no matter of single problems.
                    if all_failed {
                        return Err(error);
                    }
                    works[work].failure = Some(error);
                }
            }
        }
        observer(Event::Sampled {
            turn: self.turn,
            actor: actor.name(),
            problems: asked.len(),
            samples: drawn,
        });
        self.try_out(actor.name(), drafts, works, observer)
    }

    /// Checks, executes and judges.
    fn try_out(
        &self,
        actor: &str,
        drafts: Vec<Draft>,
        works: &mut [Work<'_, '_>],
        observer: &mut Observer<'_>,
    ) -> Result<()> {
        let checks = self.environment.check(&attempts(&drafts, works))?;
        if checks.len() != drafts.len() {
            return Err(wrong_batch("environment", checks.len(), drafts.len()));
        }
        let mut sound = Vec::with_capacity(drafts.len());
        for (draft, check) in drafts.into_iter().zip(checks) {
            match check {
                Ok(()) => sound.push(draft),
                Err(_) => works[draft.work].counts.dropped.syntax += 1,
            }
        }
        let outcomes = self.environment.execute(&attempts(&sound, works))?;
        if outcomes.len() != sound.len() {
            return Err(wrong_batch("environment", outcomes.len(), sound.len()));
        }
        observer(Event::Executed {
            turn: self.turn,
            actions: sound.len(),
        });
        for (draft, outcome) in sound.into_iter().zip(outcomes) {
            let work = &mut works[draft.work];
            match outcome.verdict {
                Verdict::Correct => work.counts.correct += 1,
                Verdict::Incorrect => work.counts.incorrect += 1,
                Verdict::Unjudged => work.counts.unjudged += 1,
            }
            work.candidates.push(Candidate {
                text: draft.text,
                actor: actor.to_owned(),
                outcome,
            });
        }
        Ok(())
    }

    /// Keeps one correct and one incorrect action; the observation comes later.
    fn choose(&self, work: &Work<'_, '_>) -> TurnRecord {
        let tree = work.tree;
        let mut chosen = self.pick(work, Verdict::Correct).map(action);
        let rejected = self.pick(work, Verdict::Incorrect).map(action);
        let mut counts = work.counts;
        let end = match (&chosen, &rejected) {
            (_, Some(_)) if self.turn == self.config.max_turns => Some(End::TurnLimit),
            (_, Some(_)) => None,
            (Some(_), None) => Some(End::NoIncorrect),
            (None, None) => Some(End::NoAction),
        };
        let wanted = match self.config.fallback {
            Fallback::Never => false,
            Fallback::EveryTurn => true,
            Fallback::LastTurn => end.is_some() && !tree.has_correct,
        };
        if chosen.is_none() && wanted {
            chosen = annotated(tree, rejected.as_ref());
            counts.fallbacks = usize::from(chosen.is_some());
        }
        counts.pairs = usize::from(chosen.is_some() && rejected.is_some());
        TurnRecord {
            problem: tree.problem.id.clone(),
            fingerprint: tree.fingerprint.clone(),
            turn: self.turn,
            chosen,
            rejected,
            observation: None,
            end,
            counts,
        }
    }

    fn pick<'w>(&self, work: &'w Work<'_, '_>, verdict: Verdict) -> Option<&'w Candidate> {
        let candidates: Vec<&Candidate> = work
            .candidates
            .iter()
            .filter(|candidate| candidate.outcome.verdict == verdict)
            .collect();
        // Each verdict has a draw of its own, which does not depend on how many actions have the
        // other.
        let purpose = format!("choose {verdict:?}");
        let id = &work.tree.problem.id;
        let mut rng = seed::rng(self.config.seed, &[id, &self.turn.to_string(), &purpose]);
        candidates.choose(&mut rng).copied()
    }

    /// Writes the observations on the incorrect actions of the trees that go on.
    fn observe(
        &self,
        works: &mut [Work<'_, '_>],
        records: &mut [Option<TurnRecord>],
    ) -> Result<()> {
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        for (index, (work, record)) in works.iter().zip(records.iter()).enumerate() {
            let Some(record) = record.as_ref().filter(|record| record.end.is_none()) else {
                continue;
            };
            let Some(candidate) = record.rejected.as_ref().and_then(|rejected| {
                let mut candidates = work.candidates.iter();
                candidates.find(|candidate| candidate.text == rejected.text)
            }) else {
                continue;
            };
            asked.push(index);
            requests.push(CritiqueRequest {
                problem: work.tree.problem,
                action: &candidate.text,
                execution: candidate.outcome.execution.as_ref(),
                answer: candidate.outcome.answer.as_deref(),
                history: &work.messages,
                seed: self.seed(work.tree, "critique"),
            });
        }
        let critiques = self.critic.critique_batch(&requests);
        if critiques.len() != requests.len() {
            return Err(wrong_batch("critic", critiques.len(), requests.len()));
        }
        let feedback = self.environment.feedback(Verdict::Incorrect);
        let all_failed = critiques.iter().all(|critique| critique.is_err());
        let executions: Vec<Option<String>> = requests
            .iter()
            .map(|request| Some(request.execution?.render().to_owned()))
            .collect();
        for ((index, critique), execution) in asked.into_iter().zip(critiques).zip(executions) {
            match critique {
                Ok(critique) => {
                    if let Some(record) = &mut records[index] {
                        record.observation = Some(Observation {
                            execution,
                            feedback: feedback.to_owned(),
                            critique: Some(critique).filter(|text| !text.trim().is_empty()),
                        });
                    }
                }
                Err(error) if all_failed => return Err(error),
                Err(error) => {
                    records[index] = None;
                    works[index].failure = Some(error);
                }
            }
        }
        Ok(())
    }

    fn seed(&self, tree: &Growing<'_>, purpose: &str) -> u64 {
        let parts = [&tree.problem.id, &*self.turn.to_string(), purpose];
        seed::derive(self.config.seed, &parts)
    }
}

fn wrong_count(actor: &dyn ChatModel, what: &'static str, found: usize, expected: usize) -> Error {
    Error::WrongCount {
        model: actor.name().to_owned(),
        what,
        found,
        expected,
    }
}

fn wrong_batch(who: &'static str, found: usize, expected: usize) -> Error {
    Error::WrongBatch {
        who,
        found,
        expected,
    }
}
