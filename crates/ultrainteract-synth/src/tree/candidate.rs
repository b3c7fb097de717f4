//! From completions to actions.

use std::collections::HashSet;

use chat_model::{Completion, Finish};
use rand::seq::IndexedRandom;
use ultrainteract::{Action, ActionSource, Schema, Verdict};

use super::TurnCounts;
use crate::environment::Outcome;
use crate::seed;

/// An action that was tried.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub text: String,
    pub actor: String,
    pub source: ActionSource,
    pub outcome: Outcome,
}

impl Candidate {
    pub fn action(&self) -> Action {
        Action {
            text: self.text.clone(),
            verdict: self.outcome.verdict,
            actor: self.actor.clone(),
            schema: Schema::of(&self.text),
            source: self.source,
        }
    }

    fn is(&self, verdict: Verdict) -> bool {
        self.outcome.verdict == verdict
    }
}

/// The different actions of one turn, and the account of all that were drawn.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    seen: HashSet<String>,
    tried: Vec<Candidate>,
    pub counts: TurnCounts,
}

impl Candidates {
    /// Drops what needs no interpreter to be dropped; the texts of the others.
    pub fn sift(&mut self, completions: Vec<Completion>) -> Vec<String> {
        self.counts.sampled += completions.len();
        let mut drafts = Vec::with_capacity(completions.len());
        for completion in completions {
            let text = completion.text.trim();
            let dropped = &mut self.counts.dropped;
            match completion.finish {
                Finish::Length => dropped.length += 1,
                Finish::Stop if text.is_empty() => dropped.empty += 1,
                Finish::Stop if !self.seen.insert(text.to_owned()) => dropped.duplicate += 1,
                Finish::Stop => drafts.push(text.to_owned()),
                _ => dropped.withheld += 1,
            }
        }
        drafts
    }

    pub fn add(&mut self, candidate: Candidate) {
        match candidate.outcome.verdict {
            Verdict::Correct => self.counts.correct += 1,
            Verdict::Incorrect => self.counts.incorrect += 1,
            Verdict::Unjudged => self.counts.unjudged += 1,
        }
        self.tried.push(candidate);
    }

    pub fn all_of(&self, verdict: Verdict) -> impl Iterator<Item = &Candidate> {
        self.tried.iter().filter(move |it| it.is(verdict))
    }

    /// Draws one action of this verdict, of another actor than this one where there is one: a pair of two actors says less
    /// about how an actor writes and more about what is right.
    ///
    /// Each verdict has a draw of its own, which does not depend on how many actions have the other.
    pub fn draw(
        &self,
        verdict: Verdict,
        not_of: Option<&str>,
        seed: &Seed<'_>,
    ) -> Option<&Candidate> {
        let mut candidates: Vec<&Candidate> = self.all_of(verdict).collect();
        if candidates.iter().any(|it| not_of != Some(&it.actor)) {
            candidates.retain(|it| not_of != Some(&it.actor));
        }
        let mut rng = seed::rng(seed.seed, &seed.parts(&format!("choose {verdict:?}")));
        candidates.choose(&mut rng).copied()
    }
}

/// What the seeds of one turn of one problem are made from.
#[derive(Debug)]
pub(super) struct Seed<'a> {
    pub seed: u64,
    pub problem: &'a str,
    pub turn: String,
}

impl Seed<'_> {
    pub fn parts<'s>(&'s self, purpose: &'s str) -> [&'s str; 3] {
        [self.problem, &self.turn, purpose]
    }

    pub fn derive(&self, purpose: &str) -> u64 {
        seed::derive(self.seed, &self.parts(purpose))
    }
}
