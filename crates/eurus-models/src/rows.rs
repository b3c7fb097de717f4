//! Models that take padded rows, as models over packed forests.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::{ForestBatch, ForestBody, ForestModel, int_tensor};

/// A causal language model that reads rows of equal length, padded at their ends: what most models outside of this workspace
/// are.
pub trait RowModel: Module + ModuleDisplay {
    /// Hidden states after the last norm, `[rows, time, d]`. A token's state may depend on its own and earlier tokens of its
    /// row only; those of padding are not looked at.
    fn hidden_states(&self, rows: &PaddedRows) -> Tensor<3>;

    /// The output projection, `[vocab, d]`: logits are `hidden x weight^T`.
    fn output_weight(&self) -> Tensor<2>;

    /// Number of token ids the model knows: those below it.
    fn vocab_size(&self) -> usize {
        self.output_weight().dims()[0]
    }
}

/// The paths of a forest as rows of equal length: one for each leaf, from its root, padded at the end.
#[derive(Debug, Clone)]
pub struct PaddedRows {
    /// Token ids, `[rows, time]`; 0 where a row is padded.
    pub tokens: Tensor<2, Int>,
    /// Tokens of each row.
    pub lengths: Vec<usize>,
    /// For each token of the forest, its place in the first row that has it, in `rows x time`. `[T]`
    places: Vec<u32>,
}

impl PaddedRows {
    /// Unpacks a forest. What paths share stands in each of their rows.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use eurus_models::{ForestBatch, PaddedRows};
    /// use token_forest::{PackedForest, TokenTree};
    ///
    /// # fn main() -> token_forest::Result<()> {
    /// let mut tree = TokenTree::new(vec![1, 2], false);
    /// tree.push(0, vec![3, 4], true);
    /// tree.push(0, vec![5], true);
    /// let forest = PackedForest::from_trees([&tree])?;
    /// let rows = PaddedRows::new(&ForestBatch::new(forest, &Device::flex()));
    /// let tokens: Vec<i32> = rows.tokens.into_data().iter().collect();
    /// assert_eq!(tokens, [1, 2, 3, 4, 1, 2, 5, 0]);
    /// assert_eq!(rows.lengths, [4, 3]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(batch: &ForestBatch) -> Self {
        let forest = &batch.forest;
        let mut is_leaf = vec![true; forest.nodes.len()];
        for parent in forest.nodes.iter().filter_map(|node| node.parent) {
            is_leaf[parent as usize] = false;
        }
        let leaves = (0..forest.nodes.len()).filter(|&node| is_leaf[node]);
        let paths: Vec<Vec<u32>> = leaves
            .map(|leaf| {
                let spans = &batch.visibility.spans.nodes[leaf].keys;
                let tokens = spans.iter().flat_map(|it| it.start..it.start + it.len);
                tokens.map(|token| token as u32).collect()
            })
            .collect();
        let time = paths.iter().map(Vec::len).max().unwrap_or(0);
        let mut tokens = vec![0; paths.len() * time];
        let mut places = vec![u32::MAX; forest.len()];
        for (row, path) in paths.iter().enumerate() {
            for (position, &token) in path.iter().enumerate() {
                let place = row * time + position;
                tokens[place] = forest.tokens[token as usize];
                let first = &mut places[token as usize];
                *first = (*first).min(place as u32);
            }
        }
        let device = batch.tokens.device();
        Self {
            tokens: int_tensor(&tokens, &device).reshape([paths.len(), time]),
            lengths: paths.iter().map(Vec::len).collect(),
            places,
        }
    }

    /// Where rows are padded, `[rows, time]`: what burn's attention calls `mask_pad`.
    pub fn padding(&self) -> Tensor<2, Bool> {
        let [rows, time] = self.tokens.dims();
        let of_row = |&length: &usize| (0..time).map(move |position| position >= length);
        let padded: Vec<bool> = self.lengths.iter().flat_map(of_row).collect();
        Tensor::from_data(TensorData::new(padded, [rows, time]), &self.device())
    }

    /// Positions, `[rows, time]`: each row counts from 0.
    pub fn positions(&self) -> Tensor<2, Int> {
        let [rows, time] = self.tokens.dims();
        let positions: Vec<u32> = (0..rows).flat_map(|_| 0..time as u32).collect();
        int_tensor(&positions, &self.device()).reshape([rows, time])
    }

    /// The device of the tokens.
    pub fn device(&self) -> Device {
        self.tokens.device()
    }

    /// Takes the state of every token of the forest out of those of the rows: `[rows, time, d]` to `[T, d]`.
    fn pack(&self, states: Tensor<3>) -> Tensor<2> {
        let [rows, time, width] = states.dims();
        let places = int_tensor(&self.places, &states.device());
        states.reshape([rows * time, width]).select(0, places)
    }
}

/// A [`RowModel`] as a [`ForestModel`], so that it can be trained on trees.
///
/// Every path is a row, and a token that paths share has its state from the first of them: exact in values and gradients,
/// since a state depends on its own path alone. History is computed once for each path, so this costs what rows cost; a
/// model with an attention over [`ForestBatch::visibility`] costs less.
#[derive(Module, Debug)]
pub struct FromRows<M: Module> {
    /// The model.
    pub model: M,
}

impl<M: Module> FromRows<M> {
    /// Takes a model over rows.
    pub fn new(model: M) -> Self {
        Self { model }
    }
}

impl<M: RowModel> ForestBody for FromRows<M> {
    fn hidden_states(&self, batch: &ForestBatch) -> Tensor<2> {
        let rows = PaddedRows::new(batch);
        rows.pack(self.model.hidden_states(&rows))
    }

    fn vocab_size(&self) -> usize {
        self.model.vocab_size()
    }
}

impl<M: RowModel> ForestModel for FromRows<M> {
    fn output_weight(&self) -> Tensor<2> {
        self.model.output_weight()
    }
}
