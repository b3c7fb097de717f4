//! The client against llama.cpp's own server with a real model.

use chat_model::{
    Capability, ChatModel, ChatRequest, Error, Finish, Message, OpenAiClient, OpenAiConfig, Piece,
    Refusal, Sampling,
};
use test_support::servers::LlamaServer;

fn chat(samples: usize) -> ChatRequest {
    ChatRequest::new([Message::user("What is the capital of France?")])
        .with_samples(samples)
        .with_sampling(Sampling {
            temperature: 1.0,
            max_tokens: 6,
            seed: 3,
            ..Sampling::default()
        })
}

fn greedy(request: ChatRequest) -> ChatRequest {
    request.with_sampling(Sampling {
        temperature: 0.0,
        max_tokens: 6,
        ..Sampling::default()
    })
}

/// One server for all that follows: starting it costs more than what is asked of it.
#[test]
fn a_real_server_does_all_that_it_can_and_names_what_it_cannot() {
    let Some(server) = LlamaServer::start() else {
        return;
    };
    let client =
        OpenAiClient::new(OpenAiConfig::new(&server.base_url, LlamaServer::MODEL)).unwrap();
    samples_are_the_same_however_they_are_grouped(&client);
    an_answer_goes_on_from_its_beginning(&client);
    a_raw_prompt_has_no_template_and_log_probs(&client);
    text_is_handed_over_as_it_is_drawn(&client);
    what_it_cannot_do_has_a_name(&client, &server);
}

fn samples_are_the_same_however_they_are_grouped(client: &OpenAiClient) {
    let three = client.complete(&chat(3)).unwrap();
    // More than it gives in one call.
    let seven = client.complete(&chat(7)).unwrap();
    assert_eq!(seven.len(), 7);
    let one = client.complete(&chat(1)).unwrap().remove(0);
    let mut fourth = String::new();
    client
        .complete_each(&chat(1), &[3], &mut |index, completion| {
            assert_eq!(index, 3);
            fourth = completion.text;
        })
        .unwrap();
    let grouped = [&seven[0], &seven[1], &seven[2], &seven[0], &seven[3]];
    let otherwise = [
        &three[0].text,
        &three[1].text,
        &three[2].text,
        &one.text,
        &fourth,
    ];
    // Another batch may round otherwise and tip a token; other seeds would tip all.
    let same = grouped.iter().zip(otherwise).filter(|(a, b)| a.text == **b);
    assert!(same.count() >= 4, "{grouped:?} {otherwise:?}");
    // It counts one of several samples: the sum is estimated, and said to be.
    assert!(
        three
            .iter()
            .all(|c| c.estimated && c.tokens > 0 && c.prompt_tokens > 0)
    );
    assert!(!one.estimated);
    assert_eq!(one.model.as_deref(), Some(LlamaServer::MODEL));
    let calls = client.usage().calls;
    client.complete(&chat(2 * LlamaServer::SLOTS)).unwrap();
    assert!(
        client.usage().calls - calls <= 4,
        "the limit on n is remembered"
    );
}

fn an_answer_goes_on_from_its_beginning(client: &OpenAiClient) {
    let request = greedy(chat(1)).with_answer_prefix("The capital of France is");
    let went_on = client.complete(&request).unwrap().remove(0);
    assert!(went_on.text.starts_with(" Paris"), "{went_on:?}");
    let mut shown = String::new();
    let streamed = client
        .stream(&request, &mut |piece| {
            if let Piece::Text { text, .. } = piece {
                shown += text;
            }
        })
        .unwrap();
    assert_eq!(streamed[0].text, went_on.text);
    assert_eq!(shown, went_on.text);
}

fn a_raw_prompt_has_no_template_and_log_probs(client: &OpenAiClient) {
    let request = greedy(ChatRequest::raw("The capital of France is").with_samples(2));
    let plain = client.complete(&request).unwrap();
    assert!(plain[0].text.starts_with(" Paris"), "{plain:?}");
    let with = client.complete(&request.with_logprobs()).unwrap();
    assert_eq!(with[1].text, plain[1].text);
    let tokens = with[1].logprobs.as_ref().unwrap();
    assert_eq!(tokens.len(), 6);
    assert_eq!(with[1].finish, Finish::Length);
    assert!(with.iter().all(|c| !c.estimated && c.tokens == 6));
    assert_eq!(
        tokens.iter().map(|t| t.token.as_str()).collect::<String>(),
        with[1].text
    );
    assert!(
        tokens
            .iter()
            .all(|t| t.log_prob <= 0.0 && t.log_prob > -20.0)
    );
    let chat = client.complete(&chat(1).with_logprobs()).unwrap().remove(0);
    assert_eq!(chat.logprobs.unwrap().len(), chat.tokens);
}

fn text_is_handed_over_as_it_is_drawn(client: &OpenAiClient) {
    let mut shown = vec![String::new(); 2];
    let mut pieces = 0;
    let completions = client
        .stream(&chat(2), &mut |piece| {
            pieces += 1;
            match piece {
                Piece::Text { sample, text } => shown[sample] += text,
                Piece::Restarted { sample } => panic!("sample {sample} was drawn again"),
            }
        })
        .unwrap();
    assert!(pieces > 4, "{pieces}");
    let texts: Vec<_> = completions.iter().map(|c| c.text.clone()).collect();
    assert_eq!(texts, shown);
    // Streamed, it counts each sample.
    assert!(completions.iter().all(|c| !c.estimated));
}

fn what_it_cannot_do_has_a_name(client: &OpenAiClient, server: &LlamaServer) {
    let error = client
        .log_probs_of(&ChatRequest::raw("The capital of France is"), " Paris")
        .unwrap_err();
    let Error::Unsupported {
        capability, model, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(*capability, Capability::Scoring);
    assert!(model.contains(&server.base_url), "{error}");
    let long = "word ".repeat(LlamaServer::CONTEXT + 10);
    let error = client
        .complete(&ChatRequest::new([Message::user(long)]))
        .unwrap_err();
    let too_long = matches!(
        error,
        Error::Status {
            refusal: Refusal::TooLong,
            ..
        }
    );
    assert!(too_long && !error.is_passing(), "{error}");
}
