//! Math word problems from a seed, with right answers and annotated solutions.
//!
//! Seventeen templates of one to three steps: sums, differences, products, quotients, percentages,
//! units (hours, weeks, dozens), comparisons, wages, prices and rates. All numbers are small
//! positive integers and every division is exact. Instructions are short and the vocabulary is
//! small, so that a model of a few million parameters can learn them from scratch in minutes.
//!
//! Problems alternate between [`Task::MathPot`], whose instruction begins with [`PROGRAM_HEAD`] and
//! whose solution is a program, and [`Task::MathCot`], which begins with [`REASONING_HEAD`] and is
//! solved in numbered sentences with a boxed answer.
//!
//! ```
//! use ultrainteract_synth::word_problems::{self, Options};
//!
//! let problems = word_problems::generate(7, 4, &Options::default())?;
//! assert!(problems[0].instruction.starts_with(word_problems::PROGRAM_HEAD));
//! assert!(problems[0].rationale.contains("```python"));
//! assert!(problems[1].rationale.ends_with(&format!("\\boxed{{{}}}", problems[1].ground_truth)));
//! // The same seed gives the same problems, and asking for more does not change the first ones.
//! assert_eq!(problems[..3], word_problems::generate(7, 3, &Options::default())?);
//! # Ok::<(), ultrainteract_synth::Error>(())
//! ```

mod draw;
mod solution;
mod templates;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use ultrainteract::decontaminate::Decontaminator;
use ultrainteract::{Schema, Task};

use self::draw::Draw;
use crate::{Error, Problem, Result, seed};

/// The beginning of instructions that ask for a program. Short, since a fixed run of eight words
/// would be shared by all problems.
pub const PROGRAM_HEAD: &str = "Use Python. ";

/// The beginning of the other instructions, which ask for reasoning.
pub const REASONING_HEAD: &str = "Think. ";

/// How often a problem is drawn again that is there already, or too similar to a held-out one,
/// before the generator gives up.
const ATTEMPTS: usize = 400;

/// How large the numbers are, and what the dataset is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Name of the dataset in the problems. Default "word_problems".
    pub dataset: String,
    /// The largest term of a sum; 9 to 1000. Default 50.
    pub largest_number: u32,
    /// The largest factor of a product; 5 to 30. Default 12.
    pub largest_factor: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dataset: "word_problems".to_owned(),
            largest_number: 50,
            largest_factor: 12,
        }
    }
}

impl Options {
    fn validate(&self) -> Result<()> {
        if self.dataset.trim().is_empty() {
            return Error::config("dataset", "is empty; give the problems a dataset name");
        }
        for (field, value, range) in [
            ("largest_number", self.largest_number, 9..=1000),
            ("largest_factor", self.largest_factor, 5..=30),
        ] {
            if !range.contains(&value) {
                let (low, high) = (range.start(), range.end());
                return Error::config(field, format!("is {value}; it must be {low} to {high}"));
            }
        }
        Ok(())
    }
}

/// Different problems from a seed. Their ids are `wp-<seed>-<number>`.
///
/// # Errors
///
/// When an option is out of its range, or allows for fewer different problems than asked for.
pub fn generate(seed: u64, count: usize, options: &Options) -> Result<Vec<Problem>> {
    options.validate()?;
    let set = Set {
        seed,
        name: "",
        count,
        options,
    };
    set.draw(&mut HashSet::new(), |_| true)
}

/// Training and held-out problems, no instruction of the one sharing eight words in a row with any
/// instruction of the other. Their ids are `wp-<seed>-train-<number>` and `wp-<seed>-test-<number>`.
///
/// The held-out problems are drawn first and freely; a training problem that overlaps with them is
/// drawn again. So the held-out set does not depend on the size of the training set.
///
/// ```
/// use ultrainteract::decontaminate::Decontaminator;
/// use ultrainteract_synth::word_problems::{self, Options};
///
/// let (train, test) = word_problems::train_and_held_out(1, 60, 20, &Options::default())?;
/// let index = Decontaminator::new(test.iter().map(|problem| &problem.instruction), 8)?;
/// assert!(train.iter().all(|problem| index.find(&problem.instruction).is_none()));
/// # Ok::<(), ultrainteract_synth::Error>(())
/// ```
///
/// # Errors
///
/// As for [`generate`]; also when the held-out problems leave too few others.
pub fn train_and_held_out(
    seed: u64,
    train_count: usize,
    held_out_count: usize,
    options: &Options,
) -> Result<(Vec<Problem>, Vec<Problem>)> {
    options.validate()?;
    let set = |name, count| Set {
        seed,
        name,
        count,
        options,
    };
    let mut taken = HashSet::new();
    // Held-out problems come first, so that those to train on can be drawn to differ from them.
    let held_out = set("test-", held_out_count).draw(&mut taken, |_| true)?;
    let index = Decontaminator::new(
        held_out.iter().map(|problem| &problem.instruction),
        Decontaminator::DEFAULT_N,
    )?;
    let train = set("train-", train_count)
        .draw(&mut taken, |instruction| index.find(instruction).is_none())?;
    Ok((train, held_out))
}

/// A set of problems to be drawn.
struct Set<'a> {
    seed: u64,
    name: &'static str,
    count: usize,
    options: &'a Options,
}

impl Set<'_> {
    /// Draws problems whose instructions are not taken and are admissible.
    fn draw(
        &self,
        taken: &mut HashSet<String>,
        admissible: impl Fn(&str) -> bool,
    ) -> Result<Vec<Problem>> {
        let mut problems = Vec::with_capacity(self.count);
        for index in 0..self.count {
            // Each problem has a generator of its own: redrawing one does not move the others.
            let mut rng = seed::rng(self.seed, &["word problem", self.name, &index.to_string()]);
            let problem = (0..ATTEMPTS)
                .map(|_| self.problem(index, &mut rng))
                .find(|problem| {
                    !taken.contains(&problem.instruction) && admissible(&problem.instruction)
                })
                .ok_or(Error::Exhausted {
                    wanted: self.count,
                    made: index,
                })?;
            taken.insert(problem.instruction.clone());
            problems.push(problem);
        }
        Ok(problems)
    }

    fn problem(&self, index: usize, rng: &mut rand_chacha::ChaCha8Rng) -> Problem {
        let templates = templates::all();
        // Every template has as many programs as chains of thought.
        let draft = templates[index / 2 % templates.len()](&mut Draw::new(rng, self.options));
        let (head, task, schema, rationale) = if index.is_multiple_of(2) {
            let program = draft.solution.program();
            (
                PROGRAM_HEAD,
                Task::MathPot,
                Schema::ModularProgramming,
                program,
            )
        } else {
            let reasoning = draft.solution.chain_of_thought();
            (
                REASONING_HEAD,
                Task::MathCot,
                Schema::ChainOfThought,
                reasoning,
            )
        };
        Problem {
            id: format!("wp-{}-{}{index:05}", self.seed, self.name),
            instruction: format!("{head}{}", draft.text),
            ground_truth: draft.solution.answer().to_string(),
            rationale,
            task,
            schema,
            dataset: self.options.dataset.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
