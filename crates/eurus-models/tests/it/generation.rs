//! Generation: what the observer hears, and where it can end a sequence.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use chat_model::{ChatModel, ChatRequest, Message, Piece, Role, Sampling};
use eurus_models::generate::{Finish, Flow, GenerationEvent, Generator, Prompt, SamplingParams};
use eurus_models::{Decoder, DecoderConfig, Error, ForestBatch, ForestBody, LocalChatModel};
use token_forest::{ChatTokenizer, PackedForest, TokenTree, train_bpe};

pub fn model(vocab_size: usize) -> Decoder {
    let mut config = DecoderConfig::llama(vocab_size, 16, 2, 2);
    config.initializer_range = 0.3;
    Decoder::init(&config, 5, &Device::flex())
}

pub fn prompts() -> Vec<Prompt> {
    [vec![1, 2, 3], vec![4], vec![5, 6]]
        .into_iter()
        .zip(0..)
        .map(|(tokens, seed)| Prompt::new(tokens, 3, seed))
        .collect()
}

#[test]
fn the_observer_hears_every_token_in_order() {
    let generator = Generator::new(&model(40), vec![7, 8]).with_max_rows(6);
    let params = SamplingParams::at_temperature(1.0, 12);
    let mut heard: BTreeMap<(usize, usize), (Vec<u32>, Vec<f32>)> = BTreeMap::new();
    let mut finished = Vec::new();
    let all = generator
        .generate(&prompts(), &params, &mut |event| {
            match event {
                GenerationEvent::Token {
                    prompt,
                    sample,
                    tokens,
                    log_prob,
                    ..
                } => {
                    let (so_far, log_probs) = heard.entry((prompt, sample)).or_default();
                    so_far.push(tokens[tokens.len() - 1]);
                    log_probs.push(log_prob);
                    assert_eq!(so_far.as_slice(), tokens);
                }
                GenerationEvent::Ended { .. } => {}
                GenerationEvent::Finished { prompts } => finished.push(prompts),
            }
            Flow::Continue
        })
        .expect("it generates");
    assert_eq!(finished, [1, 2, 3], "one after the other");
    for (prompt, samples) in all.iter().enumerate() {
        for (sample, continuation) in samples.iter().enumerate() {
            let (tokens, log_probs) = heard.remove(&(prompt, sample)).unwrap_or_default();
            assert_eq!(tokens, continuation.tokens);
            assert_eq!(log_probs, continuation.log_probs[..tokens.len()]);
        }
    }
    assert!(heard.is_empty());
}

#[test]
fn a_sequence_that_the_observer_ends_leaves_the_others_as_they_are() {
    let generator = Generator::new(&model(40), Vec::new());
    let params = SamplingParams::at_temperature(1.0, 9);
    let free = generator
        .generate(&prompts(), &params, &mut |_| Flow::Continue)
        .expect("it generates");
    let cut = generator
        .generate(&prompts(), &params, &mut |event| match event {
            GenerationEvent::Token {
                prompt: 1, tokens, ..
            } if tokens.len() == 4 => Flow::Stop,
            _ => Flow::Continue,
        })
        .expect("it generates");
    for (prompt, (free, cut)) in free.iter().zip(&cut).enumerate() {
        for (free, cut) in free.iter().zip(cut) {
            let (len, finish) = if prompt == 1 {
                (4, Finish::Stop)
            } else {
                (9, Finish::Length)
            };
            assert_eq!(cut.tokens, free.tokens[..len]);
            assert_eq!(cut.finish, finish);
        }
    }
}

