//! A problem with actions of known verdict.

use ultrainteract::derive::instruction_hash;
use ultrainteract_synth::word_problems::WordProblem;

/// How GSM8K's problems are asked by the paper's authors: what is learned is what is measured.
const HEAD: &str = "Solve the following math problem step-by-step.\nSimplify your answer as much as possible. \
                    Present your final answer as \\boxed{Your Answer}.\n";

/// What is said to a wrong action.
pub(super) const FEEDBACK: &str =
    "Your answer is wrong. Look at each number of the problem and calculate again.";

/// A problem whose answer is a number, and actions for it.
pub(super) struct Exercise {
    /// The hash of the instruction, by which UltraInteract names problems.
    pub id: String,
    pub question: String,
    pub instruction: String,
    pub answer: i64,
    /// Numbered sentences to the right answer.
    pub right: String,
    /// The same after feedback.
    pub again: String,
    /// The same to two wrong answers.
    pub wrong: [String; 2],
}

impl Exercise {
    /// The exercise of a word problem that asks for a number.
    pub fn of(word: &WordProblem) -> Option<Self> {
        let question = word.problem.instruction.clone();
        let answer: i64 = word.problem.ground_truth()?.parse().ok()?;
        if !word.program_is_right {
            return None;
        }
        let instruction = format!("{HEAD}{question}");
        // A slip in the last calculation, upwards or downwards.
        let wrong = [
            answer + 1,
            (answer - 2).abs() + if answer < 2 { 3 } else { 0 },
        ];
        let wrong = wrong.map(|other| with_answer(&word.reasoning, answer, other));
        Some(Self {
            id: instruction_hash(&instruction),
            question,
            instruction,
            answer,
            right: word.reasoning.clone(),
            again: format!("I calculate again.\n{}", word.reasoning),
            wrong,
        })
    }

    /// All that is said in it.
    pub fn texts(&self) -> Vec<String> {
        let Self {
            instruction,
            right,
            again,
            ..
        } = self;
        let [first, second] = &self.wrong;
        let feedback = FEEDBACK.to_owned();
        let texts = [instruction, right, again, first, second, &feedback];
        texts.map(String::clone).into()
    }
}

/// A solution whose last line says another number.
fn with_answer(solution: &str, answer: i64, other: i64) -> String {
    let boxed = |number: i64| format!("\\boxed{{{number}}}");
    solution.replace(&boxed(answer), &boxed(other))
}
