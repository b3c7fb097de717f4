//! What is drawn: the model's own, whatever it is drawn together with, and however its weights are kept.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor};
use eurus_models::generate::{DecodeWeights, Flow, Generator, Prompt, SamplingParams};
use eurus_models::{
    Biases, Decoder, DecoderConfig, ForestBatch, ForestBody, ForestModel, MixtureOfExperts,
    RopeScaling, ops,
};
use token_forest::{PackedForest, TokenTree};

use crate::generation::{model, prompts};

#[test]
fn a_sample_has_the_same_bits_alone_and_in_any_batch() {
    let model = model(40);
    let params = SamplingParams::at_temperature(1.0, 12);
    let drawn = |prompts: &[Prompt]| {
        let generator = Generator::new(&model, vec![7, 8]);
        let all = generator.generate(prompts, &params, &mut |_| Flow::Continue);
        all.expect("it generates")
    };
    let mut many = prompts();
    many[1].samples = (0..70).collect();
    let together = drawn(&many);
    for max_rows in [1, 7] {
        let generator = Generator::new(&model, vec![7, 8]).with_max_rows(max_rows);
        let all = generator.generate(&many, &params, &mut |_| Flow::Continue);
        assert_eq!(all.expect("it generates"), together, "{max_rows} rows");
    }
    for (prompt, together) in many.iter().zip(&together) {
        for samples in [1, 2, prompt.samples.len()] {
            let prompt = Prompt::new(prompt.tokens.clone(), samples, prompt.seed);
            // Tokens and log-probabilities.
            assert_eq!(drawn(&[prompt])[0], together[..samples]);
        }
    }
}

/// Prompts of which some begin alike: with worked examples, with those and more, or by chance with a few tokens.
fn prompts_with_beginnings() -> Vec<Prompt> {
    let some = |from: u32, count: u32| (from..from + count).map(|token| 9 + token * 7 % 31);
    let examples: Vec<u32> = some(0, 50).collect();
    let text = |parts: &[&[u32]]| parts.concat();
    let more: Vec<u32> = some(100, 20).collect();
    let texts = [
        text(&[&examples, &[1, 2, 3]]),
        text(&[&examples, &[1, 2, 4, 5]]),
        text(&[&examples, &more, &[6]]),
        text(&[&examples, &more, &[3, 3]]),
        text(&[&examples, &more]),
        examples.clone(),
        text(&[&examples[..10], &[1; 30]]),
        text(&[&examples[..10], &[1; 29]]),
        vec![5],
    ];
    texts
        .into_iter()
        .zip(0..)
        .map(|(tokens, seed)| Prompt::new(tokens, 2, seed))
        .collect()
}

#[test]
fn what_is_drawn_has_the_same_bits_whether_the_beginning_of_a_prompt_is_shared_or_not() {
    for window in [None, Some(20)] {
        let mut config = DecoderConfig::llama(40, 16, 2, 2);
        config.initializer_range = 0.3;
        config.sliding_window = window;
        let model = Decoder::init(&config, 5, &Device::flex());
        let params = SamplingParams::at_temperature(1.0, 12);
        let prompts = prompts_with_beginnings();
        for max_rows in [1, 5, 1024] {
            let generator = Generator::new(&model, vec![7, 8]).with_max_rows(max_rows);
            let drawn = |prompts: &[Prompt]| {
                let all = generator.generate(prompts, &params, &mut |_| Flow::Continue);
                all.expect("it generates")
            };
            let together = drawn(&prompts);
            for (prompt, together) in prompts.iter().zip(&together) {
                assert_eq!(&drawn(std::slice::from_ref(prompt))[0], together);
                // What is drawn goes on with a prompt as a longer prompt goes on with a shorter one.
                let Some(last) = together[0].tokens.last() else {
                    continue;
                };
                let mut longer = prompt.clone();
                let read = together[0].tokens.len() - 1;
                longer.tokens.extend(&together[0].tokens[..read]);
                let log_prob = generator.log_probs(&longer.tokens, &[*last]);
                assert_eq!(
                    log_prob.expect("it scores"),
                    together[0].log_probs[read..=read]
                );
            }
        }
        assert_drawn_as_a_pass_would("with beginnings", &model, &prompts, 1024);
    }
}

/// A model whose frequencies change beyond 6 tokens.
fn model_with_frequencies_by_length(rope_scaling: RopeScaling) -> Decoder {
    let mut config = DecoderConfig::llama(40, 16, 2, 2);
    config.initializer_range = 0.3;
    config.max_position_embeddings = match rope_scaling {
        RopeScaling::LongRope { .. } => 24, // it counts from 6 by itself
        _ => 6,
    };
    config.rope_scaling = rope_scaling;
    Decoder::init(&config, 5, &Device::flex())
}

/// Asserts that every token of every continuation has the log-probability that a pass over the text before it gives.
fn assert_drawn_as_a_pass_would(name: &str, model: &Decoder, prompts: &[Prompt], max_rows: usize) {
    // 7 and 8 end some rows on the way.
    let generator = Generator::new(model, vec![7, 8]).with_max_rows(max_rows);
    let params = SamplingParams::at_temperature(1.0, 12);
    let all = generator
        .generate(prompts, &params, &mut |_| Flow::Continue)
        .expect("it generates");
    let mut compared = 0;
    for (prompt, samples) in prompts.iter().zip(&all) {
        for continuation in samples {
            for (step, &token) in continuation.tokens.iter().enumerate() {
                let mut text = prompt.tokens.clone();
                text.extend(&continuation.tokens[..step]);
                let tree = TokenTree::new(text, false);
                let forest = PackedForest::from_trees([&tree]).expect("a tree");
                let last = forest.len() - 1;
                let hidden = model.hidden_states(&ForestBatch::new(forest, &Device::flex()));
                let logits = ops::project(hidden.narrow(0, last, 1), model.output_weight());
                let expected = log_softmax(logits, 1).narrow(1, token as usize, 1);
                let expected = expected.into_scalar::<f32>();
                let got = continuation.log_probs[step];
                let difference = (got - expected).abs();
                assert!(difference < 1e-4, "{name}: {got}, alone {expected}");
                compared += 1;
            }
        }
    }
    assert!(compared > 40, "{compared} tokens");
}

