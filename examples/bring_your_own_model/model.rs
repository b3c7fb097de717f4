//! The model: what a program brings.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use eurus_models::{ForestBatch, ForestBody, ForestModel, PaddedRows, RowModel, int_tensor};

/// Tokens that a state depends on: its own and those before it on its path.
const CONTEXT: usize = 4;

/// A neural n-gram (Bengio et al. 2003): `h = tanh(W [e(t), e(t-1), e(t-2), e(t-3)])`, tied to its embedding at the output.
#[derive(Module, Debug)]
pub struct NGram {
    embedding: Embedding,
    hidden: Linear,
}

impl NGram {
    pub fn init(vocab_size: usize, d_model: usize, seed: u64, device: &Device) -> Self {
        device.seed(seed);
        Self {
            embedding: EmbeddingConfig::new(vocab_size, d_model).init(device),
            hidden: LinearConfig::new(CONTEXT * d_model, d_model).init(device),
        }
    }
}

/// For every token the one before it on its path: in its node, or the last of the node's parent. A tree's first token has
/// none, which index `T` stands for; that index stays where it is.
fn predecessors(batch: &ForestBatch) -> Vec<u32> {
    let forest = &batch.forest;
    let none = forest.len() as u32;
    let mut before: Vec<u32> = (0..none)
        .map(|token| {
            let node = &forest.nodes[forest.node_of[token as usize] as usize];
            match node.parent {
                _ if token > node.start => token - 1,
                Some(parent) => forest.end_of(parent as usize),
                None => none,
            }
        })
        .collect();
    before.push(none);
    before
}

impl ForestBody for NGram {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        let device = batch.tokens.device();
        let embedded = self
            .embedding
            .forward(batch.tokens.clone().unsqueeze::<2>());
        let embedded = embedded.squeeze_dim::<2>(0);
        let [tokens, d_model] = embedded.dims();
        // The token that is not there has zeros.
        let embedded = Tensor::cat(vec![embedded, Tensor::zeros([1, d_model], &device)], 0);
        let before = predecessors(batch);
        let mut indices: Vec<u32> = (0..tokens as u32).collect();
        let mut context = Vec::with_capacity(CONTEXT);
        for _ in 0..CONTEXT {
            context.push(embedded.clone().select(0, int_tensor(&indices, &device)));
            indices = indices
                .iter()
                .map(|&token| before[token as usize])
                .collect();
        }
        self.hidden.forward(Tensor::cat(context, 1)).tanh()
    }

    fn vocab_size(&self) -> usize {
        self.embedding.weight.val().dims()[0]
    }
}

impl ForestModel for NGram {
    fn output_weight(&self) -> Tensor<2> {
        self.embedding.weight.val()
    }
}

/// The network over rows `[rows, time]`, as most models are written: it knows nothing of trees. `FromRows` makes a model over
/// forests of it, for the price of rows.
#[derive(Module, Debug)]
pub struct RowNGram {
    pub network: NGram,
}

impl RowModel for RowNGram {
    fn hidden_states(&self, rows: &PaddedRows) -> Tensor<3> {
        let embedded = self.network.embedding.forward(rows.tokens.clone());
        let [count, time, d_model] = embedded.dims();
        // Zeros before the first token. Padding comes after all tokens, and none sees it.
        let none = Tensor::zeros([count, CONTEXT, d_model], &rows.device());
        let embedded = Tensor::cat(vec![none, embedded], 1);
        let before = |steps: usize| embedded.clone().narrow(1, CONTEXT - steps, time);
        let context = (0..CONTEXT).map(before).collect();
        self.network.hidden.forward(Tensor::cat(context, 2)).tanh()
    }

    fn output_weight(&self) -> Tensor<2> {
        self.network.output_weight()
    }
}
