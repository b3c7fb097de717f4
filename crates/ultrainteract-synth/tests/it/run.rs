//! Runs that nothing can make start over.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chat_model::{ChatModel, ChatRequest, Completion, Error as ModelError, Prices};
use ultrainteract::PreferenceTree;
use ultrainteract_synth::run::{self, Ended, Recorded, Report, RunOptions};
use ultrainteract_synth::store::{Job, Settings, Store};
use ultrainteract_synth::{Build, Error, SynthConfig, Team, TreeBuilder};

use crate::support::{Actor, TextEnvironment, TurnCritic, fill, problems};

fn config() -> SynthConfig {
    SynthConfig {
        samples_per_turn: 6,
        samples_per_round: Some(2),
        max_turns: 3,
        seed: 8,
        trees_in_flight: 4,
        ..SynthConfig::default()
    }
}

/// A store of its own, with jobs.
fn store(count: usize) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("run.db").display().to_string()).unwrap();
    let jobs = problems(count)
        .into_iter()
        .map(|problem| Job::new(problem.id.clone(), &problem));
    store
        .begin(&Settings::new(&config()).unwrap(), jobs)
        .unwrap();
    (folder, store)
}

fn options(worker: &str) -> RunOptions<'static> {
    let mut options = RunOptions::new(worker);
    options.first_delay = Duration::from_millis(5);
    options
}

fn run_with(store: &Store, actor: &dyn ChatModel, stop: &AtomicBool) -> Result<Report, Error> {
    let actor = Recorded::new("actor", actor, store, "worker");
    let environment = TextEnvironment::default();
    let builder =
        TreeBuilder::new(config(), Team::new(&actor), &environment, &TurnCritic)?.with_stop(stop);
    let mut options = options("worker").watching(&actor);
    options.stop = Some(stop);
    run::run(&builder, store, &options, &|_| {})
}

fn in_memory(actor: &Actor, count: usize) -> Build {
    let environment = TextEnvironment::default();
    TreeBuilder::new(config(), Team::new(actor), &environment, &TurnCritic)
        .unwrap()
        .build(&problems(count), &|_| {})
        .unwrap()
}

fn trees(store: &Store) -> Vec<PreferenceTree> {
    let trees = store
        .trees()
        .map(|tree| serde_json::from_str(&tree.unwrap().tree).unwrap());
    trees.collect()
}

#[test]
fn a_run_in_a_store_gives_the_trees_and_the_account_of_one_in_memory() {
    let (_folder, store) = store(9);
    let report = run_with(&store, &Actor::drawing(), &AtomicBool::new(false)).unwrap();
    let reference = in_memory(&Actor::drawing(), 9);
    assert!(matches!(report.ended, Ended::Done));
    assert_eq!(report.finished, 9);
    assert_eq!(trees(&store), reference.trees);
    assert_eq!(report.stats, reference.stats);
    assert_eq!(run::stats(&store).unwrap(), reference.stats);
}

/// Counts how often each sample of each request is drawn, and stops the run after so many.
struct Counting<'a> {
    actor: Actor,
    drawn: Mutex<HashMap<String, usize>>,
    until: AtomicUsize,
    stop: &'a AtomicBool,
}

impl ChatModel for Counting<'_> {
    fn name(&self) -> &str {
        "actor"
    }

    fn complete(&self, request: &ChatRequest) -> Result<Vec<Completion>, ModelError> {
        let key = serde_json::to_string(request).unwrap();
        *self.drawn.lock().unwrap().entry(key).or_default() += 1;
        if self.until.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stop.store(true, Ordering::SeqCst);
        }
        self.actor.complete(request)
    }
}

