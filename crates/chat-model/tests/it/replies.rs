//! What servers write in odd ways, and what another model writes.

use chat_model::{ChatModel, Error, Finish, OpenAiClient};
use serde_json::{Value, json};
use test_support::servers::{ChatServer, Reply};

use crate::support::{ask, client, config};

fn reply(body: &str) -> chat_model::Completion {
    let server = ChatServer::scripted([Reply::ok(body)]);
    client(&server).complete(&ask(1)).unwrap().remove(0)
}

#[test]
fn odd_shapes_are_understood() {
    let parts = reply(
        r#"{"choices": [{"index": "0", "message": {"content": [{"type": "text", "text": "he"}, {"type": "text", "text": "llo"}]}}],
            "usage": {"prompt_tokens": 10.0, "completion_tokens": 5.0}}"#,
    );
    assert_eq!(
        (parts.text.as_str(), parts.tokens, parts.prompt_tokens),
        ("hello", 5, 10)
    );
    assert_eq!(parts.finish, Finish::Stop);
    assert!(!parts.estimated);
    let null = reply(r#"{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}"#);
    assert_eq!(null.text, "");
    let surrogate =
        reply(r#"{"id": NaN, "choices": [{"index": -1, "message": {"content": "a\ud83d"}}]}"#);
    assert_eq!(surrogate.text, "a\u{fffd}");
    let thought = reply(
        r#"{"choices": [{"message": {"content": "42", "reasoning_content": "long thoughts"}, "finish_reason": "length"}]}"#,
    );
    assert_eq!(thought.text, "42");
    assert_eq!(thought.reasoning.as_deref(), Some("long thoughts"));
    assert_eq!(thought.finish, Finish::Length);
}

#[test]
fn an_answer_without_usage_is_estimated_and_says_so() {
    let server = ChatServer::answering(|call| {
        let mut reply = Reply::completion(&vec!["abcdefghi"; call.samples()]);
        reply.as_object_mut().unwrap().remove("usage");
        Reply::ok(reply.to_string())
    });
    let client = client(&server);
    let completions = client.complete(&ask(2)).unwrap();
    assert!(completions.iter().all(|c| c.estimated && c.tokens == 3));
    let usage = client.usage();
    assert_eq!((usage.completion_tokens, usage.estimated_calls), (6, 1));
    // 14 bytes of prompt are 5 tokens, with 4 for the template.
    assert_eq!(usage.prompt_tokens, 9);
}

fn answered_by(model: Value) -> ChatServer {
    ChatServer::answering(move |_| {
        let mut reply = Reply::completion(&["42"]);
        reply["model"] = model.clone();
        Reply::ok(reply.to_string())
    })
}

#[test]
fn an_answer_under_another_name_is_an_error_that_names_both_unless_it_is_accepted() {
    let server = answered_by(json!("huge"));
    let error = client(&server).complete(&ask(1)).unwrap_err();
    let Error::OtherModel {
        asked, answered, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((asked.as_str(), answered.as_str()), ("tiny", "huge"));
    assert!(!error.is_passing());
    assert_eq!(server.calls().len(), 1);
    let mut accepting = config(&server);
    accepting.accept_other_model = true;
    let accepting = OpenAiClient::new(accepting).unwrap();
    let completion = accepting.complete(&ask(1)).unwrap().remove(0);
    assert_eq!(completion.model.as_deref(), Some("huge"));
}

#[test]
fn a_version_of_the_same_model_is_accepted() {
    for name in [json!("tiny-2024-08-06"), json!("org/Tiny"), json!(null)] {
        let completion = client(&answered_by(name.clone()))
            .complete(&ask(1))
            .unwrap();
        assert_eq!(completion[0].model.as_deref(), name.as_str());
    }
}

#[test]
fn log_probs_come_with_the_tokens_and_their_absence_is_an_error() {
    let server = ChatServer::answering(|call| {
        let mut reply = Reply::completion(&["42!"]);
        if call.body["logprobs"] == json!(true) {
            reply["choices"][0]["logprobs"] = json!({"content": [
                {"token": "42", "logprob": -0.25, "top_logprobs": []}, {"token": "!", "logprob": -0.5}]});
        }
        Reply::ok(reply.to_string())
    });
    let client_of = client(&server);
    let plain = client_of.complete(&ask(1)).unwrap().remove(0);
    assert_eq!(plain.log_prob(), None);
    let with = client_of
        .complete(&ask(1).with_logprobs())
        .unwrap()
        .remove(0);
    assert_eq!(with.log_prob(), Some(-0.75));
    assert_eq!(with.logprobs.unwrap()[1].token, "!");
    let without = ChatServer::scripted([Reply::texts(&["42"])]);
    let error = client(&without)
        .complete(&ask(1).with_logprobs())
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("log-probabilities"), "{error}");
}
