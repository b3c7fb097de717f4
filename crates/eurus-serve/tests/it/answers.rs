//! What the endpoints answer.

use serde_json::{Value, json};

use crate::common::{TestServer, model};

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

fn conversation(more: Value) -> Value {
    let mut body = json!({"model": "tiny", "max_tokens": 20, "seed": 3,
        "messages": [{"role": "user", "content": "one two"}]});
    merge(&mut body, more);
    body
}

fn prompt(more: Value) -> Value {
    let mut body = json!({"model": "tiny", "max_tokens": 20, "seed": 3, "prompt": "one two"});
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: Value) {
    let more = more.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(more);
}

fn choices(answer: &Value) -> Vec<Value> {
    answer["choices"].as_array().cloned().expect("choices")
}

fn text(choice: &Value) -> String {
    let text = choice["message"]["content"].as_str();
    let text = text.or_else(|| choice["text"].as_str());
    text.unwrap_or_else(|| panic!("no text in {choice}"))
        .to_owned()
}

#[test]
fn the_model_says_its_name_and_the_server_that_it_lives() {
    let server = TestServer::start();
    let (status, body) = server.get("/v1/models");
    let list: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &list["object"]), (200, &json!("list")));
    let card = &list["data"][0];
    assert_eq!(card["id"], "tiny");
    let context = model().generator().context_length();
    assert_eq!(card["max_model_len"], json!(context));
    assert_eq!(server.get("/v1/models/tiny").0, 200);
    assert_eq!(server.get("/v1/models/other/one").0, 404);
    assert_eq!(
        server.get("/health"),
        (200, r#"{"status":"ok"}"#.to_owned())
    );
}

#[test]
fn a_chat_has_the_fields_of_the_protocol() {
    let server = TestServer::start();
    let answer = server.ask(CHAT, &conversation(json!({"n": 2})));
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "tiny");
    assert!(
        answer["id"]
            .as_str()
            .is_some_and(|it| it.starts_with("chatcmpl-"))
    );
    let all = choices(&answer);
    assert_eq!(all.len(), 2);
    for (index, choice) in all.iter().enumerate() {
        assert_eq!(choice["index"], json!(index));
        assert_eq!(choice["message"]["role"], "assistant");
        assert_eq!(choice["logprobs"], Value::Null);
        assert!(["stop", "length"].contains(&choice["finish_reason"].as_str().unwrap_or("")));
    }
    let usage = &answer["usage"];
    let count = |name: &str| usage[name].as_u64().expect("a count");
    assert!(count("prompt_tokens") > 2 && count("completion_tokens") > 2);
    assert_eq!(
        count("total_tokens"),
        count("prompt_tokens") + count("completion_tokens")
    );
}

#[test]
fn twenty_samples_begin_with_those_of_a_smaller_number_and_share_their_prompt() {
    let server = TestServer::start();
    let few = server.ask(CHAT, &conversation(json!({"n": 3})));
    let before = server.metric("eurus_prompt_tokens_total");
    let many = server.ask(CHAT, &conversation(json!({"n": 20})));
    let after = server.metric("eurus_prompt_tokens_total");
    let texts = |answer: &Value| choices(answer).iter().map(text).collect::<Vec<_>>();
    assert_eq!(texts(&many)[..3], texts(&few));
    assert_eq!(texts(&many).len(), 20);
    assert_eq!(
        json!((after - before) as u64),
        many["usage"]["prompt_tokens"]
    );
}

