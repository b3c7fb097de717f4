//! A little HTTP server that answers as a test tells it to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a call looked like.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: String,
    pub body: serde_json::Value,
}

/// What to do with a call.
#[derive(Clone)]
pub enum Reply {
    /// Status, further header lines, body.
    Answer(u16, Vec<String>, String),
    /// Read the call and never answer.
    Silence,
}

impl Reply {
    pub fn ok(body: impl Into<String>) -> Self {
        Self::Answer(200, vec![], body.into())
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self::Answer(status, vec![], body.to_owned())
    }

    /// A chat completion with these texts.
    pub fn texts(texts: &[&str]) -> Self {
        let choices: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| {
                serde_json::json!({
                    "index": index,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                })
            })
            .collect();
        let usage = serde_json::json!({"prompt_tokens": 10, "completion_tokens": 4 * texts.len()});
        Self::ok(serde_json::json!({"choices": choices, "usage": usage}).to_string())
    }
}

pub struct Server {
    pub base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers with the replies in turn, the last one for ever.
    pub fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Mutex::new(replies.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| {
            let mut replies = replies.lock().unwrap();
            match replies.len() {
                0 | 1 => replies[0].clone(),
                _ => replies.pop_front().unwrap(),
            }
        })
    }

    /// Answers with a function of the call.
    pub fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Self { base_url, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Seen) -> Reply, log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(seen) = read_call(&mut reader) {
        log.lock().unwrap().push(seen.clone());
        match answer(&seen) {
            Reply::Silence => {
                // Hold the connection until the client hangs up.
                let _ = reader.read(&mut [0; 1]);
                return;
            }
            Reply::Answer(status, headers, body) => {
                let mut text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
                    body.len()
                );
                for header in headers {
                    text += &format!("{header}\r\n");
                }
                text += "\r\n";
                text += &body;
                if stream.write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

fn read_call(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Seen {
        head,
        body: serde_json::from_slice(&body).ok()?,
    })
}