#[test]
fn a_stop_text_ends_a_completion_early() {
    let bpe = train_bpe(["one two three four"], 280, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
    let tokenizer = ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer");
    let model = LocalChatModel::new("random", &model(tokenizer.vocab_size()), tokenizer);
    let request = |stop: &[&str]| ChatRequest {
        messages: vec![Message {
            role: Role::User,
            content: "one two".into(),
        }],
        samples: 1,
        sampling: Sampling {
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: 60,
            stop: stop.iter().map(|&text| text.to_owned()).collect(),
            seed: 11,
        },
        ..ChatRequest::default()
    };
    let free = model
        .complete(&request(&[]))
        .expect("it completes")
        .remove(0);
    let (at, stop) = free
        .text
        .char_indices()
        .skip(8)
        .find(|(_, c)| c.is_ascii_alphabetic())
        .map(|(at, c)| (free.text.find(c).unwrap_or(at), c.to_string()))
        .expect("random text has letters");
    let cut = model
        .complete(&request(&[&stop]))
        .expect("it completes")
        .remove(0);
    assert_eq!(cut.text, free.text[..at]);
    assert!(
        cut.tokens < free.tokens,
        "{} of {}",
        cut.tokens,
        free.tokens
    );
    assert_eq!(cut.finish, chat_model::Finish::Stop);
}

#[test]
fn the_pieces_of_a_stream_are_the_completions_that_are_drawn_without_one() {
    let bpe = train_bpe(["one two three four"], 280, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
    let tokenizer = ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer");
    let model = LocalChatModel::new("random", &model(tokenizer.vocab_size()), tokenizer);
    for stop in [&[][..], &["e"], &["t", "wo"]] {
        let request = ChatRequest::new([Message::user("one two")])
            .with_samples(3)
            .with_sampling(Sampling {
                temperature: 1.0,
                max_tokens: 40,
                seed: 4,
                stop: stop.iter().map(|&it| it.to_owned()).collect(),
                ..Sampling::default()
            });
        let (mut texts, mut pieces) = (vec![String::new(); 3], 0);
        let streamed = model.stream(&request, &mut |piece| match piece {
            Piece::Text { sample, text } => {
                texts[sample] += text;
                pieces += 1;
            }
            Piece::Restarted { .. } => panic!("nothing breaks off here"),
        });
        let streamed = streamed.expect("it streams");
        assert_eq!(streamed, model.complete(&request).expect("it completes"));
        let whole: Vec<&str> = streamed.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(texts, whole);
        assert!(pieces > 3 || !stop.is_empty(), "{pieces} pieces");
    }
}

/// Makes every parameter not a number.
struct Poison;

impl ModuleMapper for Poison {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor.mul_scalar(f32::NAN), mapper)
    }
}

#[test]
fn logits_that_are_not_finite_are_an_error_and_never_a_token() {
    let model = model(16).map(&mut Poison);
    for params in [
        SamplingParams::greedy(4),
        SamplingParams::at_temperature(1.0, 4),
        SamplingParams {
            top_p: 0.9,
            ..SamplingParams::at_temperature(0.7, 4)
        },
    ] {
        let drawn =
            Generator::new(&model, vec![0]).generate(&prompts(), &params, &mut |_| Flow::Continue);
        assert!(matches!(
            drawn,
            Err(Error::LogitsNotFinite {
                prompt: 0,
                sample: 0,
                step: 1
            })
        ));
    }
}

#[test]
fn hidden_states_after_attention_to_what_is_not_a_number_are_not_numbers() {
    // One poisoned token: what attends to it has no finite state, what does not is as it was.
    let mut tree = TokenTree::new(vec![1, 2], false);
    let poisoned = tree.push(0, vec![7, 3], true);
    tree.push(0, vec![4, 5], true);
    let forest = PackedForest::from_trees([&tree]).expect("a tree");
    let of_poisoned = forest.tokens_of(forest.node_index(0, poisoned));
    let config = DecoderConfig::llama(16, 16, 2, 2);
    let mut model = Decoder::init(&config, 5, &Device::flex());
    let batch = ForestBatch::new(forest.clone(), &Device::flex());
    let sound = model.hidden_states(&batch);
    let embedding = model.model.embed_tokens.weight.val();
    let row = Tensor::<2>::full([1, 16], f32::NAN, &Device::flex());
    let poisoned = embedding.slice_assign([7..8, 0..16], row);
    model.model.embed_tokens.weight = Param::from_tensor(poisoned);
    let hidden = model.hidden_states(&batch);
    let finite = |states: &Tensor<2>, token: usize| {
        let state = states.clone().slice([token..token + 1, 0..16]).into_data();
        state.iter::<f32>().all(f32::is_finite)
    };
    for token in 0..forest.len() {
        assert_eq!(
            finite(&hidden, token),
            !of_poisoned.contains(&token),
            "token {token}"
        );
        assert!(finite(&sound, token));
    }
}

#[test]
fn a_continuation_ends_at_each_token_that_ends_a_text() {
    let prompt = [Prompt::new(vec![1, 2, 3], 1, 0)];
    let params = SamplingParams::at_temperature(1.0, 12);
    let continued = |generator: Generator| {
        let all = generator.generate(&prompt, &params, &mut |_| Flow::Continue);
        all.expect("it generates")[0][0].clone()
    };
    let model = model(40);
    let whole = continued(Generator::new(&model, vec![40])).tokens;
    for end in [whole[2], whole[7]] {
        let cut = continued(Generator::new(&model, vec![40]).with_stop_tokens([end]));
        let place = whole
            .iter()
            .position(|&token| token == end)
            .expect("it is there");
        assert_eq!(cut.tokens, whole[..place]);
        assert_eq!(cut.finish, Finish::Stop);
    }
}

