//! A server of which three answers in ten are lost or garbled.

use std::time::Duration;

use chat_model::{ChatModel, ChatRequest, Message, OpenAiClient};
use test_support::servers::{ChatServer, Fault, FaultProxy, Reply};

use crate::support::config_of;

const FAULTS: [(f64, Fault); 6] = [
    (0.05, Fault::TooManyRequests),
    (0.05, Fault::ServerError),
    (0.05, Fault::Hang(Duration::from_millis(1200))),
    (0.05, Fault::Truncated),
    (0.05, Fault::HalfJson),
    (0.05, Fault::ErrorBody),
];

#[test]
fn all_of_200_requests_are_answered_through_30_percent_of_faults() {
    let server = ChatServer::answering(|call| {
        Reply::texts(&vec![
            format!("answer to {}", call.last_text());
            call.samples()
        ])
    });
    let proxy = FaultProxy::before(&server.base_url, &FAULTS, 7);
    let mut config = config_of(&proxy.base_url);
    config.retry.retries = 8;
    config.timeout_seconds = 0.6;
    config.retry.longest_wait_seconds = 0.05;
    let client = OpenAiClient::new(config).unwrap();
    let requests: Vec<ChatRequest> = (0..200)
        .map(|index| ChatRequest::new([Message::user(index.to_string())]).with_samples(3))
        .collect();
    for (index, answer) in client.complete_batch(&requests).into_iter().enumerate() {
        let completions = answer.unwrap();
        assert_eq!(completions.len(), 3);
        assert!(
            completions
                .iter()
                .all(|c| c.text == format!("answer to {index}"))
        );
    }
    let counts = proxy.counts();
    for (_, fault) in FAULTS {
        assert!(counts[&Some(fault)] > 0, "{fault:?}");
    }
    // On a busy machine a call can be late although nothing was done to it.
    assert!(counts[&None] >= 200, "{counts:?}");
    let faults: usize = counts
        .iter()
        .filter(|(k, _)| k.is_some())
        .map(|(_, n)| n)
        .sum();
    assert!(client.usage().retries as usize >= faults, "{counts:?}");
}
