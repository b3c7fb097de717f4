//! What is tried again, what is not, and how long is waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chat_model::{CallEvent, ChatModel, ChatRequest, Error, Message, OpenAiClient, Refusal};
use test_support::servers::{ChatServer, Reply};

use crate::support::{ask, client, config, texts};

#[test]
fn a_rate_limit_is_waited_out() {
    for header in [
        "retry-after: 0.03",
        "retry-after-ms: 30",
        "x-ratelimit-reset-requests: 30ms",
        "x-ratelimit-reset-tokens: 0.03s",
    ] {
        let server = ChatServer::scripted([Reply::refusal(429, header), Reply::texts(&["42"])]);
        let client = client(&server);
        let start = Instant::now();
        assert_eq!(texts(&client, 1), ["42"]);
        assert!(start.elapsed() >= Duration::from_millis(30), "{header}");
        assert_eq!(client.usage().calls, 2);
        assert_eq!(client.usage().retries, 1);
    }
}

#[test]
fn a_retry_after_longer_than_allowed_ends_the_call_with_an_error_that_carries_it() {
    for (header, seconds) in [
        ("retry-after: 3600", 3600),
        ("retry-after-ms: 90000", 90),
        ("x-ratelimit-reset-tokens: 6m0s", 360),
    ] {
        let server = ChatServer::scripted([Reply::refusal(429, header)]);
        let error = client(&server).complete(&ask(1)).unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)));
        assert!(error.is_passing());
        assert_eq!(error.reason(), "rate limit");
        assert!(
            error.to_string().contains(&format!("{seconds} s")),
            "{error}"
        );
        assert_eq!(server.calls().len(), 1);
    }
}

#[test]
fn a_wait_that_the_server_asks_for_holds_back_the_other_calls_too() {
    let server = ChatServer::answering(|call| match call.last_text() {
        "limited" if call.before == 0 => Reply::refusal(429, "retry-after: 0.2"),
        text => Reply::texts(&[text]),
    });
    let (failed, is_limited) = std::sync::mpsc::channel();
    let client = client(&server).with_observer(move |event| {
        if matches!(event, CallEvent::Failed { .. }) {
            let _ = failed.send(());
        }
    });
    let start = Instant::now();
    std::thread::scope(|scope| {
        let first = client.clone();
        let limited = ChatRequest::new([Message::user("limited")]);
        scope.spawn(move || first.complete(&limited).unwrap());
        is_limited.recv().unwrap();
        client.complete(&ask(1)).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(200));
    });
}