#[test]
fn a_prompt_that_fills_the_context_is_refused_and_a_continuation_ends_with_it() {
    let mut config = DecoderConfig::llama(40, 16, 2, 2);
    config.max_position_embeddings = 10;
    let model = Decoder::init(&config, 5, &Device::flex());
    let generate = |lengths: &[usize]| {
        let prompts: Vec<Prompt> = lengths
            .iter()
            .map(|&tokens| Prompt::new(vec![1; tokens], 2, 3))
            .collect();
        let params = SamplingParams::at_temperature(1.0, 1000);
        Generator::new(&model, Vec::new()).generate(&prompts, &params, &mut |_| Flow::Continue)
    };
    let all = generate(&[9, 4, 1]).expect("it generates");
    for (samples, room) in all.iter().zip([1, 6, 9]) {
        for continuation in samples {
            assert_eq!(continuation.tokens.len(), room);
            assert_eq!(continuation.finish, Finish::Length);
        }
    }
    // What one draws does not depend on the room of another.
    assert_eq!(generate(&[4]).expect("it generates")[0], all[1]);
    for tokens in [10, 11] {
        let error = generate(&[4, tokens]).expect_err("no room");
        assert_eq!(
            error.to_string(),
            format!(
                "prompt 1 has {tokens} tokens, and the model's context of 10 leaves no room for one more; shorten the prompt, or take a model with a longer context"
            )
        );
    }
}

#[test]
fn settings_that_no_token_can_be_drawn_with_are_refused_by_name() {
    let sound = || SamplingParams::at_temperature(1.0, 4);
    for (params, said) in [
        (
            SamplingParams {
                temperature: -1.0,
                ..sound()
            },
            "sampling: temperature is -1; a finite",
        ),
        (
            SamplingParams {
                temperature: f32::NAN,
                ..sound()
            },
            "temperature is NaN",
        ),
        (
            SamplingParams {
                top_p: 0.0,
                ..sound()
            },
            "top_p is 0; a share above 0",
        ),
        (
            SamplingParams {
                top_p: 1.5,
                ..sound()
            },
            "top_p is 1.5",
        ),
        (
            SamplingParams {
                repetition_penalty: 0.0,
                ..sound()
            },
            "repetition_penalty is 0",
        ),
        (
            SamplingParams {
                repetition_penalty: f32::NAN,
                ..sound()
            },
            "repetition_penalty is NaN",
        ),
        (
            SamplingParams {
                max_tokens: 0,
                ..sound()
            },
            "max_tokens is 0; at least 1",
        ),
    ] {
        let drawn =
            Generator::new(&model(40), Vec::new())
                .generate(&prompts(), &params, &mut |_| Flow::Continue);
        let error = drawn.expect_err("refused").to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_chat_model_refuses_a_long_conversation_and_bad_settings_and_answers_the_rest_of_a_batch() {
    let bpe = train_bpe(["one two three four"], 280, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
    let tokenizer = ChatTokenizer::from_files(bpe.files().expect("files")).expect("a tokenizer");
    let mut config = DecoderConfig::llama(tokenizer.vocab_size(), 16, 2, 2);
    config.max_position_embeddings = 64;
    let model = LocalChatModel::new(
        "small",
        &Decoder::init(&config, 5, &Device::flex()),
        tokenizer,
    );
    let request = |text: String, max_tokens| {
        ChatRequest::new([Message::user(text)]).with_sampling(Sampling {
            max_tokens,
            ..Sampling::default()
        })
    };
    let requests = [
        request("one".into(), 5),
        request("one two ".repeat(40), 5),
        request("one".into(), 0),
        request("two".into(), 5000),
    ];
    let answers = model.complete_batch(&requests);
    let refusal = |index: usize| match &answers[index] {
        Ok(_) => panic!("request {index} was answered"),
        Err(error) => error.to_string(),
    };
    assert!(answers[0].is_ok() && answers[3].is_ok());
    assert!(
        refusal(1).starts_with("model `small`: the prompt has "),
        "{}",
        refusal(1)
    );
    let too_long = answers
        .iter()
        .map(|it| it.as_ref().is_err_and(chat_model::Error::is_too_long));
    assert_eq!(too_long.collect::<Vec<_>>(), [false, true, false, false]);
    let scored = model.log_probs_of(&requests[1], "three");
    assert!(scored.is_err_and(|error| error.is_too_long()));
    assert!(refusal(1).contains("context of 64"), "{}", refusal(1));
    assert_eq!(
        refusal(2),
        "sampling: max_tokens is 0; at least 1 is wanted"
    );
}