#[test]
fn a_run_that_is_stopped_again_and_again_asks_nothing_twice_and_gives_the_same_trees() {
    let (_folder, store) = store(12);
    let stop = AtomicBool::new(false);
    let actor = Counting {
        actor: Actor::drawing(),
        drawn: Mutex::default(),
        until: AtomicUsize::new(0),
        stop: &stop,
    };
    let mut stops = 0;
    loop {
        stop.store(false, Ordering::SeqCst);
        actor.until.store(5, Ordering::SeqCst);
        match run_with(&store, &actor, &stop).unwrap().ended {
            Ended::Stopped => stops += 1,
            Ended::Done => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(stops > 3, "{stops}");
    assert!(trees(&store) == in_memory(&Actor::drawing(), 12).trees);
    assert!(
        actor
            .drawn
            .lock()
            .unwrap()
            .values()
            .all(|&times| times == 1)
    );
}

#[test]
fn a_tree_that_fails_for_a_passing_reason_is_built_later_and_goes_on_where_it_failed() {
    let (_folder, store) = store(6);
    let calls = AtomicUsize::new(0);
    let inner = Actor::drawing();
    let actor = Actor::fallible(move |request, _| {
        if calls.fetch_add(1, Ordering::SeqCst) % 3 == 2 {
            return Err(ModelError::Timeout {
                url: "http://server".into(),
                missing: "no answer",
                seconds: 1.0,
                setting: "timeout_seconds",
                attempts: 1,
            });
        }
        inner.complete(request)
    });
    let report = run_with(&store, &actor, &AtomicBool::new(false)).unwrap();
    assert_eq!((report.finished, report.parked), (6, 0));
    assert!(report.put_off > 0);
    // The names differ; all else is the same.
    let trees: Vec<_> = trees(&store)
        .iter()
        .map(|tree| tree.pairs().len())
        .collect();
    let reference: Vec<_> = in_memory(&Actor::drawing(), 6)
        .trees
        .iter()
        .map(|tree| tree.pairs().len())
        .collect();
    assert_eq!(trees, reference);
}

#[test]
fn a_problem_that_can_never_be_asked_is_parked_with_its_reason_and_the_others_are_built() {
    let (_folder, store) = store(5);
    let actor = Actor::fallible(|request, _| {
        if request.messages[0].content.contains("(p3)") {
            return Err(ModelError::Request {
                problem: "is impossible".into(),
            });
        }
        Ok(fill(&["Answer: 42", "Answer: 1"], request.samples))
    });
    let report = run_with(&store, &actor, &AtomicBool::new(false)).unwrap();
    assert_eq!((report.finished, report.parked), (4, 1));
    let letters = store.status().unwrap().dead_letters;
    assert_eq!(
        (letters[0].reason.as_str(), letters[0].example.as_str()),
        ("request", "p3")
    );
    assert!(
        letters[0].message.contains("is impossible"),
        "{}",
        letters[0].message
    );
}

#[test]
fn a_key_that_is_not_taken_ends_the_run_and_parks_nothing() {
    let (_folder, store) = store(30);
    let actor = Actor::fallible(|_, _| {
        Err(ModelError::MissingKey {
            variable: "NO_SUCH_KEY".into(),
        })
    });
    let error = run_with(&store, &actor, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("NO_SUCH_KEY"), "{error}");
    let jobs = store.status().unwrap().jobs;
    assert_eq!((jobs.parked, jobs.done, jobs.leased), (0, 0, 0));
}

#[test]
fn a_spent_budget_ends_the_run_within_it_and_more_money_goes_on() {
    let (_folder, store) = store(8);
    let prices = Prices {
        prompt_per_million: 0.0,
        completion_per_million: 1_000.0,
    };
    let at = |budget: f64| {
        let drawing = Actor::drawing();
        let actor =
            Recorded::new("actor", &drawing, &store, "worker").with_budget(prices, Some(budget));
        let environment = TextEnvironment::default();
        let mut config = config();
        config.sampling.max_tokens = 10;
        let builder =
            TreeBuilder::new(config, Team::new(&actor), &environment, &TurnCritic).unwrap();
        run::run(
            &builder,
            &store,
            &options("worker").watching(&actor),
            &|_| {},
        )
        .unwrap()
    };
    let report = at(0.05);
    assert!(matches!(report.ended, Ended::BudgetSpent(_)), "{report:?}");
    let status = store.status().unwrap();
    assert!(
        status.spent_micros <= 50_000 && status.reserved_micros == 0,
        "{status:?}"
    );
    assert!(
        status.spent_micros > 10_000 && status.jobs.leased == 0,
        "{status:?}"
    );
    let report = at(100.0);
    assert!(matches!(report.ended, Ended::Done));
    assert_eq!(store.status().unwrap().jobs.done, 8);
}
