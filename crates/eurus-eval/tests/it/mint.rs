//! MINT: what fixed rules change, first messages, and laws of episodes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};

use code_interpreter::{Python, Session};
use eurus_eval::graders::Rules;
use eurus_eval::graders::mint::{
    End, Episode, Numbers, Role, Settings, Task, first_message, human_eval_prompt, limits,
    mbpp_prompt, mmlu_prompt, options,
};
use proptest::prelude::*;
use serde_json::{Value, json};

static SESSION: LazyLock<Mutex<Session>> =
    LazyLock::new(|| Mutex::new(Session::start(&Python::find().unwrap(), limits()).unwrap()));

fn with_session<R>(work: impl FnOnce(&mut Session) -> R) -> R {
    let mut session = SESSION.lock().unwrap_or_else(PoisonError::into_inner);
    session.reset().unwrap();
    work(&mut session)
}

/// Whether a solution is right by authors' and by fixed rules.
fn verdicts(task: &Task, solution: &str) -> [bool; 2] {
    with_session(|session| {
        Rules::ALL.map(|rules| task.grade(solution, rules, session).unwrap().is_correct())
    })
}

fn reasoning(reference: &str) -> Task {
    Task::Reasoning {
        reference: reference.into(),
        numbers: Numbers::Signed,
    }
}

#[test]
fn numbers_are_equal_and_not_near_under_fixed_rules() {
    assert_eq!(verdicts(&reasoning("10.0"), "10"), [true, true]);
    assert_eq!(verdicts(&reasoning("10.0"), "10.5"), [true, false]);
    assert_eq!(verdicts(&reasoning("10.0"), "20/2"), [false, true]);
    assert_eq!(verdicts(&reasoning("a"), "apple"), [true, false]);
}

#[test]
fn a_minus_sign_makes_a_text_in_the_grader_of_the_published_runs() {
    assert!(verdicts(&reasoning("-150.0"), "-150")[0]);
    let unsigned = Task::Reasoning {
        reference: "-150.0".into(),
        numbers: Numbers::Unsigned,
    };
    assert_eq!(verdicts(&unsigned, "-150"), [false, true]);
}

#[test]
fn a_choice_is_its_letter_or_its_option_under_fixed_rules() {
    let task = |reference: &str| Task::MultipleChoice {
        reference: reference.into(),
        options: options("Options: A ) kama , B ) samnyasin , C ) ashramas , D ) arthas"),
    };
    assert_eq!(verdicts(&task("c"), "C"), [true, true]);
    assert_eq!(verdicts(&task("c"), "(C) ashramas"), [true, true]);
    assert_eq!(verdicts(&task("b"), "c) ashramas, not b"), [true, false]);
    assert_eq!(verdicts(&task("a"), "Samnyasin"), [true, false]);
    assert_eq!(verdicts(&task("b"), "Samnyasin"), [true, true]);
}

#[test]
fn powers_of_ten_and_words_in_capitals_are_read_under_fixed_rules() {
    let task = |reference: Value, answer_type: &str| Task::TheoremQa {
        reference,
        answer_type: answer_type.into(),
    };
    assert_eq!(verdicts(&task(json!(1e5), "float"), "10^5"), [false, true]);
    assert_eq!(verdicts(&task(json!(true), "bool"), "Yes"), [false, true]);
    assert_eq!(verdicts(&task(json!(true), "bool"), "yes"), [true, true]);
    assert_eq!(verdicts(&task(json!(0), "integer"), ""), [true, false]);
    // Both round 4.5 to the even number, and take what is in another order.
    assert_eq!(verdicts(&task(json!(4), "integer"), "4.5"), [true, true]);
    let list = task(json!([1, 2]), "list of integer");
    assert_eq!(verdicts(&list, "(2, 1)"), [true, true]);
    assert_eq!(verdicts(&list, "()"), [false, false]);
    assert_eq!(verdicts(&list, "exit()"), [false, false]);
}

#[test]
fn a_fenced_solution_parses_under_fixed_rules() {
    let task = Task::Code {
        tests: "assert f(1) == 1".into(),
    };
    let code = "def f(x):\n    return x";
    assert_eq!(verdicts(&task, code), [true, true]);
    let fenced = format!("```python\n{code}\n```");
    assert_eq!(verdicts(&task, &fenced), [false, true]);
}

