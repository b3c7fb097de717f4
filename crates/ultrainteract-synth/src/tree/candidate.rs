//! From completions to actions.

use std::collections::HashSet;

use chat_model::{Completion, Finish, Message};
use ultrainteract::{Action, ActionSource, Schema, Verdict};

use super::TurnCounts;
use super::record::Growing;
use crate::Error;
use crate::environment::{Attempt, Outcome};

/// An action that was tried.
pub(super) struct Candidate {
    pub text: String,
    pub actor: String,
    pub outcome: Outcome,
}

/// A problem of the batch, at this turn.
pub(super) struct Work<'g, 'p> {
    pub tree: &'g Growing<'p>,
    pub messages: Vec<Message>,
    pub seen: HashSet<String>,
    pub candidates: Vec<Candidate>,
    pub counts: TurnCounts,
    pub failure: Option<Error>,
}

/// An action that passed the first filters, and whose it is.
pub(super) struct Draft {
    pub work: usize,
    pub text: String,
}

/// Drops what needs no interpreter to be dropped.
pub(super) fn filter(
    index: usize,
    work: &mut Work<'_, '_>,
    completions: Vec<Completion>,
) -> Vec<Draft> {
    let counts = &mut work.counts;
    counts.sampled += completions.len();
    let mut drafts = Vec::with_capacity(completions.len());
    for completion in completions {
        let text = completion.text.trim();
        let dropped = &mut counts.dropped;
        match completion.finish {
            Finish::Length => dropped.length += 1,
            Finish::Stop if text.is_empty() => dropped.empty += 1,
            Finish::Stop if !work.seen.insert(text.to_owned()) => dropped.duplicate += 1,
            Finish::Stop => drafts.push(Draft {
                work: index,
                text: text.to_owned(),
            }),
            _ => dropped.withheld += 1,
        }
    }
    drafts
}

pub(super) fn attempts<'a>(drafts: &'a [Draft], works: &'a [Work<'_, '_>]) -> Vec<Attempt<'a>> {
    drafts
        .iter()
        .map(|draft| Attempt {
            problem: works[draft.work].tree.problem,
            history: &works[draft.work].tree.path,
            action: &draft.text,
        })
        .collect()
}

pub(super) fn action(candidate: &Candidate) -> Action {
    Action {
        text: candidate.text.clone(),
        verdict: candidate.outcome.verdict,
        actor: candidate.actor.clone(),
        schema: Schema::of(&candidate.text),
        source: ActionSource::Sampled,
    }
}

/// The annotated solution as an action, if there is one that can stand beside the incorrect action.
pub(super) fn annotated(tree: &Growing<'_>, rejected: Option<&Action>) -> Option<Action> {
    let text = tree.problem.rationale()?.trim();
    if text.is_empty() || rejected.is_some_and(|rejected| rejected.text == text) {
        return None;
    }
    Some(Action {
        text: text.to_owned(),
        verdict: Verdict::Correct,
        actor: "ground truth".to_owned(),
        schema: Schema::of(text),
        source: ActionSource::GroundTruth,
    })
}
