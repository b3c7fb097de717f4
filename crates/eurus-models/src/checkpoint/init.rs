//! Fresh weights from a seed, drawn on the host so that every device gets the same.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

struct Draw {
    rng: ChaCha8Rng,
    normal: Normal<f32>,
}

impl ModuleMapper for Draw {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let device = param.lazy_device();
        let count = shape.num_elements();
        let values: Vec<f32> = if D == 1 {
            vec![1.0; count]
        } else {
            (0..count)
                .map(|_| self.normal.sample(&mut self.rng))
                .collect()
        };
        let tensor = Tensor::from_data(TensorData::new(values, shape), &device);
        Param::initialized(param.id, tensor).set_require_grad(true)
    }
}

pub fn draw<M: Module>(module: M, standard_deviation: f64, seed: u64) -> M {
    let deviation = standard_deviation.abs() as f32;
    let Ok(normal) = Normal::new(0.0, deviation) else {
        return module;
    };
    module.map(&mut Draw {
        rng: ChaCha8Rng::seed_from_u64(seed),
        normal,
    })
}
