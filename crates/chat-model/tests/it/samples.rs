//! The right number of samples, each with its index, whatever the server makes of `n`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use chat_model::{ChatModel, ChatRequest, Message, OpenAiClient};
use proptest::prelude::*;
use test_support::servers::{Call, ChatServer, Reply};

use crate::support::{ask, client, config, texts};

/// Answers each sample with the seed that it is drawn with, as servers do that count the seed up: `most` at most, and some
/// that nobody asked for.
fn seeds(call: &Call, most: usize, too_many: usize) -> Reply {
    let seed = call.body["seed"].as_u64().unwrap();
    let samples = (call.samples().min(most) + too_many) as u64;
    let texts: Vec<String> = (0..samples).map(|j| (seed + j).to_string()).collect();
    Reply::texts(&texts)
}

fn wanted(server: &ChatServer) -> Vec<usize> {
    let mut wanted: Vec<usize> = server.calls().iter().map(Call::samples).collect();
    wanted.sort_unstable();
    wanted
}

#[test]
fn samples_do_not_depend_on_how_they_were_grouped_into_calls() {
    let whole = ChatServer::answering(|call| seeds(call, 99, 0));
    let all = texts(&client(&whole), 20);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 20);
    assert_eq!(wanted(&whole), [20]);
    for most in [1, 2, 7] {
        let ignoring = ChatServer::answering(move |call| seeds(call, most, 0));
        assert_eq!(texts(&client(&ignoring), 20), all);
        let refusing = ChatServer::answering(move |call| match call.samples() > most {
            true => Reply::status(400, "n must be smaller"),
            false => seeds(call, most, 0),
        });
        assert_eq!(texts(&client(&refusing), 20), all);
        let mut config = config(&whole);
        config.max_samples_per_call = Some(most);
        assert_eq!(texts(&OpenAiClient::new(config).unwrap(), 20), all);
    }
}

#[test]
fn a_server_that_refuses_n_is_not_asked_for_as_many_again() {
    let server = ChatServer::answering(|call| match call.samples() > 2 {
        true => Reply::status(400, "Field 'n': Value must be between 1 <= value <= 2"),
        false => seeds(call, 2, 0),
    });
    let mut config = config(&server);
    config.concurrency = 1;
    let client = OpenAiClient::new(config).unwrap();
    assert_eq!(texts(&client, 20).len(), 20);
    let first = server.calls().len();
    assert!(first <= 10 + 4, "{first}");
    assert_eq!(texts(&client.clone(), 8).len(), 8);
    assert!(
        server.calls()[first..]
            .iter()
            .all(|call| call.samples() == 2)
    );
}

#[test]
fn a_server_that_ignores_n_is_asked_for_one_at_a_time_from_then_on() {
    let server = ChatServer::answering(|call| seeds(call, 1, 0));
    let client = client(&server);
    assert_eq!(texts(&client, 4).len(), 4);
    assert_eq!(texts(&client, 3).len(), 3);
    assert_eq!(wanted(&server), [1, 1, 1, 1, 1, 1, 4]);
}

#[test]
fn a_request_that_is_bad_for_another_reason_does_not_make_later_calls_smaller() {
    let server = ChatServer::answering(|call| match call.last_text() {
        "bad" => Reply::status(400, "bad stop"),
        _ => seeds(call, 99, 0),
    });
    let client = client(&server);
    let bad = ChatRequest::new([Message::user("bad")]).with_samples(8);
    let error = client.complete(&bad).unwrap_err();
    assert!(error.to_string().contains("bad stop"), "{error}");
    assert_eq!(texts(&client, 20).len(), 20);
    assert_eq!(server.calls().last().unwrap().samples(), 20);
}

#[test]
fn choices_beyond_n_are_left_out() {
    let server = ChatServer::scripted([Reply::texts(&["a", "b", "c", "d"])]);
    assert_eq!(texts(&client(&server), 2), ["a", "b"]);
}

