//! One tree from its instruction to its end.

use chat_model::{ChatRequest, Message};
use ultrainteract::{Action, ActionSource, NodeId, Observation, PreferenceTree, Role, Verdict};

use super::builder::Site;
use super::candidate::Candidate;
use super::elicit::Teaching;
use super::turn::{Taken, Turn};
use super::{End, Event, Fallback, SynthStats};
use crate::{CritiqueRequest, Problem, Result};

/// What a problem came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Grown {
    /// Its tree; none for a problem that the [selector](crate::Team::selector) solves.
    pub tree: Option<PreferenceTree>,
    /// The account of it.
    pub stats: SynthStats,
}

/// A tree on its way.
pub(super) struct Growth<'b> {
    site: Site<'b>,
    problem: &'b Problem,
    tree: PreferenceTree,
    /// Where the next actions go.
    at: NodeId,
    /// The actions on the path to there.
    path: Vec<String>,
    stats: SynthStats,
    /// Incorrect actions of the first turn that no pair has.
    spare: Vec<Candidate>,
    /// Whether a correct action had to come from an annotated solution.
    was_taught: bool,
}

impl<'b> Growth<'b> {
    pub fn new(site: Site<'b>, problem: &'b Problem) -> Result<Self> {
        let mut tree = PreferenceTree::new(
            &problem.id,
            problem.task,
            &problem.dataset,
            &problem.instruction,
        )?
        .with_max_turns(site.config().max_turns)?;
        if let Some(truth) = problem.ground_truth() {
            tree = tree.with_ground_truth(truth);
        }
        Ok(Self {
            site,
            problem,
            at: tree.root(),
            tree,
            path: Vec::new(),
            stats: SynthStats::default(),
            spare: Vec::new(),
            was_taught: false,
        })
    }

    /// Takes turn after turn until the tree ends.
    pub fn grow(mut self) -> Result<Grown> {
        if self.is_too_easy()? {
            self.stats.too_easy = 1;
            self.site.tell(Event::ProblemTooEasy {
                problem: &self.problem.id,
            });
            return Ok(Grown {
                tree: None,
                stats: self.stats,
            });
        }
        let mut turn = 1;
        let end = loop {
            if let Some(end) = self.take_turn(turn)? {
                break end;
            }
            turn += 1;
        };
        self.cover_other_solutions()?;
        self.stats.count_end(end);
        self.site.tell(Event::TreeFinished {
            tree: &self.tree,
            end,
        });
        Ok(Grown {
            tree: Some(self.tree),
            stats: self.stats,
        })
    }

    /// Whether the selector solves the problem at its first, likeliest try.
    fn is_too_easy(&self) -> Result<bool> {
        let Some(selector) = self.site.team().selector else {
            return Ok(false);
        };
        let messages = self.messages();
        let turn = self.turn(1, &messages);
        let mut sampling = turn.sampling("select");
        sampling.temperature = 0.0;
        let request = ChatRequest::new(messages.iter().cloned()).with_sampling(sampling);
        let drafts = turn.ask(selector, request)?.into_iter();
        let drafts = drafts
            .map(|it| it.text.trim().to_owned())
            .filter(|text| !text.is_empty());
        let tried = turn.try_out(
            selector.name(),
            ActionSource::Sampled,
            drafts.collect(),
            &mut Default::default(),
        )?;
        Ok(tried
            .iter()
            .any(|it| it.outcome.verdict == Verdict::Correct))
    }

    /// Takes a turn and says whether it is the last.
    fn take_turn(&mut self, number: usize) -> Result<Option<End>> {
        let messages = self.messages();
        let turn = self.turn(number, &messages);
        let mut taken = turn.take()?;
        let end = match (&taken.chosen, &taken.rejected) {
            (_, Some(_)) if number == self.site.config().max_turns => Some(End::TurnLimit),
            (_, Some(_)) => None,
            (Some(_), None) => Some(End::NoIncorrect),
            (None, None) => Some(End::NoAction),
        };
        if taken.chosen.is_none() && self.wants_fallback(end) {
            let teaching = Teaching::new(&turn, taken.rejected.as_ref().map(|it| it.text.as_str()));
            taken.chosen = teaching.first_solution(&mut taken.counts)?;
        }
        taken.counts.pairs = usize::from(taken.chosen.is_some() && taken.rejected.is_some());
        let observation = match (&taken.rejected, end) {
            (Some(rejected), None) => Some(self.observe(&turn, rejected)?),
            _ => None,
        };
        self.was_taught |= taken.counts.elicited + taken.counts.fallbacks > 0;
        if number == 1 {
            self.spare = std::mem::take(&mut taken.spare);
        }
        self.add(number, taken, observation)?;
        Ok(end)
    }

