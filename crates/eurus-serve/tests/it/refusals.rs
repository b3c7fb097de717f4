//! Requests that are refused, each with the field at fault and what to do.

use serde_json::{Value, json};

use crate::common::{TestServer, model};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn chat(more: &Value) -> Value {
    let plain =
        json!({"model": "tiny", "max_tokens": 3, "messages": [{"role": "user", "content": "one"}]});
    with(plain, more)
}

fn text(more: &Value) -> Value {
    with(
        json!({"model": "tiny", "max_tokens": 3, "prompt": "one"}),
        more,
    )
}

/// The error of an answer, which has all that the protocol wants.
fn error(answer: &Value) -> (&str, &Value) {
    let error = &answer["error"];
    assert!(error["type"].is_string(), "{answer}");
    assert!(
        error.get("param").is_some() && error.get("code").is_some(),
        "{answer}"
    );
    (
        error["message"].as_str().expect("a message"),
        &error["param"],
    )
}

#[test]
fn what_is_wrong_in_a_chat_is_named_by_its_field() {
    let server = TestServer::start();
    let message = |value: Value| json!({"messages": [value]});
    for (more, param, says) in [
        (json!({"messages": null}), "messages", "missing"),
        (json!({"messages": []}), "messages", "no message"),
        (json!({"messages": "one"}), "messages", "sequence"),
        (message(json!("one")), "messages[0]", "no object"),
        (
            message(json!({"content": "one"})),
            "messages[0].role",
            "missing",
        ),
        (
            message(json!({"role": "wizard", "content": "one"})),
            "messages[0].role",
            "wizard",
        ),
        (
            message(json!({"role": "tool", "content": "one"})),
            "messages[0].role",
            "tool",
        ),
        (
            message(json!({"role": "user"})),
            "messages[0].content",
            "missing",
        ),
        (
            message(json!({"role": "user", "content": 3})),
            "messages[0].content",
            "no text",
        ),
        (
            message(
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
            ),
            "messages[0].content[0]",
            "text",
        ),
        (
            message(json!({"role": "user", "content": "one", "tool_calls": [1]})),
            "messages[0].tool_calls",
            "cannot",
        ),
        (json!({"n": 0}), "n", "0"),
        (json!({"n": 1000}), "n", "256"),
        (json!({"n": -1}), "n", "-1"),
        (json!({"n": 18446744073709551615u64}), "n", "256"),
        (json!({"max_tokens": 0}), "max_tokens", "at least 1"),
        (json!({"max_tokens": 100_000}), "max_tokens", "4096"),
        (json!({"max_tokens": "3"}), "max_tokens", "string"),
        (
            json!({"max_completion_tokens": 4}),
            "max_completion_tokens",
            "one of them",
        ),
        (json!({"temperature": -1}), "temperature", "0"),
        (json!({"temperature": 1e300}), "temperature", "finite"),
        (json!({"top_p": 0}), "top_p", "above 0"),
        (
            json!({"repetition_penalty": 0}),
            "repetition_penalty",
            "above 0",
        ),
        (
            json!({"repetition_penalty": 1e-300}),
            "repetition_penalty",
            "above 0",
        ),
        (json!({"seed": 1.5}), "seed", "whole"),
        (json!({"stop": 3}), "stop", "text"),
        (json!({"stop": ["a", 3]}), "stop", "text"),
        (json!({"stop": "x".repeat(2000)}), "stop", "shorter"),
        (json!({"logprobs": 3}), "logprobs", "boolean"),
        (json!({"top_logprobs": 3}), "top_logprobs", "logprobs"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
            "20",
        ),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
            "stream",
        ),
        (
            json!({"stream": true, "stream_options": {"include_obfuscation": true}}),
            "stream_options.include_obfuscation",
            "cannot",
        ),
        (json!({"tools": [{"type": "function"}]}), "tools", "cannot"),
        (
            json!({"response_format": {"type": "json_object"}}),
            "response_format",
            "cannot",
        ),
        (
            json!({"presence_penalty": 0.5}),
            "presence_penalty",
            "cannot",
        ),
        (json!({"logit_bias": {"5": 1}}), "logit_bias", "cannot"),
        (json!({"temprature": 1}), "temprature", "`temperature`"),
        (
            json!({"no such thing": 1}),
            "no such thing",
            "no such field",
        ),
        (
            json!({"continue_final_message": true}),
            "continue_final_message",
            "assistant",
        ),
        (
            json!({"add_generation_prompt": false}),
            "add_generation_prompt",
            "continue_final_message",
        ),
    ] {
        let (status, answer) = server.post(CHAT, &chat(&more));
        assert_eq!(status, 400, "{more} {answer}");
        let (message, at) = error(&answer);
        assert_eq!(at, param, "{more} {message}");
        assert!(message.contains(says), "{more} {message}");
    }
    server.ask(CHAT, &chat(&json!({})));
}

