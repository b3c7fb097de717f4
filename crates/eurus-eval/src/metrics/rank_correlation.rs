//! Whether two quantities order the same things alike.

use super::{check_finite, check_lengths};
use crate::error::{Error, Result};

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs. `None` where one side has a
/// single value only, so that nothing can go with it.
///
/// ```
/// use eurus_eval::metrics::rank_correlation;
/// assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0]).unwrap(), Some(1.0));
/// assert_eq!(rank_correlation(&[1.0, 2.0, 3.0], &[7.0, 7.0, 7.0]).unwrap(), None);
/// ```
///
/// # Errors
///
/// [`Error::LengthMismatch`], [`Error::NoValues`] or [`Error::NotFinite`].
pub fn rank_correlation(left: &[f64], right: &[f64]) -> Result<Option<f64>> {
    check_lengths("left", left.len(), "right", right.len())?;
    if left.is_empty() {
        return Err(Error::NoValues {
            what: "rank correlation",
        });
    }
    check_finite("left", left)?;
    check_finite("right", right)?;
    let centred = |values: &[f64]| -> Vec<f64> {
        let middle = (values.len() - 1) as f64 / 2.0;
        ranks(values).iter().map(|rank| rank - middle).collect()
    };
    let (left, right) = (centred(left), centred(right));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let spread = (product(&left, &left) * product(&right, &right)).sqrt();
    Ok((spread > 0.0).then(|| product(&left, &right) / spread))
}

/// The places of values in ascending order, from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &index in equal {
            ranks[index] = first as f64 + (equal.len() - 1) as f64 / 2.0;
        }
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation_is_that_of_the_books() {
        // Ten pupils, hours of television against IQ; rho = -29/165.
        let left = [106., 100., 86., 101., 99., 103., 97., 113., 112., 110.];
        let right = [7., 27., 2., 50., 28., 29., 20., 12., 6., 17.];
        let rho = rank_correlation(&left, &right).unwrap().unwrap();
        assert!((rho + 29.0 / 165.0).abs() < 1e-12, "{rho}");
        // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5).
        let tied = rank_correlation(&[1., 2., 2., 5.], &[1., 2., 3., 4.]);
        let tied = tied.unwrap().unwrap();
        assert!((tied - 4.5 / 22.5f64.sqrt()).abs() < 1e-12, "{tied}");
        assert!(rank_correlation(&[1.0], &[f64::NAN]).is_err());
        assert!(rank_correlation(&[], &[]).is_err());
    }
}
