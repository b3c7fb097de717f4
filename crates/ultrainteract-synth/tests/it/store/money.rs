//! Budgets hold over all threads and processes.

use std::sync::atomic::{AtomicU64, Ordering};

use ultrainteract_synth::store::{Answer, AnswerKey, Store};

use super::on_each_database;

fn answers(cost: u64) -> [(u32, Answer); 1] {
    let answer = Answer {
        cost_micros: cost,
        ..Answer::new("\"x\"", "small")
    };
    [(0, answer)]
}

#[test]
fn a_budget_holds_with_32_threads_and_two_openings_of_the_store() {
    const BUDGET: u64 = 3_000;
    on_each_database(|database| {
        let place = database.place();
        let stores = [Store::open(&place).unwrap(), Store::open(&place).unwrap()];
        let (spent, requests) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..32_u64 {
                let (store, spent, requests) = (&stores[thread as usize % 2], &spent, &requests);
                scope.spawn(move || {
                    let worker = format!("w{thread}");
                    for request in 0.. {
                        let Some(reserved) = store.reserve(&worker, 70, Some(BUDGET)).unwrap()
                        else {
                            return;
                        };
                        requests.fetch_add(1, Ordering::SeqCst);
                        let key = AnswerKey::new("small", format!("{thread} {request}").as_bytes());
                        match (thread + request) % 5 {
                            0 => store.drop_reservation(reserved).unwrap(),
                            1 => {
                                store.write_off(reserved).unwrap();
                                spent.fetch_add(70, Ordering::SeqCst);
                            }
                            _ => {
                                let cost = 40 + (thread + request) % 31;
                                store.settle(reserved, &key, &answers(cost)).unwrap();
                                spent.fetch_add(cost, Ordering::SeqCst);
                            }
                        }
                        let status = store.status().unwrap();
                        assert!(
                            status.spent_micros + status.reserved_micros <= BUDGET,
                            "{status:?}"
                        );
                    }
                });
            }
        });
        let status = stores[0].status().unwrap();
        assert_eq!(status.spent_micros, spent.load(Ordering::SeqCst));
        assert_eq!(status.reserved_micros, 0);
        assert!(
            (BUDGET - 70..=BUDGET).contains(&status.spent_micros),
            "{status:?}"
        );
        assert!(requests.load(Ordering::SeqCst) > 40);
    });
}

#[test]
fn what_a_dead_worker_reserved_is_spent_until_it_is_released() {
    on_each_database(|database| {
        let place = database.place();
        let store = Store::open(&place).unwrap();
        let dead = store.reserve("dead", 60, Some(100)).unwrap().unwrap();
        drop((dead, store));
        let store = Store::open(&place).unwrap();
        assert_eq!(store.status().unwrap().reserved_micros, 60);
        assert_eq!(store.reserve("w", 50, Some(100)).unwrap(), None);
        let other = store.reserve("w", 40, Some(100)).unwrap().unwrap();
        assert_eq!(other.micros(), 40);
        assert_eq!(store.release_reservations("dead").unwrap(), 60);
        assert_eq!(store.release_reservations("dead").unwrap(), 0);
        assert_eq!(store.status().unwrap().reserved_micros, 40);
        assert!(store.reserve("w", 60, Some(100)).unwrap().is_some());
    });
}

#[test]
fn an_answer_that_comes_after_its_reservation_was_released_is_spent_once() {
    on_each_database(|database| {
        let store = database.store();
        let late = store.reserve("w", 60, None).unwrap().unwrap();
        store.release_reservations("w").unwrap();
        let key = AnswerKey::new("small", b"{}");
        assert_eq!(store.settle(late, &key, &answers(50)).unwrap(), 1);
        let status = store.status().unwrap();
        assert_eq!((status.spent_micros, status.reserved_micros), (50, 0));
        assert_eq!(store.answers(&key).unwrap().len(), 1);
    });
}

#[test]
fn an_amount_that_cannot_be_is_refused() {
    on_each_database(|database| {
        let store = database.store();
        let error = store.reserve("w", u64::MAX, None).unwrap_err().to_string();
        assert!(error.contains("check the prices"), "{error}");
        assert!(store.reserve("w", 0, Some(0)).unwrap().is_some());
        assert!(store.reserve("w", 1, Some(0)).unwrap().is_none());
    });
}