#[test]
fn streams_are_the_answers_that_come_at_once() {
    let server = TestServer::start();
    for (path, body) in [(CHAT, conversation(json!({}))), (TEXT, prompt(json!({})))] {
        for more in [
            json!({"n": 3}),
            json!({"n": 2, "stop": ["o", "th"]}),
            json!({"logprobs": if path == CHAT { json!(true) } else { json!(2) }}),
        ] {
            let mut body = body.clone();
            merge(&mut body, more);
            let whole = server.ask(path, &body);
            merge(
                &mut body,
                json!({"stream": true, "stream_options": {"include_usage": true}}),
            );
            let mut events = server.events(path, &body);
            let last = events.pop().expect("events");
            assert_eq!(last["usage"], whole["usage"]);
            assert_eq!(last["choices"], json!([]));
            let wholes = choices(&whole);
            let mut texts = vec![String::new(); wholes.len()];
            let mut ends = vec![Value::Null; wholes.len()];
            let mut tokens: Vec<Vec<Value>> = vec![Vec::new(); wholes.len()];
            for event in &events {
                assert_eq!(event["usage"], Value::Null);
                for choice in choices(event) {
                    let index = choice["index"].as_u64().expect("an index") as usize;
                    assert!(ends[index].is_null(), "nothing comes after the end");
                    let piece = choice["delta"]["content"]
                        .as_str()
                        .or(choice["text"].as_str());
                    texts[index] += piece.unwrap_or("");
                    ends[index] = choice["finish_reason"].clone();
                    let list = choice["logprobs"]["content"].as_array();
                    let list = list.or(choice["logprobs"]["token_logprobs"].as_array());
                    tokens[index].extend(list.cloned().unwrap_or_default());
                }
            }
            for (index, whole) in wholes.iter().enumerate() {
                assert_eq!(texts[index], text(whole));
                assert_eq!(ends[index], whole["finish_reason"]);
                let list = whole["logprobs"]["content"].as_array();
                let list = list.or(whole["logprobs"]["token_logprobs"].as_array());
                assert_eq!(tokens[index], list.cloned().unwrap_or_default());
            }
        }
    }
}

#[test]
fn a_stop_text_that_spans_tokens_ends_the_answer_and_is_no_part_of_it_or_of_its_stream() {
    let server = TestServer::start();
    let free = text(&choices(&server.ask(TEXT, &prompt(json!({"max_tokens": 150}))))[0]);
    // Two characters from somewhere in the middle are rarely one token of a model that says anything.
    let letters: Vec<char> = free.chars().collect();
    let mut tried = 0;
    for at in 5..letters.len() - 2 {
        let stop: String = letters[at..at + 2].iter().collect();
        if stop.contains(char::REPLACEMENT_CHARACTER) {
            continue;
        }
        tried += 1;
        let end = free.find(&stop).expect("it stands there");
        let body = prompt(json!({"max_tokens": 150, "stop": stop}));
        let choice = choices(&server.ask(TEXT, &body))[0].clone();
        assert_eq!(text(&choice), free[..end], "{stop:?}");
        assert_eq!(choice["finish_reason"], "stop");
        let streamed = prompt(json!({"max_tokens": 150, "stop": [stop], "stream": true}));
        let events = server.events(TEXT, &streamed);
        let pieces: String = events.iter().map(|it| text(&choices(it)[0])).collect();
        assert_eq!(pieces, free[..end]);
    }
    assert!(tried > 2, "{tried} stop texts in {free:?}");
}

#[test]
fn likeliest_tokens_come_with_each_token_as_many_as_are_asked_for() {
    let server = TestServer::start();
    let more = json!({"logprobs": true, "top_logprobs": 3, "temperature": 0});
    let choice = choices(&server.ask(CHAT, &conversation(more)))[0].clone();
    let content = choice["logprobs"]["content"].as_array().expect("a list");
    assert!(!content.is_empty());
    for entry in content {
        let list = entry["top_logprobs"].as_array().expect("a list");
        assert_eq!(list.len(), 3);
        assert_eq!(
            list[0]["logprob"], entry["logprob"],
            "the likeliest is drawn"
        );
        assert!(list[0]["logprob"].as_f64() >= list[1]["logprob"].as_f64());
    }
    let answer = server.ask(TEXT, &prompt(json!({"logprobs": 2, "temperature": 0})));
    let logprobs = &choices(&answer)[0]["logprobs"];
    let length = logprobs["tokens"].as_array().expect("a list").len();
    for name in ["token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(
            logprobs[name].as_array().map(Vec::len),
            Some(length),
            "{name}"
        );
    }
}

