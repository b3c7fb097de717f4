//! How large a decoder is, read off its shape: parameters, and what a training pass keeps of every token.

use super::DecoderConfig;
use crate::Result;
use crate::lora::LoraConfig;

/// A linear layer of every decoder layer, of which a mixture has one for each expert.
struct LinearShape {
    /// The last part of its path, as adapters name it.
    name: &'static str,
    inputs: usize,
    outputs: usize,
    bias: bool,
    copies: usize,
    copies_per_token: usize,
}

impl LinearShape {
    fn weights(&self) -> usize {
        self.inputs * self.outputs
    }

    fn parameters(&self) -> usize {
        let bias = if self.bias { self.outputs } else { 0 };
        self.copies * (self.weights() + bias)
    }

    fn adapter_parameters(&self, rank: usize) -> usize {
        rank * (self.inputs + self.outputs)
    }

    fn rows_and_columns(&self) -> usize {
        let bias = if self.bias { 1 + self.outputs } else { 0 };
        self.copies * (self.outputs + self.inputs + bias)
    }
}

impl DecoderConfig {
    /// The linear layers of one decoder layer.
    fn linear_layers(&self) -> Vec<LinearShape> {
        let d = self.hidden_size;
        let inner = self.intermediate_size;
        let queries = self.heads * self.head_dim;
        let keys = self.kv_heads * self.head_dim;
        let one = |name, inputs, outputs, bias| LinearShape {
            name,
            inputs,
            outputs,
            bias,
            copies: 1,
            copies_per_token: 1,
        };
        let qkv = self.biases.queries_keys_values;
        let mut layers = vec![
            one("q_proj", d, queries, qkv),
            one("k_proj", d, keys, qkv),
            one("v_proj", d, keys, qkv),
            one("o_proj", queries, d, self.biases.attention_output),
        ];
        match &self.mixture {
            None => {
                let mlp = self.biases.mlp;
                layers.extend([
                    one("gate_proj", d, inner, mlp),
                    one("up_proj", d, inner, mlp),
                    one("down_proj", inner, d, mlp),
                ]);
            }
            Some(mixture) => {
                let expert = |name, inputs, outputs| LinearShape {
                    copies: mixture.experts,
                    copies_per_token: mixture.experts_per_token,
                    ..one(name, inputs, outputs, false)
                };
                layers.extend([
                    one("gate", d, mixture.experts, false),
                    expert("w1", d, inner),
                    expert("w2", inner, d),
                    expert("w3", d, inner),
                ]);
            }
        }
        layers
    }

    /// Parameters of the language model: every number that a checkpoint of it holds.
    ///
    /// ```
    /// use burn::module::Module;
    /// use burn::tensor::Device;
    /// use eurus_models::{Decoder, DecoderConfig};
    ///
    /// let config = DecoderConfig::llama(64, 32, 2, 4);
    /// assert_eq!(config.parameters(), Decoder::init(&config, 0, &Device::flex()).num_params());
    /// ```
    pub fn parameters(&self) -> usize {
        let output = match self.tie_word_embeddings {
            true => 0,
            false => self.output_weights(),
        };
        self.body_parameters() + output
    }

    /// Parameters of everything below the output projection: a reward model has these and a head of `hidden_size`.
    pub fn body_parameters(&self) -> usize {
        let d = self.hidden_size;
        self.vocab_size * d + self.layers * self.layer_parameters() + d
    }

    /// Parameters of one decoder layer.
    pub fn layer_parameters(&self) -> usize {
        let linear: usize = self
            .linear_layers()
            .iter()
            .map(LinearShape::parameters)
            .sum();
        let head_norms = if self.head_norms {
            2 * self.head_dim
        } else {
            0
        };
        linear + 2 * self.hidden_size + head_norms
    }

    /// Rows and columns of all matrices of the language model, added up: what an optimizer keeps that has a number for each
    /// (Adafactor). A vector is a matrix of one row.
    pub fn rows_and_columns(&self) -> usize {
        let output = match self.tie_word_embeddings {
            true => 0,
            false => self.vocab_size + self.hidden_size,
        };
        self.body_rows_and_columns() + output
    }

    /// Those of everything below the output projection.
    pub fn body_rows_and_columns(&self) -> usize {
        let d = self.hidden_size;
        let linear = self.linear_layers();
        let linear: usize = linear.iter().map(LinearShape::rows_and_columns).sum();
        let head_norms = match self.head_norms {
            true => 2 * (1 + self.head_dim),
            false => 0,
        };
        (self.vocab_size + d) + self.layers * (linear + 2 * (1 + d) + head_norms) + (1 + d)
    }

    /// Those of the adapters that [`LoraConfig`] puts on the decoder layers, and of what is trained whole beside them.
    pub fn adapter_rows_and_columns(&self, adapters: &LoraConfig) -> usize {
        let of_layer = |linear: LinearShape| {
            linear.copies * (linear.inputs + linear.outputs + 2 * adapters.rank)
        };
        let saved = adapters.modules_to_save.len() * (self.vocab_size + self.hidden_size);
        self.adapted(adapters).map(of_layer).sum::<usize>() * self.layers + saved
    }

