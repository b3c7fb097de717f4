//! The interpreter, telling less than it knows, or erring.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use ultrainteract::Verdict;
use ultrainteract_synth::{Attempt, Environment, Outcome, PythonEnvironment, Result};

/// Tells the verdict, and not what was printed.
pub struct Mute<'a>(pub &'a PythonEnvironment);

impl Environment for Mute<'_> {
    fn check(&self, attempts: &[Attempt<'_>]) -> Result<Vec<std::result::Result<(), String>>> {
        self.0.check(attempts)
    }

    fn execute(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Outcome>> {
        let mut outcomes = self.0.execute(attempts)?;
        for outcome in &mut outcomes {
            outcome.execution = None;
        }
        Ok(outcomes)
    }
}

/// Does not even tell the verdict: the actor is asked again, and that is all it knows.
pub struct Silent<'a>(pub &'a PythonEnvironment);

impl Environment for Silent<'_> {
    fn check(&self, attempts: &[Attempt<'_>]) -> Result<Vec<std::result::Result<(), String>>> {
        self.0.check(attempts)
    }

    fn execute(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Outcome>> {
        Mute(self.0).execute(attempts)
    }

    fn feedback(&self, _: Verdict) -> &str {
        "Try again."
    }
}

/// Takes some right actions for wrong and some wrong ones for right; which, depends on the seed and the attempt alone.
pub struct Erring<'a> {
    python: &'a PythonEnvironment,
    rate: f64,
    seed: u64,
}

impl<'a> Erring<'a> {
    pub fn new(python: &'a PythonEnvironment, rate: f64, seed: u64) -> Self {
        Self { python, rate, seed }
    }

    fn errs(&self, attempt: &Attempt<'_>) -> bool {
        let before = attempt.history.join("\n");
        let text = format!("{}\n{before}\n{}", attempt.problem.id, attempt.action);
        // Of one attempt always the same, in whatever batch it comes.
        let mut rng = ChaCha8Rng::from_seed(Sha256::digest(text).into());
        rng.set_stream(self.seed);
        rng.random_bool(self.rate)
    }
}

impl Environment for Erring<'_> {
    fn check(&self, attempts: &[Attempt<'_>]) -> Result<Vec<std::result::Result<(), String>>> {
        self.python.check(attempts)
    }

    fn execute(&self, attempts: &[Attempt<'_>]) -> Result<Vec<Outcome>> {
        let mut outcomes = self.python.execute(attempts)?;
        for (outcome, attempt) in outcomes.iter_mut().zip(attempts) {
            if self.errs(attempt) {
                outcome.verdict = match outcome.verdict {
                    Verdict::Correct => Verdict::Incorrect,
                    Verdict::Incorrect => Verdict::Correct,
                    Verdict::Unjudged => Verdict::Unjudged,
                };
            }
        }
        Ok(outcomes)
    }
}
