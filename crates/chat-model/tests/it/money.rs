//! Tokens, money and limits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chat_model::{
    Budget, CallEvent, ChatModel, ChatRequest, Error, Message, OpenAiClient, Prices, Sampling,
};
use serde_json::json;
use test_support::servers::{ChatServer, Reply};

use crate::support::{ask, config};

const PRICES: Prices = Prices {
    prompt_per_million: 1_000.0,
    completion_per_million: 1_000.0,
};

#[test]
fn tokens_and_money_are_counted_and_the_budget_is_kept() {
    let server = ChatServer::scripted([Reply::texts(&["42"])]);
    let mut config = config(&server);
    config.prices = Some(PRICES);
    let client = OpenAiClient::new(config.clone()).unwrap();
    // A call costs 0.014; the most that it can cost has 512 tokens and the bytes of the prompt in it.
    let most = client.most_cost(&ask(1), 1).unwrap();
    assert!(most > 0.512 && most < 0.7, "{most}");
    config.budget = Some(most + 0.02);
    let client = OpenAiClient::new(config).unwrap();
    let first = client.complete(&ask(1)).unwrap();
    assert!((first[0].cost.unwrap() - 0.014).abs() < 1e-12);
    client.complete(&ask(1)).unwrap();
    let usage = client.usage();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (20, 8));
    let error = client.complete(&ask(1)).unwrap_err();
    let Error::Budget { spent, needed, .. } = error else {
        panic!("{error}");
    };
    assert!((spent - 0.028).abs() < 1e-9 && needed == most);
    assert_eq!(server.calls().len(), 2);
    assert!((client.cost().unwrap() - 0.028).abs() < 1e-9);
}

/// Takes up to all of `max_tokens`, by the text of the prompt, and counts what it is paid.
fn paid_server(paid: &Arc<AtomicU64>) -> ChatServer {
    let paid = paid.clone();
    ChatServer::answering(move |call| {
        let most = call.body["max_tokens"].as_u64().unwrap();
        let number: u64 = call.last_text().parse().unwrap();
        let tokens = (number * 37) % (most + 1);
        std::thread::sleep(Duration::from_millis(2));
        paid.fetch_add(10 + tokens, Ordering::SeqCst);
        let mut reply = Reply::completion(&["x"]);
        reply["usage"] = json!({"prompt_tokens": 10, "completion_tokens": tokens});
        Reply::ok(reply.to_string())
    })
}

#[test]
fn with_32_calls_in_flight_and_two_clients_a_budget_of_3_is_not_exceeded_and_nearly_used() {
    let paid = Arc::new(AtomicU64::new(0));
    let servers = [paid_server(&paid), paid_server(&paid)];
    let budget = Budget::new(3.0).unwrap();
    let clients = servers.each_ref().map(|server| {
        let mut config = config(server);
        config.prices = Some(PRICES);
        config.concurrency = 16;
        let client = OpenAiClient::new(config).unwrap();
        client.with_budget(budget.clone()).unwrap()
    });
    let requests: Vec<ChatRequest> = (0..200)
        .map(|number| {
            ChatRequest::new([Message::user(number.to_string())]).with_sampling(Sampling {
                max_tokens: 100,
                ..Sampling::default()
            })
        })
        .collect();
    let answered: usize = std::thread::scope(|scope| {
        let threads = clients.each_ref().map(|client| {
            scope.spawn(|| {
                let answers = client.complete_batch(&requests);
                for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
                    assert!(matches!(error, Error::Budget { .. }), "{error}");
                }
                answers.iter().filter(|answer| answer.is_ok()).count()
            })
        });
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    let paid = paid.load(Ordering::SeqCst) as f64 * 1e-3;
    assert!(paid <= 3.0, "{paid}");
    assert!(paid > 2.6, "{paid}");
    assert!((budget.spent() - paid).abs() < 1e-9);
    assert!(answered > 30 && answered < 400, "{answered}");
}

#[test]
fn a_call_that_may_have_been_paid_counts_against_the_budget_and_not_in_the_usage() {
    let whole = Reply::completion(&["42"]).to_string().into_bytes();
    let server = ChatServer::scripted([
        Reply::status(500, ""),
        Reply::CutOff(whole.clone(), whole.len() / 2),
        Reply::ok(whole),
    ]);
    let mut config = config(&server);
    config.prices = Some(PRICES);
    config.budget = Some(3.0);
    let client = OpenAiClient::new(config).unwrap();
    client.complete(&ask(1)).unwrap();
    assert_eq!(client.usage().uncertain_calls, 1);
    let spent = client.budget().unwrap().spent();
    let expected = 0.014 + client.most_cost(&ask(1), 1).unwrap();
    assert!((spent - expected).abs() < 1e-9, "{spent}");
    assert!((client.cost().unwrap() - 0.014).abs() < 1e-9);
    assert_eq!(client.budget().unwrap().reserved(), 0.0);
}

#[test]
fn a_call_that_waited_for_money_is_not_made_once_the_client_is_stopped() {
    let server = ChatServer::scripted([Reply::texts(&["x"])]);
    let mut config = config(&server);
    config.prices = Some(PRICES);
    let budget = Budget::new(1.0).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let client = OpenAiClient::new(config).unwrap().with_stop(stop.clone());
    let client = client.with_budget(budget.clone()).unwrap();
    let held = budget.reserve("another", 1.0).unwrap();
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.complete(&ask(1)).unwrap_err());
        // Whether or not it has come as far as to wait, it must not call.
        std::thread::sleep(Duration::from_millis(50));
        stop.store(true, Ordering::Relaxed);
        drop(held);
        waiting.join().unwrap()
    });
    assert!(matches!(error, Error::Stopped), "{error}");
    assert!(server.calls().is_empty());
    assert_eq!((budget.spent(), budget.reserved()), (0.0, 0.0));
}

