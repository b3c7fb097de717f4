//! Which tokens were never trained, by their vectors.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use eurus_models::{Decoder, DecoderConfig, Untrained};

const VOCABULARY: usize = 64;
const WIDTH: usize = 16;

/// A matrix of random rows with some of them changed.
fn changed(
    weight: &Param<Tensor<2>>,
    change: impl Fn(usize, &mut [f32], &[f32]),
) -> Param<Tensor<2>> {
    let mut values: Vec<f32> = weight.val().into_data().iter::<f32>().collect();
    let mean: Vec<f32> = (0..WIDTH)
        .map(|column| values.iter().skip(column).step_by(WIDTH).sum::<f32>() / VOCABULARY as f32)
        .collect();
    for (token, row) in values.chunks_mut(WIDTH).enumerate() {
        change(token, row, &mean);
    }
    let data = TensorData::new(values, [VOCABULARY, WIDTH]);
    Param::from_tensor(Tensor::from_data(data, &weight.val().device()))
}

#[test]
fn rows_of_zeros_of_others_and_of_means_were_never_trained() {
    let config = DecoderConfig::llama(VOCABULARY, WIDTH, 1, 2);
    let mut model = Decoder::init(&config, 3, &Device::flex());
    let all: Vec<u32> = (0..VOCABULARY as u32 + 3).collect();
    assert_eq!(model.untrained_tokens(&all), [], "random rows show nothing");

    model.model.embed_tokens.weight = changed(
        &model.model.embed_tokens.weight,
        |token, row, mean| match token {
            5 => row.iter_mut().for_each(|x| *x *= 1e-4),
            7 | 8 => row.copy_from_slice(&mean.iter().map(|x| x + 0.01).collect::<Vec<_>>()),
            9 => row.copy_from_slice(mean),
            _ => {}
        },
    );
    assert_eq!(
        model.untrained_tokens(&[4, 5, 7, 9, 10]),
        [
            (5, Untrained::NearlyZero),
            (7, Untrained::SameAsAnother),
            (9, Untrained::Mean)
        ]
    );
    // A token that is read well may never have been written.
    if let Some(head) = &mut model.lm_head {
        head.weight = changed(&head.weight, |token, row, _| {
            if token == 10 {
                row.fill(0.0);
            }
        });
    }
    assert_eq!(
        model.untrained_tokens(&[4, 10]),
        [(10, Untrained::NearlyZero)]
    );
}
