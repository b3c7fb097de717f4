//! AdamW with gradients summed over a step's forests and scaled to a global norm.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{AdamWConfig, GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::Optimization;

pub(crate) struct StepOptimizer<M> {
    optimizer: ModuleOptimizer,
    sums: GradientsAccumulator<M>,
    auxiliary_loss: Option<f64>,
    max_grad_norm: f64,
}

impl<M: Module> StepOptimizer<M> {
    pub fn new(settings: &Optimization) -> Self {
        let optimizer = AdamWConfig::new()
            .with_beta_1(settings.beta_1)
            .with_beta_2(settings.beta_2)
            .with_epsilon(settings.epsilon)
            .with_weight_decay(settings.weight_decay)
            .init();
        Self {
            optimizer,
            sums: GradientsAccumulator::new(),
            auxiliary_loss: None,
            max_grad_norm: settings.max_grad_norm,
        }
    }

    /// Adds the gradients of a forest's part of the step's loss: `loss` is already divided by the whole step's count,
    /// `auxiliary` is the model's own loss of the forest, which holds `share` of the step's tokens.
    pub fn add(&mut self, model: &M, loss: Tensor<1>, auxiliary: Option<Tensor<1>>, share: f64) {
        let loss = match auxiliary {
            Some(auxiliary) => {
                let auxiliary = auxiliary * share;
                let value = f64::from(auxiliary.clone().into_scalar::<f32>());
                *self.auxiliary_loss.get_or_insert(0.0) += value;
                loss + auxiliary
            }
            None => loss,
        };
        let gradients = GradientsParams::from_grads(loss.backward(), model);
        self.sums.accumulate(model, gradients);
    }

    /// The model's own loss of the step, if it has one.
    pub fn take_auxiliary_loss(&mut self) -> Option<f64> {
        self.auxiliary_loss.take()
    }

    /// The summed gradients and their global norm.
    pub fn gradients(&mut self, model: &M) -> (GradientsParams, f64) {
        let gradients = self.sums.grads();
        let norm = global_norm(model, &gradients);
        (gradients, norm)
    }

    /// Scales the gradients to the allowed norm and moves the parameters.
    pub fn step(
        &mut self,
        model: M,
        mut gradients: GradientsParams,
        norm: f64,
        learning_rate: f64,
    ) -> M {
        if self.max_grad_norm > 0.0 && norm > self.max_grad_norm {
            let mut scale = Scale {
                gradients: &mut gradients,
                factor: self.max_grad_norm / (norm + 1e-6),
            };
            model.visit(&mut scale);
        }
        self.optimizer.step(learning_rate, model, gradients)
    }
}

struct SquaredNorms<'a> {
    gradients: &'a GradientsParams,
    squares: Vec<Tensor<1>>,
}

impl ModuleVisitor for SquaredNorms<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.squares.push((gradient.clone() * gradient).sum());
        }
    }
}

/// The root of the sum of all squared gradients. The device is waited for once.
fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    let mut norms = SquaredNorms {
        gradients,
        squares: Vec::new(),
    };
    model.visit(&mut norms);
    if norms.squares.is_empty() {
        return 0.0;
    }
    let squares = Tensor::cat(norms.squares, 0).into_data();
    squares.iter::<f64>().sum::<f64>().sqrt()
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients
                .register::<D>(param.id, gradient * self.factor);
        }
    }
}
