//! Prompts that come while others are being continued.

use std::collections::BTreeMap;

use burn::tensor::Device;
use eurus_models::generate::{
    Continuation, Decoding, Flow, GenerationEvent, Generator, Order, Prompt, SamplingParams,
};
use eurus_models::{Decoder, DecoderConfig, Error, MixtureOfExperts};
use proptest::prelude::*;

use crate::generation::model;

fn order(tokens: Vec<u32>, samples: usize, seed: u64, params: SamplingParams) -> Order {
    Order {
        prompt: Prompt::new(tokens, samples, seed),
        params,
        likeliest: 0,
    }
}

type Ended = BTreeMap<(usize, usize), Continuation>;

/// One step; what has ended is added.
fn step(decoding: &mut Decoding, ended: &mut Ended) -> Result<(), Error> {
    decoding.step(&mut |event| {
        if let GenerationEvent::Ended {
            prompt,
            sample,
            continuation,
            ..
        } = event
        {
            assert!(
                ended
                    .insert((prompt, sample), continuation.clone())
                    .is_none()
            );
        }
        Flow::Continue
    })
}

/// What the orders get alone, each with a generator of its own.
fn alone(generator: &Generator, orders: &[Order]) -> Ended {
    let mut all = Ended::new();
    for (place, order) in orders.iter().enumerate() {
        let drawn = generator.generate(
            std::slice::from_ref(&order.prompt),
            &order.params,
            &mut |_| Flow::Continue,
        );
        for (sample, continuation) in drawn
            .expect("it generates")
            .remove(0)
            .into_iter()
            .enumerate()
        {
            all.insert((place, sample), continuation);
        }
    }
    all
}

/// A mixture of experts: it is decoded with burn's tensors.
fn mixture() -> Decoder {
    let mut config = DecoderConfig::llama(40, 16, 2, 2);
    config.mixture = Some(MixtureOfExperts {
        experts: 4,
        experts_per_token: 2,
        auxiliary_loss_coefficient: 0.0,
    });
    config.initializer_range = 0.3;
    Decoder::init(&config, 5, &Device::flex())
}

