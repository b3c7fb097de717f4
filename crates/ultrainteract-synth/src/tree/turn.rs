//! One turn of one tree: who is asked for actions, in which order, and until when.

use chat_model::{ChatModel, ChatRequest, Completion, Message, Sampling};
use rand::RngExt;
use ultrainteract::{Action, ActionSource, Schema, Task, Verdict};

use super::builder::Site;
use super::candidate::{Candidate, Candidates, Seed};
use super::{Event, TurnCounts};
use crate::environment::Attempt;
use crate::prompts::ActorView;
use crate::{Error, Gold, Problem, Result, seed};

/// Where a tree stands, and what its next turn is taken with.
pub(super) struct Turn<'t> {
    pub site: Site<'t>,
    pub problem: &'t Problem,
    /// From 1.
    pub turn: usize,
    /// The messages before the actions of this turn, the system's left out.
    pub messages: &'t [Message],
    /// The actions among them.
    pub path: &'t [String],
}

/// What a turn came to.
pub(super) struct Taken {
    /// A correct action, if one was found.
    pub chosen: Option<Action>,
    /// An incorrect one.
    pub rejected: Option<Candidate>,
    /// Every other incorrect action.
    pub spare: Vec<Candidate>,
    pub counts: TurnCounts,
}

impl Taken {
    fn nothing() -> Self {
        Self {
            chosen: None,
            rejected: None,
            spare: Vec::new(),
            counts: TurnCounts::default(),
        }
    }
}

impl<'t> Turn<'t> {
    /// Draws and judges actions, and keeps a correct and an incorrect one, as far as there are.
    pub fn take(&self) -> Result<Taken> {
        let mut candidates = Candidates::default();
        if self.problem.gold == Gold::Unjudged {
            // Nothing that is drawn could be kept.
            return Ok(Taken::nothing());
        }
        let config = self.site.config();
        let team = self.site.team();
        self.draw_in_rounds(&mut candidates)?;
        for (index, stronger) in team.stronger.iter().enumerate() {
            if candidates.counts.correct > 0 {
                break;
            }
            let purpose = format!("sample {}", index + 1);
            self.draw(
                *stronger,
                config.stronger_samples,
                &purpose,
                &mut candidates,
            )?;
            candidates.counts.escalated += usize::from(candidates.counts.correct > 0);
        }
        if candidates.counts.incorrect == 0 && !team.incorrect.is_empty() {
            let mut rng = seed::rng(config.seed, &self.seed().parts("who is incorrect"));
            let actor = team.incorrect[rng.random_range(0..team.incorrect.len())];
            self.draw(
                actor,
                config.incorrect_samples,
                "incorrect",
                &mut candidates,
            )?;
        }

        let seed = self.seed();
        let chosen = candidates.draw(Verdict::Correct, None, &seed);
        let writer = chosen.map(|it| it.actor.as_str());
        let rejected = candidates.draw(Verdict::Incorrect, writer, &seed).cloned();
        let is_spare = |it: &&Candidate| rejected.as_ref().is_none_or(|kept| kept.text != it.text);
        Ok(Taken {
            chosen: chosen.map(Candidate::action),
            spare: candidates
                .all_of(Verdict::Incorrect)
                .filter(is_spare)
                .cloned()
                .collect(),
            rejected,
            counts: candidates.counts,
        })
    }

    /// The actor's samples, until there are a correct and an incorrect action.
    fn draw_in_rounds(&self, candidates: &mut Candidates) -> Result<()> {
        let config = self.site.config();
        let round = config.samples_per_round.unwrap_or(config.samples_per_turn);
        let mut drawn = 0;
        while drawn < config.samples_per_turn {
            if config.samples_per_round.is_some() && candidates.counts.has_both() {
                break;
            }
            let count = round.min(config.samples_per_turn - drawn);
            let purpose = match drawn {
                0 => "sample 0".to_owned(),
                drawn => format!("sample 0 after {drawn}"),
            };
            self.draw(self.site.team().actor, count, &purpose, candidates)?;
            drawn += count;
        }
        Ok(())
    }

