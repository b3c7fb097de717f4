//! A checkpoint as a chat model: samples by number, begun answers, raw prompts, log-probs.

use std::collections::BTreeMap;

use burn::tensor::Device;
use chat_model::{ChatModel, ChatRequest, Completion, Message, Sampling};
use eurus_models::{Decoder, DecoderConfig, LocalChatModel};
use token_forest::{ChatTokenizer, train_bpe};

fn model() -> LocalChatModel {
    let bpe = train_bpe(["one two three four"], 280, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
    let tokenizer = ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer");
    let config = DecoderConfig::llama(tokenizer.vocab_size(), 16, 2, 2);
    LocalChatModel::new(
        "random",
        &Decoder::init(&config, 5, &Device::flex()),
        tokenizer,
    )
}

fn request(text: &str, seed: u64) -> ChatRequest {
    ChatRequest::new([Message::user(text)]).with_sampling(Sampling {
        max_tokens: 12,
        seed,
        ..Sampling::default()
    })
}

#[test]
fn what_answers_depend_on_is_the_name_unless_more_is_said() {
    assert_eq!(model().identity(), "random");
    let elsewhere = model().with_identity("random on wgpu");
    assert_eq!(
        (elsewhere.name(), elsewhere.identity().as_str()),
        ("random", "random on wgpu")
    );
}

#[test]
fn samples_that_are_asked_for_by_number_are_those_of_the_whole_draw_whatever_else_is_in_the_batch()
{
    let model = model();
    let whole = |text: &str, seed| {
        let drawn = model.complete(&request(text, seed).with_samples(5));
        drawn.expect("it completes")
    };
    let requests = [
        request("one", 1),
        request("two three", 2),
        request("four", 3),
    ];
    let wanted = [vec![3, 1], vec![], vec![4]];
    let mut got: BTreeMap<(usize, usize), Completion> = BTreeMap::new();
    let ended = model.complete_batch_each(&requests, &wanted, &mut |place, sample, completion| {
        assert!(got.insert((place, sample), completion).is_none());
    });
    assert!(ended.iter().all(Result::is_ok));
    let (one, four) = (whole("one", 1), whole("four", 3));
    let right = [((0, 1), &one[1]), ((0, 3), &one[3]), ((2, 4), &four[4])];
    assert_eq!(
        got.iter().map(|(at, it)| (*at, it)).collect::<Vec<_>>(),
        right
    );
}

#[test]
fn the_log_probs_of_what_was_drawn_are_those_of_the_same_text_when_it_is_given() {
    let model = model();
    let plain = request("one two", 4);
    let raw = ChatRequest {
        raw_prompt: Some("one two".into()),
        messages: vec![],
        ..plain.clone()
    };
    for request in [
        plain.clone().with_answer_prefix("three f"),
        plain,
        raw.clone().with_answer_prefix(" two"),
        raw,
    ] {
        let drawn = model.complete(&request.clone().with_logprobs().with_samples(8));
        let mut compared = 0;
        for completion in drawn.expect("it completes") {
            let drawn = completion.logprobs.as_deref().unwrap_or_default();
            let given = model.log_probs_of(&request, &completion.text);
            let given = given.expect("it scores");
            // Random tokens are not always those that their text is cut into: as far as they are.
            let both = drawn.iter().zip(&given);
            let alike = both
                .take_while(|(drawn, given)| drawn.token == given.token && drawn.token.is_ascii());
            for (drawn, given) in alike {
                compared += 1;
                let error = (drawn.log_prob - given.log_prob).abs();
                assert!(error < 1e-4, "{drawn:?} {given:?}");
            }
        }
        assert!(
            compared > 5,
            "{compared} tokens were spelled as they were drawn"
        );
    }
}

#[test]
fn a_begun_answer_and_a_raw_prompt_change_what_stands_before_the_completion() {
    let model = model();
    let length = |request: &ChatRequest| {
        let drawn = model.complete(request).expect("it completes");
        drawn[0].prompt_tokens
    };
    let plain = request("one two", 4);
    let raw = ChatRequest::raw("one two").with_sampling(plain.sampling.clone());
    assert!(length(&raw) < length(&plain));
    let begun = plain.clone().with_answer_prefix("three");
    assert!(length(&begun) > length(&plain));
}
