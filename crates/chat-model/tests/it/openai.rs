//! The client against a server on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Reply, Server};
use chat_model::{
    ApiKey, ChatModel, ChatRequest, Error, Message, OpenAiClient, OpenAiConfig, Prices, Sampling,
};

const KEY: &str = "sk-test-0123456789";

fn config(server: &Server) -> OpenAiConfig {
    let mut config = OpenAiConfig::new(&server.base_url, "tiny");
    config.retry.first_wait_seconds = 0.001;
    config.retry.longest_wait_seconds = 1.0;
    config.retry.retries = 3;
    config.timeout_seconds = 20.0;
    config
}

fn client(server: &Server) -> OpenAiClient {
    OpenAiClient::with_api_key(config(server), ApiKey::new(KEY).unwrap()).unwrap()
}

fn ask(samples: usize) -> ChatRequest {
    ChatRequest::new([Message::user("What is 6 * 7?")])
        .with_samples(samples)
        .with_sampling(Sampling {
            temperature: 0.7,
            seed: 5,
            ..Sampling::default()
        })
}

fn texts(client: &OpenAiClient, samples: usize) -> Vec<String> {
    let completions = client.complete(&ask(samples)).unwrap();
    completions.into_iter().map(|c| c.text).collect()
}

#[test]
fn a_call_carries_the_key_and_the_sampling_and_brings_the_samples() {
    let server = Server::scripted([Reply::texts(&["42", "forty-two"])]);
    let client = client(&server);
    assert_eq!(texts(&client, 2), ["42", "forty-two"]);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].head.starts_with("POST /v1/chat/completions "));
    assert!(seen[0].head.contains(&format!("Bearer {KEY}")));
    assert_eq!(seen[0].body["n"], 2);
    assert_eq!(seen[0].body["model"], "tiny");
    assert_eq!(seen[0].body["seed"], 5);
}

#[test]
fn the_key_comes_from_the_named_environment_variable() {
    // cargo sets this variable for tests, so none has to be set here.
    let server = Server::scripted([Reply::texts(&["42"])]);
    let config = config(&server).with_api_key_env("CARGO_PKG_NAME");
    let client = OpenAiClient::new(config).unwrap();
    client.complete(&ask(1)).unwrap();
    assert!(server.seen()[0].head.contains("Bearer chat-model"));
}

#[test]
fn a_server_without_keys_gets_no_authorization() {
    let server = Server::scripted([Reply::texts(&["42"])]);
    let client = OpenAiClient::new(config(&server)).unwrap();
    client.complete(&ask(1)).unwrap();
    assert!(
        !server.seen()[0]
            .head
            .to_lowercase()
            .contains("authorization")
    );
}

#[test]
fn a_rate_limit_is_waited_out() {
    let limited = Reply::Answer(429, vec!["retry-after: 0.01".into()], "slow down".into());
    let server = Server::scripted([limited, Reply::texts(&["42"])]);
    let client = client(&server);
    assert_eq!(texts(&client, 1), ["42"]);
    assert_eq!(client.usage().calls, 2);
    assert_eq!(client.usage().retries, 1);
}