#[test]
fn every_passing_fault_is_tried_again() {
    let whole = Reply::completion(&["42"]).to_string().into_bytes();
    let half = whole.len() / 2;
    for fault in [
        Reply::status(408, ""),
        Reply::status(409, ""),
        Reply::status(425, ""),
        Reply::status(429, ""),
        Reply::status(500, ""),
        Reply::status(503, ""),
        Reply::status(529, ""),
        Reply::CutOff(whole.clone(), half),
        Reply::CutOff(whole.clone(), 0),
        Reply::ok(&whole[..half]),
        Reply::ok("<html>gateway</html>"),
        Reply::ok(""),
        Reply::Answer(204, vec![], vec![]),
        Reply::ok("[1, 2]"),
        Reply::ok(r#"{"choices": []}"#),
        Reply::ok(r#"{"choices": [{"message": {"content": 7}}]}"#),
        Reply::ok(r#"{"error": {"message": "upstream busy", "type": "server_error"}}"#),
        Reply::ok(r#"{"error": {"code": 503}, "choices": null}"#),
        Reply::HangUp,
    ] {
        let server = ChatServer::scripted([fault.clone(), fault.clone(), Reply::texts(&["42"])]);
        let client = client(&server);
        assert_eq!(texts(&client, 1), ["42"], "{fault:?}");
        assert_eq!(client.usage().retries, 2, "{fault:?}");
    }
}

#[test]
fn a_lasting_fault_is_not_tried_again_and_says_what_it_is() {
    for (fault, refusal) in [
        (Reply::status(401, ""), Refusal::Key),
        (Reply::status(403, ""), Refusal::Key),
        (Reply::status(402, ""), Refusal::Quota),
        (
            Reply::status(429, r#"{"error": {"code": "insufficient_quota"}}"#),
            Refusal::Quota,
        ),
        (Reply::status(404, ""), Refusal::NotFound),
        (Reply::status(413, ""), Refusal::TooLong),
        (
            Reply::status(400, r#"{"error": {"code": "context_length_exceeded"}}"#),
            Refusal::TooLong,
        ),
        (Reply::status(400, "bad stop"), Refusal::Other),
        (
            Reply::refusal(302, "location: /elsewhere"),
            Refusal::Redirect,
        ),
        (
            Reply::ok(r#"{"error": {"code": "invalid_api_key"}}"#),
            Refusal::Key,
        ),
    ] {
        let server = ChatServer::scripted([fault.clone()]);
        let error = client(&server).complete(&ask(1)).unwrap_err();
        assert!(!error.is_passing(), "{error}");
        assert_eq!(error.is_too_long(), refusal == Refusal::TooLong, "{error}");
        let Error::Status { refusal: found, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(found, refusal, "{fault:?}");
        assert_eq!(server.calls().len(), 1, "{fault:?}");
    }
}

#[test]
fn a_failing_server_is_given_up_with_its_words() {
    let server = ChatServer::scripted([Reply::status(500, "engine   is\ndown")]);
    let error = client(&server).complete(&ask(1)).unwrap_err();
    assert_eq!(server.calls().len(), 4);
    assert!(error.is_passing());
    assert!(matches!(
        error,
        Error::Status {
            status: 500,
            attempts: 4,
            ..
        }
    ));
    let text = error.to_string();
    assert!(text.contains(&server.base_url), "{text}");
    assert!(text.contains("engine is down"), "{text}");
    assert!(text.contains("retries"), "{text}");
}

#[test]
fn an_answer_that_is_no_chat_completion_is_shown_in_the_end() {
    for body in ["<html>hello</html>", "{}", r#"{"choices": []}"#] {
        let server = ChatServer::scripted([Reply::ok(body)]);
        let error = client(&server).complete(&ask(1)).unwrap_err();
        assert!(
            matches!(error, Error::Malformed { attempts: 4, .. }),
            "{error}"
        );
        assert!(error.is_passing());
        assert!(error.to_string().contains("base_url"), "{error}");
        assert!(error.to_string().contains(body), "{error}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_a_timeout() {
    let server = ChatServer::scripted([Reply::Silence]);
    let mut config = config(&server);
    config.timeout_seconds = 0.2;
    config.retry.retries = 1;
    let client = OpenAiClient::new(config).unwrap();
    let error = client.complete(&ask(1)).unwrap_err();
    assert!(
        matches!(error, Error::Timeout { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.is_passing());
    assert_eq!(client.usage().uncertain_calls, 2);
}

#[test]
fn a_stopped_client_finishes_what_is_under_way_and_waits_no_longer() {
    let server = ChatServer::answering(|call| match call.last_text() {
        "failing" => Reply::status(503, ""),
        _ => {
            std::thread::sleep(Duration::from_millis(300));
            Reply::texts(&["42"])
        }
    });
    let mut config = config(&server);
    config.concurrency = 2;
    config.retry.first_wait_seconds = 30.0;
    config.retry.longest_wait_seconds = 60.0;
    let stop = Arc::new(AtomicBool::new(false));
    let client = OpenAiClient::new(config).unwrap().with_stop(stop.clone());
    let failing = ChatRequest::new([Message::user("failing")]);
    let start = Instant::now();
    let results = std::thread::scope(|scope| {
        let drawn = scope.spawn(|| client.complete_batch(&[failing, ask(1), ask(1), ask(1)]));
        while server.calls().len() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        drawn.join().unwrap()
    });
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(matches!(results[0], Err(Error::Stopped)));
    assert_eq!(results[1].as_ref().unwrap()[0].text, "42");
    assert!(matches!(results[3], Err(Error::Stopped)));
}

#[test]
fn an_observer_that_panics_does_not_leave_the_others_waiting() {
    let server = ChatServer::scripted([Reply::texts(&["42"])]);
    let client = client(&server).with_observer(|_| panic!("as it should"));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        client.complete_batch(&vec![ask(1); 5])
    }));
    assert!(outcome.is_err());
}
