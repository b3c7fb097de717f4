//! Statistics of a set of continuations: how they end, how long they are, how much they repeat.

use std::collections::HashSet;

use super::{Continuation, Finish};

/// Numbers that show a language model going wrong: it does not end, repeats itself, or says ever more or less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerationStatistics {
    /// Continuations looked at.
    pub samples: usize,
    /// Share of them that ended by themselves, 0 to 1.
    pub eos_rate: f64,
    /// Mean over them of the share of [`REPEATED`] consecutive tokens that stood in the same continuation before, 0 to 1.
    pub repetition_rate: f64,
    /// Mean number of new tokens.
    pub mean_tokens: f64,
}

/// Consecutive tokens that count as repeated when they come again.
pub const REPEATED: usize = 4;

fn repetition_rate(tokens: &[u32]) -> f64 {
    let mut seen = HashSet::new();
    let windows = tokens.windows(REPEATED);
    let count = windows.len().max(1) as f64;
    let repeated = windows.filter(|window| !seen.insert(*window)).count();
    repeated as f64 / count
}

impl GenerationStatistics {
    /// The statistics of some continuations; all zero without any.
    pub fn of<'a>(continuations: impl IntoIterator<Item = &'a Continuation>) -> Self {
        let (mut samples, mut ended, mut repetition, mut tokens) = (0, 0, 0.0, 0);
        for continuation in continuations {
            samples += 1;
            ended += usize::from(continuation.finish == Finish::Stop);
            repetition += repetition_rate(&continuation.tokens);
            tokens += continuation.tokens.len();
        }
        let mean = |sum: f64| sum / f64::max(samples as f64, 1.0);
        Self {
            samples,
            eos_rate: mean(ended as f64),
            repetition_rate: mean(repetition),
            mean_tokens: mean(tokens as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn continuation(tokens: &[u32], finish: Finish) -> Continuation {
        Continuation {
            tokens: tokens.to_vec(),
            log_probs: Vec::new(),
            finish,
        }
    }

    #[test]
    fn a_loop_is_repetition_and_a_list_is_not() {
        // Six windows of four in a loop of three: the first three are new.
        let looping = continuation(&[1, 2, 3, 1, 2, 3, 1, 2, 3], Finish::Length);
        let list = continuation(&[1, 2, 3, 4, 5], Finish::Stop);
        let statistics = GenerationStatistics::of([&looping, &list]);
        assert_eq!(statistics.samples, 2);
        assert_eq!(statistics.eos_rate, 0.5);
        assert_eq!(statistics.repetition_rate, 0.25);
        assert_eq!(statistics.mean_tokens, 7.0);
    }

    #[test]
    fn nothing_and_short_answers_have_statistics() {
        assert_eq!(GenerationStatistics::of([]).mean_tokens, 0.0);
        let short = continuation(&[7], Finish::Stop);
        assert_eq!(GenerationStatistics::of([&short]).repetition_rate, 0.0);
    }
}
