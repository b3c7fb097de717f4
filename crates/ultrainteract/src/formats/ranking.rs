//! Rows of several scored answers.

use serde::Deserialize;

use super::chat::transcript;
use super::check;
use super::jsonl::{Record, parse_object};
use crate::example::{Ranking, Scored};
use crate::{Error, Result};

/// A row of UltraFeedback or UltraSafety.
impl Record for Ranking {
    fn from_json(line: &[u8]) -> Result<Self> {
        let row = read(line)?;
        let mut found = Vec::new();
        check::ranking(&row, &mut found);
        match found.into_iter().next() {
            None => Ok(row),
            Some(fault) => Err(fault),
        }
    }
}

/// Reads a row of the right form, in one of the spellings that there are.
pub(super) fn read(record: &[u8]) -> Result<Ranking> {
    let fault = match parse_object::<Ranking>(record) {
        Ok(row) => return Ok(row),
        Err(fault) => fault,
    };
    if let Ok(row) = parse_object::<Ranked>(record) {
        return row.ranking();
    }
    match parse_object::<Rated>(record) {
        Ok(row) => row.ranking(),
        Err(_) => Err(fault),
    }
}

/// A row of Nectar: answers with ranks, of which 1 is the best.
#[derive(Deserialize)]
struct Ranked {
    prompt: String,
    answers: Vec<RankedAnswer>,
}

#[derive(Deserialize)]
struct RankedAnswer {
    answer: String,
    rank: f64,
}

impl Ranked {
    fn ranking(self) -> Result<Ranking> {
        // The prompt ends where the answer begins.
        let instruction = match transcript(&self.prompt).as_deref() {
            None => self.prompt,
            Some([asked, answer]) if answer.content.is_empty() => asked.content.clone(),
            Some(_) => {
                return Err(Error::malformed(
                    "prompt",
                    "has several turns, and answers with ranks are read after one question alone",
                ));
            }
        };
        let answers = self.answers.into_iter();
        let answers = answers.map(|it| (it.answer, -it.rank));
        Ok(ranking(instruction, answers))
    }
}

/// Answers and their ratings, in the same order.
#[derive(Deserialize)]
struct Rated {
    instruction: String,
    generations: Vec<String>,
    ratings: Vec<f64>,
}

impl Rated {
    fn ranking(self) -> Result<Ranking> {
        let (answers, ratings) = (self.generations.len(), self.ratings.len());
        if answers != ratings {
            let problem = format!("has {ratings} ratings for {answers} generations");
            return Err(Error::malformed("ratings", problem));
        }
        let answers = self.generations.into_iter().zip(self.ratings);
        Ok(ranking(self.instruction, answers))
    }
}

fn ranking(instruction: String, answers: impl Iterator<Item = (String, f64)>) -> Ranking {
    let completion = |(response, score)| Scored {
        model: None,
        custom_system_prompt: None,
        principle: None,
        response,
        annotations: None,
        critique: None,
        fine_grained_score: None,
        overall_score: Some(score),
    };
    Ranking {
        source: None,
        prompt: None,
        instruction,
        models: Vec::new(),
        completions: answers.map(completion).collect(),
        correct_answers: None,
        incorrect_answers: None,
    }
}
