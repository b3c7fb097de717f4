//! A critic that knows the answer and compares.

use answer_equality::parse_number;
use code_interpreter::Status;
use ultrainteract::action_text::python_blocks;

use super::{Critic, CritiqueRequest, mentions_answer};
use crate::{Gold, Problem, Result, arithmetic};

/// Compares an action with the ground truth and the annotated solution, and says in one or two
/// plain sentences what is wrong, never what is right.
///
/// The first sentence is about the outcome: the answer is too large or too small, of another kind, or missing,
/// or how the code failed. The second points at a place, whichever of these is found first:
///
/// 1. a statement like `12 * 3 = 35` that is not so,
/// 2. a number of the problem that the solution uses and the action does not,
/// 3. the first operation that differs from the solution's.
///
/// A sentence in which the ground truth would appear, be it as a step's number, is left out. The
/// vocabulary is small on purpose, so that small models can learn to read it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuleCritic;

impl Critic for RuleCritic {
    fn critique(&self, request: &CritiqueRequest<'_>) -> Result<String> {
        let hints = [wrong_statement, unused_number, wrong_operation];
        let hint = hints
            .iter()
            .filter_map(|hint| hint(request))
            .find(|hint| !mentions_answer(hint, request.problem))
            .unwrap_or_else(|| "Check every step.".to_owned());
        let outcome = outcome(request);
        Ok(if mentions_answer(&outcome, request.problem) {
            hint
        } else {
            format!("{outcome} {hint}")
        })
    }
}

fn outcome(request: &CritiqueRequest<'_>) -> String {
    match request.execution.map(|execution| &execution.status) {
        Some(Status::Exception { kind, .. }) => return format!("The code stops with {kind}."),
        Some(Status::TimedOut) => return "The code takes too long.".to_owned(),
        Some(Status::OutOfMemory) => return "The code needs too much memory.".to_owned(),
        Some(Status::OutputLimit) => return "The code prints too much.".to_owned(),
        Some(Status::Ok)
            if matches!(request.problem.gold, Gold::Tests(_) | Gold::Asserts { .. }) =>
        {
            return "The program fails a test.".to_owned();
        }
        Some(Status::Ok) if request.answer.is_none() => {
            return "The code prints no answer.".to_owned();
        }
        Some(Status::Ok) | None => {}
        Some(_) => return "The code does not run to its end.".to_owned(),
    }
    let Some(answer) = request.answer else {
        return "There is no answer.".to_owned();
    };
    match (
        parse_number(answer),
        request
            .problem
            .ground_truth()
            .as_deref()
            .and_then(parse_number),
    ) {
        (Some(given), Some(truth)) if given > truth => "The answer is too large.".to_owned(),
        (Some(given), Some(truth)) if given < truth => "The answer is too small.".to_owned(),
        (None, Some(_)) => "The answer is not a number.".to_owned(),
        (Some(_), None) => "The answer is a number.".to_owned(),
        _ => "The answer is wrong.".to_owned(),
    }
}

fn wrong_statement(request: &CritiqueRequest<'_>) -> Option<String> {
    let statements = arithmetic::statements(request.action);
    let wrong = statements.iter().find(|statement| !statement.is_right())?;
    let expression = wrong.expression();
    Some(match step_at(request.action, wrong.left.start) {
        Some(step) => format!("Check {expression} in step {step}."),
        None => format!("Check {expression}."),
    })
}

/// The number of the step that a place belongs to.
fn step_at(action: &str, place: usize) -> Option<&str> {
    let (_, label) = action[..place].rsplit_once("Step ")?;
    let end = label.find(|c: char| !c.is_ascii_digit())?;
    (end > 0).then(|| &label[..end])
}

fn unused_number(request: &CritiqueRequest<'_>) -> Option<String> {
    let action = substance(request.action);
    let solution = substance(request.problem.rationale().unwrap_or_default());
    let unused = arithmetic::numbers(&request.problem.instruction)
        .into_iter()
        .find(|number| {
            // Without a solution to compare with, every number counts.
            let wanted = solution.is_empty() || arithmetic::mentions(&solution, number.value);
            wanted && !arithmetic::mentions(&action, number.value)
        })?;
    Some(format!("You did not use {}.", unused.text))
}

