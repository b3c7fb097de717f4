//! The account of tokens and money.

use serde::{Deserialize, Serialize};

/// Counts of calls and tokens used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls that were sent, repeated ones included.
    pub calls: u64,
    /// Calls that were a repetition of one that failed.
    pub retries: u64,
    /// Tokens sent, as the server counted them.
    pub prompt_tokens: u64,
    /// Tokens received, as the server counted them.
    pub completion_tokens: u64,
}

impl Usage {
    /// The cost of this usage at the given prices, in their currency.
    pub fn cost(&self, prices: &Prices) -> f64 {
        let prompt = self.prompt_tokens as f64 * prices.prompt_per_million;
        let completion = self.completion_tokens as f64 * prices.completion_per_million;
        (prompt + completion) / 1e6
    }
}

/// Prices of a model, in any one currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Price of a million prompt tokens.
    pub prompt_per_million: f64,
    /// Price of a million completion tokens.
    pub completion_per_million: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_tokens_times_price_per_million() {
        let usage = Usage {
            calls: 3,
            retries: 1,
            prompt_tokens: 2_000_000,
            completion_tokens: 500_000,
        };
        let prices = Prices {
            prompt_per_million: 0.5,
            completion_per_million: 4.0,
        };
        assert_eq!(usage.cost(&prices), 3.0);
    }
}
