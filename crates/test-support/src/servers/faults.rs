use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::http::{read_request, response};

/// What a [`FaultProxy`] does to a call instead of passing it on whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Status 429 with a `Retry-After` of 20 ms.
    TooManyRequests,
    /// Status 500.
    ServerError,
    /// No answer for so long, then the connection ends.
    Hang(Duration),
    /// The answer of the server, half of it, with its full length announced.
    Truncated,
    /// The answer of the server, half of it, with the length of the half announced.
    HalfJson,
    /// Status 200 with an error in the body.
    ErrorBody,
    /// Status 200 with a page of some gateway.
    Page,
}

/// A proxy before any HTTP server of this machine that garbles a share of the calls, drawn by a seed.
pub struct FaultProxy {
    /// Root of the server's API, through the proxy.
    pub base_url: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    faults: Vec<(f64, Fault)>,
    seed: u64,
    drawn: AtomicU64,
    counts: Mutex<HashMap<Option<Fault>, usize>>,
}

impl FaultProxy {
    /// A proxy before the server with this root, `http://127.0.0.1:PORT/...`; each fault has its share of the calls.
    ///
    /// # Panics
    ///
    /// When the root is no such address, or this machine gives no port.
    pub fn before(base_url: &str, faults: &[(f64, Fault)], seed: u64) -> Self {
        let rest = base_url.strip_prefix("http://").expect("an http address");
        let (upstream, path) = rest.split_once('/').unwrap_or((rest, ""));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port has an address");
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            faults: faults.to_vec(),
            seed,
            drawn: AtomicU64::new(0),
            counts: Mutex::default(),
        });
        let proxy = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let proxy = proxy.clone();
                std::thread::spawn(move || proxy.serve(stream));
            }
        });
        Self {
            base_url: format!("http://{address}/{path}"),
            shared,
        }
    }

    /// How many calls met each fault; `None` are those passed on whole.
    pub fn counts(&self) -> HashMap<Option<Fault>, usize> {
        let counts = self.shared.counts.lock();
        counts.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// The fate of the next call.
    fn draw(&self) -> Option<Fault> {
        let turn = self.drawn.fetch_add(1, Ordering::Relaxed);
        // The finalizer of splitmix64.
        let mut mixed = (self.seed ^ turn.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let mut at = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        let fault = self.faults.iter().find(|(share, _)| {
            at -= share;
            at < 0.0
        });
        let fault = fault.map(|(_, fault)| *fault);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(fault).or_default() += 1;
        fault
    }

    fn serve(&self, mut stream: TcpStream) {
        let Ok(clone) = stream.try_clone() else {
            return;
        };
        let mut reader = BufReader::new(clone);
        let close = ["connection: close".to_owned()];
        if let Some(request) = read_request(&mut reader) {
            let fault = self.draw();
            let answer = match fault {
                Some(Fault::TooManyRequests) => {
                    let wait = ["retry-after: 0.02".to_owned(), close[0].clone()];
                    response(429, &wait, br#"{"error": {"message": "slow down"}}"#)
                }
                Some(Fault::ServerError) => {
                    response(500, &close, br#"{"error": {"message": "boom"}}"#)
                }
                Some(Fault::Hang(time)) => {
                    std::thread::sleep(time);
                    return;
                }
                Some(Fault::ErrorBody) => {
                    response(200, &close, br#"{"error": {"message": "upstream busy"}}"#)
                }
                Some(Fault::Page) => response(200, &close, b"<html>gateway</html>"),
                None | Some(Fault::Truncated | Fault::HalfJson) => {
                    let _ = self.pass_on(&request.head, &request.body, fault, &mut stream);
                    return;
                }
            };
            let _ = stream.write_all(&answer);
        }
    }

    /// Asks the server and hands on its answer, as it comes or garbled.
    fn pass_on(
        &self,
        head: &str,
        body: &[u8],
        fault: Option<Fault>,
        client: &mut TcpStream,
    ) -> std::io::Result<()> {
        let mut server = TcpStream::connect(&self.upstream)?;
        let lines = head
            .lines()
            .filter(|line| !line.to_lowercase().starts_with("connection:"));
        let mut asked: String = lines.map(|line| format!("{line}\r\n")).collect();
        asked += "connection: close\r\n\r\n";
        server.write_all(asked.as_bytes())?;
        server.write_all(body)?;
        if fault.is_none() {
            let mut reader = BufReader::new(server);
            let mut status = Vec::new();
            reader.read_until(b'\n', &mut status)?;
            // The client is told that this connection has no second call.
            status.extend_from_slice(b"connection: close\r\n");
            client.write_all(&status)?;
            std::io::copy(&mut reader, client)?;
            return Ok(());
        }
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let start = (answer.windows(4).position(|four| four == b"\r\n\r\n")).map_or(0, |at| at + 4);
        let half = &answer[start..start + (answer.len() - start) / 2];
        match fault {
            Some(Fault::Truncated) => client.write_all(&answer[..start + half.len()]),
            _ => client.write_all(&response(200, &["connection: close".to_owned()], half)),
        }
    }
}
