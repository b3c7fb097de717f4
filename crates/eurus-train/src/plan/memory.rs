//! Memory of a run, estimated from what it puts through the model.

use eurus_models::DecoderConfig;
use eurus_models::generate::DEFAULT_MAX_ROWS;
use serde::Serialize;

use super::costs::{Costs, Work};
use crate::Precision;

/// Bytes of a number of what is updated and summed, which is float32.
const NUMBER: usize = 4;

/// Bytes of a number that computes.
fn computed(precision: Precision) -> usize {
    match precision {
        Precision::Full => NUMBER,
        Precision::Bf16 => 2,
    }
}

/// Where the memory of a run goes at its peak, in bytes.
///
/// All is counted that is there at some time of a step, as if it were there at once: the allocator seldom uses the room of
/// activations again for gradients of another size. What is not counted: buffers inside of operations, the data, the
/// program.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Parameters of the model, adapters included; a number, not bytes.
    pub parameters: usize,
    /// Those of them that have gradients.
    pub trained_parameters: usize,
    /// The weights that are updated and compute, of mixed precision too: a bfloat16 and 16 bits more are a float32. Weights that
    /// stay as they are have no 16 bits more, as long as their file is of bfloat16.
    pub weights: usize,
    /// What the optimizer keeps: AdamW's two moments, say.
    pub moments: usize,
    /// The sum over the step's forests, to which those of a forest are added where they lie.
    pub gradients: usize,
    /// What a pass keeps of the largest forest.
    pub activations: usize,
    /// The block of logits that exists at a time.
    pub logits: usize,
    /// Weights of a reference that is another model, and a copy rounded to bfloat16 that computes in mixed precision; they are
    /// gone when training begins.
    pub reference: usize,
    /// What answering prompts of an evaluation takes, if no answer ends before it must.
    pub evaluation: usize,
    /// The peak.
    pub total: usize,
}

impl Memory {
    /// `largest` is the forest with the most tokens; `log_prob_chunk` positions have logits at a time.
    pub fn estimate(costs: &Costs<'_>, largest: Work, log_prob_chunk: usize) -> Self {
        let config = costs.config;
        let d = config.hidden_size;
        let parameters = costs.parameters();
        let trained_parameters = costs.trained_parameters();
        let of_layer = costs.layer_activations_per_token();
        let (of_layers, left) = if costs.recompute {
            // The inputs of all layers and one layer. Blocks of memory that are used in turn for gradients are not used
            // for other things: two of the largest were seen to be left.
            (config.layers * d + of_layer, 2 * costs.largest_gradient())
        } else {
            (config.layers * of_layer, 0)
        };
        // The last norm's input and output, and the tables of rotations.
        let of_token = of_layers + 2 * d + config.head_dim;
        // The hidden states of the targets and two numbers each, and the logits.
        let (of_target, logits) = if costs.has_logits() {
            let positions = log_prob_chunk.min(largest.targets);
            (d + 2, positions * config.vocab_size)
        } else {
            (0, 0)
        };
        let computed = computed(costs.precision);
        let frozen = parameters - trained_parameters;
        let mut memory = Self {
            parameters,
            trained_parameters,
            weights: NUMBER * trained_parameters + computed * frozen,
            moments: NUMBER * costs.moments(),
            gradients: NUMBER * trained_parameters + computed * left,
            activations: computed * (largest.tokens * of_token + largest.targets * of_target),
            logits: NUMBER * logits,
            reference: 0,
            evaluation: 0,
            total: 0,
        };
        memory.total =
            memory.weights + memory.moments + memory.gradients + memory.activations + memory.logits;
        memory
    }

    /// Adds a reference that is another model: it and the policy's weights, as they are loaded, are there at once, before
    /// anything else is.
    pub fn add_reference(&mut self, costs: &Costs<'_>, largest: Work) {
        self.reference = NUMBER * costs.parameters() + rounded_copy(costs);
        let policy = NUMBER * self.parameters;
        self.total = self
            .total
            .max(policy + self.reference + pass(costs, largest));
    }

    /// Adds the pass of a reference that is the policy itself, before it is trained.
    pub fn add_own_reference(&mut self, costs: &Costs<'_>, largest: Work) {
        let policy = NUMBER * self.parameters + rounded_copy(costs);
        self.total = self.total.max(policy + pass(costs, largest));
    }
}

