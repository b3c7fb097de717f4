use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{read_request, response};

/// A call as a [`ChatServer`] saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// First line and headers.
    pub head: String,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// How many calls with the same body came before.
    pub before: usize,
}

impl Call {
    /// The path that was asked for.
    pub fn path(&self) -> &str {
        self.head.split_whitespace().nth(1).unwrap_or_default()
    }

    /// The number of samples that is asked for.
    pub fn samples(&self) -> usize {
        self.body["n"].as_u64().unwrap_or(1) as usize
    }

    /// The text of the last message, or the raw prompt.
    pub fn last_text(&self) -> &str {
        let messages = self.body["messages"].as_array();
        let content = messages.and_then(|messages| messages.last()?["content"].as_str());
        content.or(self.body["prompt"].as_str()).unwrap_or_default()
    }
}

/// What a [`ChatServer`] does with a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Status, further header lines, body.
    Answer(u16, Vec<String>, Vec<u8>),
    /// The answer's length is that of the body, of which so many bytes come before the connection ends.
    CutOff(Vec<u8>, usize),
    /// Server-sent events, each after a pause; then the connection ends.
    Events(Vec<(Duration, String)>),
    /// The connection ends without an answer.
    HangUp,
    /// Read the call and never answer.
    Silence,
}

impl Reply {
    /// A body with status 200.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(200, vec![], body.into())
    }

    /// A body with another status.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Answer(status, vec![], body.into())
    }

    /// A refusal with a header line.
    pub fn refusal(status: u16, header: &str) -> Self {
        Self::Answer(status, vec![header.to_owned()], b"{\"error\": {}}".into())
    }

    /// A chat completion with these texts: 10 tokens in, 4 out for each text.
    pub fn texts<T: AsRef<str>>(texts: &[T]) -> Self {
        Self::ok(Self::completion(texts).to_string())
    }

    /// The JSON of [`texts`](Self::texts), to be changed.
    pub fn completion<T: AsRef<str>>(texts: &[T]) -> Value {
        let choices: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                json!({
                    "index": index,
                    "message": {"role": "assistant", "content": text.as_ref()},
                    "finish_reason": "stop",
                })
            })
            .collect();
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 4 * texts.len()});
        json!({"choices": choices, "usage": usage})
    }

    /// Events without pauses, closed by `[DONE]`.
    pub fn events(events: impl IntoIterator<Item = Value>) -> Self {
        let events = events.into_iter().map(|event| event.to_string());
        let closed = events.chain(["[DONE]".to_owned()]);
        Self::Events(closed.map(|event| (Duration::ZERO, event)).collect())
    }
}

/// An OpenAI-compatible server on this machine that answers as a test tells it to.
pub struct ChatServer {
    /// Root of its API.
    pub base_url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    calls: Mutex<Vec<Call>>,
    by_body: Mutex<HashMap<String, usize>>,
    under_way: AtomicUsize,
    peak: AtomicUsize,
}

impl ChatServer {
    /// Answers with the replies in turn, the last one for ever.
    pub fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Mutex::new(replies.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| {
            let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
            match replies.len() {
                0 => Reply::status(500, "the script is empty"),
                1 => replies[0].clone(),
                _ => replies.pop_front().unwrap_or(Reply::Silence),
            }
        })
    }

    /// Answers with a function of the call.
    ///
    /// # Panics
    ///
    /// When this machine gives no port.
    pub fn answering(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let shared = Arc::new(Shared::default());
        let (answer, log) = (Arc::new(answer), shared.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Self {
            base_url: format!("http://{address}/v1"),
            shared,
        }
    }

    /// The calls so far, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.shared.calls.lock();
        calls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most calls that were under way at once.
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Call) -> Reply, shared: &Shared) {
    let Ok(clone) = stream.try_clone() else {
        return;
    };
    let (mut reader, mut stream) = (BufReader::new(clone), stream);
    let _ = stream.set_nodelay(true);
    while let Some(request) = read_request(&mut reader) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let before = {
            let mut counts = shared
                .by_body
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(body.to_string()).or_default();
            *count += 1;
            *count - 1
        };
        let call = Call {
            head: request.head,
            body,
            before,
        };
        let mut calls = shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call.clone());
        drop(calls);
        let now = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        shared.peak.fetch_max(now, Ordering::SeqCst);
        let reply = answer(&call);
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        let goes_on = match reply {
            Reply::Answer(status, headers, body) => {
                stream.write_all(&response(status, &headers, &body)).is_ok()
            }
            Reply::CutOff(body, sent) => {
                let whole = response(200, &[], &body);
                let missing = body.len().saturating_sub(sent);
                let _ = stream.write_all(&whole[..whole.len() - missing]);
                false
            }
            Reply::Events(events) => {
                let _ = send_events(&mut stream, &events);
                false
            }
            Reply::HangUp => false,
            Reply::Silence => {
                // Hold the connection until the client hangs up.
                let _ = reader.read(&mut [0; 1]);
                false
            }
        };
        // A proxy that asks for one answer waits for the end of the connection.
        let is_last = call.head.to_lowercase().contains("connection: close");
        if !goes_on || is_last {
            return;
        }
    }
}

fn send_events(stream: &mut TcpStream, events: &[(Duration, String)]) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
    )?;
    for (pause, event) in events {
        std::thread::sleep(*pause);
        stream.write_all(format!("data: {event}\n\n").as_bytes())?;
    }
    Ok(())
}
