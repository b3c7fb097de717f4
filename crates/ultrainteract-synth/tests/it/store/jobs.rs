//! Leases, delays, dead letters, trees.

use std::time::Duration;

use ultrainteract_synth::store::{Retry, Store};

use super::{LONG, begin, ids, on_each_database};

#[test]
fn jobs_are_given_out_in_order_and_once() {
    on_each_database(|database| {
        let place = database.place();
        let (one, other) = (Store::open(&place).unwrap(), Store::open(&place).unwrap());
        begin(&one, 5);
        assert_eq!(ids(&one.claim("w0", LONG, 2).unwrap()), ["p0", "p1"]);
        assert_eq!(ids(&other.claim("w1", LONG, 2).unwrap()), ["p2", "p3"]);
        assert_eq!(ids(&one.claim("w0", LONG, 2).unwrap()), ["p4"]);
        assert!(other.claim("w1", LONG, 2).unwrap().is_empty());
    });
}

#[test]
fn a_claim_whose_job_another_worker_has_ends_nothing() {
    on_each_database(|database| {
        let store = database.store();
        begin(&store, 1);
        let old = store.claim("w0", Duration::ZERO, 1).unwrap().remove(0);
        let new = store.claim("w1", LONG, 1).unwrap().remove(0);
        assert_eq!((new.token, new.lost, new.attempts), (old.token + 1, 1, 0));
        assert_eq!(store.renew(&[&old, &new], LONG).unwrap(), ["p0"]);
        assert!(!store.finish(&old, "\"old\"", "{}").unwrap());
        assert!(!store.reschedule(&old, LONG, "r", "m").unwrap());
        assert!(!store.release(&old).unwrap());
        assert!(!store.park(&old, "r", "m").unwrap());
        assert_eq!(store.finished("p0").unwrap(), None);
        assert!(store.finish(&new, "\"new\"", "{\"turns\":1}").unwrap());
        assert!(!store.finish(&new, "\"again\"", "{}").unwrap());
        let tree = store.finished("p0").unwrap().unwrap();
        assert_eq!(
            (tree.tree.as_str(), tree.stats.as_str()),
            ("\"new\"", "{\"turns\":1}")
        );
    });
}

#[test]
fn a_lease_that_ran_out_and_that_nobody_took_is_still_held() {
    on_each_database(|database| {
        let store = database.store();
        begin(&store, 1);
        let claim = store.claim("w0", Duration::ZERO, 1).unwrap().remove(0);
        assert_eq!(store.status().unwrap().jobs.expired, 1);
        assert!(store.renew(&[&claim], LONG).unwrap().is_empty());
        assert_eq!(store.status().unwrap().jobs.leased, 1);
        assert!(store.claim("w1", LONG, 1).unwrap().is_empty());
        assert!(store.finish(&claim, "{}", "{}").unwrap());
    });
}

#[test]
fn a_delay_and_a_count_of_attempts_outlive_the_program() {
    on_each_database(|database| {
        let place = database.place();
        let store = Store::open(&place).unwrap();
        begin(&store, 2);
        let claim = store.claim("w", LONG, 1).unwrap().remove(0);
        assert!(
            store
                .reschedule(&claim, Duration::from_millis(300), "server away", "503")
                .unwrap()
        );
        drop(store);
        let store = Store::open(&place).unwrap();
        let second = store.claim("w", LONG, 2).unwrap();
        assert_eq!(ids(&second), ["p1"]);
        let due = store.next_due().unwrap().unwrap();
        assert!(due <= Duration::from_millis(300), "{due:?}");
        std::thread::sleep(due);
        let again = store.claim("w", LONG, 2).unwrap();
        assert_eq!(ids(&again), ["p0"]);
        assert_eq!(
            (again[0].attempts, again[0].lost, again[0].token),
            (1, 0, 2)
        );
        assert!(store.release(&again[0]).unwrap());
        assert_eq!(store.claim("w", LONG, 2).unwrap()[0].attempts, 1);
    });
}

#[test]
fn dead_letters_wait_until_they_are_retried() {
    on_each_database(|database| {
        let store = database.store();
        begin(&store, 4);
        for (claim, reason) in store
            .claim("w", LONG, 4)
            .unwrap()
            .iter()
            .zip(["b", "a", "a", "c"])
        {
            assert!(
                store
                    .park(claim, reason, &format!("{} failed\0", claim.id))
                    .unwrap()
            );
        }
        assert_eq!(store.next_due().unwrap(), None);
        assert!(store.claim("w", LONG, 4).unwrap().is_empty());
        let status = store.status().unwrap();
        let letters: Vec<_> = status
            .dead_letters
            .iter()
            .map(|letters| (letters.reason.as_str(), letters.count))
            .collect();
        assert_eq!(letters, [("a", 2), ("b", 1), ("c", 1)]);
        assert_eq!(status.dead_letters[0].example, "p1");
        assert_eq!(status.dead_letters[0].message, "p1 failed\u{fffd}");

        assert_eq!(store.retry(Retry::Reason("a")).unwrap(), 2);
        assert_eq!(
            store
                .retry(Retry::Ids(&["p3".into(), "p1".into(), "unknown".into()]))
                .unwrap(),
            1
        );
        assert_eq!(store.retry(Retry::All).unwrap(), 1);
        let again = store.claim("w", LONG, 4).unwrap();
        assert_eq!(ids(&again), ["p0", "p1", "p2", "p3"]);
    });
}

#[test]
fn trees_come_in_the_order_of_problems_however_they_were_finished() {
    on_each_database(|database| {
        let store = database.store();
        begin(&store, 75);
        assert!(store.trees().next().is_none());
        let mut claims = store.claim("w", LONG, 74).unwrap();
        claims.reverse();
        for claim in &claims {
            assert!(
                store
                    .finish(claim, &format!("\"{}\"", claim.id), "{}")
                    .unwrap()
            );
        }
        let mut trees = store.trees();
        assert_eq!(trees.next().unwrap().unwrap().id, "p0");
        // Writing is possible while they are read.
        let last = store.claim("w", LONG, 1).unwrap().remove(0);
        assert!(store.finish(&last, "\"p74\"", "{}").unwrap());
        let rest: Vec<_> = trees.map(Result::unwrap).collect();
        assert_eq!(rest.len(), 74);
        for (tree, index) in rest.iter().zip(1..) {
            assert_eq!(
                (tree.position, tree.tree.clone()),
                (index, format!("\"p{index}\""))
            );
        }
        assert_eq!(store.status().unwrap().jobs.done, 75);
        assert!(store.status().unwrap().last_unix_ms >= store.status().unwrap().begun_unix_ms);
    });
}

#[test]
fn many_threads_share_a_store_and_no_job_is_given_out_twice() {
    on_each_database(|database| {
        let place = database.place();
        let stores = [Store::open(&place).unwrap(), Store::open(&place).unwrap()];
        begin(&stores[0], 200);
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let store = &stores[thread % 2];
                scope.spawn(move || {
                    loop {
                        let claims = store.claim(&format!("w{thread}"), LONG, 3).unwrap();
                        if claims.is_empty() {
                            return;
                        }
                        for claim in claims {
                            assert_eq!(claim.token, 1);
                            assert!(store.finish(&claim, "{}", "{}").unwrap());
                        }
                    }
                });
            }
        });
        assert_eq!(stores[0].trees().count(), 200);
    });
}
