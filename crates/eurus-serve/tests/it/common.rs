//! A server that lives as long as a test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use eurus_models::{Decoder, DecoderConfig, LocalChatModel, RewardModel};
use eurus_serve::{RewardServed, ServeConfig, Served, Server};
use serde_json::Value;
use token_forest::{ChatTokenizer, train_bpe};

pub struct TestServer {
    pub address: String,
    ending: Arc<AtomicBool>,
    serving: Option<JoinHandle<eurus_serve::Result<()>>>,
}

pub fn tokenizer() -> ChatTokenizer {
    let texts = ["one two three four", "größer ≥ 🙂", "Stop here."];
    let bpe = train_bpe(texts, 300, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
    ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer")
}

fn config(vocab_size: usize) -> DecoderConfig {
    let mut config = DecoderConfig::llama(vocab_size, 16, 2, 2);
    config.initializer_range = 0.3;
    config
}

/// A model that says nothing sensible, always the same.
pub fn model() -> LocalChatModel {
    let tokenizer = tokenizer();
    let decoder = Decoder::init(&config(tokenizer.vocab_size()), 5, &Device::flex());
    LocalChatModel::new("tiny", &decoder, tokenizer)
}

/// A reward model whose rewards differ from text to text.
pub fn reward_model() -> RewardServed {
    let tokenizer = tokenizer();
    let config = config(tokenizer.vocab_size());
    let mut model = RewardModel::from_decoder(Decoder::init(&config, 5, &Device::flex()));
    let weight = &mut model.head.projection_mut().weight;
    *weight = weight.clone().map(|weight| weight.add_scalar(0.1));
    RewardServed {
        model,
        tokenizer,
        context: config.context_length(),
    }
}

impl TestServer {
    pub fn start() -> Self {
        Self::of(model(), |_| {})
    }

    pub fn of(model: LocalChatModel, change: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::serving(Served::Chat(Box::new(model)), change)
    }

    pub fn serving(served: Served, change: impl FnOnce(&mut ServeConfig)) -> Self {
        let server = Server::bind("127.0.0.1", 0).expect("a port");
        let address = server.address().to_string();
        let mut config = ServeConfig::new("tiny");
        change(&mut config);
        let ending = Arc::new(AtomicBool::new(false));
        let flag = ending.clone();
        let serving = std::thread::spawn(move || server.run(served, config, flag));
        Self {
            address,
            ending,
            serving: Some(serving),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Tells it to end.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Waits for its end.
    pub fn join(mut self) {
        self.end();
        let serving = self.serving.take().expect("it serves");
        serving
            .join()
            .expect("it does not panic")
            .expect("it serves");
    }

    /// Status and body of a call.
    pub fn call(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let response = self.raw(method, path, headers, body);
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        let status = head
            .split_whitespace()
            .nth(1)
            .and_then(|it| it.parse().ok());
        let body = match head.to_lowercase().contains("transfer-encoding: chunked") {
            true => unchunked(body),
            false => body.to_owned(),
        };
        (status.unwrap_or(0), body)
    }

    /// All that comes back of a call, head and body.
    pub fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> String {
        let mut connection = self.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        // A server that refuses need not read to the end.
        let _ = connection.write_all(head.as_bytes());
        let _ = connection.write_all(body);
        let mut response = Vec::new();
        let _ = connection.read_to_end(&mut response);
        String::from_utf8_lossy(&response).into_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).expect("a connection");
        let wait = Some(Duration::from_secs(60));
        connection.set_read_timeout(wait).expect("a timeout");
        connection
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        self.call("GET", path, "", b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_bytes(path, body.to_string().as_bytes())
    }

    pub fn post_bytes(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let (status, body) = self.call("POST", path, "content-type: application/json\r\n", body);
        let value = serde_json::from_str(&body);
        (
            status,
            value.unwrap_or_else(|error| panic!("{status} {body}: {error}")),
        )
    }

    /// The answer to a call that succeeds.
    pub fn ask(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(path, body);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The events of a streamed call that succeeds, without the last, which says that it is done.
    pub fn events(&self, path: &str, body: &Value) -> Vec<Value> {
        let text = body.to_string();
        let (status, body) = self.call("POST", path, "", text.as_bytes());
        assert_eq!(status, 200, "{body}");
        let mut events: Vec<&str> = body
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        assert_eq!(events.pop(), Some("[DONE]"), "{body}");
        let parse = |event: &&str| serde_json::from_str(event).expect("JSON");
        events.iter().map(parse).collect()
    }

    /// A number of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.trim().parse().expect("a number")
    }

    /// Waits until it is so.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The chunks of a body, without their sizes.
fn unchunked(body: &str) -> String {
    let (mut bytes, mut whole) = (body.as_bytes(), Vec::new());
    while let Some(end) = bytes.windows(2).position(|it| it == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok();
        let size = size.and_then(|it| usize::from_str_radix(it, 16).ok());
        let Some(size) = size.filter(|&size| size > 0) else {
            break;
        };
        let rest = &bytes[end + 2..];
        whole.extend_from_slice(&rest[..size.min(rest.len())]);
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
    String::from_utf8_lossy(&whole).into_owned()
}