#[test]
fn samples_that_arrived_before_a_failure_are_handed_over_and_the_rest_can_be_asked_for() {
    // Three at a time; the fifth call fails for good.
    let server = ChatServer::answering(|call| seeds(call, 99, 0));
    let all = texts(&client(&server), 20);
    let broken = ChatServer::answering({
        let fifth: u64 = all[12].parse().unwrap();
        move |call| match call.body["seed"] == fifth {
            true => Reply::status(401, "key withdrawn"),
            false => seeds(call, 99, 0),
        }
    });
    let mut config = config(&broken);
    config.max_samples_per_call = Some(3);
    config.concurrency = 1;
    let client_of_broken = OpenAiClient::new(config).unwrap();
    let mut arrived = BTreeMap::new();
    let every: Vec<usize> = (0..20).collect();
    let error = client_of_broken
        .complete_each(&ask(20), &every, &mut |sample, completion| {
            assert!(arrived.insert(sample, completion.text).is_none());
        })
        .unwrap_err();
    assert!(error.to_string().contains("key withdrawn"), "{error}");
    assert_eq!(
        arrived.keys().copied().collect::<Vec<_>>(),
        (0..12).collect::<Vec<_>>()
    );
    let missing: Vec<usize> = (12..20).collect();
    client(&server)
        .complete_each(&ask(20), &missing, &mut |sample, completion| {
            arrived.insert(sample, completion.text);
        })
        .unwrap();
    assert_eq!(arrived.into_values().collect::<Vec<_>>(), all);
}

#[test]
fn indices_with_gaps_are_asked_for_run_by_run() {
    let server = ChatServer::answering(|call| seeds(call, 99, 0));
    let client = client(&server);
    let all = texts(&client, 12);
    let mut arrived = BTreeMap::new();
    client
        .complete_each(&ask(0), &[7, 2, 3, 11, 2], &mut |sample, completion| {
            arrived.insert(sample, completion.text);
        })
        .unwrap();
    let expected = [2, 3, 7, 11].map(|index| (index, all[index].clone()));
    assert_eq!(arrived.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(wanted(&server), [1, 1, 2, 12]);
}

#[test]
fn nothing_wanted_is_nothing_asked() {
    let server = ChatServer::scripted([Reply::texts(&["x"])]);
    assert!(texts(&client(&server), 0).is_empty());
    assert!(server.calls().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_sample_that_is_wanted_arrives_once_and_is_its_own(
        wanted in proptest::collection::btree_set(0usize..30, 0..20),
        refused_from in 2usize..12,
        given_at_most in 1usize..12,
        too_many in 0usize..3,
        failing_every in 3usize..6,
        concurrency in 1usize..5,
    ) {
        let calls = AtomicUsize::new(0);
        let server = ChatServer::answering(move |call| {
            if calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(failing_every) {
                return Reply::status(500, "");
            }
            match call.samples() >= refused_from {
                true => Reply::status(422, "n"),
                false => seeds(call, given_at_most, too_many),
            }
        });
        let mut config = config(&server);
        config.concurrency = concurrency;
        config.retry.retries = 20;
        config.retry.longest_wait_seconds = 0.002;
        let client = OpenAiClient::new(config).unwrap();
        let indices: Vec<usize> = wanted.iter().copied().collect();
        let mut arrived = BTreeMap::new();
        let mut twice = false;
        client
            .complete_each(&ask(1), &indices, &mut |sample, completion| {
                let seed: usize = completion.text.parse().unwrap();
                twice |= arrived.insert(sample, seed).is_some();
            })
            .unwrap();
        prop_assert!(!twice);
        prop_assert_eq!(arrived.keys().copied().collect::<Vec<_>>(), indices);
        // Seed and index differ by the same number for all.
        let bases: BTreeSet<usize> = arrived.iter().map(|(index, seed)| seed - index).collect();
        prop_assert!(bases.len() <= 1);
    }
}