/// What computes log-probs of weights that are not trained yet.
fn rounded_copy(costs: &Costs<'_>) -> usize {
    match costs.precision {
        Precision::Full => 0,
        Precision::Bf16 => computed(Precision::Bf16) * costs.parameters(),
    }
}

/// Of a pass without gradients, a layer at a time.
fn pass(costs: &Costs<'_>, largest: Work) -> usize {
    computed(costs.precision) * largest.tokens * costs.layer_activations_per_token()
}

impl Memory {
    /// Adds the answers to prompts, each with its tokens and the most of its answer. They are written between steps, when
    /// weights and moments are there alone, with the exact weights, which mixed precision makes for it.
    pub fn add_evaluation(
        &mut self,
        config: &DecoderConfig,
        precision: Precision,
        lengths: &[(usize, usize)],
    ) {
        let of_batch = |batch: &[(usize, usize)]| {
            let prompts: usize = batch.iter().map(|it| it.0).sum();
            // The most there may be: on a GPU all rows of the cache are as long as the longest. What is drawn last is not read.
            let steps = batch.iter().map(|it| it.1).max().unwrap_or(0).max(1) - 1;
            let cached = config.cached_per_token() * (prompts + batch.len() * steps);
            let pass = prompts * (config.layer_activations_per_token() + 2 * config.hidden_size);
            let logits = 2 * batch.len() * config.vocab_size; // of a step, and of prompts
            NUMBER * (cached + pass.max(logits))
        };
        let batches = lengths.chunks(DEFAULT_MAX_ROWS).map(of_batch);
        // On the CPU answers are written with a copy of the weights.
        let copies = match precision {
            Precision::Full => 1,
            Precision::Bf16 => 2,
        };
        let of_weights = copies * NUMBER * self.parameters;
        self.evaluation = batches.max().map_or(0, |batch| batch + of_weights);
        let during = self.weights + self.moments + self.evaluation;
        self.total = self.total.max(during);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eurus_models::lora::LoraConfig;

    use crate::Optimizer;
    use crate::plan::{Machine, Objective};

    fn smollm2() -> DecoderConfig {
        DecoderConfig {
            intermediate_size: 1536,
            kv_heads: 3,
            tie_word_embeddings: true,
            ..DecoderConfig::llama(49152, 576, 30, 9)
        }
    }

    fn planned(recompute: bool, precision: Precision, largest: Work) -> Memory {
        let config = smollm2();
        let costs = Costs {
            config: &config,
            adapters: None,
            objective: Objective::LanguageModel,
            recompute,
            precision,
            optimizer: Optimizer::Adamw,
            machine: Machine::Cpu,
        };
        Memory::estimate(&costs, largest, 64)
    }

    fn planned_mib(recompute: bool, largest: Work) -> f64 {
        planned(recompute, Precision::Full, largest).total as f64 / 1024.0 / 1024.0
    }

    /// The largest forests of the bench `train_step` (DPO, two trees a step, a budget of 2048), and its resident peaks in
    /// MiB without and with activations computed again: multi-turn trees, the mixture, one-turn pairs.
    const MEASURED_PEAKS: [(usize, usize, f64, f64); 3] = [
        (1437, 1133, 3435.0, 2543.0),
        (1701, 1465, 3603.0, 2447.0),
        (2036, 1963, 4235.0, 2585.0),
    ];

    #[test]
    fn estimates_of_memory_are_within_8_percent_of_the_peaks_of_the_bench() {
        for (tokens, targets, kept, recomputed) in MEASURED_PEAKS {
            let largest = Work {
                tokens,
                targets,
                ..Work::default()
            };
            for (recompute, measured) in [(false, kept), (true, recomputed)] {
                let planned = planned_mib(recompute, largest);
                let error = planned / measured - 1.0;
                assert!(
                    error.abs() < 0.08,
                    "{tokens} tokens: {planned} planned, {measured} measured"
                );
            }
        }
    }

    #[test]
    fn answers_are_counted_up_to_their_limits_with_the_rows_of_a_batch_as_long_as_the_longest() {
        let config = smollm2();
        let costs = Costs {
            config: &config,
            adapters: None,
            objective: Objective::LanguageModel,
            recompute: false,
            precision: Precision::Full,
            optimizer: Optimizer::Adamw,
            machine: Machine::Cpu,
        };
        let mut memory = Memory::estimate(&costs, Work::default(), 64);
        let before = memory.total;
        memory.add_evaluation(&config, Precision::Full, &[]);
        assert_eq!((memory.evaluation, memory.total), (0, before));
        // 30 layers of keys and values of 3 heads of 64 numbers.
        let of_token = 30 * 2 * 3 * 64 * 4;
        let logits = 2 * 2 * 49152 * 4;
        memory.add_evaluation(&config, Precision::Full, &[(1, 2001), (1, 11)]);
        let cached = of_token * (2 + 2 * 2000);
        assert_eq!(memory.evaluation, cached + logits + memory.weights);
        let fixed = memory.weights + memory.moments;
        assert_eq!(memory.total, fixed + memory.evaluation);
    }

    #[test]
    fn a_trained_parameter_takes_16_bytes_in_either_precision() {
        for precision in [Precision::Full, Precision::Bf16] {
            let memory = planned(false, precision, Work::default());
            assert_eq!(memory.total, 16 * memory.parameters, "{precision:?}");
        }
    }

    #[test]
    fn what_does_not_depend_on_the_forest_is_weights_moments_and_gradients() {
        let fixed = planned_mib(false, Work::default());
        assert!((fixed - 2053.0).abs() < 1.0, "{fixed}");
    }

    fn mistral_7b() -> DecoderConfig {
        DecoderConfig {
            intermediate_size: 14336,
            kv_heads: 8,
            tie_word_embeddings: false,
            ..DecoderConfig::llama(32000, 4096, 32, 32)
        }
    }

    fn on_gpu<'a>(config: &'a DecoderConfig, adapters: Option<&'a LoraConfig>) -> Costs<'a> {
        Costs {
            config,
            adapters,
            objective: Objective::LanguageModel,
            recompute: false,
            precision: Precision::Bf16,
            optimizer: Optimizer::Adamw,
            machine: Machine::Gpu,
        }
    }

    /// GiB that a CUDA driver which keeps the books was asked for at most, in steps of two forests: DPO of Mistral-7B's shape
    /// in mixed precision, whose largest forest has so many tokens and targets (`tools/null-cuda/measure.py`).
    const ON_A_GPU: (usize, usize, f64) = (7832, 5483, 130.94);

    #[test]
    fn the_estimate_for_a_gpu_is_within_2_percent_of_what_the_driver_is_asked_for() {
        let config = mistral_7b();
        let (tokens, targets, measured) = ON_A_GPU;
        let largest = Work {
            tokens,
            targets,
            ..Work::default()
        };
        let memory = Memory::estimate(&on_gpu(&config, None), largest, 64);
        let planned = memory.total as f64 / f64::from(1 << 30);
        assert!((planned / measured - 1.0).abs() < 0.02, "{planned}");
        // Of a token 2 sums, queries, keys, values, mixed values, gate and up, and a number a head.
        let of_layer = 2 * (2 * 4096 + 2 * 4096 + 2 * 1024 + 2 * 14336 + 32);
        let of_layers = 32 * of_layer * tokens;
        assert!((of_layers..of_layers * 102 / 100).contains(&memory.activations));
    }

    #[test]
    fn weights_that_are_not_trained_take_two_bytes_in_mixed_precision_and_are_loaded_in_four() {
        let config = mistral_7b();
        let adapters = LoraConfig::new(8);
        let costs = on_gpu(&config, Some(&adapters));
        let memory = Memory::estimate(&costs, Work::default(), 64);
        let (parameters, trained) = (memory.parameters, memory.trained_parameters);
        assert_eq!(memory.weights, 4 * trained + 2 * (parameters - trained));
        let mut with_reference = memory.clone();
        with_reference.add_own_reference(&costs, Work::default());
        assert_eq!(with_reference.total, (4 + 2) * parameters);
        let mut with_other = memory;
        let other = Costs {
            adapters: None,
            ..costs
        };
        with_other.add_reference(&other, Work::default());
        assert_eq!(with_other.reference, 6 * config.parameters());
        assert_eq!(with_other.total, 4 * parameters + with_other.reference);
    }
}
