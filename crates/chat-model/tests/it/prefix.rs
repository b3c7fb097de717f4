//! Begun answers, raw prompts and log-probabilities of a given answer.

use chat_model::{ChatModel, ChatRequest, Error, OpenAiClient, PrefixSupport};
use serde_json::{Value, json};
use test_support::servers::{Call, ChatServer, Reply};

use crate::support::{ask, client, config};

/// How a server treats a begun answer.
#[derive(Clone, Copy)]
enum Kind {
    Continues,
    Repeats,
    OpensAnother,
    Refuses,
    CountsNothing,
}

fn server(kind: Kind) -> ChatServer {
    ChatServer::answering(move |call| {
        let last = call.body["messages"].as_array().unwrap().last().unwrap();
        let begun = (last["role"] == "assistant").then(|| call.last_text());
        if begun.is_some() && matches!(kind, Kind::Refuses) {
            return Reply::status(400, "Unrecognized request argument: continue_final_message");
        }
        let text = match (begun, kind) {
            (Some(begun), Kind::Repeats) => format!("{begun} b): return a + b"),
            _ => " b): return a + b".to_owned(),
        };
        let mut reply = Reply::completion(&vec![text; call.samples()]);
        let tokens = 12
            + begun.map_or(0, |begun| begun.split([' ', '-']).count())
            + match (begun, kind) {
                (Some(_), Kind::OpensAnother) => 5,
                _ => 0,
            };
        reply["usage"]["prompt_tokens"] = json!(tokens);
        if matches!(kind, Kind::CountsNothing) {
            reply.as_object_mut().unwrap().remove("usage");
        }
        Reply::ok(reply.to_string())
    })
}

fn begun() -> ChatRequest {
    ask(2).with_answer_prefix("def add(a,")
}

#[test]
fn a_begun_answer_is_gone_on_with_and_not_repeated() {
    for kind in [Kind::Continues, Kind::Repeats] {
        let server = server(kind);
        let client = client(&server);
        for _ in 0..2 {
            let completions = client.complete(&begun()).unwrap();
            assert_eq!(completions.len(), 2);
            assert!(completions.iter().all(|c| c.text == " b): return a + b"));
        }
        // Found out once, by three calls.
        assert_eq!(server.calls().len(), 3 + 2);
        let sent = &server.calls()[4].body;
        assert_eq!(sent["continue_final_message"], true);
        assert_eq!(sent["messages"][1]["content"], "def add(a,");
    }
}

#[test]
fn a_server_that_does_not_go_on_is_an_error_that_names_it() {
    for (kind, said) in [
        (Kind::OpensAnother, "12 tokens before the answer and 18"),
        (Kind::Refuses, "Unrecognized request argument"),
        (Kind::CountsNothing, "counts no prompt tokens"),
    ] {
        let server = server(kind);
        let error = client(&server).complete(&begun()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(said) && text.contains(&server.base_url),
            "{text}"
        );
        assert!(!error.is_passing());
    }
}

#[test]
fn what_the_settings_say_is_not_found_out() {
    let server = server(Kind::CountsNothing);
    let mut settings = config(&server);
    settings.answer_prefix = PrefixSupport::Continues;
    let client = OpenAiClient::new(settings.clone()).unwrap();
    assert_eq!(client.complete(&begun()).unwrap().len(), 2);
    assert_eq!(server.calls().len(), 1);
    settings.answer_prefix = PrefixSupport::Unsupported;
    let error = OpenAiClient::new(settings)
        .unwrap()
        .complete(&begun())
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn a_raw_prompt_goes_to_completions_as_it_is() {
    let server = ChatServer::answering(|call| match call.path() {
        "/v1/completions" => {
            let choices: Vec<Value> = (0..call.samples())
                .map(|_| {
                    json!({"text": " Paris", "finish_reason": "length", "logprobs":
                    {"tokens": [" Par", "is"], "token_logprobs": [-0.5, -0.25], "text_offset": [0, 4]}})
                })
                .collect();
            Reply::ok(
                json!({"choices": choices, "usage": {"prompt_tokens": 5, "completion_tokens": 4}})
                    .to_string(),
            )
        }
        _ => Reply::status(500, "wrong path"),
    });
    let request = ChatRequest::raw("The capital of ")
        .with_answer_prefix("France is")
        .with_samples(2)
        .with_logprobs();
    let completions = client(&server).complete(&request).unwrap();
    assert_eq!(completions[1].text, " Paris");
    assert_eq!(completions[1].tokens, 2);
    assert_eq!(completions[1].log_prob(), Some(-0.75));
    let sent = &server.calls()[0].body;
    assert_eq!(sent["prompt"], "The capital of France is");
    assert!(sent.get("messages").is_none());
}

/// Echoes as vLLM does: a token for the beginning, one for each word with its space, and the drawn ones.
fn echo(call: &Call) -> Reply {
    if call.body["max_tokens"] == 0 {
        return Reply::status(400, "max_tokens must be at least 1, got 0.");
    }
    let prompt = call.last_text();
    let mut tokens = vec!["<s>".to_owned()];
    for piece in prompt.split_inclusive(' ') {
        tokens.push(piece.to_owned());
    }
    tokens.push("drawn".to_owned());
    let values: Vec<Value> = (0..tokens.len())
        .map(|place| match place {
            0 => Value::Null,
            place => json!(-(place as f64)),
        })
        .collect();
    let reply = json!({"choices": [{"text": format!("{prompt}drawn"), "finish_reason": "length",
        "logprobs": {"tokens": tokens, "token_logprobs": values}}],
        "usage": {"prompt_tokens": tokens.len() - 1, "completion_tokens": 1}});
    Reply::ok(reply.to_string())
}

#[test]
fn a_given_answer_has_the_log_probs_of_its_own_tokens() {
    let server = ChatServer::answering(echo);
    let client = client(&server);
    let request = ChatRequest::raw("What is it? ").with_answer_prefix("It ");
    let tokens = client.log_probs_of(&request, "is five").unwrap();
    let found: Vec<_> = tokens
        .iter()
        .map(|t| (t.token.as_str(), t.log_prob))
        .collect();
    assert_eq!(found, [("is ", -5.0), ("five", -6.0)]);
    let error = client
        .log_probs_of(&ChatRequest::raw("What is i"), "t")
        .unwrap_err();
    assert!(error.to_string().contains("half"), "{error}");
    assert_eq!(client.log_probs_of(&request, "").unwrap(), []);
}

#[test]
fn a_server_that_cannot_echo_is_an_error_that_names_it() {
    let silent = ChatServer::answering(|_| {
        Reply::ok(json!({"choices": [{"text": ".", "logprobs": {"content": []}}]}).to_string())
    });
    let absent = ChatServer::scripted([Reply::status(404, "File Not Found")]);
    for server in [silent, absent] {
        let error = client(&server)
            .log_probs_of(&ChatRequest::raw("a b "), "c")
            .unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("log-probability of a given completion"),
            "{text}"
        );
        assert!(text.contains(&server.base_url), "{text}");
    }
    let server = ChatServer::answering(echo);
    let error = client(&server).log_probs_of(&ask(1), "c").unwrap_err();
    assert!(error.to_string().contains("raw prompt"), "{error}");
    assert!(server.calls().is_empty());
}
