//! Actions in a real interpreter.

use crate::support;
use std::time::Duration;

use crate::support::problem;
use code_interpreter::{Limits, Status};
use ultrainteract::Verdict;
use ultrainteract_synth::word_problems::{self, Kinds, Options};
use ultrainteract_synth::{Attempt, Environment, Outcome, PythonEnvironment};

fn code(lines: &str) -> String {
    format!("Step 1: Go.\n```python\n{lines}\n```")
}

fn outcome(environment: &PythonEnvironment, history: &[String], action: &str) -> Outcome {
    let problem = problem("p");
    let attempt = Attempt {
        problem: &problem,
        history,
        action,
    };
    environment.execute(&[attempt]).unwrap().remove(0)
}

#[test]
fn programs_of_the_word_problems_are_right_where_they_say_so_and_sentences_are_right_everywhere() {
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let mut problems = word_problems::generate(21, 1000, &Options::default()).unwrap();
    let others = Options {
        kinds: Kinds::CalendarAndOrder,
        largest_number: 20,
        ..Options::default()
    };
    problems.extend(word_problems::generate(21, 200, &others).unwrap());
    let attempts: Vec<_> = problems
        .iter()
        .flat_map(|word| [(word, &word.program), (word, &word.reasoning)])
        .map(|(word, action)| Attempt {
            problem: &word.problem,
            history: &[],
            action,
        })
        .collect();
    assert!(
        environment
            .check(&attempts)
            .unwrap()
            .iter()
            .all(|check| check.is_ok())
    );
    let outcomes = environment.execute(&attempts).unwrap();
    for (word, outcomes) in problems.iter().zip(outcomes.chunks(2)) {
        let [program, reasoning] = outcomes else {
            panic!("two attempts for each problem");
        };
        let is_right = program.verdict == Verdict::Correct;
        assert_eq!(is_right, word.program_is_right, "{word:?}");
        assert_eq!(reasoning.verdict, Verdict::Correct, "{word:?}");
        let truth = word.problem.ground_truth();
        assert_eq!(reasoning.answer.as_deref(), truth.as_deref());
        assert!(program.execution.is_some() && reasoning.execution.is_none());
    }
}

#[test]
fn an_action_is_judged_by_the_last_line_it_shows_or_by_its_text() {
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let judged = |action: &str| {
        let outcome = outcome(&environment, &[], action);
        (outcome.verdict, outcome.answer)
    };
    let (right, wrong) = (Verdict::Correct, Verdict::Incorrect);
    let some = |answer: &str| Some(answer.to_owned());
    assert_eq!(judged(&code("print(1)\nprint(42)")), (right, some("42")));
    assert_eq!(judged(&code("6 * 7")), (right, some("42")));
    assert_eq!(judged(&code("print(42)\nprint(1)")), (wrong, some("1")));
    assert_eq!(judged(&code("x = 42")), (wrong, None));
    assert_eq!(judged(&code("print(42)\n1 / 0")), (wrong, None));
    // The code counts, not what the text claims.
    assert_eq!(
        judged(&(code("print(41)") + "\nAnswer: 42")),
        (wrong, some("41"))
    );
    assert_eq!(
        judged("Step 1: 6 * 7 = 42.\nAnswer:\n\\boxed{42}"),
        (right, some("42"))
    );
    assert_eq!(judged("I do not know."), (wrong, None));
}

#[test]
fn a_choice_is_named_by_its_letter_or_else_by_its_text() {
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let mut problem = problem("p");
    problem.gold = ultrainteract_synth::Gold::Choice {
        choices: ["7", "x", "a spider"].map(String::from).into(),
        answer: 0,
    };
    let mut verdict = |answer: usize, action: &str| {
        if let ultrainteract_synth::Gold::Choice { answer: right, .. } = &mut problem.gold {
            *right = answer;
        }
        let attempt = Attempt {
            problem: &problem,
            history: &[],
            action,
        };
        environment.execute(&[attempt]).unwrap().remove(0).verdict
    };
    let (right, wrong) = (Verdict::Correct, Verdict::Incorrect);
    assert_eq!(verdict(0, "Answer:\n\\boxed{A}"), right);
    assert_eq!(verdict(0, "Answer:\n\\boxed{(b)}"), wrong);
    assert_eq!(verdict(0, "Answer:\n\\boxed{7}"), right);
    assert_eq!(verdict(0, &code("print(7)")), right);
    assert_eq!(verdict(1, "Answer:\n\\boxed{x}"), right);
    assert_eq!(verdict(1, "Answer:\n\\boxed{7}"), wrong);
    assert_eq!(verdict(2, &code("print('C')")), right);
    assert_eq!(verdict(2, "Answer:\n\\boxed{a spider}"), right);
}

#[test]
fn code_that_is_not_python_does_not_pass_the_check() {
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let problem = problem("p");
    let actions = [code("print(42"), code("print(42)"), "Answer: 42".to_owned()];
    let attempts = actions.each_ref().map(|action| Attempt {
        problem: &problem,
        history: &[],
        action,
    });
    let checks = environment.check(&attempts).unwrap();
    assert!(
        checks[0].as_ref().unwrap_err().contains("line 1"),
        "{checks:?}"
    );
    assert!(checks[1].is_ok() && checks[2].is_ok());
}

#[test]
fn variables_live_on_from_turn_to_turn_and_earlier_output_does_not_count() {
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let history = [
        code("x = 6\nprint(41)"),
        "I think again.".into(),
        code("y = x\n1 / 0"),
    ];
    let outcome = outcome(&environment, &history, &code("print(y * 7)"));
    assert_eq!(outcome.verdict, Verdict::Correct);
    assert_eq!(outcome.execution.unwrap().output, "42");
}

#[test]
fn earlier_code_without_end_is_left_out() {
    let limits = Limits {
        wall: Duration::from_millis(300),
        ..Limits::default()
    };
    let Some(environment) = support::python(limits) else {
        return;
    };
    let history = [
        code("x = 6"),
        code("while True: pass"),
        code("import os\nos._exit(3)"),
    ];
    let first = outcome(&environment, &[], &history[1]);
    assert_eq!(first.execution.unwrap().status, Status::TimedOut);
    let outcome = outcome(&environment, &history, &code("print(x * 7)"));
    assert_eq!(outcome.verdict, Verdict::Correct);
}

#[test]
fn code_on_logic_problems_can_call_the_tool_and_nobody_else_can() {
    struct Echo;
    impl ultrainteract_synth::Tool for Echo {
        fn name(&self) -> &str {
            "look_up"
        }
        fn description(&self) -> &str {
            "says the query twice"
        }
        fn call(&self, argument: &str) -> String {
            argument.repeat(2)
        }
    }
    let Some(environment) = support::python(Limits::default()) else {
        return;
    };
    let environment = environment.with_tool(Echo);
    let mut logic = problem("p");
    logic.task = ultrainteract::Task::Logic;
    let history = [code("found = look_up('4')")];
    let action = code("found[:1] + look_up('2')[:1]");
    let shown = |problem: &ultrainteract_synth::Problem| {
        let attempt = Attempt {
            problem,
            history: &history,
            action: &action,
        };
        environment.execute(&[attempt]).unwrap().remove(0)
    };
    assert_eq!(shown(&logic).verdict, Verdict::Correct);
    let other = shown(&problem("q"));
    assert_eq!(other.verdict, Verdict::Incorrect);
    assert!(other.execution.unwrap().output.contains("NameError"));
}
