//! Scripted actors and an environment that runs nothing.
#![allow(dead_code)] // each test binary uses a part

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use answer_equality::{Tolerance, equal, extract};
use chat_model::{ChatModel, ChatRequest, Completion, Error, Role};
use code_interpreter::{Limits, Python};
use test_support::skip;
use ultrainteract::{Task, Verdict};
use ultrainteract_synth::{
    Attempt, Critic, CritiqueRequest, Environment, Gold, Outcome, Problem, PythonEnvironment,
    Result,
};

pub fn problem(id: &str) -> Problem {
    Problem {
        id: id.into(),
        instruction: format!("What is 6 * 7? ({id})"),
        task: Task::MathCot,
        gold: Gold::Answer("42".into()),
        solutions: vec!["Step 1: 6 * 7 = 42.\nAnswer: 42".into()],
        dataset: "test".into(),
    }
}

pub fn problems(count: usize) -> Vec<Problem> {
    (0..count)
        .map(|index| problem(&format!("p{index}")))
        .collect()
}

pub fn says(text: &str) -> Completion {
    Completion::stopped(text)
}

type Script = Box<dyn Fn(&ChatRequest, usize) -> Result<Vec<Completion>, Error> + Send + Sync>;

/// An actor that follows a script: a function of the request and the turn, from 1.
pub struct Actor {
    name: String,
    script: Script,
    pub requests: AtomicUsize,
}

impl Actor {
    pub fn fallible(
        script: impl Fn(&ChatRequest, usize) -> Result<Vec<Completion>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: "actor".into(),
            script: Box::new(script),
            requests: AtomicUsize::new(0),
        }
    }

    pub fn new(
        script: impl Fn(&ChatRequest, usize) -> Vec<Completion> + Send + Sync + 'static,
    ) -> Self {
        Self::fallible(move |request, turn| Ok(script(request, turn)))
    }

    /// Says the same texts at every turn, the last one until there are enough.
    pub fn saying(texts: &'static [&'static str]) -> Self {
        Self::new(move |request, _| fill(texts, request.samples))
    }

    /// Says a number near 42 in each sample, drawn by the seed of the request.
    pub fn drawing() -> Self {
        Self::new(|request, _| {
            (0..request.samples as u64)
                .map(|sample| {
                    let mixed = (request.sampling.seed
                        ^ sample.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                    .wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    says(&format!("Answer: {}", 38 + (mixed >> 40) % 12))
                })
                .collect()
        })
    }

    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub fn asked(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

pub fn fill(texts: &[&str], samples: usize) -> Vec<Completion> {
    let last = texts.len() - 1;
    (0..samples)
        .map(|index| says(texts[index.min(last)]))
        .collect()
}

impl ChatModel for Actor {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>, Error> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let turn = 1 + request
            .messages
            .iter()
            .filter(|message| message.role == Role::Assistant)
            .count();
        (self.script)(request, turn)
    }
}

/// Judges the answer in the text; what has `!!` in it is no valid action.
#[derive(Default)]
pub struct TextEnvironment {
    pub executed: Mutex<Vec<String>>,
}

impl Environment for TextEnvironment {
    fn check(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Result<(), String>>> {
        let check = |attempt: &Attempt<'_>| match attempt.action.contains("!!") {
            true => Err("exclamation".to_owned()),
            false => Ok(()),
        };
        Ok(attempts.iter().map(check).collect())
    }

    fn execute(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Outcome>> {
        Ok(attempts
            .iter()
            .map(|attempt| {
                self.executed
                    .lock()
                    .unwrap()
                    .push(attempt.action.to_owned());
                let answer = extract(attempt.action);
                let truth = attempt.problem.ground_truth();
                let correct = answer
                    .as_deref()
                    .zip(truth.as_deref())
                    .is_some_and(|(answer, truth)| equal(answer, truth, &Tolerance::default()));
                Outcome {
                    verdict: match correct {
                        true => Verdict::Correct,
                        false => Verdict::Incorrect,
                    },
                    answer,
                    execution: None,
                }
            })
            .collect())
    }
}

/// Says which turn it is.
pub struct TurnCritic;

impl Critic for TurnCritic {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        Ok(format!(
            "That was try {}.",
            request.history.len().div_ceil(2)
        ))
    }
}

/// An environment with a real Python, if this machine has one.
pub fn python(limits: Limits) -> Option<PythonEnvironment> {
    match Python::find() {
        Ok(python) => Some(PythonEnvironment::start(&python, limits, 2).unwrap()),
        Err(error) => {
            skip(error);
            None
        }
    }
}
