//! Episodes of MINT: the environment as the model's partner, and the judgement of what was said.

use std::collections::HashMap;

use code_interpreter::{Python, Session};

use super::super::grading::{Workers, judge_each};
use super::super::verdicts::ItemVerdict;
use super::partners::{Partner, Say};
use crate::error::{Error, Result};
use crate::graders::mint::{self, Episode, Role, Settings, limits};
use crate::graders::{Grade, Rules, Verdict};
use crate::samples::Sample;
use crate::tasks::Item;

/// Episodes of MINT, each with a session of its own.
#[derive(Debug, Clone)]
pub struct Episodes {
    /// Of the sessions.
    pub python: Python,
    /// Whose rules say when a solution is right, and thus when an episode ends.
    pub rules: Rules,
}

impl Episodes {
    /// The user of one episode.
    ///
    /// # Errors
    ///
    /// For an item that is no problem of MINT, and where no session can be started.
    pub fn partner(&self, item: &Item) -> Result<Box<dyn Partner>> {
        Ok(Box::new(Environment {
            episode: episode(item, self.rules)?,
            session: self.session()?,
        }))
    }

    fn session(&self) -> Result<Session> {
        Ok(Session::start(&self.python, limits())?)
    }
}

struct Environment {
    episode: Episode,
    session: Session,
}

impl Partner for Environment {
    fn step(&mut self, answer: &str) -> Result<Option<Say>> {
        if self.episode.step(answer, &mut self.session)?.is_some() {
            return Ok(None);
        }
        Ok(match self.episode.messages() {
            [.., answer, user] if user.role == Role::User => Some(Say {
                answer: answer.content.clone(),
                user: user.content.clone(),
            }),
            _ => None,
        })
    }
}

/// The episode of an item, before its first answer. The first message of the user is in the item's request.
fn episode(item: &Item, rules: Rules) -> Result<Episode> {
    let settings = Settings {
        rules,
        ..Settings::default()
    };
    Ok(Episode::new(mint_problem(item)?, "", settings))
}

/// What decides whether a solution of an item is right, by where the item comes from.
fn mint_problem(item: &Item) -> Result<mint::Task> {
    let wrong = |problem: &str| Error::CannotGrade {
        task: "mint".to_owned(),
        item: item.id.clone(),
        problem: problem.to_owned(),
    };
    let field = |name: &str| item.row.get(name).and_then(|it| it.as_str());
    let reference = || {
        let reference = field("reference").map(str::to_owned);
        reference.ok_or_else(|| wrong("its field `reference` is no text"))
    };
    let source = item.groups.get("source").map(String::as_str);
    Ok(match source {
        Some("humaneval" | "mbpp") => mint::Task::Code {
            tests: reference()?,
        },
        Some("math" | "gsm8k") => mint::Task::Reasoning {
            reference: reference()?,
            numbers: mint::Numbers::default(),
        },
        Some("mmlu") => mint::Task::MultipleChoice {
            reference: reference()?,
            options: mint::options(field("prompt").unwrap_or_default()),
        },
        Some("theoremqa") => mint::Task::TheoremQa {
            reference: item.row.get("reference").cloned().unwrap_or_default(),
            answer_type: field("answer_type")
                .ok_or_else(|| wrong("its field `answer_type` is no text"))?
                .to_owned(),
        },
        _ => return Err(wrong("it comes from none of the data sets of MINT")),
    })
}

/// Judges episodes of MINT by playing what the model said once more.
///
/// # Errors
///
/// As [`grade_answers`](crate::runs::grade_answers).
pub fn grade_conversations(
    items: &[Item],
    answers: &[Sample],
    unanswered: &HashMap<String, String>,
    episodes: &Episodes,
    workers: usize,
    on_verdict: &(dyn Fn() + Sync),
) -> Result<Vec<ItemVerdict>> {
    let judge = |session: &mut Session, item: &Item, sample: &Sample| {
        session.reset()?;
        let mut episode = episode(item, episodes.rules)?;
        for turn in &sample.turns {
            episode.step(turn, session)?;
        }
        let end = episode.end().unwrap_or_else(|| episode.overflow());
        let last = episode.grades().last();
        let extracted = last.and_then(|it| it.extracted.clone());
        let grade = match last.map(|it| &it.verdict) {
            Some(Verdict::Unjudged { .. }) => last.cloned(),
            _ => None,
        };
        let why = format!("{end} in turn {}", sample.turns.len());
        Ok(ItemVerdict {
            id: item.id.clone(),
            sample: sample.sample,
            grade: grade
                .unwrap_or_else(|| Grade::new(end == mint::End::TaskSuccess, extracted, why)),
            rating: None,
            turn_ratings: Vec::new(),
            finish: Some(sample.finish),
            protection: Some(session.safeguards().protection),
        })
    };
    let workers = Workers {
        start: &|| episodes.session(),
        judge: &judge,
        count: workers,
    };
    judge_each(items, answers, unanswered, &workers, on_verdict)
}