fn orders() -> impl Strategy<Value = Vec<(Order, usize)>> {
    let one = (
        prop::collection::vec(0u32..38, 1..24),
        1usize..4,
        0u64..9,
        prop_oneof![Just(0.0f32), Just(0.7), Just(1.0)],
        prop_oneof![Just(1.0f32), Just(0.8)],
        1usize..9,
        0usize..5,
    );
    let one = one.prop_map(
        |(tokens, samples, seed, temperature, top_p, max_tokens, wait)| {
            let params = SamplingParams {
                top_p,
                ..SamplingParams::at_temperature(temperature, max_tokens)
            };
            (order(tokens, samples, seed, params), wait)
        },
    );
    prop::collection::vec(one, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_prompt_that_comes_while_others_go_on_gets_what_it_gets_alone_to_the_bit(
        orders in orders(),
        max_rows in 1usize..7,
    ) {
        let generator = Generator::new(&model(40), vec![38]);
        let mut decoding = generator.clone().with_max_rows(max_rows).decoding();
        let mut ended = Ended::new();
        for (order, wait) in &orders {
            decoding.add(order.clone()).expect("it is sound");
            for _ in 0..*wait {
                step(&mut decoding, &mut ended).expect("it steps");
            }
        }
        while !decoding.is_idle() {
            step(&mut decoding, &mut ended).expect("it steps");
        }
        prop_assert_eq!(decoding.rows(), 0);
        let orders: Vec<Order> = orders.into_iter().map(|(order, _)| order).collect();
        prop_assert_eq!(ended, alone(&generator, &orders));
    }
}

#[test]
fn with_tensors_prompts_of_different_settings_get_what_they_get_alone() {
    let generator = Generator::new(&mixture(), vec![38]);
    let orders = [
        order(vec![1, 2, 3], 3, 1, SamplingParams::greedy(5)),
        order(vec![4], 2, 2, SamplingParams::at_temperature(1.0, 9)),
        order(vec![5, 6], 1, 3, SamplingParams::at_temperature(0.7, 3)),
    ];
    let mut decoding = generator.clone().with_max_rows(5).decoding();
    let mut ended = Ended::new();
    for order in &orders {
        decoding.add(order.clone()).expect("it is sound");
    }
    while !decoding.is_idle() {
        step(&mut decoding, &mut ended).expect("it steps");
    }
    let tokens =
        |ended: &Ended| -> Vec<Vec<u32>> { ended.values().map(|it| it.tokens.clone()).collect() };
    assert_eq!(tokens(&ended), tokens(&alone(&generator, &orders)));
}

#[test]
fn a_prompt_that_is_given_up_makes_room_and_is_heard_of_no_more() {
    let generator = Generator::new(&model(40), Vec::new()).with_max_rows(3);
    let params = SamplingParams::at_temperature(1.0, 50);
    let mut decoding = generator.decoding();
    let long = decoding.add(order(vec![1, 2], 5, 1, params.clone()));
    let long = long.expect("it is sound");
    let mut ended = Ended::new();
    step(&mut decoding, &mut ended).expect("it steps");
    let kept = order(
        vec![3],
        1,
        2,
        SamplingParams {
            max_tokens: 4,
            ..params
        },
    );
    let short = decoding.add(kept.clone()).expect("it is sound");
    assert_eq!(decoding.rows(), 6);
    decoding.abandon(long);
    assert_eq!(decoding.rows(), 1);
    while !decoding.is_idle() {
        step(&mut decoding, &mut ended).expect("it steps");
    }
    let right = alone(&generator, &[kept]);
    assert_eq!(ended.keys().copied().collect::<Vec<_>>(), [(short, 0)]);
    assert_eq!(ended.into_values().next(), right.into_values().next());
}

#[test]
fn an_order_that_cannot_be_is_refused_and_the_others_go_on() {
    let generator = Generator::new(&model(40), Vec::new());
    let mut decoding = generator.decoding();
    let sound = order(vec![1, 2], 1, 1, SamplingParams::greedy(3));
    assert_eq!(decoding.add(sound.clone()).expect("it is sound"), 0);
    for (wrong, said) in [
        (order(vec![], 1, 1, SamplingParams::greedy(3)), "no tokens"),
        (order(vec![77], 1, 1, SamplingParams::greedy(3)), "77"),
        (
            order(vec![1; 5000], 1, 1, SamplingParams::greedy(3)),
            "5000",
        ),
        (
            order(vec![1], 1, 1, SamplingParams::greedy(0)),
            "max_tokens",
        ),
    ] {
        let error = decoding.add(wrong).expect_err("it is refused").to_string();
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(decoding.add(sound).expect("it is sound"), 1);
    let mut ended = Ended::new();
    while !decoding.is_idle() {
        step(&mut decoding, &mut ended).expect("it steps");
    }
    assert_eq!(ended.len(), 2);
}

#[test]
fn the_likeliest_tokens_are_told_with_each_and_the_drawn_one_is_first_among_them_when_greedy() {
    let generator = Generator::new(&model(40), Vec::new());
    let mut decoding = generator.decoding();
    let told = Order {
        likeliest: 3,
        ..order(vec![1, 2], 1, 1, SamplingParams::greedy(6))
    };
    decoding.add(told).expect("it is sound");
    let (mut drawn, mut heard) = (Vec::new(), Vec::new());
    while !decoding.is_idle() {
        let stepped = decoding.step(&mut |event| {
            if let GenerationEvent::Token {
                tokens,
                log_prob,
                likeliest,
                ..
            } = event
            {
                assert_eq!(likeliest.len(), 3);
                assert_eq!(likeliest[0], (tokens[tokens.len() - 1], log_prob));
                assert!(likeliest.is_sorted_by(|a, b| a.1 >= b.1));
                drawn = tokens.to_vec();
                heard.push(likeliest.to_vec());
            }
            Flow::Continue
        });
        stepped.expect("it steps");
    }
    // What is scored when the text is given is what was told when it was drawn.
    let scores = generator.scores(&[1, 2], &drawn, 3).expect("it scores");
    let scored: Vec<_> = scores.into_iter().map(|it| it.likeliest).collect();
    let ids =
        |all: &[Vec<(u32, f32)>]| -> Vec<u32> { all.iter().flatten().map(|it| it.0).collect() };
    assert_eq!(ids(&scored), ids(&heard));
    let with_tensors = Generator::new(&mixture(), Vec::new());
    let scores = with_tensors.scores(&[1, 2], &[3, 4], 2).expect("it scores");
    let plain = with_tensors.log_probs(&[1, 2], &[3, 4]).expect("it scores");
    assert_eq!(
        scores.iter().map(|it| it.log_prob).collect::<Vec<_>>(),
        plain
    );
    assert!(
        scores
            .iter()
            .all(|it| it.likeliest.len() == 2 && it.likeliest[0].1 >= it.log_prob)
    );
}