/// The code without comments, or the text without the numbers of its steps.
fn substance(action: &str) -> String {
    let blocks = python_blocks(action);
    if blocks.is_empty() {
        let mut parts = action.split("Step ");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text += part.trim_start_matches(|c: char| c.is_ascii_digit());
        }
        return text;
    }
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines
        .map(|line| line.split('#').next().unwrap_or_default())
        .fold(String::new(), |text, line| text + line + "\n")
}

fn wrong_operation(request: &CritiqueRequest<'_>) -> Option<String> {
    let solution = operations(request.problem);
    if solution.is_empty() {
        return None;
    }
    let action = operators(&substance(request.action));
    let different = (0..solution.len().max(action.len()))
        .find(|&index| solution.get(index) != action.get(index))?;
    let count = different + 1;
    Some(match (solution.get(different), action.get(different)) {
        (None, _) => "There are too many operations.".to_owned(),
        (_, None) => "An operation is missing.".to_owned(),
        _ => format!("Operation {count} is wrong."),
    })
}

fn operations(problem: &Problem) -> Vec<char> {
    operators(&substance(problem.rationale().unwrap_or_default()))
}

/// The operators between numbers or names, in order; `//` counts as `/`.
fn operators(text: &str) -> Vec<char> {
    let mut found = Vec::new();
    let mut previous = ' ';
    for (index, sign) in text.char_indices() {
        let repeated = sign == previous && matches!(sign, '*' | '/');
        let before = text[..index].trim_end().chars().next_back();
        let binary = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | ']' | '_'));
        if matches!(sign, '+' | '-' | '*' | '/') && binary && !repeated {
            found.push(sign);
        } else if repeated && sign == '*' {
            // A power is not a product.
            found.pop();
            found.push('^');
        }
        previous = sign;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use code_interpreter::Execution;

    use super::*;
    use crate::word_problems::{self, Options};

    fn problem(program: bool) -> Problem {
        Problem {
            id: "p".into(),
            instruction: "Think. Tom has 12 bags with 3 pens each and loses 4. How many pens?"
                .into(),
            gold: crate::Gold::Answer("32".into()),
            solutions: vec![if program {
                "Step 1: Multiply.\n```python\n# Step 2: multiply\nx = 12 * 3\n# Step 3: subtract\nprint(x - 4)\n```"
            } else {
                "Step 1: Tom has 12 * 3 = 36 pens.\nStep 2: Tom has 36 - 4 = 32 pens.\nAnswer:\n\\boxed{32}"
            }
            .into()],
            task: ultrainteract::Task::MathCot,
            dataset: "d".into(),
        }
    }

    fn of_text(action: &str) -> String {
        let answer = answer_equality::extract(action);
        RuleCritic
            .critique(&CritiqueRequest {
                problem: &problem(false),
                action,
                execution: None,
                answer: answer.as_deref(),
                history: &[],
                seed: 0,
            })
            .unwrap()
    }

    fn of_code(code: &str, status: Status, answer: Option<&str>) -> String {
        let execution = Execution {
            output: answer.unwrap_or_default().to_owned(),
            status,
            truncated: false,
            wall: Duration::ZERO,
        };
        RuleCritic
            .critique(&CritiqueRequest {
                problem: &problem(true),
                action: &format!("Step 1: Go.\n```python\n{code}\n```"),
                execution: Some(&execution),
                answer,
                history: &[],
                seed: 0,
            })
            .unwrap()
    }

    #[test]
    fn the_first_statement_that_is_not_so_is_named_with_its_step() {
        assert_eq!(
            of_text(
                "Step 1: Tom has 12 * 3 = 38 pens.\nStep 2: 38 - 4 = 34.\nAnswer:\n\\boxed{34}"
            ),
            "The answer is too large. Check 12 * 3 in step 1."
        );
        assert_eq!(
            of_text("Step 1: 12 * 3 = 36.\nStep 2: 36 - 4 = 31.\nAnswer:\n\\boxed{31}"),
            "The answer is too small. Check 36 - 4 in step 2."
        );
    }

    #[test]
    fn a_number_that_is_not_used_is_named() {
        assert_eq!(
            of_text("Step 1: 12 * 3 = 36.\nAnswer:\n\\boxed{36}"),
            "The answer is too large. You did not use 4."
        );
        assert_eq!(
            of_code("print(12 * 4)", Status::Ok, Some("48")),
            "The answer is too large. You did not use 3."
        );
    }

    #[test]
    fn a_step_number_or_a_comment_is_no_use_of_a_number() {
        assert_eq!(
            of_text("Step 1: 12 + 4 = 16.\nStep 3: done.\nAnswer:\n\\boxed{16}"),
            "The answer is too small. You did not use 3."
        );
        assert_eq!(
            of_code("print(12 * 4) # not 3", Status::Ok, Some("48")),
            "The answer is too large. You did not use 3."
        );
    }

    #[test]
    fn the_first_operation_that_differs_is_named() {
        assert_eq!(
            of_code("x = 12 * 3\nprint(x + 4)", Status::Ok, Some("40")),
            "The answer is too large. Operation 2 is wrong."
        );
        assert_eq!(
            of_text("Step 1: 12 + 3 = 15.\nStep 2: 15 - 4 = 11.\nAnswer:\n\\boxed{11}"),
            "The answer is too small. Operation 1 is wrong."
        );
        assert_eq!(
            of_code("x = 12 * 3\nprint(x - 4 - 4)", Status::Ok, Some("28")),
            "The answer is too small. There are too many operations."
        );
    }

    #[test]
    fn a_missing_answer_and_a_failure_are_said() {
        assert_eq!(
            of_text("Step 1: 12 * 3 = 36.\nStep 2: 36 - 4"),
            "There is no answer. Check every step."
        );
        let kind = Status::Exception {
            kind: "NameError".into(),
            message: "name 'y' is not defined".into(),
        };
        assert_eq!(
            of_code("x = 12 * 3\nprint(y - 4)", kind, None),
            "The code stops with NameError. Check every step."
        );
        assert_eq!(
            of_code("x = 12 * 3\ny = x - 4", Status::Ok, None),
            "The code prints no answer. Check every step."
        );
        assert!(of_code("while True: pass", Status::TimedOut, None).contains("too long"));
    }

    #[test]
    fn powers_quotients_and_signs_are_told_apart() {
        assert_eq!(operators("a // b ** 2 - -3"), ['/', '^', '-']);
        assert_eq!(operators("print(-3 * (4 + x))"), ['*', '+']);
    }

    #[test]
    fn the_ground_truth_never_appears() {
        let problems = word_problems::generate(9, 400, &Options::default()).unwrap();
        let problems: Vec<Problem> = problems.into_iter().map(|word| word.problem).collect();
        let solution = |p: &Problem| p.solutions[0].clone();
        let mut actions: Vec<String> = problems.iter().map(solution).collect();
        // Solutions of neighbours, and solutions with a slip, are wrong in every way.
        actions.extend(problems.iter().map(|p| solution(p).replace(" + ", " - ")));
        actions.extend(problems.iter().map(|p| solution(p).replace('3', "4")));
        for (index, problem) in problems.iter().enumerate() {
            for action in [
                &actions[(index + 2) % 400],
                &actions[400 + index],
                &actions[800 + index],
            ] {
                let answer = answer_equality::extract(action);
                let request = CritiqueRequest {
                    problem,
                    action,
                    execution: None,
                    answer: answer.as_deref(),
                    history: &[],
                    seed: 0,
                };
                let critique = RuleCritic.critique(&request).unwrap();
                assert!(!mentions_answer(&critique, problem), "{critique}");
                assert!(critique.split_whitespace().count() <= 14, "{critique}");
            }
        }
    }
}