    /// Has a model draw so many actions, each by a schema of its own, and tries them.
    fn draw(
        &self,
        actor: &dyn ChatModel,
        samples: usize,
        purpose: &str,
        candidates: &mut Candidates,
    ) -> Result<()> {
        for (schema, samples) in self.schemas(samples, purpose) {
            let purpose = match schema {
                None => purpose.to_owned(),
                Some(schema) => format!("{purpose} by {schema:?}"),
            };
            let completions = self.ask(actor, self.request(schema, samples, &purpose)?)?;
            self.site.tell(Event::Sampled {
                problem: &self.problem.id,
                turn: self.turn,
                actor: actor.name(),
                samples,
            });
            let drafts = candidates.sift(completions);
            for candidate in self.try_out(
                actor.name(),
                ActionSource::Sampled,
                drafts,
                &mut candidates.counts,
            )? {
                candidates.add(candidate);
            }
        }
        Ok(())
    }

    /// How many of the samples reason by which schema; by none if the actor chooses.
    fn schemas(&self, samples: usize, purpose: &str) -> Vec<(Option<Schema>, usize)> {
        let schemas = &self.site.config().schemas;
        if schemas.is_empty() {
            return vec![(None, samples)];
        }
        let purpose = format!("schemas of {purpose}");
        let mut rng = seed::rng(self.site.config().seed, &self.seed().parts(&purpose));
        let mut counts = vec![0; schemas.len()];
        for _ in 0..samples {
            counts[rng.random_range(0..schemas.len())] += 1;
        }
        let drawn = schemas.iter().map(|schema| Some(*schema)).zip(counts);
        drawn.filter(|&(_, count)| count > 0).collect()
    }

    fn request(
        &self,
        schema: Option<Schema>,
        samples: usize,
        purpose: &str,
    ) -> Result<ChatRequest> {
        let system = self.site.actor_prompts().map(|prompts| {
            prompts.actor(&ActorView {
                problem: self.problem,
                schema,
                turn: self.turn,
                max_turns: self.site.config().max_turns,
                tool: self.tool(),
            })
        });
        let system = system.transpose()?.map(Message::system);
        let messages = system.into_iter().chain(self.messages.iter().cloned());
        Ok(ChatRequest::new(messages)
            .with_samples(samples)
            .with_sampling(self.sampling(purpose)))
    }

    /// Name and description of the tool that actions on this problem can call.
    fn tool(&self) -> Option<(&'t str, &'t str)> {
        let tool = self.site.environment().tool()?;
        (self.problem.task == Task::Logic).then(|| (tool.name(), tool.description()))
    }

    pub(super) fn sampling(&self, purpose: &str) -> Sampling {
        Sampling {
            seed: self.seed().derive(purpose),
            ..self.site.config().sampling.clone()
        }
    }

    /// What a model answers, all of it.
    pub(super) fn ask(
        &self,
        model: &dyn ChatModel,
        request: ChatRequest,
    ) -> Result<Vec<Completion>> {
        self.site.check_stop()?;
        let completions = model.complete(&request).map_err(|source| Error::Model {
            problem: self.problem.id.clone(),
            turn: self.turn,
            source,
        })?;
        if completions.len() == request.samples {
            return Ok(completions);
        }
        Err(Error::WrongCount {
            model: model.name().to_owned(),
            found: completions.len(),
            expected: request.samples,
        })
    }

    /// Checks, executes and judges.
    pub(super) fn try_out(
        &self,
        actor: &str,
        source: ActionSource,
        drafts: Vec<String>,
        counts: &mut TurnCounts,
    ) -> Result<Vec<Candidate>> {
        let environment = self.site.environment();
        let checks = environment.check(&self.attempts(&drafts))?;
        check_batch(checks.len(), drafts.len())?;
        let mut sound = Vec::with_capacity(drafts.len());
        for (draft, check) in drafts.into_iter().zip(checks) {
            match check {
                Ok(()) => sound.push(draft),
                Err(_) => counts.dropped.syntax += 1,
            }
        }
        let outcomes = environment.execute(&self.attempts(&sound))?;
        check_batch(outcomes.len(), sound.len())?;
        let candidate = |(text, outcome)| Candidate {
            text,
            actor: actor.to_owned(),
            source,
            outcome,
        };
        Ok(sound.into_iter().zip(outcomes).map(candidate).collect())
    }

    fn attempts<'a>(&'a self, drafts: &'a [String]) -> Vec<Attempt<'a>> {
        let attempt = |action: &'a String| Attempt {
            problem: self.problem,
            history: self.path,
            action,
        };
        drafts.iter().map(attempt).collect()
    }

    pub(super) fn seed(&self) -> Seed<'t> {
        Seed {
            seed: self.site.config().seed,
            problem: &self.problem.id,
            turn: self.turn.to_string(),
        }
    }
}

fn check_batch(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::WrongBatch { found, expected })
}
