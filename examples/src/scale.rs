//! How large everything is.

use ultrainteract_synth::word_problems::{self, Kinds};

/// How large everything is.
#[derive(Debug, Clone)]
pub struct Scale {
    /// All but those that nothing is trained on.
    pub training_problems: usize,
    /// What the problems are about.
    pub kinds: Kinds,
    /// The largest term of a sum in the problems.
    pub largest_number: u32,
    /// The largest factor of a product.
    pub largest_factor: u32,
    /// And as many for development.
    pub held_out_problems: usize,
    /// Problems that trees are built for, the last of the training problems; the others are fine-tuned on.
    pub tree_problems: usize,
    /// Tokens, at most.
    pub vocabulary: usize,
    /// Width of the model.
    pub hidden_size: usize,
    /// Layers of the model.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Passes over the worked solutions.
    pub sft_epochs: usize,
    /// At the top of its schedule.
    pub sft_learning_rate: f64,
    /// Worked solutions a step.
    pub sft_trees_per_step: usize,
    /// AdamW's.
    pub sft_beta_2: f32,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Passes over the pairs.
    pub preference_epochs: usize,
    /// At the top of its schedule.
    pub preference_learning_rate: f64,
    /// Trees a step, for policies and reward models.
    pub preference_trees_per_step: usize,
    /// Passes over the pairs.
    pub reward_epochs: usize,
    /// At the top of its schedule.
    pub reward_learning_rate: f64,
    /// Actions a turn of a tree, at most.
    pub samples_per_turn: usize,
    /// Actions drawn before it is looked whether there is a pair.
    pub samples_per_round: usize,
    /// The most turns of a tree.
    pub turns: usize,
    /// Longest action, in tokens.
    pub max_action_tokens: usize,
    /// Samples of every unseen problem.
    pub candidates: usize,
    /// Of how many samples the tables choose the best.
    pub best_of: usize,
}

impl Scale {
    /// What the tables of the book were made with.
    pub fn full() -> Self {
        Self {
            training_problems: 6300,
            kinds: Kinds::Usual,
            largest_number: 20,
            largest_factor: 9,
            held_out_problems: 200,
            tree_problems: 300,
            // More than there are merges to make; digits are tokens of their own.
            vocabulary: 800,
            hidden_size: 128,
            layers: 2,
            heads: 8,
            kv_heads: 8,
            // Many problems rather than many epochs.
            sft_epochs: 4,
            sft_learning_rate: 1.5e-3,
            sft_trees_per_step: 6,
            sft_beta_2: 0.95,
            initializer_range: 0.1,
            preference_epochs: 6,
            preference_learning_rate: 5e-4,
            preference_trees_per_step: 6,
            reward_epochs: 2,
            reward_learning_rate: 1e-3,
            samples_per_turn: 10,
            samples_per_round: 5,
            turns: 5,
            max_action_tokens: 128,
            candidates: 16,
            best_of: 8,
        }
    }

    /// How large the numbers of the problems are.
    pub fn word_problems(&self) -> word_problems::Options {
        word_problems::Options {
            kinds: self.kinds,
            largest_number: self.largest_number,
            largest_factor: self.largest_factor,
            ..word_problems::Options::default()
        }
    }

    /// For a pretrained checkpoint, of which nothing is fine-tuned from scratch: what concerns fresh models and their problems
    /// is not looked at.
    pub fn of_checkpoint() -> Self {
        Self {
            held_out_problems: 100,
            tree_problems: 100,
            preference_epochs: 2,
            preference_learning_rate: 1e-5,
            reward_learning_rate: 1e-5,
            samples_per_turn: 8,
            samples_per_round: 4,
            max_action_tokens: 192,
            candidates: 8,
            ..Self::full()
        }
    }

    /// For a minute.
    pub fn quick() -> Self {
        Self {
            training_problems: 2000,
            kinds: Kinds::Stories,
            largest_number: 10,
            largest_factor: 6,
            held_out_problems: 100,
            tree_problems: 100,
            hidden_size: 96,
            sft_learning_rate: 2e-3,
            // With a larger one policies unlearn more than they learn.
            preference_learning_rate: 1e-4,
            samples_per_turn: 5,
            candidates: 8,
            ..Self::full()
        }
    }
}
