//! The store: what is finished is not done again, and the result is the same.

use std::path::Path;

use crate::support::{Actor, TextEnvironment, TurnCritic, fill, problems};
use chat_model::{ChatModel, Error as ModelError};
use ultrainteract_synth::{Build, Error, Event, Problem, SynthConfig, TreeBuilder, TreeStore};

fn config() -> SynthConfig {
    SynthConfig {
        samples_per_turn: 5,
        max_turns: 3,
        problems_per_batch: Some(2),
        seed: 8,
        ..SynthConfig::default()
    }
}

fn run(
    config: SynthConfig,
    actor: &Actor,
    problems: &[Problem],
    path: &Path,
) -> Result<Build, Error> {
    let environment = TextEnvironment::default();
    let actors: [&dyn ChatModel; 1] = [actor];
    let mut store = TreeStore::open(path)?;
    TreeBuilder::new(config, &actors, &environment, &TurnCritic)?.resume(
        problems,
        &mut store,
        &mut |_| {},
    )
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turns.jsonl");
    (folder, path)
}

#[test]
fn a_run_that_was_killed_anywhere_ends_as_one_that_was_not() {
    let (_folder, path) = file();
    let actor = Actor::drawing();
    let whole = run(config(), &actor, &problems(5), &path).unwrap();
    let all_requests = actor.asked();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len() - 1, all_requests);

    for kept in 0..=lines.len() {
        // The kill came in the middle of the line after those that are kept.
        let mut left: String = lines[..kept]
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        if let Some(next) = lines.get(kept) {
            left += &next[..next.len() / 2];
        }
        std::fs::write(&path, &left).unwrap();
        let actor = Actor::drawing();
        let resumed = run(config(), &actor, &problems(5), &path).unwrap();
        assert_eq!(resumed.trees, whole.trees);
        assert_eq!(resumed.stats, whole.stats);
        assert_eq!(actor.asked(), all_requests - kept.saturating_sub(1));
        let again = std::fs::read_to_string(&path).unwrap();
        let (mut again, mut once) = (again.lines().collect::<Vec<_>>(), lines.clone());
        again.sort_unstable();
        once.sort_unstable();
        assert_eq!(again, once);
    }
}

#[test]
fn a_finished_run_asks_nothing_and_says_so() {
    let (_folder, path) = file();
    run(config(), &Actor::drawing(), &problems(3), &path).unwrap();
    let actor = Actor::drawing();
    let environment = TextEnvironment::default();
    let actors: [&dyn ChatModel; 1] = [&actor];
    let mut store = TreeStore::open(&path).unwrap();
    let mut told = Vec::new();
    let build = TreeBuilder::new(config(), &actors, &environment, &TurnCritic)
        .unwrap()
        .resume(&problems(3), &mut store, &mut |event| {
            if let Event::Resumed { finished, started } = event {
                told.push((finished, started));
            }
        })
        .unwrap();
    assert_eq!(actor.asked(), 0);
    assert_eq!(build.trees.len(), 3);
    assert_eq!(told, [(3, 3)]);
}

#[test]
fn more_problems_can_be_added_to_a_store() {
    let (_folder, path) = file();
    run(config(), &Actor::drawing(), &problems(2), &path).unwrap();
    let more = run(config(), &Actor::drawing(), &problems(4), &path).unwrap();
    let (_other, other) = file();
    let at_once = run(config(), &Actor::drawing(), &problems(4), &other).unwrap();
    assert_eq!(more.trees, at_once.trees);
}

#[test]
fn a_problem_that_failed_is_taken_up_where_it_failed() {
    let (_folder, path) = file();
    let script =
        |request: &chat_model::ChatRequest| fill(&["Answer: 42", "Answer: 1"], request.samples);
    let flaky = Actor::fallible(move |request, turn| {
        if turn == 2 && request.messages[0].content.contains("(p1)") {
            return Err(ModelError::Local {
                model: "actor".into(),
                message: "away".into(),
            });
        }
        Ok(script(request))
    });
    let first = run(config(), &flaky, &problems(3), &path).unwrap();
    assert_eq!((first.trees.len(), first.failures.len()), (2, 1));

    let sound = Actor::new(move |request, _| script(request));
    let second = run(config(), &sound, &problems(3), &path).unwrap();
    assert_eq!((second.trees.len(), second.failures.len()), (3, 0));
    // Turns 2 and 3 of the one problem.
    assert_eq!(sound.asked(), 2);
}

#[test]
fn a_store_of_another_run_is_refused() {
    let (_folder, path) = file();
    let actor = Actor::drawing();
    run(config(), &actor, &problems(2), &path).unwrap();
    let message = |config, actor: &Actor, problems: &[Problem]| {
        run(config, actor, problems, &path).unwrap_err().to_string()
    };
    let other_seed = message(
        SynthConfig {
            seed: 9,
            ..config()
        },
        &actor,
        &problems(2),
    );
    assert!(other_seed.contains("config.seed = 8"), "{other_seed}");
    let other_actor = message(config(), &Actor::drawing().named("other"), &problems(2));
    assert!(other_actor.contains("actors"), "{other_actor}");
    let mut changed = problems(2);
    changed[1].instruction += " Really?";
    let other_text = message(config(), &actor, &changed);
    assert!(other_text.contains("problem `p1`"), "{other_text}");
    // The size of batches has no influence on the trees.
    let config = SynthConfig {
        problems_per_batch: None,
        ..config()
    };
    run(config, &actor, &problems(2), &path).unwrap();
}

#[test]
fn a_damaged_line_is_named() {
    let (_folder, path) = file();
    run(config(), &Actor::drawing(), &problems(2), &path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{}";
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let error = TreeStore::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("turns.jsonl, line 3: missing field `problem`"),
        "{error}"
    );

    lines[2] = lines[1];
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let error = TreeStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("line 3: turn 1 of problem"), "{error}");

    std::fs::write(&path, "{\"format\": \"something else\"}\n").unwrap();
    let error = TreeStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("something else"), "{error}");
}

#[test]
fn a_store_is_used_by_one_at_a_time() {
    let (_folder, path) = file();
    let _first = TreeStore::open(&path).unwrap();
    let error = TreeStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("another process uses it"), "{error}");
}
