//! Math word problems from a seed, with right answers and annotated solutions.
//!
//! Twenty-three templates of one to three steps: sums, differences, products, quotients, percentages,
//! units (hours, weeks, dozens), comparisons, ages, wages, prices, rates and days of the week. All numbers are
//! small positive integers. Instructions are short and the vocabulary is small, so that a model of a
//! few hundred thousand parameters can learn them from scratch in minutes. Six more, of calendar and time and of order and
//! position, are [a kind of their own](Kinds::CalendarAndOrder).
//!
//! No instruction says how to solve it. Each problem comes with two ways to write its steps down, a
//! program and numbered sentences, as two people would who each have one habit. The program computes
//! without mistakes but always prints the number that the steps end with: it is
//! [right](WordProblem::program_is_right) where the question asks for that number, and not where it asks
//! whether something is more or fewer, odd or even, or on what day. The sentences are right
//! everywhere, but whoever writes them has to calculate in the head. Six templates are stories of which either can be
//! asked, how much money is left, or whether it is enough. So no way is the best for all problems, nor for all of a
//! template, and only trying tells which is the best for one.
//!
//! ```
//! use ultrainteract_synth::word_problems::{self, Options};
//!
//! let problems = word_problems::generate(7, 4, &Options::default())?;
//! let first = &problems[0];
//! assert!(first.program.contains("```python"));
//! assert!(first.reasoning.ends_with(&format!("\\boxed{{{}}}", first.problem.ground_truth().unwrap())));
//! // The same seed gives the same problems, and asking for more does not change the first ones.
//! assert_eq!(problems[..3], word_problems::generate(7, 3, &Options::default())?);
//! # Ok::<(), ultrainteract_synth::Error>(())
//! ```

mod draw;
mod other_templates;
mod solution;
mod templates;

use std::collections::HashSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use ultrainteract::Task;
use ultrainteract::decontaminate::Decontaminator;

use self::draw::Draw;
use self::templates::{Draft, Template};
use crate::{Error, Gold, Problem, Result, seed};

/// How often a problem is drawn again that is there already, or too similar to a held-out one,
/// before the generator gives up.
const ATTEMPTS: usize = 400;

/// What the problems are about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kinds {
    /// The twenty-three templates.
    #[default]
    Usual,
    /// Those six of them that are stories of which a number or a word can be asked.
    Stories,
    /// Six that are not among them: of calendar and time (minutes by the clock, the last day of a trip, months), and of order
    /// and position (who is behind, between or in front). To judge by what was learned of others.
    CalendarAndOrder,
}

impl Kinds {
    /// How many problems a round has. Every template has its turn in it, and those that may ask for a word have several.
    pub fn round_length(self) -> usize {
        self.round::<ChaCha8Rng>().len()
    }

    fn round<R: Rng>(self) -> Vec<(&'static str, Template<R>)> {
        match self {
            Self::Usual => templates::round().to_vec(),
            Self::Stories => templates::stories(),
            Self::CalendarAndOrder => other_templates::round().to_vec(),
        }
    }
}

/// What the problems are about, how large the numbers are, and what the dataset is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Name of the dataset in the problems. Default "word_problems".
    pub dataset: String,
    /// What the problems are about. Default the usual kinds.
    pub kinds: Kinds,
    /// The largest term of a sum; 9 to 1000. Default 50.
    pub largest_number: u32,
    /// The largest factor of a product; 5 to 30. Default 12.
    pub largest_factor: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dataset: "word_problems".to_owned(),
            kinds: Kinds::default(),
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

/// A problem and two ways to write its solution down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordProblem {
    /// The problem. Its rationale is right: a program where that is, for half of the problems, else
    /// sentences.
    pub problem: Problem,
    /// A plan and a program that names the numbers of the instruction in order and prints the number that the steps end with.
    pub program: String,
    /// True when the question asks for that number.
    pub program_is_right: bool,
    /// Numbered sentences with a boxed answer; always right.
    pub reasoning: String,
    /// Name of the template, such as "two people".
    pub template: &'static str,
}

/// Different problems from a seed. Their ids are `wp-<seed>-<number>`.
///
/// # Errors
///
/// When an option is out of its range, or allows for fewer different problems than asked for.
pub fn generate(seed: u64, count: usize, options: &Options) -> Result<Vec<WordProblem>> {
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
/// let index = Decontaminator::new(test.iter().map(|word| &word.problem.instruction), 8)?;
/// assert!(train.iter().all(|word| index.find(&word.problem.instruction).is_none()));
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
) -> Result<(Vec<WordProblem>, Vec<WordProblem>)> {
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
        held_out.iter().map(|word| &word.problem.instruction),
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
    ) -> Result<Vec<WordProblem>> {
        let mut problems = Vec::with_capacity(self.count);
        for index in 0..self.count {
            // Each problem has a generator of its own: redrawing one does not move the others.
            let mut rng = seed::rng(self.seed, &["word problem", self.name, &index.to_string()]);
            let problem = (0..ATTEMPTS)
                .map(|_| self.problem(index, &mut rng))
                .find(|WordProblem { problem, .. }| {
                    !taken.contains(&problem.instruction) && admissible(&problem.instruction)
                })
                .ok_or(Error::Exhausted {
                    wanted: self.count,
                    made: index,
                })?;
            taken.insert(problem.problem.instruction.clone());
            problems.push(problem);
        }
        Ok(problems)
    }

    fn problem(&self, index: usize, rng: &mut ChaCha8Rng) -> WordProblem {
        let round = self.options.kinds.round();
        let (template, draft) = round[index % round.len()];
        let Draft { text, solution } = draft(&mut Draw::new(rng, self.options));
        let (program, reasoning) = (solution.program(&text), solution.chain_of_thought());
        let program_is_right = solution.ends_with_its_number();
        let (task, rationale) = if program_is_right && (index / round.len()).is_multiple_of(2) {
            (Task::MathPot, &program)
        } else {
            (Task::MathCot, &reasoning)
        };
        let problem = Problem {
            id: format!("wp-{}-{}{index:05}", self.seed, self.name),
            task,
            instruction: text,
            gold: Gold::Answer(solution.answer()),
            solutions: vec![rationale.clone()],
            dataset: self.options.dataset.clone(),
        };
        WordProblem {
            problem,
            program,
            program_is_right,
            reasoning,
            template,
        }
    }
}

#[cfg(test)]
mod tests;
