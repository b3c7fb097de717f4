//! What is served is what the model says in one's own process.

use chat_model::{
    ChatModel, ChatRequest, Completion, Message, OpenAiClient, OpenAiConfig, Piece, PrefixSupport,
    Sampling,
};
use serde_json::json;

use crate::common::{TestServer, model};

fn client(server: &TestServer) -> OpenAiClient {
    let mut config = OpenAiConfig::new(server.url(), "tiny");
    // It would be found out with a word that is one token in about every vocabulary, and is not in this one.
    config.answer_prefix = PrefixSupport::Continues;
    OpenAiClient::new(config).expect("a client")
}

fn request(seed: u64) -> ChatRequest {
    ChatRequest::new([Message::system("three"), Message::user("one two")])
        .with_samples(5)
        .with_sampling(Sampling {
            max_tokens: 24,
            seed,
            ..Sampling::default()
        })
}

/// Text, end and log-probabilities: what does not depend on how tokens are counted.
fn essence(completions: &[Completion]) -> Vec<(String, chat_model::Finish, Option<f64>)> {
    completions
        .iter()
        .map(|it| (it.text.clone(), it.finish, it.log_prob()))
        .collect()
}

#[test]
fn the_same_seed_gives_the_answers_of_the_local_model_whatever_is_asked_for() {
    let (server, local) = (TestServer::start(), model());
    let client = client(&server);
    let raw = ChatRequest {
        messages: Vec::new(),
        raw_prompt: Some("one two".into()),
        ..request(6)
    };
    let stopping = |stop: &[&str]| {
        let mut request = request(8);
        request.sampling.stop = stop.iter().map(|&it| it.to_owned()).collect();
        request
    };
    let mut narrow = request(9);
    (narrow.sampling.temperature, narrow.sampling.top_p) = (0.7, 0.8);
    for request in [
        request(1),
        request(u64::MAX).with_logprobs(),
        request(3).with_answer_prefix("four f"),
        request(4).with_samples(20),
        raw.clone(),
        raw.with_answer_prefix(" three").with_logprobs(),
        stopping(&["e", "o"]),
        stopping(&["th", "≥ "]),
        narrow,
    ] {
        let here = local.complete(&request).expect("it completes");
        let there = client.complete(&request).expect("it completes");
        assert_eq!(essence(&there), essence(&here), "{request:?}");
    }
}

#[test]
fn samples_by_number_and_streams_are_the_same_too() {
    let (server, local) = (TestServer::start(), model());
    let client = client(&server);
    let whole = local.complete(&request(2)).expect("it completes");
    let mut got = Vec::new();
    client
        .complete_each(&request(2), &[4, 1, 2], &mut |sample, completion| {
            got.push((sample, completion.text));
        })
        .expect("it completes");
    got.sort();
    let wanted: Vec<_> = [1, 2, 4].map(|it| (it, whole[it].text.clone())).into();
    assert_eq!(got, wanted);

    let mut texts = vec![String::new(); 5];
    let streamed = client.stream(&request(2).with_logprobs(), &mut |piece| {
        if let Piece::Text { sample, text } = piece {
            texts[sample] += text;
        }
    });
    let with_logprobs = local.complete(&request(2).with_logprobs());
    assert_eq!(
        essence(&streamed.expect("it streams")),
        essence(&with_logprobs.expect("it completes"))
    );
    let whole: Vec<String> = whole.into_iter().map(|it| it.text).collect();
    assert_eq!(texts, whole);
}

#[test]
fn the_log_probs_of_a_given_text_are_those_of_the_local_model() {
    let (server, local) = (TestServer::start(), model());
    let client = client(&server);
    for (raw, given) in [("one two", " three four"), ("größer", " ≥ 🙂 größer")] {
        let request = ChatRequest::raw(raw);
        let here = local.log_probs_of(&request, given).expect("it scores");
        let there = client.log_probs_of(&request, given).expect("it scores");
        let sum = |all: &[chat_model::TokenLogProb]| all.iter().map(|it| it.log_prob).sum::<f64>();
        assert!(
            (sum(&here) - sum(&there)).abs() < 1e-4,
            "{here:?} {there:?}"
        );
        let text: String = there.iter().map(|it| it.token.as_str()).collect();
        assert_eq!(text, given);
    }
}

#[test]
fn a_seed_in_the_body_means_the_same_and_a_request_without_one_gets_its_own() {
    let (server, local) = (TestServer::start(), model());
    let body = |seed: Option<u64>| {
        json!({"model": "tiny", "n": 5, "max_tokens": 24, "seed": seed, "messages": [
            {"role": "system", "content": "three"}, {"role": "user", "content": "one two"}]})
    };
    let texts = |seed| -> Vec<String> {
        let answer = server.ask("/v1/chat/completions", &body(seed));
        let choices = answer["choices"].as_array().cloned().unwrap_or_default();
        let text = |it: &serde_json::Value| it["message"]["content"].as_str().map(str::to_owned);
        choices.iter().filter_map(text).collect()
    };
    let here = local.complete(&request(11)).expect("it completes");
    let here: Vec<String> = here.into_iter().map(|it| it.text).collect();
    assert_eq!(texts(Some(11)), here);
    assert_ne!(texts(None), texts(None));
}
