//! How much a mixture has, by what is published of its sources: for estimates of what training on it costs.

use ultrainteract::mix::Amount;

use crate::file::{Mixture, Source};

/// What a mixture has, as far as its recipe knows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Rows that are taken.
    pub rows: f64,
    /// Problems, each of which is a tree.
    pub problems: f64,
    /// Tokens, each history once.
    pub tokens: f64,
    /// Tokens of the longest of its kinds of problems, on the average.
    pub longest: f64,
}

impl Mixture {
    /// What it has, and the sources of which too little is known to be counted.
    ///
    /// ```
    /// use eurus_recipes::Recipe;
    ///
    /// let recipe = Recipe::built_in("eurus-7b-sft")?;
    /// let (counts, unknown) = recipe.file().data.sft.as_ref().unwrap().counts();
    /// assert_eq!(counts.rows, 286_979.0 + 32_000.0 + 30_000.0 + 50_000.0);
    /// assert!(unknown.is_empty());
    /// # Ok::<(), eurus_recipes::Error>(())
    /// ```
    pub fn counts(&self) -> (Counts, Vec<String>) {
        let mut sum = Counts::default();
        let mut unknown = Vec::new();
        for (name, source) in &self.sources {
            match source.counts() {
                Some(counts) => {
                    sum.rows += counts.rows;
                    sum.problems += counts.problems;
                    sum.tokens += counts.tokens;
                    sum.longest = sum.longest.max(counts.longest);
                }
                None => unknown.push(name.clone()),
            }
        }
        (sum, unknown)
    }
}

impl Source {
    fn counts(&self) -> Option<Counts> {
        let published = self.published_rows.map(|rows| rows as f64);
        let rows = match self.take.as_deref().map(str::parse::<Amount>) {
            None | Some(Ok(Amount::All)) => published?,
            Some(Ok(Amount::Count(count))) => count as f64,
            Some(Ok(Amount::Share(share))) => published? * share,
            // How much that is the other sources decide.
            Some(_) => return None,
        };
        let of_rows = match (self.published_problems, published) {
            (Some(problems), Some(published)) if published > 0.0 => problems as f64 / published,
            _ => 1.0,
        };
        let problems = rows * of_rows;
        let each = match self.tokens_per_problem {
            Some(tokens) => tokens as f64,
            None if problems == 0.0 => 0.0,
            None => return None,
        };
        Some(Counts {
            rows,
            problems,
            tokens: problems * each,
            longest: each,
        })
    }
}