#[test]
fn every_token_is_drawn_as_a_pass_over_the_text_so_far_would_draw_it() {
    for scaling in [
        RopeScaling::Dynamic { factor: 4.0 },
        RopeScaling::LongRope {
            short: vec![1.0, 1.1, 1.3, 1.4],
            long: vec![1.0, 2.5, 6.0, 9.0],
            original_positions: 6.0,
            attention_factor: 1.2,
        },
    ] {
        let model = model_with_frequencies_by_length(scaling.clone());
        // Prompts of 1 to 3 tokens cross the limit at different steps.
        assert_drawn_as_a_pass_would(&format!("{scaling:?}"), &model, &prompts(), 1024);
    }
}

/// A way in which families differ, on the config of a small Llama.
type Difference = (&'static str, fn(&mut DecoderConfig));

#[test]
fn every_token_of_every_family_is_drawn_as_a_pass_over_the_text_so_far_would_draw_it() {
    let differences: [Difference; 7] = [
        ("plain", |_| {}),
        ("shared keys", |config| config.kv_heads = 1),
        ("tied", |config| config.tie_word_embeddings = true),
        ("window", |config| config.sliding_window = Some(4)),
        ("biases", |config| {
            config.biases = Biases {
                queries_keys_values: true,
                attention_output: true,
                mlp: true,
            };
        }),
        ("norms of heads", |config| config.head_norms = true),
        ("mixture", |config| {
            config.mixture = Some(MixtureOfExperts {
                experts: 4,
                experts_per_token: 2,
                auxiliary_loss_coefficient: 0.0,
            });
        }),
    ];
    for (name, differ) in differences {
        let mut config = DecoderConfig::llama(40, 16, 2, 2);
        config.initializer_range = 0.3;
        differ(&mut config);
        let model = Decoder::init(&config, 5, &Device::flex());
        // With two rows, sequences of different lengths advance together.
        for max_rows in [2, 1024] {
            assert_drawn_as_a_pass_would(name, &model, &prompts(), max_rows);
        }
        let generator = Generator::new(&model, vec![7, 8]);
        let params = SamplingParams::at_temperature(1.0, 12);
        let all = generator.generate(&prompts(), &params, &mut |_| Flow::Continue);
        for (prompt, samples) in prompts().iter().zip(all.expect("it generates")) {
            for drawn in samples {
                let again = generator.log_probs(&prompt.tokens, &drawn.tokens);
                for (again, drawn) in again.expect("it scores").iter().zip(&drawn.log_probs) {
                    assert!(
                        (again - drawn).abs() < 1e-4,
                        "{name}: {again}, drawn {drawn}"
                    );
                }
            }
        }
    }
}

/// Rounds all weights to bfloat16.
struct Rounded;

impl ModuleMapper for Rounded {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|values| values.cast(DType::BF16).cast(DType::F32))
    }
}

#[test]
fn weights_that_bfloat16_holds_draw_the_same_in_it_and_rounded_ones_nearly_the_same() {
    let exact = model(40);
    let rounded = exact.clone().map(&mut Rounded);
    let params = SamplingParams::at_temperature(1.0, 12);
    let drawn = |model: &Decoder, weights| {
        let generator = Generator::with_weights(model.clone(), weights, vec![7, 8]);
        let generator = generator.expect("a plain model on the CPU");
        let all = generator.generate(&prompts(), &params, &mut |_| Flow::Continue);
        all.expect("it generates")
    };
    let in_half = drawn(&exact, DecodeWeights::Bf16);
    assert_eq!(in_half, drawn(&rounded, DecodeWeights::Exact));
    assert_eq!(in_half, drawn(&rounded, DecodeWeights::Bf16));
    assert_ne!(in_half, drawn(&exact, DecodeWeights::Exact));

    let text = [1, 2, 3, 4, 5, 6];
    let log_probs = |weights| {
        let generator = Generator::with_weights(exact.clone(), weights, vec![7]);
        let generator = generator.expect("a plain model on the CPU");
        generator.log_probs(&[9], &text).expect("it scores")
    };
    let exact = log_probs(DecodeWeights::Exact);
    for weights in [DecodeWeights::Bf16, DecodeWeights::Int8] {
        for (own, exact) in log_probs(weights).iter().zip(&exact) {
            let difference = (own - exact).abs();
            assert!(
                0.0 < difference && difference < 0.1,
                "{weights:?}: {own} for {exact}"
            );
        }
    }
}

#[test]
fn other_weights_for_decoding_are_refused_where_tensors_have_to_be_used() {
    let model = model_with_frequencies_by_length(RopeScaling::Dynamic { factor: 4.0 });
    let refused = Generator::with_weights(model.clone(), DecodeWeights::Int8, Vec::new());
    let message = refused.expect_err("frequencies change").to_string();
    assert_eq!(
        message,
        "weights cannot be kept as int8 for decoding, because its rotary frequencies change with the length of the text; \
         generate with exact weights"
    );
    assert!(Generator::with_weights(model, DecodeWeights::Exact, Vec::new()).is_ok());
}
