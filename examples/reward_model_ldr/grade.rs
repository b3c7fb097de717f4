//! A graded score, as a teacher gives marks: more than right or wrong.

use answer_equality::parse_number;
use eurus_examples::policy::Answered;
use ultrainteract_synth::Problem;

/// The mark of a right answer.
pub const RIGHT: u8 = 4;

/// How far a number may be from the right one to be nearly right.
const NEAR: f64 = 2.0;

/// 4 for a right answer; 3 for a number that is at most 2 from the right one, 2 for another answer of the right kind, 1 for a
/// number where a word is asked for or a word where a number is, 0 for no answer.
pub fn grade(problem: &Problem, answered: &Answered) -> u8 {
    if answered.is_correct() {
        return RIGHT;
    }
    let Some(answer) = &answered.outcome.answer else {
        return 0;
    };
    let truth = problem.ground_truth();
    match (
        parse_number(answer),
        truth.as_deref().and_then(parse_number),
    ) {
        (Some(given), Some(right)) if (given - right).abs() <= NEAR => 3,
        (Some(_), Some(_)) | (None, None) => 2,
        _ => 1,
    }
}
