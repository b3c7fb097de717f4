//! As much of HTTP/1.1 as the servers here need.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;

/// A call as it came: its first line and headers, and its body.
pub(super) struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

/// The next call on a connection, or `None` at its end.
pub(super) fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
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
    Some(Request { head, body })
}

/// An answer with its length.
pub(super) fn response(status: u16, headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    if !headers
        .iter()
        .any(|line| line.to_lowercase().starts_with("content-type:"))
    {
        head += "content-type: application/json\r\n";
    }
    for line in headers {
        head += line;
        head += "\r\n";
    }
    head += "\r\n";
    [head.as_bytes(), body].concat()
}
