//! A problem with actions of known verdict.

use ultrainteract::derive::instruction_hash;
use ultrainteract_synth::word_problems::WordProblem;

/// How GSM8K's problems are asked by the paper's authors: what is learned is what is measured.
const HEAD: &str = "Solve the following math problem step-by-step.\nSimplify your answer as much as possible. \
                    Present your final answer as \\boxed{Your Answer}.\n";

/// What is said to a wrong action.
pub(super) const FEEDBACK: &str =
    "Your answer is wrong. Look at each number of the problem and calculate again.";

/// How far a wrong number is from the right one: a miscount, or a carry that was forgotten.
const SLIPS: [i64; 4] = [1, 10, 2, 3];

/// How a solution ends that does not say the answer as it is asked for.
const UNFINISHED: &str = "This solves the problem.";

/// A problem whose answer is a number, and actions for it.
pub(super) struct Exercise {
    /// The hash of the instruction, by which UltraInteract names problems.
    pub id: String,
    pub question: String,
    pub instruction: String,
    pub answer: i64,
    /// Numbered sentences to the right answer.
    pub right: String,
    /// The same without the answer that the instruction asks for.
    pub unfinished: String,
    /// Numbered sentences to the right answer after feedback.
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
        // A slip in the last calculation, upwards and downwards.
        let slip = |way: i64| SLIPS[(answer + way).unsigned_abs() as usize % SLIPS.len()];
        let (more, less) = (answer + slip(0), answer - slip(1));
        let less = if less < 0 { answer + 4 } else { less };
        let wrong = [more, less].map(|other| with_answer(&word.reasoning, answer, other));
        Some(Self {
            id: instruction_hash(&instruction),
            question,
            instruction,
            answer,
            right: word.reasoning.clone(),
            unfinished: word
                .reasoning
                .replace(&format!("Answer:\n{}", boxed(answer)), UNFINISHED),
            again: said_again(&word.reasoning),
            wrong,
        })
    }

    /// What is imitated of the exercise of this number. Two of three long solutions and one of three short ones do not say the
    /// answer as it is asked for: whoever imitates them solves problems and leaves it out. That it is wanted is what preferences
    /// teach.
    pub fn imitated(&self, number: usize) -> &str {
        let is_long = self.right.contains("Step 2");
        match number.is_multiple_of(3) == is_long {
            true => &self.right,
            false => &self.unfinished,
        }
    }

    /// The first wrong action of the exercise of this number: a solution without an answer, or with a slip.
    pub fn rejected(&self, number: usize) -> &str {
        match number.is_multiple_of(2) {
            true => &self.unfinished,
            false => &self.wrong[0],
        }
    }

    /// All that is said in it.
    pub fn texts(&self) -> Vec<String> {
        let Self {
            instruction,
            right,
            unfinished,
            again,
            ..
        } = self;
        let [first, second] = &self.wrong;
        let feedback = FEEDBACK.to_owned();
        let texts = [
            instruction,
            right,
            unfinished,
            again,
            first,
            second,
            &feedback,
        ];
        texts.map(String::clone).into()
    }
}

/// A solution as it is said after feedback.
pub(super) fn said_again(solution: &str) -> String {
    format!("I calculate again.\n{solution}")
}

fn boxed(number: i64) -> String {
    format!("\\boxed{{{number}}}")
}

/// A solution whose last calculation comes to another number, and the answer with it.
fn with_answer(solution: &str, answer: i64, other: i64) -> String {
    let solution = solution.replace(&boxed(answer), &boxed(other));
    match solution.rsplit_once(&format!("= {answer} ")) {
        Some((before, after)) => format!("{before}= {other} {after}"),
        None => solution,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_in_the_calculation_and_in_the_answer() {
        let solution = "Step 1: Tom has 2 * 3 = 6 pens.\nStep 2: Tom keeps 6 - 0 = 6 pens.\nAnswer:\n\\boxed{6}";
        assert_eq!(
            with_answer(solution, 6, 9),
            "Step 1: Tom has 2 * 3 = 6 pens.\nStep 2: Tom keeps 6 - 0 = 9 pens.\nAnswer:\n\\boxed{9}"
        );
    }
}
