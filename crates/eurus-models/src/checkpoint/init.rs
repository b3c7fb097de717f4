//! Fresh weights from a seed, drawn on the host so that every device gets the same.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::ModulePath;

struct Draw {
    rng: ChaCha8Rng,
    normal: Normal<f32>,
    path: ModulePath,
}

impl ModuleMapper for Draw {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let device = param.lazy_device();
        let count = shape.num_elements();
        let is_bias = self.path.name().ends_with(".bias");
        let values: Vec<f32> = match D {
            1 if is_bias => vec![0.0; count],
            // The scale of a norm.
            1 => vec![1.0; count],
            _ => (0..count)
                .map(|_| self.normal.sample(&mut self.rng))
                .collect(),
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
        path: ModulePath::default(),
    })
}
