//! Correct actions made from annotated solutions, where nobody found one.

use answer_equality::parse_number;
use chat_model::{ChatRequest, Message};
use ultrainteract::action_text::python_blocks;
use ultrainteract::{Action, ActionSource, Schema, Task, Verdict};

use super::TurnCounts;
use super::turn::Turn;
use crate::prompts::{Lesson, MASK};
use crate::{Gold, Prompts, Result};

/// An annotated solution, worked into an action by a teacher (arXiv 2404.02078, section 2.3): a reference program is explained
/// step by step; a worked solution is followed with its answer hidden, or turned into a program first.
pub(super) struct Teaching<'t> {
    turn: &'t Turn<'t>,
    /// The action that it stands beside, which it must differ from.
    beside: Option<&'t str>,
}

impl<'t> Teaching<'t> {
    pub fn new(turn: &'t Turn<'t>, beside: Option<&'t str>) -> Self {
        Self { turn, beside }
    }

    /// An action by the teacher from the first solution, or the solution itself.
    pub fn first_solution(&self, counts: &mut TurnCounts) -> Result<Option<Action>> {
        let Some(solution) = self
            .turn
            .problem
            .rationale()
            .map(str::trim)
            .filter(|it| !it.is_empty())
        else {
            return Ok(None);
        };
        if let Some(action) = self.elicit(solution, "elicit", counts)? {
            return Ok(Some(action));
        }
        if self.beside == Some(solution) {
            return Ok(None);
        }
        counts.fallbacks += 1;
        Ok(Some(Action {
            text: solution.to_owned(),
            verdict: Verdict::Correct,
            actor: "ground truth".to_owned(),
            schema: Schema::of(solution),
            source: ActionSource::GroundTruth,
        }))
    }

    /// An action by the teacher from another of the solutions.
    pub fn further_solution(
        &self,
        index: usize,
        counts: &mut TurnCounts,
    ) -> Result<Option<Action>> {
        match self.turn.problem.solutions.get(index) {
            Some(solution) => self.elicit(solution, &format!("elicit {index}"), counts),
            None => Ok(None),
        }
    }

    /// Draws until an action is judged correct, as any action is.
    fn elicit(
        &self,
        solution: &str,
        purpose: &str,
        counts: &mut TurnCounts,
    ) -> Result<Option<Action>> {
        let site = self.turn.site;
        let Some(teacher) = site.team().teacher else {
            return Ok(None);
        };
        let prompts = site.prompts();
        for draw in 0..site.config().elicitations {
            let purpose = format!("{purpose} {draw}");
            let (lesson, solution) = self.lesson(prompts, solution, &purpose)?;
            let words = prompts.teacher(lesson, self.turn.problem, &solution)?;
            let completions = self.turn.ask(teacher, self.request(words, &purpose))?;
            let drafts = completions.into_iter().map(|it| it.text.trim().to_owned());
            let drafts = drafts.filter(|text| !text.is_empty() && self.beside != Some(text));
            // The account of a turn is of its sampled actions.
            let mut own = TurnCounts::default();
            let tried = self.turn.try_out(
                teacher.name(),
                ActionSource::Elicited,
                drafts.collect(),
                &mut own,
            )?;
            if let Some(found) = tried
                .into_iter()
                .find(|it| it.outcome.verdict == Verdict::Correct)
            {
                counts.elicited += 1;
                return Ok(Some(found.action()));
            }
        }
        Ok(None)
    }

    /// What the teacher is to do, and with what.
    fn lesson(&self, prompts: &Prompts, solution: &str, purpose: &str) -> Result<(Lesson, String)> {
        let problem = self.turn.problem;
        if matches!(problem.gold, Gold::Tests(_) | Gold::Asserts { .. })
            || problem.task == Task::Coding
        {
            return Ok((Lesson::Code, program(solution)));
        }
        if problem.task != Task::MathPot {
            let truth = problem.ground_truth().unwrap_or_default();
            return Ok((Lesson::Words, hide(solution, &truth)));
        }
        if !python_blocks(solution).is_empty() {
            return Ok((Lesson::Program, program(solution)));
        }
        let words = prompts.teacher(Lesson::ToProgram, problem, solution)?;
        let Some(teacher) = self.turn.site.team().teacher else {
            return Ok((Lesson::Words, solution.to_owned()));
        };
        let request = self.request(words, &format!("{purpose} to program"));
        let written = self.turn.ask(teacher, request)?.pop();
        Ok((
            Lesson::Program,
            written.map(|it| program(&it.text)).unwrap_or_default(),
        ))
    }

    fn request(&self, words: String, purpose: &str) -> ChatRequest {
        ChatRequest::new([Message::user(words)]).with_sampling(self.turn.sampling(purpose))
    }
}

/// The code of a solution: that of its blocks, or all of it.
fn program(solution: &str) -> String {
    let blocks = python_blocks(solution);
    if blocks.is_empty() {
        return solution.trim().to_owned();
    }
    blocks.concat().trim().to_owned()
}

/// A solution with every mention of the answer hidden.
fn hide(solution: &str, truth: &str) -> String {
    let truth = truth.trim();
    let Some(value) = parse_number(truth) else {
        return if truth.is_empty() {
            solution.to_owned()
        } else {
            solution.replace(truth, MASK)
        };
    };
    let mut hidden = String::with_capacity(solution.len());
    let mut rest = solution;
    let is_numeral = |c: char| c.is_ascii_digit();
    while let Some(start) = rest.find(is_numeral) {
        hidden += &rest[..start];
        let numeral = numeral(&rest[start..]);
        match parse_number(numeral) {
            Some(found) if found == value || found == -value => hidden += MASK,
            _ => hidden += numeral,
        }
        rest = &rest[start + numeral.len()..];
    }
    hidden + rest
}

/// The number in decimal digits that a text begins with: digits, with commas and a point between them.
fn numeral(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let next_is_digit = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        match bytes[end] {
            b'0'..=b'9' => end += 1,
            b'.' | b',' if next_is_digit => end += 1,
            _ => break,
        }
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_hidden_in_every_spelling_and_nothing_else() {
        assert_eq!(
            hide("6 * 7 = 42, so 42.0. Not 142 nor 4.2.", "42"),
            "6 * 7 = [?], so [?]. Not 142 nor 4.2."
        );
        assert_eq!(
            hide("It is 1,200 in all: 1200.", "1200"),
            "It is [?] in all: [?]."
        );
        assert_eq!(hide("Paris it is.", "Paris"), "[?] it is.");
        assert_eq!(hide("7", ""), "7");
    }
}
