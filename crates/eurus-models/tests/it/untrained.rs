//! Which tokens were never trained, by their vectors.

use burn::tensor::{Device, Tensor, TensorData};
use eurus_models::{Decoder, DecoderConfig, Untrained, untrained_tokens};

const VOCABULARY: usize = 64;
const WIDTH: usize = 16;

#[test]
fn rows_of_zeros_of_others_and_of_means_were_never_trained() {
    let config = DecoderConfig::llama(VOCABULARY, WIDTH, 1, 2);
    let model = Decoder::init(&config, 3, &Device::flex());
    let random = model.model.embed_tokens.weight.val();
    let all: Vec<u32> = (0..VOCABULARY as u32 + 3).collect();
    assert_eq!(
        untrained_tokens(&random, &all),
        [],
        "random rows show nothing"
    );

    let mut values: Vec<f32> = random.into_data().iter::<f32>().collect();
    let mean = |column: usize| {
        let column = values.iter().skip(column).step_by(WIDTH);
        column.sum::<f32>() / VOCABULARY as f32
    };
    let mean: Vec<f32> = (0..WIDTH).map(mean).collect();
    for (token, row) in values.chunks_mut(WIDTH).enumerate() {
        match token {
            5 => row.iter_mut().for_each(|x| *x *= 1e-4),
            7 | 8 => row.fill(0.01),
            9 => row.copy_from_slice(&mean),
            _ => {}
        }
    }
    let data = TensorData::new(values, [VOCABULARY, WIDTH]);
    let weight = Tensor::from_data(data, &Device::flex());
    assert_eq!(
        untrained_tokens(&weight, &[4, 5, 7, 9, 10]),
        [
            (5, Untrained::NearlyZero),
            (7, Untrained::SameAsAnother),
            (9, Untrained::Mean)
        ]
    );
    assert_eq!(untrained_tokens(&weight, &[]), []);
}
