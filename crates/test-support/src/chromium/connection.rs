//! Calls and events of the DevTools protocol.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A connection to the browser or to one page.
#[derive(Debug)]
pub(super) struct Connection {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    calls: u64,
    /// Events that have come, in order.
    pub events: Vec<Value>,
}

impl Connection {
    pub fn open(url: &str) -> Result<Self, String> {
        // A screenshot or a document is one message.
        let config = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let (socket, _) = tungstenite::client::connect_with_config(url, Some(config), 0)
            .map_err(|error| format!("{url}: {error}"))?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream
                .set_read_timeout(Some(TIMEOUT))
                .map_err(|error| error.to_string())?;
        }
        Ok(Self {
            socket,
            calls: 0,
            events: Vec::new(),
        })
    }

    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.calls += 1;
        let call = json!({"id": self.calls, "method": method, "params": parameters});
        self.socket
            .send(Message::text(call.to_string()))
            .map_err(|error| format!("{method}: {error}"))?;
        loop {
            let mut message = self
                .receive()
                .map_err(|problem| format!("{method}: {problem}"))?;
            if message["id"] == self.calls {
                return match message.get("error") {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(message["result"].take()),
                };
            }
            self.events.push(message);
        }
    }

    /// Waits for an event, which may have come already.
    pub fn wait_for(&mut self, event: &str) -> Result<(), String> {
        while !self.events.iter().any(|it| it["method"] == event) {
            let message = self
                .receive()
                .map_err(|problem| format!("{event}: {problem}"))?;
            self.events.push(message);
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Value, String> {
        loop {
            let message = self.socket.read().map_err(|error| error.to_string())?;
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).map_err(|error| error.to_string());
            }
        }
    }
}