#[test]
fn what_is_wrong_in_a_completion_is_named_by_its_field() {
    let server = TestServer::start();
    let long = "one two ".repeat(3000);
    for (more, param, says) in [
        (json!({"prompt": null}), "prompt", "missing"),
        (json!({"prompt": ""}), "prompt", "empty"),
        (json!({"prompt": []}), "prompt", "empty"),
        (json!({"prompt": [[]]}), "prompt", "empty"),
        (json!({"prompt": {"a": 1}}), "prompt", "neither"),
        (json!({"prompt": ["a", 1]}), "prompt", "neither"),
        (json!({"prompt": [1, -1]}), "prompt", "neither"),
        (json!({"prompt": [1_000_000]}), "prompt", "1000000"),
        (
            json!({"prompt": [1_000_000], "echo": true}),
            "prompt",
            "1000000",
        ),
        (json!({"prompt": long}), "prompt", "maximum context length"),
        (json!({"prompt": vec!["a"; 300]}), "n", "256"),
        (json!({"max_tokens": 0}), "max_tokens", "echo"),
        (
            json!({"max_tokens": 0, "echo": true, "stream": true}),
            "max_tokens",
            "stream",
        ),
        (json!({"logprobs": 21}), "logprobs", "20"),
        (json!({"logprobs": true}), "logprobs", "boolean"),
        (json!({"best_of": 4}), "best_of", "cannot"),
        (json!({"suffix": "end"}), "suffix", "cannot"),
    ] {
        let (status, answer) = server.post(TEXT, &text(&more));
        assert_eq!(status, 400, "{more} {answer}");
        let (message, at) = error(&answer);
        assert_eq!(at, param, "{more} {message}");
        assert!(message.contains(says), "{more} {message}");
    }
    let too_long = server.post(TEXT, &text(&json!({"prompt": long, "stream": true})));
    assert_eq!(too_long.1["error"]["code"], "context_length_exceeded");
    server.ask(TEXT, &text(&json!({})));
}

#[test]
fn bodies_that_are_no_json_or_too_large_and_other_models_get_their_status() {
    let server = TestServer::of(model(), |config| config.max_body_bytes = 10_000);
    for (body, says) in [
        (&b""[..], "no JSON"),
        (b"{", "line 1"),
        (b"[1]", "a list"),
        (b"{\"model\": \"tiny\", \"messages\": [{\"role\": \"user\", \"content\": \"\\ud800\"}]}", "no JSON"),
        (b"{\"model\": \"\xff\xfe\"}", "no JSON"),
    ] {
        let (status, answer) = server.post_bytes(CHAT, body);
        assert_eq!(status, 400);
        assert!(error(&answer).0.contains(says), "{answer}");
    }
    let nested = [b"{\"messages\":".as_slice(), &b"[".repeat(5000), b"}"].concat();
    assert_eq!(server.post_bytes(CHAT, &nested).0, 400);
    let (status, answer) = server.post(CHAT, &chat(&json!({"user": "x".repeat(20_000)})));
    assert_eq!(status, 413);
    assert!(error(&answer).0.contains("10000"), "{answer}");
    let (status, answer) = server.post(CHAT, &chat(&json!({"model": "gpt-9"})));
    assert_eq!(
        (status, &answer["error"]["code"]),
        (404, &json!("model_not_found"))
    );
    assert!(error(&answer).0.contains("`tiny`"), "{answer}");
    server.ask(CHAT, &chat(&json!({"model": "default"})));
}

#[test]
fn paths_and_methods_that_are_not_there_say_what_is() {
    let server = TestServer::start();
    let (status, body) = server.get("/v1/embeddings");
    assert_eq!(status, 404);
    assert!(body.contains("/v1/completions"), "{body}");
    let (status, body) = server.get(CHAT);
    assert_eq!(status, 405);
    assert!(body.contains("POST"), "{body}");
    let (status, answer) = server.post("/get_reward", &json!({"query": ["a"]}));
    assert_eq!(status, 404);
    assert!(error(&answer).0.contains("language model"), "{answer}");
}

#[test]
fn with_a_key_nothing_but_its_health_is_told_without_it() {
    let server = TestServer::of(model(), |config| config.api_key = Some("right".to_owned()));
    let body = chat(&json!({})).to_string();
    for header in [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: right\r\n",
        "authorization: Bearer rightly\r\n",
    ] {
        let (status, body) = server.call("POST", CHAT, header, body.as_bytes());
        assert_eq!(status, 401, "{header}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(answer["error"]["code"], "invalid_api_key");
        assert_eq!(server.call("GET", "/metrics", header, b"").0, 401);
    }
    assert_eq!(server.get("/health").0, 200);
    let right = "authorization: Bearer right\r\n";
    assert_eq!(server.call("POST", CHAT, right, body.as_bytes()).0, 200);
    assert_eq!(server.call("GET", "/metrics", right, b"").0, 200);
}

#[test]
fn headers_with_seeds_that_are_no_numbers_are_refused() {
    let server = TestServer::start();
    let body = chat(&json!({})).to_string();
    for (header, param) in [
        ("x-sampling-seed: -1\r\n", "x-sampling-seed"),
        ("x-sampling-first: many\r\n", "x-sampling-first"),
        (
            "x-sampling-first: 18446744073709551615\r\n",
            "x-sampling-first",
        ),
    ] {
        let (status, answer) = server.call("POST", CHAT, header, body.as_bytes());
        assert_eq!(status, 400);
        assert!(answer.contains(param), "{answer}");
    }
}
