//! Answers are kept, the first one wins, and a fork has them.

use ultrainteract_synth::store::{Answer, AnswerKey, Settings, Store};

use super::{Database, begin, jobs, on_each_database};

fn answer(text: &str) -> Answer {
    Answer {
        prompt_tokens: 10,
        completion_tokens: 5,
        cost_micros: 30,
        ..Answer::new(text, "small-1")
    }
}

fn texts(store: &Store, key: &AnswerKey) -> Vec<(u32, String)> {
    let answers = store.answers(key).unwrap();
    answers
        .into_iter()
        .map(|(sample, answer)| (sample, answer.completion))
        .collect()
}

#[test]
fn the_first_answer_stays_and_all_are_accounted_for() {
    on_each_database(|database| {
        let place = database.place();
        let store = Store::open(&place).unwrap();
        let key = AnswerKey::new("small", b"{}");
        assert!(store.answers(&key).unwrap().is_empty());
        let first = [(3, answer("\"d\"")), (0, answer("\"a\""))];
        assert_eq!(store.put_answers(&key, &first).unwrap(), 2);
        let estimated = Answer {
            estimated: true,
            ..answer("\"b\"")
        };
        assert_eq!(
            store
                .put_answers(&key, &[(0, answer("\"other\"")), (1, estimated.clone())])
                .unwrap(),
            1
        );
        drop(store);

        let store = Store::open(&place).unwrap();
        let expected = [(0, "\"a\""), (1, "\"b\""), (3, "\"d\"")]
            .map(|(sample, text)| (sample, text.to_owned()));
        assert_eq!(texts(&store, &key), expected);
        let stored = store.answers(&key).unwrap().remove(&1).unwrap();
        assert!(stored.arrived_unix_ms > 1_700_000_000_000);
        assert_eq!(
            Answer {
                arrived_unix_ms: 0,
                ..stored
            },
            estimated
        );

        let status = store.status().unwrap();
        assert_eq!((status.answers, status.spent_micros), (3, 120));
        let [small] = &status.endpoints[..] else {
            panic!("{status:?}");
        };
        assert_eq!(
            (
                small.requests,
                small.repeated,
                small.answers,
                small.estimated
            ),
            (2, 1, 4, 1)
        );
        assert_eq!(
            (
                small.prompt_tokens,
                small.completion_tokens,
                small.cost_micros
            ),
            (40, 20, 120)
        );
    });
}

#[test]
fn endpoint_and_body_keep_answers_apart() {
    on_each_database(|database| {
        let store = database.store();
        let keys = [
            AnswerKey::new("small", b"a"),
            AnswerKey::new("small", b"b"),
            AnswerKey::new("smalla", b""),
            AnswerKey::new("big", b"a"),
        ];
        for (index, key) in keys.iter().enumerate() {
            store
                .put_answers(key, &[(0, answer(&index.to_string()))])
                .unwrap();
        }
        for (index, key) in keys.iter().enumerate() {
            assert_eq!(texts(&store, key), [(0, index.to_string())]);
        }
    });
}

#[test]
fn whatever_a_model_writes_is_kept() {
    on_each_database(|database| {
        let store = database.store();
        let long = serde_json::to_string(&"🦀'\"\\\u{1}\u{0}$1?;--\n".repeat(60_000)).unwrap();
        let key = AnswerKey::new("small", long.as_bytes());
        store
            .put_answers(&key, &[(u32::MAX, answer(&long))])
            .unwrap();
        assert_eq!(texts(&store, &key), [(u32::MAX, long)]);

        // What is no text of PostgreSQL, or no number of a database.
        let odd = Answer {
            model: "a\0b".into(),
            prompt_tokens: u64::MAX,
            cost_micros: u64::MAX,
            ..answer("\"x\"")
        };
        store
            .put_answers(&key, &[(0, odd.clone()), (1, odd)])
            .unwrap();
        assert_eq!(store.answers(&key).unwrap()[&0].model, "a\u{fffd}b");
        assert_eq!(
            store.status().unwrap().endpoints[0].prompt_tokens,
            2_000_000_000_000_010
        );
    });
}

#[test]
fn a_fork_has_the_answers_and_nothing_else() {
    on_each_database(|database| {
        let store = database.store();
        begin(&store, 3);
        let key = |index: u32| AnswerKey::new("small", &index.to_le_bytes());
        for index in 0..450 {
            store
                .put_answers(&key(index), &[(index % 3, answer(&index.to_string()))])
                .unwrap();
        }
        let place = database.place();
        let fork = store.fork(&place).unwrap();
        for index in 0..450 {
            assert_eq!(
                fork.answers(&key(index)).unwrap(),
                store.answers(&key(index)).unwrap()
            );
        }
        let status = fork.status().unwrap();
        assert_eq!(
            (status.answers, status.spent_micros, status.jobs.waiting),
            (450, 0, 0)
        );
        assert!(status.endpoints.is_empty());
        let other = Settings::new(&serde_json::json!({"seed": 8})).unwrap();
        fork.begin(&other, jobs(2)).unwrap();
        let error = store.fork(&place).unwrap_err().to_string();
        assert!(error.contains("has a run already"), "{error}");

        // To another kind of store.
        let files = Database::file();
        let copy = store.fork(&files.place()).unwrap();
        assert_eq!(copy.status().unwrap().answers, 450);
    });
}