    fn turn<'t>(&'t self, turn: usize, messages: &'t [Message]) -> Turn<'t> {
        Turn {
            site: self.site,
            problem: self.problem,
            turn,
            messages,
            path: &self.path,
        }
    }

    fn wants_fallback(&self, end: Option<End>) -> bool {
        match self.site.config().fallback {
            Fallback::Never => false,
            Fallback::EveryTurn => true,
            Fallback::LastTurn => end.is_some() && self.stats.total().correct == 0,
        }
    }

    /// The observation on an incorrect action.
    fn observe(&self, turn: &Turn<'_>, rejected: &Candidate) -> Result<Observation> {
        self.site.check_stop()?;
        let execution = rejected.outcome.execution.as_ref();
        let critique = self.site.critic().critique(&CritiqueRequest {
            problem: self.problem,
            action: &rejected.text,
            execution,
            answer: rejected.outcome.answer.as_deref(),
            history: turn.messages,
            seed: turn.seed().derive("critique"),
        })?;
        Ok(Observation {
            execution: execution.map(|it| it.render().to_owned()),
            feedback: self
                .site
                .environment()
                .feedback(Verdict::Incorrect)
                .to_owned(),
            critique: Some(critique).filter(|text| !text.trim().is_empty()),
        })
    }

    fn add(&mut self, number: usize, taken: Taken, observation: Option<Observation>) -> Result<()> {
        let chosen = self.add_action(taken.chosen)?;
        let rejected = self.add_action(taken.rejected.as_ref().map(Candidate::action))?;
        if let (Some(chosen), Some(rejected)) = (chosen, rejected) {
            self.tree.add_pair(chosen, rejected)?;
        }
        if let (Some(node), Some(rejected), Some(observation)) =
            (rejected, taken.rejected, observation)
        {
            self.at = self.tree.add_observation(node, observation)?;
            self.path.push(rejected.text);
        }
        self.stats.count_turn(number, &taken.counts);
        self.site.tell(Event::TurnFinished {
            problem: &self.problem.id,
            turn: number,
            counts: &taken.counts,
        });
        Ok(())
    }

    fn add_action(&mut self, action: Option<Action>) -> Result<Option<NodeId>> {
        let added = action.map(|action| self.tree.add_action(self.at, action));
        Ok(added.transpose()?)
    }

    /// For a problem that had to be taught: an action for each further annotated solution, paired with an incorrect action of
    /// the first turn that is left (arXiv 2404.02078, section 2.3).
    fn cover_other_solutions(&mut self) -> Result<()> {
        if !self.was_taught
            || self.site.team().teacher.is_none()
            || self.problem.solutions.len() < 2
        {
            return Ok(());
        }
        self.at = self.tree.root();
        self.path.clear();
        let messages = self.messages();
        let mut spare = std::mem::take(&mut self.spare).into_iter();
        for index in 1..self.problem.solutions.len() {
            let Some(rejected) = spare.next() else {
                return Ok(());
            };
            let turn = self.turn(1, &messages);
            let mut counts = Default::default();
            let teaching = Teaching::new(&turn, Some(&rejected.text));
            let Some(chosen) = teaching.further_solution(index, &mut counts)? else {
                continue;
            };
            let is_new = |text: &str| self.tree.find_action(self.at, text).is_none();
            if !is_new(&chosen.text) || !is_new(&rejected.text) {
                continue;
            }
            let chosen = self.tree.add_action(self.at, chosen)?;
            let rejected = self.tree.add_action(self.at, rejected.action())?;
            self.tree.add_pair(chosen, rejected)?;
            counts.pairs = 1;
            self.stats.count_further(1, &counts);
        }
        Ok(())
    }

    /// The conversation up to where the next actions go.
    fn messages(&self) -> Vec<Message> {
        let path = self.tree.messages(self.at).into_iter();
        path.map(|message| match message.role {
            Role::System | Role::Developer => Message::system(message.content),
            Role::User | Role::Tool => Message::user(message.content),
            Role::Assistant => Message::assistant(message.content),
        })
        .collect()
    }
}
