//! Clients that leave, connections that hang, and the end of a server.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{TestServer, model};

const CHAT: &str = "/v1/chat/completions";

/// A request that takes long, as bytes on the wire.
fn long_request(stream: bool, samples: usize) -> Vec<u8> {
    let body = json!({"model": "tiny", "n": samples, "max_tokens": 1900, "temperature": 1.0, "stream": stream,
        "seed": 5, "messages": [{"role": "user", "content": "one two"}]});
    let body = body.to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

fn patient_server(max_rows: usize, max_waiting: usize) -> TestServer {
    TestServer::of(model().with_max_rows(max_rows), |config| {
        config.max_waiting = max_waiting;
    })
}

#[test]
fn clients_that_leave_free_their_rows_and_the_others_get_what_they_would() {
    let server = TestServer::start();
    let body = json!({"model": "tiny", "n": 2, "max_tokens": 400, "seed": 7, "temperature": 1.0,
        "messages": [{"role": "user", "content": "three"}]});
    let alone = server.ask(CHAT, &body);
    let mut leaving = Vec::new();
    for stream in [false, true, true] {
        let mut connection = server.connect();
        connection
            .write_all(&long_request(stream, 4))
            .expect("it sends");
        leaving.push(connection);
    }
    server.wait_until("all rows advance", |it| it.metric("eurus_rows") >= 12.0);
    let together = std::thread::scope(|scope| {
        let asking = scope.spawn(|| server.ask(CHAT, &body));
        server.wait_until("one more comes", |it| {
            it.metric("eurus_running_requests") >= 4.0 || it.metric("eurus_rows") < 12.0
        });
        drop(leaving);
        asking.join().expect("it is answered")
    });
    assert_eq!(together["choices"], alone["choices"]);
    server.wait_until("the rows are free", |it| it.metric("eurus_rows") == 0.0);
    assert_eq!(server.metric("eurus_running_requests"), 0.0);
    assert_eq!(server.metric("eurus_abandoned_requests_total"), 3.0);
}

#[test]
fn a_client_that_leaves_while_it_waits_is_never_computed() {
    let server = patient_server(1, 4);
    let mut first = server.connect();
    first.write_all(&long_request(true, 200)).expect("it sends");
    server.wait_until("one is running", |it| {
        it.metric("eurus_running_requests") == 1.0
    });
    let mut second = server.connect();
    second.write_all(&long_request(false, 1)).expect("it sends");
    server.wait_until("one waits", |it| it.metric("eurus_waiting_requests") == 1.0);
    let prompts = server.metric("eurus_prompt_tokens_total");
    drop(second);
    server.wait_until("none waits", |it| {
        it.metric("eurus_waiting_requests") == 0.0
    });
    drop(first);
    server.wait_until("none is running", |it| {
        it.metric("eurus_running_requests") == 0.0
    });
    assert_eq!(server.metric("eurus_prompt_tokens_total"), prompts);
}

#[test]
fn one_more_than_may_wait_is_told_when_to_come_again() {
    let server = patient_server(1, 1);
    let mut running = server.connect();
    running
        .write_all(&long_request(true, 200))
        .expect("it sends");
    server.wait_until("one is running", |it| {
        it.metric("eurus_running_requests") == 1.0
    });
    let mut waiting = server.connect();
    waiting
        .write_all(&long_request(false, 1))
        .expect("it sends");
    server.wait_until("one waits", |it| it.metric("eurus_waiting_requests") == 1.0);
    let body =
        json!({"model": "tiny", "messages": [{"role": "user", "content": "one"}], "max_tokens": 3});
    let refused = server.raw("POST", CHAT, "", body.to_string().as_bytes());
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(
        refused.to_lowercase().contains("\r\nretry-after: 1\r\n"),
        "{refused}"
    );
    assert!(refused.contains("rate_limit"), "{refused}");
    drop((running, waiting));
    server.wait_until("there is room", |it| {
        it.metric("eurus_waiting_requests") == 0.0
    });
    server.wait_until("it answers again", |it| it.post(CHAT, &body).0 == 200);
}

#[test]
fn connections_that_are_half_open_hinder_nobody() {
    let server = TestServer::of(model(), |config| config.max_request_seconds = 1);
    let mut hanging = Vec::new();
    let parts: [&[u8]; 5] = [
        b"",
        b"POST /v1/chat",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{\"model\":",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    for part in parts.iter().cycle().take(100) {
        let mut connection = server.connect();
        let _ = connection.write_all(part);
        hanging.push(connection);
    }
    let body =
        json!({"model": "tiny", "messages": [{"role": "user", "content": "one"}], "max_tokens": 3});
    server.ask(CHAT, &body);
    // One whose body does not come is told so.
    let mut answer = String::new();
    let _ = hanging[3].read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    // Those on which no head of a request comes are closed.
    for place in [1, 2] {
        let mut nothing = Vec::new();
        hanging[place]
            .read_to_end(&mut nothing)
            .expect("it is closed");
    }
    // One that says that no more comes is answered or closed, and harms nothing.
    let _ = hanging[0].shutdown(Shutdown::Write);
    server.ask(CHAT, &body);
}

#[test]
fn a_server_that_is_to_end_answers_what_it_has_begun_and_refuses_the_rest() {
    let server = patient_server(1, 4);
    let ask = |request: &[u8]| {
        let mut connection = server.connect();
        connection.write_all(request).expect("it sends");
        connection
    };
    let mut running = ask(&long_request(false, 12));
    server.wait_until("one is running", |it| {
        it.metric("eurus_running_requests") == 1.0
    });
    let mut waiting = ask(&long_request(false, 1));
    server.wait_until("one waits", |it| it.metric("eurus_waiting_requests") == 1.0);
    let half_open = ask(b"POST /v1/chat/completions HTTP/1.1\r\n");
    let idle = server.connect();
    server.end();
    let mut refused = String::new();
    let _ = waiting.read_to_string(&mut refused);
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    let mut answered = String::new();
    let _ = running.read_to_string(&mut answered);
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    let body = answered.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let answer: Value = serde_json::from_str(body).expect("JSON");
    assert!(answer["usage"]["completion_tokens"].as_u64() > Some(0));
    let began = Instant::now();
    server.join();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "half-open connections are not waited for"
    );
    drop((half_open, idle));
}
