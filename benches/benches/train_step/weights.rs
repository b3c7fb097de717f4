//! Random weights, drawn where they are used.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, Tensor};
use eurus_models::{Decoder, DecoderConfig, ModulePath};

/// As `Decoder::init`, but for which numbers they are: billions of them take a host minutes and a card no time.
pub fn draw(config: &DecoderConfig, device: &Device) -> Decoder {
    device.seed(0);
    Decoder::empty(config, device).map(&mut Draw {
        deviation: config.initializer_range,
        path: ModulePath::default(),
    })
}

struct Draw {
    deviation: f64,
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
        let (shape, device) = (param.lazy_shape(), param.lazy_device());
        let is_bias = self.path.name().ends_with(".bias");
        let tensor = match D {
            1 if is_bias => Tensor::zeros(shape, &device),
            // The scale of a norm.
            1 => Tensor::ones(shape, &device),
            _ => Tensor::random(shape, Distribution::Normal(0.0, self.deviation), &device),
        };
        Param::initialized(param.id, tensor).set_require_grad(true)
    }
}
