//! What stands in the tables of stages: options of the program, by their names with `_` for `-`.

mod choices;
mod stages;

pub use choices::{
    Algorithm, Architecture, Decay, DeviceName, NotFinitePolicy, Optimizer, OverLong, Precision,
    WeightDecayOn, WeightType,
};
pub use stages::{EvalOptions, PracticeOptions, PreferenceOptions, RewardOptions, SftOptions};

/// A value of an option as words of a command line.
pub(crate) trait OptionValue {
    /// Adds the option with this value.
    fn add_to(&self, words: &mut Vec<String>, option: &str);
}

/// Values that are one word.
macro_rules! one_word {
    ($($type:ty),*) => {$(
        impl OptionValue for $type {
            fn add_to(&self, words: &mut Vec<String>, option: &str) {
                words.extend([option.to_owned(), self.to_string()]);
            }
        }
    )*};
}

one_word!(
    u64,
    String,
    Algorithm,
    Decay,
    DeviceName,
    NotFinitePolicy,
    Optimizer,
    OverLong,
    Precision,
    WeightDecayOn,
    WeightType
);

impl OptionValue for f64 {
    /// Small numbers as papers write learning rates.
    fn add_to(&self, words: &mut Vec<String>, option: &str) {
        let number = match self.abs() < 1e-3 && *self != 0.0 {
            true => format!("{self:e}"),
            false => self.to_string(),
        };
        words.extend([option.to_owned(), number]);
    }
}

impl OptionValue for bool {
    /// A flag is there or not.
    fn add_to(&self, words: &mut Vec<String>, option: &str) {
        if *self {
            words.push(option.to_owned());
        }
    }
}

impl OptionValue for Vec<String> {
    /// Lists are given with commas.
    fn add_to(&self, words: &mut Vec<String>, option: &str) {
        if !self.is_empty() {
            words.extend([option.to_owned(), self.join(",")]);
        }
    }
}

/// The option of a key.
pub(crate) fn option_of(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}
