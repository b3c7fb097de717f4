//! What a server was asked, sample by sample: a client that asks for the rest of a request's samples asks nothing twice.

use std::collections::HashMap;

use serde_json::json;
use test_support::servers::{Call, ChatServer};

/// A server's account.
#[derive(Debug, Default, PartialEq)]
pub struct Account {
    pub calls: usize,
    /// Calls that asked for a sample which an earlier call had asked for.
    pub repeated: usize,
    /// Different samples.
    pub samples: usize,
}

/// The account of all calls of a server.
pub fn account(server: &ChatServer) -> Account {
    of_calls(&server.calls())
}

pub fn of_calls(calls: &[Call]) -> Account {
    let mut asked: HashMap<(String, u64), usize> = HashMap::new();
    let mut account = Account::default();
    for call in calls {
        let first = call.body["seed"].as_u64().unwrap_or_default();
        let what = format!("{} {}", call.body["model"], call.body["messages"]);
        let mut is_repeated = false;
        for seed in first..first + call.samples() as u64 {
            let times = asked.entry((what.clone(), seed)).or_default();
            is_repeated |= *times > 0;
            *times += 1;
        }
        account.calls += 1;
        account.repeated += usize::from(is_repeated);
    }
    account.samples = asked.len();
    account
}

#[test]
fn the_rest_of_a_requests_samples_is_no_repetition_and_one_of_them_again_is() {
    let call = |seed: u64, samples: u64, text: &str| Call {
        head: String::new(),
        body: json!({"model": "m", "messages": [{"content": text}], "seed": seed, "n": samples}),
        before: 0,
    };
    let calls = [
        call(7, 4, "a"),
        call(11, 2, "a"),
        call(7, 1, "b"),
        call(10, 1, "a"),
    ];
    let expected = |calls, repeated, samples| Account {
        calls,
        repeated,
        samples,
    };
    assert_eq!(of_calls(&calls[..3]), expected(3, 0, 7));
    assert_eq!(of_calls(&calls), expected(4, 1, 7));
}
