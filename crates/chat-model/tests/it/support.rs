//! Clients and requests of the tests.

use chat_model::{ApiKey, ChatModel, ChatRequest, Message, OpenAiClient, OpenAiConfig, Sampling};
use test_support::servers::ChatServer;

pub const KEY: &str = "sk-test-0123456789";

/// Settings with waits of milliseconds.
pub fn config_of(base_url: &str) -> OpenAiConfig {
    let mut config = OpenAiConfig::new(base_url, "tiny");
    config.retry.first_wait_seconds = 0.001;
    config.retry.longest_wait_seconds = 1.0;
    config.retry.retries = 3;
    config.timeout_seconds = 20.0;
    config
}

pub fn config(server: &ChatServer) -> OpenAiConfig {
    config_of(&server.base_url)
}

pub fn client(server: &ChatServer) -> OpenAiClient {
    OpenAiClient::with_api_key(config(server), ApiKey::new(KEY).unwrap()).unwrap()
}

pub fn ask(samples: usize) -> ChatRequest {
    ChatRequest::new([Message::user("What is 6 * 7?")])
        .with_samples(samples)
        .with_sampling(Sampling {
            temperature: 0.7,
            seed: 5,
            ..Sampling::default()
        })
}

pub fn texts(client: &OpenAiClient, samples: usize) -> Vec<String> {
    let completions = client.complete(&ask(samples)).unwrap();
    completions.into_iter().map(|c| c.text).collect()
}
