//! Activations that a training pass keeps for its gradients: all of them, or the inputs of the model's blocks alone.

use burn::tensor::{Gradients, Tensor};
use eurus_models::layers::Routing;
use eurus_models::{ForestBatch, ForestBlocks, ForestBody};

use crate::{Error, Result};

/// Hidden states, and the way back to the parameters.
pub(crate) struct Pass<'a> {
    /// After the last norm, `[T, d]`.
    pub hidden: Tensor<2>,
    pub tape: Tape<'a>,
}

/// The way back from the hidden states.
pub(crate) enum Tape<'a> {
    /// Through one graph that has every activation.
    Whole {
        /// A loss of the model's own, `[1]`.
        auxiliary: Option<Tensor<1>>,
    },
    /// Block by block.
    Blocks(Recomputation<'a>),
}

/// The inputs of a model's blocks.
pub(crate) struct Recomputation<'a> {
    blocks: Box<dyn ForestBlocks + 'a>,
    /// `[T, d]` each, without autodiff.
    inputs: Vec<Tensor<2>>,
    /// The routers' choices, of the blocks that have one.
    routing: Vec<Routing>,
    /// The output of the last block, where the graph of the loss begins.
    last: Tensor<2>,
}

impl<'a> Pass<'a> {
    /// A model's pass; with `recompute`, one that keeps the blocks' inputs alone.
    pub fn new<M: ForestBody>(
        model: &'a M,
        batch: &'a ForestBatch,
        recompute: bool,
    ) -> Result<Self> {
        if recompute {
            let (plain, plain_batch) = (model.valid(), batch.inner());
            return Self::in_blocks(model.blocks(batch), plain.blocks(&plain_batch));
        }
        let (hidden, auxiliary) = model.hidden_states_and_auxiliary_loss(batch);
        Ok(Self {
            hidden,
            tape: Tape::Whole { auxiliary },
        })
    }

    /// `plain` are the same blocks without autodiff.
    fn in_blocks(
        blocks: Option<Box<dyn ForestBlocks + 'a>>,
        plain: Option<Box<dyn ForestBlocks + '_>>,
    ) -> Result<Self> {
        let refuse = |problem| {
            Err(Error::Config {
                field: "recompute_activations",
                value: "true".into(),
                problem,
            })
        };
        let (Some(blocks), Some(plain)) = (blocks, plain) else {
            return refuse("this model cannot run block by block");
        };
        if blocks.is_random() {
            return refuse(
                "the model has dropout, which would drop something else the second time",
            );
        }
        let mut x = plain.embed();
        let mut inputs = Vec::with_capacity(plain.count());
        let mut routing = Vec::new();
        for index in 0..plain.count() {
            let (y, routed) = plain.block(index, x.clone());
            inputs.push(std::mem::replace(&mut x, y));
            routing.extend(routed);
        }
        let last = Tensor::from_inner(x).require_grad();
        Ok(Self {
            hidden: blocks.finish(last.clone()),
            tape: Tape::Blocks(Recomputation {
                blocks,
                inputs,
                routing,
                last,
            }),
        })
    }
}

/// A reader of the gradients of a loss, called before they are added up.
type Reader<'a> = &'a mut dyn FnMut(&mut Gradients);

impl Recomputation<'_> {
    /// Runs the blocks again, the last one first, one graph at a time; `add` is given the loss of each, adds its gradients
    /// up and lets them be read first. The model's own loss counts with `share`. Returns its value, `share` included.
    pub fn backward(
        self,
        loss: Tensor<1>,
        share: f64,
        add: &mut dyn FnMut(Tensor<1>, Reader<'_>),
    ) -> Option<f64> {
        let Self {
            blocks,
            inputs,
            routing,
            last,
        } = self;
        let constants: Vec<Routing> = routing.iter().map(Routing::autodiff).collect();
        let auxiliary = blocks.auxiliary_loss(&constants);
        let auxiliary = auxiliary.map(|it| share * f64::from(it.into_scalar::<f32>()));

        let mut incoming = None;
        add(loss, &mut |gradients| {
            incoming = last.grad_remove(gradients)
        });
        let mut router = constants.len();
        for (index, input) in inputs.into_iter().enumerate().rev() {
            let x = Tensor::from_inner(input).require_grad();
            let (y, routed) = blocks.block(index, x.clone());
            let through = incoming
                .take()
                .map(|grad| (y * Tensor::from_inner(grad)).sum());
            let balancing = routed.and_then(|routed| {
                // Of all routers' choices this block's alone are not constants here.
                router -= 1;
                let mut choices = constants.clone();
                choices[router] = routed;
                blocks.auxiliary_loss(&choices).map(|loss| loss * share)
            });
            // The router's loss is f32 also where the blocks compute in bfloat16.
            let loss = match (through, balancing) {
                (Some(through), Some(balancing)) => through.cast(balancing.dtype()) + balancing,
                (Some(loss), None) | (None, Some(loss)) => loss,
                (None, None) => return auxiliary,
            };
            incoming = None;
            add(loss, &mut |gradients| incoming = x.grad_remove(gradients));
        }
        if let Some(grad) = incoming {
            // The factor is a leaf, so there is a graph even where the embedding is frozen.
            let factor = Tensor::from_inner(grad).require_grad();
            add((blocks.embed() * factor).sum(), &mut |_| ());
        }
        auxiliary
    }
}