#[test]
fn an_echo_without_new_tokens_scores_the_text_whose_tokens_make_it_up() {
    let server = TestServer::start();
    let text_given = "one two größer ≥ 🙂";
    let body = prompt(json!({"prompt": text_given, "echo": true, "logprobs": 1, "max_tokens": 0}));
    let answer = server.ask(TEXT, &body);
    let choice = &choices(&answer)[0];
    assert_eq!(text(choice), text_given);
    let logprobs = &choice["logprobs"];
    let tokens: String = (logprobs["tokens"].as_array().expect("a list").iter())
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(tokens, text_given);
    assert_eq!(logprobs["token_logprobs"][0], Value::Null);
    assert!(
        logprobs["token_logprobs"][1]
            .as_f64()
            .is_some_and(|it| it < 0.0)
    );
    assert_eq!(answer["usage"]["completion_tokens"], 0);

    // The same as tokens, with more behind it.
    let tokens = crate::common::tokenizer().encode_raw_prompt(text_given);
    let body = prompt(json!({"prompt": [tokens.expect("tokens")], "echo": true, "logprobs": 1}));
    let longer = server.ask(TEXT, &body);
    let longer = &choices(&longer)[0];
    assert!(text(longer).starts_with(text_given) && text(longer) != text_given);
    assert_eq!(
        longer["logprobs"]["token_logprobs"][1],
        logprobs["token_logprobs"][1]
    );
}

#[test]
fn prompts_of_a_list_are_answered_in_its_order_as_each_is_alone() {
    let server = TestServer::start();
    let alone: Vec<String> = ["one", "two three"]
        .iter()
        .flat_map(|it| choices(&server.ask(TEXT, &prompt(json!({"prompt": it, "n": 2})))))
        .map(|it| text(&it))
        .collect();
    let both = server.ask(
        TEXT,
        &prompt(json!({"prompt": ["one", "two three"], "n": 2})),
    );
    let both: Vec<String> = choices(&both).iter().map(text).collect();
    assert_eq!(both, alone);
}

#[test]
fn requests_of_different_settings_at_once_get_what_each_gets_alone() {
    let server = TestServer::start();
    let bodies: Vec<Value> = (0..8)
        .map(|it| {
            conversation(
                json!({"seed": it, "n": 1 + it % 3, "temperature": f64::from(it) / 4.0,
                "max_tokens": 5 + 7 * it, "top_p": if it % 2 == 0 { 1.0 } else { 0.9 }}),
            )
        })
        .collect();
    let alone: Vec<Value> = bodies.iter().map(|it| server.ask(CHAT, it)).collect();
    std::thread::scope(|scope| {
        for (body, alone) in bodies.iter().zip(&alone) {
            let server = &server;
            scope.spawn(move || {
                let together = server.ask(CHAT, body);
                assert_eq!(together["choices"], alone["choices"]);
                assert_eq!(together["usage"], alone["usage"]);
            });
        }
    });
}

#[test]
fn what_asks_for_nothing_and_labels_are_taken_and_parts_of_a_message_are_put_together() {
    let server = TestServer::start();
    let plain = server.ask(CHAT, &conversation(json!({})));
    let more = json!({"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {},
        "tools": [], "response_format": {"type": "text"}, "user": "me", "metadata": {"a": "b"},
        "stop": null, "store": false, "max_tokens": null, "max_completion_tokens": 20,
        "messages": [{"role": "user", "name": null, "content": [
            {"type": "text", "text": "one"}, {"type": "text", "text": " two"}]}]});
    let same = server.ask(CHAT, &conversation(more));
    assert_eq!(same["choices"], plain["choices"]);
}
