//! Tokens whose vectors show that nothing ever trained them.

use std::fmt;

use burn::tensor::Tensor;

use crate::int_tensor;

/// What shows that a token was never trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Untrained {
    /// Its vector has less than a hundredth of the usual length, as those of reserved tokens have.
    NearlyZero,
    /// It is that of another token but for a thousandth of the usual length, as rows are that were added together.
    SameAsAnother,
    /// It is the mean of all tokens but for a tenth of the usual length, as tools make a row for a new token.
    Mean,
}

/// A clause on several tokens: "their vectors are ...".
impl fmt::Display for Untrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NearlyZero => "their vectors are nearly zero",
            Self::SameAsAnother => "their vectors are those of other tokens",
            Self::Mean => "their vectors are the mean of all tokens",
        })
    }
}

/// Rows that stand for all of them: enough for a median, and for a mean that is a few hundredths of a length off.
const SAMPLE: usize = 1024;

/// Those of some tokens that were never trained, by their rows of an embedding or an output projection, with what shows it.
///
/// Random rows, as a model has before any training, cannot be told from trained ones. Tokens beyond the vocabulary are left
/// out.
///
/// # Shapes
///
/// - weight: `[vocab, d]`
pub fn untrained_tokens(weight: &Tensor<2>, tokens: &[u32]) -> Vec<(u32, Untrained)> {
    let [vocabulary, _] = weight.dims();
    let step = vocabulary.div_ceil(SAMPLE).max(1);
    let sample: Vec<u32> = (0..vocabulary as u32).step_by(step).collect();
    let tokens: Vec<u32> = tokens
        .iter()
        .copied()
        .filter(|&token| (token as usize) < vocabulary)
        .collect();
    if tokens.is_empty() {
        return Vec::new();
    }
    let others = rows(weight, &sample);
    let asked = rows(weight, &tokens);

    let mut lengths: Vec<f64> = others.iter().map(|row| length(row)).collect();
    lengths.sort_by(f64::total_cmp);
    let usual = lengths[lengths.len() / 2];
    let mean: Vec<f64> = (0..others[0].len())
        .map(|column| others.iter().map(|row| row[column]).sum::<f64>() / others.len() as f64)
        .collect();
    let sign = |token: u32, row: &[f64]| {
        let same = |others: &[Vec<f64>], names: &[u32]| {
            let mut others = others.iter().zip(names);
            others.any(|(other, &name)| name != token && distance(row, other) < 1e-3 * usual)
        };
        if length(row) < 1e-2 * usual {
            Some(Untrained::NearlyZero)
        } else if same(&asked, &tokens) || same(&others, &sample) {
            Some(Untrained::SameAsAnother)
        } else {
            (distance(row, &mean) < 0.1 * usual).then_some(Untrained::Mean)
        }
    };
    let signs = tokens.iter().zip(&asked);
    signs
        .filter_map(|(&token, row)| Some((token, sign(token, row)?)))
        .collect()
}

fn rows(weight: &Tensor<2>, tokens: &[u32]) -> Vec<Vec<f64>> {
    let [_, width] = weight.dims();
    let picked = weight
        .clone()
        .select(0, int_tensor(tokens, &weight.device()));
    let values: Vec<f64> = picked.into_data().iter::<f64>().collect();
    values.chunks(width).map(<[f64]>::to_vec).collect()
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}
