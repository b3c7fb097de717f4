//! Generation on a GPU beside the CPU: the same tokens, the same ends, log-probs within rounding.

use burn::tensor::Device;
use chat_model::{ChatModel, ChatRequest, Message, Piece, Sampling};
use token_forest::{ChatTokenizer, train_bpe};

use crate::generate::{Continuation, Finish, Flow, Generator, Prompt, SamplingParams};
use crate::{Decoder, DecoderConfig, LocalChatModel, MixtureOfExperts, RopeScaling};

/// Of log-probs.
const TOLERANCE: f32 = 1e-4;

fn config() -> DecoderConfig {
    let mut config = DecoderConfig::llama(60, 32, 2, 4);
    config.initializer_range = 0.3;
    config
}

/// Prompts of different lengths with different numbers of samples.
fn prompts() -> Vec<Prompt> {
    let tokens = |len: u32, first: u32| (0..len).map(|it| (first + 7 * it) % 60).collect();
    vec![
        Prompt::new(tokens(3, 1), 3, 1),
        Prompt::new(tokens(150, 2), 5, 2),
        Prompt::new(tokens(1, 3), 1, 3),
        Prompt::new(tokens(64, 4), 2, 4),
    ]
}

fn generated(
    config: &DecoderConfig,
    device: &Device,
    stop_tokens: Vec<u32>,
    max_rows: usize,
    params: &SamplingParams,
) -> Vec<Vec<Continuation>> {
    let model = Decoder::init(config, 5, device);
    let generator = Generator::new(&model, stop_tokens).with_max_rows(max_rows);
    generator
        .generate(&prompts(), params, &mut |_| Flow::Continue)
        .expect("it generates")
}

fn assert_same(what: &str, config: &DecoderConfig, max_rows: usize, params: &SamplingParams) {
    let gpu = Device::wgpu(Default::default());
    let free = generated(config, &Device::flex(), Vec::new(), 100, params);
    // Stop tokens that come in some of them, early and late.
    let stops = vec![free[0][0].tokens[5], free[1][0].tokens[60]];
    let cpu = generated(config, &Device::flex(), stops.clone(), 100, params);
    let ours = generated(config, &gpu, stops, max_rows, params);
    let ends = |finish| cpu.iter().flatten().any(|it| it.finish == finish);
    assert!(ends(Finish::Stop), "{what}: none ends early");
    for (prompt, (ours, cpu)) in ours.iter().zip(&cpu).enumerate() {
        assert_eq!(ours.len(), cpu.len());
        for (sample, (ours, cpu)) in ours.iter().zip(cpu).enumerate() {
            let place = format!("{what}: prompt {prompt}, sample {sample}");
            assert_eq!(ours.tokens, cpu.tokens, "{place}");
            assert_eq!(ours.finish, cpu.finish, "{place}");
            for (ours, cpu) in ours.log_probs.iter().zip(&cpu.log_probs) {
                assert!((ours - cpu).abs() < TOLERANCE, "{place}: {ours} {cpu}");
            }
        }
    }
}

#[test]
fn greedy_answers_are_those_of_the_cpu() {
    let params = SamplingParams::greedy(80);
    assert_same("every head its own keys", &config(), 100, &params);
    let mut grouped = config();
    grouped.kv_heads = 2;
    assert_same("grouped heads", &grouped, 100, &params);
    assert_same("grouped heads, four rows at a time", &grouped, 4, &params);
    let mut window = config();
    window.sliding_window = Some(40);
    assert_same("a sliding window", &window, 6, &params);
}

#[test]
fn sampled_answers_are_those_of_the_cpu() {
    let params = SamplingParams::at_temperature(0.8, 80);
    assert_same("all tokens", &config(), 6, &params);
    let truncated = SamplingParams {
        top_p: 0.9,
        top_k: 12,
        ..params.clone()
    };
    assert_same("some tokens", &config(), 6, &truncated);
    let penalised = SamplingParams {
        repetition_penalty: 1.3,
        ..params
    };
    assert_same("a penalty", &config(), 6, &penalised);
}

#[test]
fn mixtures_and_frequencies_that_change_give_the_answers_of_the_cpu() {
    let params = SamplingParams::greedy(80);
    let mut mixture = config();
    mixture.mixture = Some(MixtureOfExperts {
        experts: 4,
        experts_per_token: 2,
        auxiliary_loss_coefficient: 0.0,
    });
    assert_same("a mixture", &mixture, 100, &params);
    let mut dynamic = config();
    dynamic.max_position_embeddings = 200;
    dynamic.rope_scaling = RopeScaling::Dynamic { factor: 2.0 };
    assert_same("dynamic frequencies", &dynamic, 6, &params);
}

#[test]
fn a_chat_model_answers_streams_and_scores_as_on_the_cpu() {
    let bpe = train_bpe(["one two three four"], 280, &["<|im_start|>", "<|im_end|>"]).expect("bpe");
    let files = bpe.files().expect("files");
    let on = |device: Device| {
        let tokenizer = ChatTokenizer::from_files(files.clone()).expect("a tokenizer");
        let mut config = config();
        config.vocab_size = tokenizer.vocab_size();
        LocalChatModel::new("random", &Decoder::init(&config, 5, &device), tokenizer)
    };
    let (ours, cpu) = (on(Device::wgpu(Default::default())), on(Device::flex()));
    for temperature in [0.0, 1.0] {
        let request = ChatRequest::new([Message::user("one two")])
            .with_samples(3)
            .with_sampling(Sampling {
                temperature,
                max_tokens: 40,
                seed: 4,
                stop: vec!["e".to_owned()],
                ..Sampling::default()
            });
        let wanted = cpu.complete(&request).expect("it completes");
        let mut pieces = 0;
        let streamed = ours.stream(&request, &mut |piece| match piece {
            Piece::Text { .. } => pieces += 1,
            Piece::Restarted { .. } => panic!("nothing breaks off here"),
        });
        for (ours, cpu) in streamed.expect("it streams").iter().zip(&wanted) {
            assert_eq!((&ours.text, ours.tokens), (&cpu.text, cpu.tokens));
            assert_eq!(ours.finish, cpu.finish);
        }
        assert!(pieces > 0);
        let scored = [&ours, &cpu].map(|model| {
            let scored = model.log_probs_of(&request, "three four");
            scored.expect("it scores")
        });
        for (ours, cpu) in scored[0].iter().zip(&scored[1]) {
            assert!((ours.log_prob - cpu.log_prob).abs() < 1e-4);
        }
    }
}