#[test]
fn the_most_that_a_call_can_cost_does_not_overflow() {
    let server = ChatServer::scripted([Reply::texts(&["x"])]);
    let mut config = config(&server);
    config.prices = Some(PRICES);
    let request = ask(4).with_sampling(Sampling {
        max_tokens: usize::MAX,
        ..Sampling::default()
    });
    let most = OpenAiClient::new(config).unwrap().most_cost(&request, 4);
    assert!(most.unwrap() > 1e16, "{most:?}");
}

#[test]
fn a_budget_without_prices_is_refused() {
    let server = ChatServer::scripted([Reply::texts(&["x"])]);
    let client = OpenAiClient::new(config(&server)).unwrap();
    let error = client.with_budget(Budget::new(1.0).unwrap()).unwrap_err();
    assert!(error.to_string().contains("prices"), "{error}");
}

#[test]
fn clones_share_the_limit_on_calls_at_once() {
    let server = ChatServer::answering(|_| {
        std::thread::sleep(Duration::from_millis(5));
        Reply::texts(&["x"])
    });
    let mut config = config(&server);
    config.concurrency = 3;
    let client = OpenAiClient::new(config).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let client = client.clone();
            scope.spawn(move || {
                let requests = vec![ask(1); 6];
                assert!(client.complete_batch(&requests).iter().all(Result::is_ok));
            });
        }
    });
    assert!(server.peak() <= 3, "{}", server.peak());
    assert_eq!(client.usage().calls, 24);
}

#[test]
fn a_limit_on_requests_a_minute_holds_the_next_call_back() {
    let server = ChatServer::scripted([Reply::texts(&["x"])]);
    let mut config = config(&server);
    config.requests_per_minute = Some(2);
    let client = OpenAiClient::new(config).unwrap();
    let (done, waits) = std::sync::mpsc::channel();
    for _ in 0..3 {
        let (client, done) = (client.clone(), done.clone());
        std::thread::spawn(move || done.send(client.complete(&ask(1)).is_ok()));
    }
    assert_eq!(waits.recv(), Ok(true));
    assert_eq!(waits.recv(), Ok(true));
    // The third would be answered within milliseconds, were it let through.
    assert!(waits.recv_timeout(Duration::from_millis(300)).is_err());
    assert_eq!(server.calls().len(), 2);
}

#[test]
fn an_observer_hears_of_every_call_and_never_of_the_key() {
    let server = ChatServer::scripted([
        Reply::status(500, &format!("key {}", crate::support::KEY)),
        Reply::texts(&["42"]),
    ]);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = heard.clone();
    let client = crate::support::client(&server).with_observer(move |event: &CallEvent<'_>| {
        log.lock().unwrap().push(format!("{event:?}"));
    });
    client.complete(&ask(1)).unwrap();
    let heard = heard.lock().unwrap();
    let kinds: Vec<&str> = heard.iter().map(|e| e.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["Sent", "Failed", "Sent", "Answered"]);
    assert!(
        heard
            .iter()
            .all(|event| !event.contains(crate::support::KEY)),
        "{heard:?}"
    );
}