#[test]
fn a_retry_after_longer_than_allowed_ends_the_call() {
    let limited = Reply::Answer(429, vec!["retry-after: 3600".into()], "tomorrow".into());
    let server = Server::scripted([limited]);
    let error = client(&server).complete(&ask(1)).unwrap_err();
    assert!(error.to_string().contains("3600 s"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_failing_server_is_given_up_with_its_words() {
    let server = Server::scripted([Reply::status(500, "engine   is\ndown")]);
    let error = client(&server).complete(&ask(1)).unwrap_err();
    assert_eq!(server.seen().len(), 4);
    assert!(matches!(
        error,
        Error::Status {
            status: 500,
            attempts: 4,
            ..
        }
    ));
    let text = error.to_string();
    assert!(text.contains(&server.base_url), "{text}");
    assert!(text.contains("engine is down"), "{text}");
    assert!(text.contains("retries"), "{text}");
}

#[test]
fn a_refused_key_is_not_tried_again_and_not_shown() {
    let body = format!(r#"{{"error": {{"message": "bad key {KEY}"}}}}"#);
    let server = Server::scripted([Reply::status(401, &body)]);
    let client = client(&server);
    let error = client.complete(&ask(1)).unwrap_err();
    assert_eq!(server.seen().len(), 1);
    assert!(error.to_string().contains("api_key_env"), "{error}");
    assert!(error.to_string().contains("bad key ***"), "{error}");
    for shown in [
        error.to_string(),
        format!("{error:?}"),
        format!("{client:?}"),
    ] {
        assert!(!shown.contains(KEY), "{shown}");
    }
}

#[test]
fn a_used_up_quota_is_not_tried_again() {
    let server = Server::scripted([Reply::status(
        429,
        r#"{"error": {"code": "insufficient_quota"}}"#,
    )]);
    client(&server).complete(&ask(1)).unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_answer_that_is_no_chat_completion_is_shown() {
    for body in ["<html>hello</html>", "{}", r#"{"choices": []}"#, ""] {
        let server = Server::scripted([Reply::ok(body)]);
        let error = client(&server).complete(&ask(1)).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        assert!(error.to_string().contains("base_url"), "{error}");
        assert!(error.to_string().contains(body), "{error}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_a_timeout() {
    let server = Server::scripted([Reply::Silence]);
    let mut config = config(&server);
    config.timeout_seconds = 0.2;
    config.retry.retries = 1;
    let client = OpenAiClient::new(config).unwrap();
    let error = client.complete(&ask(1)).unwrap_err();
    assert!(
        matches!(error, Error::Timeout { attempts: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_server_that_is_not_there_is_a_transport_error() {
    // A port that was free a moment ago.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut config = OpenAiConfig::new(format!("http://127.0.0.1:{port}/v1"), "tiny");
    config.retry.retries = 1;
    config.retry.first_wait_seconds = 0.001;
    let error = OpenAiClient::new(config)
        .unwrap()
        .complete(&ask(1))
        .unwrap_err();
    assert!(
        matches!(error, Error::Transport { attempts: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_server_that_ignores_n_is_asked_again_with_other_seeds() {
    let server = Server::answering(|seen| Reply::texts(&[&format!("seed {}", seen.body["seed"])]));
    let client = client(&server);
    assert_eq!(texts(&client, 3), ["seed 5", "seed 6", "seed 7"]);
    let wanted: Vec<_> = server.seen().iter().map(|s| s.body["n"].clone()).collect();
    assert_eq!(wanted, [3, 2, 1]);
}

#[test]
fn a_limit_on_samples_per_call_splits_the_request() {
    let server = Server::answering(|seen| {
        let n = seen.body["n"].as_u64().unwrap() as usize;
        Reply::texts(&vec!["x"; n])
    });
    let mut config = config(&server);
    config.max_samples_per_call = Some(4);
    let client = OpenAiClient::new(config).unwrap();
    assert_eq!(texts(&client, 10).len(), 10);
    let mut wanted: Vec<_> = server.seen().iter().map(|s| s.body["n"].clone()).collect();
    wanted.sort_by_key(|n| n.as_u64());
    assert_eq!(wanted, [2, 4, 4]);
}

#[test]
fn a_batch_keeps_its_order_and_its_limit_on_concurrency() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (now.clone(), most.clone());
    let server = Server::answering(move |seen| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(5));
        inside.fetch_sub(1, Ordering::SeqCst);
        let text = seen.body["messages"][0]["content"].as_str().unwrap();
        if text == "7" {
            return Reply::status(400, "no sevens");
        }
        Reply::texts(&[text])
    });
    let mut config = config(&server);
    config.concurrency = 3;
    let client = OpenAiClient::new(config).unwrap();
    let requests: Vec<_> = (0..20)
        .map(|index| ChatRequest::new([Message::user(index.to_string())]))
        .collect();
    for (index, answer) in client.complete_batch(&requests).into_iter().enumerate() {
        match answer {
            Ok(completions) => assert_eq!(completions[0].text, index.to_string()),
            Err(error) => assert_eq!(index, 7, "{error}"),
        }
    }
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(server.seen().len(), 20);
}

#[test]
fn tokens_and_money_are_counted_and_the_budget_is_kept() {
    let server = Server::scripted([Reply::texts(&["42"])]);
    let mut config = config(&server);
    config.prices = Some(Prices {
        prompt_per_million: 100_000.0,
        completion_per_million: 250_000.0,
    });
    config.budget = Some(3.0);
    let client = OpenAiClient::new(config).unwrap();
    client.complete(&ask(1)).unwrap();
    assert_eq!(client.cost(), Some(2.0));
    client.complete(&ask(1)).unwrap();
    let usage = client.usage();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (20, 8));
    let error = client.complete(&ask(1)).unwrap_err();
    assert!(matches!(error, Error::BudgetSpent { .. }), "{error}");
    assert_eq!(server.seen().len(), 2);
}
