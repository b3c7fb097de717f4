//! Requests that were right before something happened to them.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::common::TestServer;

/// Mutated requests, at least as many as are asked for of any server.
const REQUESTS: u32 = 300;

fn sound() -> impl Strategy<Value = (&'static str, String)> {
    let chat = json!({"model": "tiny", "messages": [{"role": "system", "content": "größer"},
        {"role": "user", "content": "one two"}], "max_tokens": 4, "n": 2, "temperature": 0.7, "top_p": 0.9,
        "seed": 5, "stop": ["th"], "logprobs": true, "top_logprobs": 2, "stream": true,
        "stream_options": {"include_usage": true}});
    let text = json!({"model": "tiny", "prompt": ["one", "two 🙂"], "max_tokens": 3, "echo": true, "logprobs": 2,
        "n": 2, "stop": "e", "seed": -3, "top_k": 5, "repetition_penalty": 1.1});
    let all = [
        ("/v1/chat/completions", chat.to_string()),
        ("/v1/completions", text.to_string()),
        (
            "/v1/completions",
            json!({"prompt": [[1, 2, 3], [4]], "max_tokens": 2}).to_string(),
        ),
        ("/get_reward", json!({"query": ["one"]}).to_string()),
    ];
    prop::sample::select(all.to_vec())
}

/// What may stand where something else stood.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[1, "a"], null])),
        prop::collection::vec(any::<u32>(), 0..5).prop_map(|it| json!(it)),
        Just(json!("\u{202e}\u{0}</script>")),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    /// The n-th value of the tree becomes another.
    Replace(usize, Value),
    /// A field is renamed.
    Rename(usize, String),
    /// Bytes become others.
    Bytes(Vec<(usize, u8)>),
    /// It ends early.
    Cut(usize),
    /// Something stands twice.
    Twice(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (any::<usize>(), odd()).prop_map(|(at, value)| Change::Replace(at, value)),
        1 => (any::<usize>(), "[a-z_]{0,8}").prop_map(|(at, name)| Change::Rename(at, name)),
        1 => prop::collection::vec((any::<usize>(), any::<u8>()), 1..4).prop_map(Change::Bytes),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Change::Twice(from, to)),
    ]
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        *value = new.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|it| replace(it, at, new)),
        Value::Object(fields) => fields.values_mut().for_each(|it| replace(it, at, new)),
        _ => {}
    }
}

fn changed(body: &str, change: &Change) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    match change {
        Change::Replace(at, new) => {
            let mut value: Value = serde_json::from_str(body).expect("JSON");
            // Not the whole: that is another test.
            let mut at = 1 + at % (count(&value) - 1);
            replace(&mut value, &mut at, new);
            return value.to_string().into_bytes();
        }
        Change::Rename(at, name) => {
            let mut value: Value = serde_json::from_str(body).expect("JSON");
            if let Value::Object(fields) = &mut value {
                let at = at % fields.len();
                let old = fields.keys().nth(at).cloned().unwrap_or_default();
                let moved = fields.remove(&old).unwrap_or_default();
                fields.insert(name.clone(), moved);
            }
            return value.to_string().into_bytes();
        }
        Change::Bytes(all) => {
            for (at, byte) in all {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
        }
        Change::Cut(at) => bytes.truncate(at % bytes.len()),
        Change::Twice(from, to) => {
            let (from, to) = (from % bytes.len(), to % bytes.len());
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(to..to, part);
        }
    }
    bytes
}

#[test]
fn three_hundred_mutated_requests_are_answered_or_refused_in_the_shape_of_the_protocol() {
    let server = TestServer::start();
    let mut runner = TestRunner::new(Config {
        cases: REQUESTS,
        failure_persistence: None,
        ..Config::default()
    });
    let refused = std::cell::Cell::new(0);
    let outcome = runner.run(&(sound(), change()), |((path, body), change)| {
        let body = changed(&body, &change);
        let (status, answer) = server.call("POST", path, "", &body);
        let shown = String::from_utf8_lossy(&body).into_owned();
        match status {
            200 => {}
            400 | 404 => {
                let answer: Value = serde_json::from_str(&answer)
                    .map_err(|error| TestCaseError::fail(format!("{error}: {answer}")))?;
                prop_assert!(answer["error"]["message"].is_string(), "{answer}");
                refused.set(refused.get() + 1);
            }
            _ => prop_assert!(false, "{status} {answer} to {shown}"),
        }
        Ok(())
    });
    outcome.expect("no request is a fault");
    assert!(
        refused.get() > REQUESTS / 4,
        "{} were refused",
        refused.get()
    );
    assert_eq!(server.get("/health").0, 200);
    server.wait_until("nothing goes on", |it| it.metric("eurus_rows") == 0.0);
    assert_eq!(server.metric("eurus_waiting_requests"), 0.0);
}
