//! The client against a server on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chat_model::{ChatModel, ChatRequest, Error, Message, OpenAiClient, OpenAiConfig};
use test_support::servers::{ChatServer, Reply};

use crate::support::{KEY, ask, client, config, texts};

#[test]
fn a_call_carries_the_key_and_the_sampling_and_brings_the_samples() {
    let server = ChatServer::scripted([Reply::texts(&["42", "forty-two"])]);
    let client = client(&server);
    assert_eq!(texts(&client, 2), ["42", "forty-two"]);
    let seen = server.calls();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].head.starts_with("POST /v1/chat/completions "));
    assert!(seen[0].head.contains(&format!("Bearer {KEY}")));
    assert_eq!(seen[0].body["n"], 2);
    assert_eq!(seen[0].body["model"], "tiny");
}

#[test]
fn the_key_comes_from_the_named_environment_variable() {
    // cargo sets this variable for tests, so none has to be set here.
    let server = ChatServer::scripted([Reply::texts(&["42"])]);
    let config = config(&server).with_api_key_env("CARGO_PKG_NAME");
    let client = OpenAiClient::new(config).unwrap();
    client.complete(&ask(1)).unwrap();
    assert!(server.calls()[0].head.contains("Bearer chat-model"));
}

#[test]
fn a_server_without_keys_gets_no_authorization() {
    let server = ChatServer::scripted([Reply::texts(&["42"])]);
    let client = OpenAiClient::new(config(&server)).unwrap();
    client.complete(&ask(1)).unwrap();
    assert!(
        !server.calls()[0]
            .head
            .to_lowercase()
            .contains("authorization")
    );
}

#[test]
fn a_refused_key_is_not_tried_again_and_not_shown() {
    let body = format!(r#"{{"error": {{"message": "bad key {KEY}"}}}}"#);
    let server = ChatServer::scripted([Reply::status(401, &body)]);
    let client = client(&server);
    let error = client.complete(&ask(1)).unwrap_err();
    assert_eq!(server.calls().len(), 1);
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
    let server = ChatServer::scripted([Reply::status(
        429,
        r#"{"error": {"code": "insufficient_quota"}}"#,
    )]);
    client(&server).complete(&ask(1)).unwrap_err();
    assert_eq!(server.calls().len(), 1);
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
fn a_batch_keeps_its_order_and_its_limit_on_concurrency() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (now.clone(), most.clone());
    let server = ChatServer::answering(move |call| {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(5));
        inside.fetch_sub(1, Ordering::SeqCst);
        let text = call.body["messages"][0]["content"].as_str().unwrap();
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
    assert_eq!(server.calls().len(), 20);
}

#[test]
fn the_identity_has_what_decides_an_answer_and_no_key() {
    let server = ChatServer::scripted([Reply::texts(&["42"])]);
    let one = client(&server);
    let mut other = config(&server);
    other.extra_body.insert("top_k".into(), 5.into());
    other.extra_body.insert("min_p".into(), 0.1.into());
    let other = OpenAiClient::new(other).unwrap();
    assert_ne!(one.identity(), other.identity());
    assert_eq!(one.identity(), client(&server).identity());
    let text = other.identity();
    assert!(
        text.contains(&server.base_url) && text.contains("tiny"),
        "{text}"
    );
    assert!(text.find("min_p") < text.find("top_k"), "{text}");
    assert!(!one.identity().contains(KEY));
}
