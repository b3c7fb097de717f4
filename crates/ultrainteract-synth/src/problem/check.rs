//! What makes a problem unusable, whoever made it.

use super::{Gold, MOST_CHOICES, Problem};

/// What no reader of a problem could do anything with, whoever made it.
pub(crate) fn check(problem: &Problem) -> Vec<String> {
    let mut faults = Vec::new();
    if problem.id.trim().is_empty() || problem.id.contains(char::is_control) {
        faults.push(
            "`id` is blank or has control characters; give the problem a name of its own"
                .to_owned(),
        );
    }
    if problem.instruction.trim().is_empty() {
        faults.push("`instruction` is empty; write the question".to_owned());
    }
    if problem.solutions.iter().any(|it| it.trim().is_empty()) {
        faults.push("a text in `solutions` is empty; leave it out".to_owned());
    }
    check_gold(&problem.gold, &mut faults);
    faults
}

fn check_gold(gold: &Gold, faults: &mut Vec<String>) {
    match gold {
        Gold::Answer(answer) if answer.trim().is_empty() => {
            faults.push("`answer` is empty; write the right answer".to_owned());
        }
        Gold::Choice { choices, answer } => {
            if !(2..=MOST_CHOICES).contains(&choices.len()) {
                faults.push(format!(
                    "`choices` has {} entries; it must have 2 to {MOST_CHOICES}",
                    choices.len()
                ));
            }
            if choices.iter().any(|choice| choice.trim().is_empty()) {
                faults.push("a text in `choices` is empty; write it, or leave it out".to_owned());
            }
            let repeated = choices.iter().enumerate().find(|(index, choice)| {
                choices[..*index]
                    .iter()
                    .any(|other| other.trim() == choice.trim())
            });
            if let Some((_, choice)) = repeated {
                faults.push(format!(
                    "`choices` has `{choice}` twice, so that a letter does not tell right from wrong; leave one out"
                ));
            }
            if *answer >= choices.len() {
                faults.push("`answer` is beyond the last of `choices`".to_owned());
            }
        }
        Gold::Tests(tests) if tests.is_empty() => {
            faults.push("`tests` is empty; give at least one input and output".to_owned());
        }
        Gold::Tests(tests) if tests.iter().all(|test| test.output.trim().is_empty()) => {
            faults.push(
                "every output of `tests` is empty, and so any program would pass; give outputs"
                    .to_owned(),
            );
        }
        Gold::Asserts { code, entry_point } => {
            if !is_entry_point(entry_point) {
                faults.push(format!(
                    "`entry_point` is `{entry_point}`; it must be the name of a function, or an expression like \
                     `Solution().solve`"
                ));
            } else if !code.contains("assert") && !code.contains("def check") {
                faults.push("`asserts` asserts nothing; write `assert` statements".to_owned());
            } else if !mentions(code, entry_point) && !mentions(code, "candidate") {
                faults.push(format!(
                    "`asserts` never calls `{entry_point}`; name the function that they test in `entry_point`"
                ));
            }
        }
        _ => {}
    }
}

/// Names with dots between them; each may be called without arguments.
fn is_entry_point(text: &str) -> bool {
    let is_name = |name: &str| {
        let mut chars = name.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
    };
    text.split('.')
        .all(|part| is_name(part.strip_suffix("()").unwrap_or(part)))
        && !text.ends_with("()")
}

/// Whether code has this name, and not as a part of another.
fn mentions(code: &str, name: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(of_name) && !code[at + name.len()..].starts_with(of_name)
    })
}
