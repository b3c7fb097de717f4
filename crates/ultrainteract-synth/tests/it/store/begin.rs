//! A run begins, goes on, is refused.

use serde_json::json;
use ultrainteract_synth::store::{Begun, Job, Settings};

use super::{LONG, begin, ids, job, jobs, on_each_database, settings};

#[test]
fn a_run_goes_on_and_new_problems_come_last() {
    on_each_database(|database| {
        let store = database.store();
        let found = |resumed, added, known| Begun {
            resumed,
            added,
            known,
        };
        assert_eq!(begin(&store, 2), found(false, 2, 0));
        assert_eq!(begin(&store, 2), found(true, 0, 2));
        let more = [job(7), job(1), job(5)];
        assert_eq!(store.begin(&settings(), more).unwrap(), found(true, 2, 1));
        let claims = store.claim("w", LONG, 10).unwrap();
        assert_eq!(ids(&claims), ["p0", "p1", "p7", "p5"]);
        assert_eq!(claims[3].problem, job(5).problem.to_string());
        assert_eq!(store.settings().unwrap(), Some(settings()));
    });
}

#[test]
fn other_settings_are_refused_with_the_key_and_both_values() {
    on_each_database(|database| {
        let store = database.store();
        let given = |seed: u32| {
            Settings::new(&json!({"actors": {"cheap": ["a", "b"]}, "seed": seed})).unwrap()
        };
        store.begin(&given(7), jobs(1)).unwrap();
        let error = store.begin(&given(8), jobs(3)).unwrap_err().to_string();
        assert!(error.contains("/seed = 7, and this run has 8"), "{error}");
        let other = Settings::new(&json!({"actors": {"cheap": ["a"]}, "seed": 7})).unwrap();
        let error = store.begin(&other, jobs(3)).unwrap_err().to_string();
        assert!(
            error.contains("/actors/cheap/1 = \"b\", and this run has nothing"),
            "{error}"
        );
        assert_eq!(store.status().unwrap().jobs.waiting, 1);
    });
}

#[test]
fn changed_problems_are_refused_by_id_and_nothing_is_written() {
    on_each_database(|database| {
        let store = database.store();
        begin(&store, 3);
        let mut changed = jobs(5);
        changed[1] = Job::new("p1", &json!({"instruction": "other"}));
        changed[2] = Job::new("p2", &json!({"instruction": "other"}));
        let error = store.begin(&settings(), changed).unwrap_err().to_string();
        assert!(
            error.contains("2 problems") && error.contains("`p1`, `p2`"),
            "{error}"
        );
        assert_eq!(store.status().unwrap().jobs.waiting, 3);
    });
}

#[test]
fn a_problem_with_its_keys_in_another_order_is_the_same() {
    on_each_database(|database| {
        let store = database.store();
        let given = |text: &str| {
            [Job::new(
                "p",
                &serde_json::from_str::<serde_json::Value>(text).unwrap(),
            )]
        };
        store
            .begin(&settings(), given(r#"{"a": 1, "b": 0.1}"#))
            .unwrap();
        let begun = store
            .begin(&settings(), given(r#"{"b": 0.1, "a": 1}"#))
            .unwrap();
        assert_eq!(begun.known, 1);
    });
}

#[test]
fn ids_that_cannot_be_are_refused() {
    on_each_database(|database| {
        let store = database.store();
        let refused = |jobs: Vec<Job>| store.begin(&settings(), jobs).unwrap_err().to_string();
        let error = refused(vec![job(0), job(1), job(0)]);
        assert!(
            error.contains("problems 0 and 2") && error.contains("`p0`"),
            "{error}"
        );
        assert!(refused(vec![Job::new("a\0b", &1)]).contains("NUL"));
        assert!(refused(vec![Job::new("", &1)]).contains("problem 0"));
        assert!(refused(vec![Job::new("p", &())]).contains("`p` is null"));
        assert_eq!(store.settings().unwrap(), None);
        assert!(
            Settings::new(&json!([1]))
                .unwrap_err()
                .to_string()
                .contains("no object")
        );
    });
}

#[test]
fn thousands_of_problems_are_added_in_order() {
    on_each_database(|database| {
        let store = database.store();
        assert_eq!(begin(&store, 1203).added, 1203);
        assert_eq!(begin(&store, 1700).known, 1203);
        let claims = store.claim("w", LONG, 5000).unwrap();
        assert_eq!(claims.len(), 1700);
        assert!(
            claims
                .iter()
                .enumerate()
                .all(|(index, claim)| claim.id == format!("p{index}"))
        );
    });
}