#[test]
fn the_published_template_is_filled_and_a_task_cannot_fill_it() {
    let Some(folder) = test_support::folders::data() else {
        return;
    };
    let read = |name: &str| fs::read_to_string(folder.join("eval/mint").join(name)).unwrap();
    let template = read("template_with_tool.txt");
    let demonstration = read("in_context_reasoning.txt");
    let task = "What is {tool_desc} in {in_context_example}?";
    let message = first_message(&template, &demonstration, task, &Settings::default());
    assert!(message.contains("You have 5 chances"), "{message}");
    assert!(
        message.contains("only propose a solution 2 times"),
        "{message}"
    );
    assert!(message.contains(&demonstration), "{message}");
    assert!(
        message
            .trim_end()
            .ends_with(&format!("---\n\nTask:\n{task}")),
        "{message}"
    );
    assert_eq!(
        message.matches('{').count() - demonstration.matches('{').count(),
        2
    );
}

#[test]
fn tasks_are_put_as_the_demonstrations_put_them() {
    let prompt = "\"\"\"\nWrite a function.\nassert f(1) == 1\n\"\"\"\n";
    assert_eq!(mbpp_prompt(prompt), "Write a function.\nassert f(1) == 1");
    assert_eq!(
        human_eval_prompt("def f():"),
        "Complete the following code:\n\ndef f():"
    );
    let numbers = "How many?\nOptions: A ) 5 , B ) 22";
    assert_eq!(mmlu_prompt(numbers), "How many?");
    let texts = "How many?\nOptions: A ) 5 , B ) none";
    assert_eq!(mmlu_prompt(texts), texts);
}

#[test]
fn the_session_of_an_episode_keeps_its_variables_and_code_may_be_indented() {
    with_session(|session| {
        let mut episode = Episode::new(reasoning("42"), "Task:", Settings::default());
        let answer = "<execute> x = 6 </execute> then <execute>\n    y = 7\n</execute>";
        episode.step(answer, session).unwrap();
        episode
            .step("<execute> print(x * y) </execute>", session)
            .unwrap();
        let last = &episode.messages()[4].content;
        assert!(
            last.starts_with("Observation:\n42\nYou have 3 steps left"),
            "{last}"
        );
    });
}

#[test]
fn what_is_said_after_the_end_changes_nothing() {
    with_session(|session| {
        let mut episode = Episode::new(reasoning("42"), "Task:", Settings::default());
        episode.step("<solution>42</solution>", session).unwrap();
        let ended = episode.clone();
        assert_eq!(
            episode.step("<solution>1</solution>", session).unwrap(),
            Some(End::TaskSuccess)
        );
        assert_eq!(episode.overflow(), End::TaskSuccess);
        assert_eq!(episode, ended);
    });
}

proptest! {
    #[test]
    fn every_turn_is_counted_once_and_the_budget_is_never_exceeded(
        answers in prop::collection::vec(
            prop::sample::select(vec![
                "thinking", "<execute>1</execute>", "<execute>1", "<solution>1</solution>", "<solution></solution>",
                "<solution>42</solution>", "Assistant: <solution>7</solution>",
            ]),
            1..12,
        ),
        max_steps in 1_u32..6,
        max_proposals in 1_u32..4,
    ) {
        let settings = Settings { max_steps, max_proposals, rules: Rules::Authors };
        let mut episode = Episode::new(reasoning("42"), "Task:", settings);
        let mut taken = 0;
        with_session(|session| {
            for answer in &answers {
                taken += u32::from(episode.end().is_none());
                episode.step(answer, session).unwrap();
            }
        });
        let counts = episode.counts();
        let sum = counts.propose_solution + counts.use_tool + counts.invalid_action;
        prop_assert_eq!(episode.steps(), taken);
        prop_assert_eq!(sum, taken);
        prop_assert!(sum <= max_steps && counts.propose_solution <= max_proposals);
        let is_over = sum == max_steps || counts.propose_solution == max_proposals;
        let is_right = episode.end() == Some(End::TaskSuccess);
        prop_assert_eq!(episode.end().is_some(), is_over || is_right);
        prop_assert_eq!(is_right, answers[..taken as usize].contains(&"<solution>42</solution>"));
        // The user has the first word and the model, at the end, the last one.
        let by: BTreeMap<bool, usize> = episode.messages().iter().fold(BTreeMap::new(), |mut by, message| {
            *by.entry(message.role == Role::User).or_default() += 1;
            by
        });
        let left = usize::from(episode.end().is_none());
        prop_assert_eq!(by[&true], by[&false] + left);
    }
}