    /// Weights of the output projection, whether it is the embedding or not.
    pub fn output_weights(&self) -> usize {
        self.vocab_size * self.hidden_size
    }

    /// Keys and values that generation keeps of a token, in all layers.
    pub fn cached_per_token(&self) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim
    }

    /// Weights of all decoder layers that one token is multiplied with; of a mixture the experts that it goes through.
    pub fn layer_weights_per_token(&self) -> usize {
        let of_layer: usize = self
            .linear_layers()
            .iter()
            .map(|linear| linear.copies_per_token * linear.weights())
            .sum();
        self.layers * of_layer
    }

    /// Parameters of the adapters that [`LoraConfig`] puts on the decoder layers.
    pub fn adapter_parameters(&self, adapters: &LoraConfig) -> usize {
        self.adapted(adapters)
            .map(|linear| linear.copies * linear.adapter_parameters(adapters.rank))
            .sum::<usize>()
            * self.layers
    }

    /// Weights of these adapters that one token is multiplied with.
    pub fn adapter_weights_per_token(&self, adapters: &LoraConfig) -> usize {
        self.adapted(adapters)
            .map(|linear| linear.copies_per_token * linear.adapter_parameters(adapters.rank))
            .sum::<usize>()
            * self.layers
    }

    /// Parameters of the modules that [`LoraConfig`] trains whole beside the adapters.
    pub fn saved_module_parameters(&self, adapters: &LoraConfig) -> usize {
        adapters.modules_to_save.len() * self.output_weights()
    }

    /// Refuses adapters that a model of this shape cannot have.
    ///
    /// # Errors
    ///
    /// When the settings make no sense or name a linear layer that the model does not have.
    pub fn check_adapters(&self, adapters: &LoraConfig) -> Result<()> {
        let layers = self.linear_layers();
        let names = layers.iter().map(|linear| linear.name);
        // The router of a mixture takes no adapter.
        adapters.check_for(&names.filter(|&name| name != "gate").collect())
    }

    fn adapted(&self, adapters: &LoraConfig) -> impl Iterator<Item = LinearShape> {
        let has_adapter =
            |linear: &LinearShape| adapters.targets.iter().any(|name| name == linear.name);
        self.linear_layers().into_iter().filter(has_adapter)
    }

    /// Activations of one token in one decoder layer: numbers that are kept from the forward to the backward pass when all
    /// weights are trained.
    ///
    /// With `d` = `hidden_size`, `q` and `kv` = features of all query and of all key heads, `f` = `intermediate_size`:
    ///
    /// | operation | keeps |
    /// | --- | --- |
    /// | norm before attention | its input, `d` |
    /// | query, key and value projections | their input, `d` |
    /// | norms of heads, where there are any | their inputs, `q + kv` |
    /// | attention | rotated queries and keys, values, output, log-sum-exp: `2q + 2kv + heads` |
    /// | output projection | attention's output, which is kept already |
    /// | norm before the MLP | its input, `d` |
    /// | gate and up projections | their input, `d` |
    /// | swiglu | gate and up, `2f` |
    /// | down projection | its input, `f` |
    ///
    /// Rotation and residual sums keep nothing. In a mixture each of the `k` experts of a token keeps a copy of its
    /// input, `3f` and its output, and the router its logits and probabilities.
    pub fn layer_activations_per_token(&self) -> usize {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let mlp = match &self.mixture {
            None => 2 * d + 3 * f,
            Some(_) => self.mixture_activations_per_token(),
        };
        2 * d + self.attention_activations_per_token() + mlp
    }

    /// [`layer_activations_per_token`](Self::layer_activations_per_token) on a GPU, where the outputs of norms and what the down
    /// projection reads are made again in the backward pass ([`ForestOps::MAKES_AGAIN`](crate::ops::ForestOps::MAKES_AGAIN)):
    /// `2d + 2q + 2kv + heads + 2f`, without a mixture.
    pub fn layer_activations_per_token_on_gpu(&self) -> usize {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let mlp = match &self.mixture {
            None => d + 2 * f,
            Some(_) => self.mixture_activations_per_token(),
        };
        d + self.attention_activations_per_token() + mlp
    }

    /// What norms of heads and attention keep.
    fn attention_activations_per_token(&self) -> usize {
        let queries = self.heads * self.head_dim;
        let keys = self.kv_heads * self.head_dim;
        let head_norms = if self.head_norms { queries + keys } else { 0 };
        head_norms + 2 * queries + 2 * keys + self.heads
    }

    /// What the norm before a mixture of experts and the mixture keep; 0 without one.
    fn mixture_activations_per_token(&self) -> usize {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        self.mixture.as_ref().map_or(0, |mixture| {
            2 * d + mixture.experts_per_token * (2 * d + 3 * f) + 2 * mixture.experts
        })
    }
}
