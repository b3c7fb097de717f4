//! Answers that come piece by piece.

use std::time::Duration;

use chat_model::{ChatModel, ChatRequest, Completion, Error, FnModel, OpenAiClient, Piece};
use serde_json::{Value, json};
use test_support::servers::{ChatServer, Reply};

use crate::support::{ask, client, config, texts};

fn text(index: usize, text: &str) -> Value {
    json!({"choices": [{"index": index, "delta": {"content": text}}]})
}

fn end(index: usize) -> Value {
    json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]})
}

fn shown(client: &OpenAiClient, samples: usize) -> (Vec<Completion>, Vec<String>) {
    let mut shown = vec![String::new(); samples];
    let completions = client
        .stream(&ask(samples), &mut |piece| match piece {
            Piece::Text { sample, text } => shown[sample] += text,
            Piece::Restarted { sample } => shown[sample].clear(),
        })
        .unwrap();
    (completions, shown)
}

#[test]
fn pieces_make_up_the_completions() {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}});
    let server = ChatServer::scripted([Reply::events([
        text(0, "for"),
        text(1, "fort"),
        text(0, "ty-two"),
        end(0),
        text(1, "y"),
        end(1),
        usage,
    ])]);
    let client = client(&server);
    let (completions, shown) = shown(&client, 2);
    assert_eq!(shown, ["forty-two", "forty"]);
    assert_eq!(completions[1].text, "forty");
    assert_eq!(client.usage().completion_tokens, 9);
    assert_eq!(server.calls()[0].body["stream"], true);
}

#[test]
fn a_stream_that_breaks_off_keeps_what_has_ended_and_begins_the_rest_anew() {
    let server = ChatServer::answering(|call| match call.samples() {
        2 => Reply::Events(
            [text(0, "done"), end(0), text(1, "lo")]
                .map(|event| (Duration::ZERO, event.to_string()))
                .to_vec(),
        ),
        _ => Reply::events([text(0, "whole"), end(0)]),
    });
    let (completions, shown) = shown(&client(&server), 2);
    assert_eq!(shown, ["done", "whole"]);
    let texts: Vec<_> = completions.iter().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["done", "whole"]);
    assert!(completions[0].estimated);
}

#[test]
fn faults_in_a_stream_are_tried_again() {
    for fault in [
        Reply::Events(vec![(Duration::ZERO, r#"{"error": {"code": 503}}"#.into())]),
        Reply::Events(vec![(Duration::ZERO, r#"{"choi"#.into())]),
        Reply::Events(vec![]),
        Reply::Events(vec![(Duration::ZERO, "[DONE]".into())]),
        Reply::events([text(7, "another"), end(7)]),
        Reply::status(503, ""),
    ] {
        let server = ChatServer::scripted([fault.clone(), Reply::events([text(0, "42"), end(0)])]);
        let (_, shown) = shown(&client(&server), 1);
        assert_eq!(shown, ["42"], "{fault:?}");
    }
}

#[test]
fn silence_ends_a_stream_and_a_long_answer_does_not() {
    let slow = |pause: u64| {
        let pause = Duration::from_millis(pause);
        let pieces = (0..8).map(|_| (pause, text(0, "x").to_string()));
        Reply::Events(pieces.chain([(pause, "[DONE]".to_owned())]).collect())
    };
    let streaming = |reply| {
        let server = ChatServer::scripted([reply]);
        let mut config = config(&server);
        config.stream = true;
        // The whole answer takes longer than this.
        config.timeout_seconds = 0.3;
        config.idle_timeout_seconds = 1.0;
        config.retry.retries = 0;
        OpenAiClient::new(config).unwrap().complete(&ask(1))
    };
    assert_eq!(streaming(slow(60)).unwrap()[0].text, "xxxxxxxx");
    let error = streaming(slow(3000)).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert!(
        error.to_string().contains("idle_timeout_seconds"),
        "{error}"
    );
}

#[test]
fn a_timeout_names_the_setting_that_was_the_limit() {
    for (streamed, setting) in [
        (true, "`idle_timeout_seconds`"),
        (false, "`timeout_seconds`"),
    ] {
        let server = ChatServer::scripted([Reply::Silence]);
        let mut config = config(&server);
        config.stream = streamed;
        config.timeout_seconds = 0.2;
        config.idle_timeout_seconds = 0.2;
        config.retry.retries = 0;
        let client = OpenAiClient::new(config).unwrap();
        let error = client.complete(&ask(1)).unwrap_err().to_string();
        assert!(error.contains(setting), "{error}");
    }
}

#[test]
fn a_server_that_does_not_stream_and_a_model_that_cannot_are_errors_that_name_them() {
    let server = ChatServer::scripted([Reply::texts(&["42"])]);
    let error = client(&server).stream(&ask(1), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains(&server.base_url), "{error}");
    let function = FnModel::new("parrot", |_: &ChatRequest| {
        Ok(vec![Completion::stopped("x")])
    });
    let error = function.stream(&ask(1), &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("`parrot` cannot stream"),
        "{error}"
    );
}

#[test]
fn events_that_were_not_asked_for_are_understood() {
    let server = ChatServer::scripted([Reply::events([text(0, "hi")])]);
    assert_eq!(texts(&client(&server), 1), ["hi"]);
}
