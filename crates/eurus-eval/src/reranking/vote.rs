//! Votes of candidates for their answers.

use answer_equality::{Tolerance, equal};

use super::{Candidate, VoteWeights};
use crate::error::{Error, Result};

impl VoteWeights {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Softmax { temperature } if !(temperature > 0.0 && temperature.is_finite()) => {
                Err(Error::TemperatureOutOfRange { temperature })
            }
            Self::Softmax { .. } | Self::Score => Ok(()),
        }
    }

    /// The weights of the candidates of one problem, up to a common factor; no score is NaN.
    pub(super) fn of(self, scores: &[f64]) -> Vec<f64> {
        let Self::Softmax { temperature } = self else {
            return scores.to_vec();
        };
        // The highest score weighs 1, so that nothing overflows; the sum that softmax divides by changes no vote. The equal
        // ones are told apart because an infinite score less itself is NaN.
        let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weight = |&score: &f64| match score == highest {
            true => 1.0,
            false => ((score - highest) / temperature).exp(),
        };
        scores.iter().map(weight).collect()
    }
}

/// First candidate of the answer with the most weight, the earliest answer on ties.
pub(super) fn vote(candidates: &[Candidate], weights: &[f64]) -> Option<usize> {
    // Equality up to the rounding of doubles is not transitive: every answer is compared with the
    // first of its group only, which makes the grouping a function of the order alone.
    let mut groups: Vec<(usize, &str, f64)> = Vec::new();
    for (index, (candidate, weight)) in candidates.iter().zip(weights).enumerate() {
        let Some(answer) = candidate.answer.as_deref() else {
            continue;
        };
        match groups
            .iter_mut()
            .find(|(_, first, _)| same_answer(first, answer))
        {
            Some((_, _, total)) => *total += weight,
            None => groups.push((index, answer, *weight)),
        }
    }
    first_max(groups.iter().map(|&(_, _, total)| total)).map(|group| groups[group].0)
}

fn same_answer(a: &str, b: &str) -> bool {
    a.trim() == b.trim() || equal(a, b, &Tolerance::default())
}

pub(super) fn first_max(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if best.is_none_or(|(_, max)| value > max) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::super::{Candidates, Method};
    use super::*;

    fn problem(answers: &[(&str, f64)]) -> Candidates {
        let mut all = Candidates::new(["rm"]).unwrap();
        let candidate = |&(answer, score): &(&str, f64)| Candidate {
            answer: Some(answer.to_owned()),
            correct: false,
            scores: vec![score],
        };
        all.add_problem(answers.iter().map(candidate).collect())
            .unwrap();
        all
    }

    #[test]
    fn negative_rewards_do_not_punish_an_answer_that_is_given_often() {
        let all = problem(&[("1", -1.2), ("1", -1.0), ("1", -1.1), ("2", -3.0)]);
        let choices = |weights| {
            let scorer = "rm".to_owned();
            all.choices(&Method::WeightedVote { scorer, weights })
                .unwrap()
        };
        assert_eq!(choices(VoteWeights::default()), [Some(0)]);
        assert_eq!(
            choices(VoteWeights::Score),
            [Some(3)],
            "sums of -3.3 and -3"
        );
    }

    #[test]
    fn the_temperature_goes_from_the_best_to_the_most_frequent() {
        let all = problem(&[("1", 0.0), ("1", 0.0), ("2", 1.0)]);
        let choice = |temperature| {
            let method = Method::WeightedVote {
                scorer: "rm".to_owned(),
                weights: VoteWeights::Softmax { temperature },
            };
            all.choices(&method)
        };
        assert_eq!(choice(1.0).unwrap(), [Some(2)], "2 against e");
        assert_eq!(choice(10.0).unwrap(), [Some(0)]);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = choice(bad);
            assert!(matches!(error, Err(Error::TemperatureOutOfRange { .. })));
        }
    }

    #[test]
    fn infinite_and_huge_scores_are_weights() {
        let softmax = VoteWeights::default();
        assert_eq!(softmax.of(&[f64::NEG_INFINITY; 2]), [1.0, 1.0]);
        assert_eq!(softmax.of(&[f64::INFINITY, 3.0]), [1.0, 0.0]);
        assert_eq!(softmax.of(&[1e6, 1e6, 0.0]), [1.0, 1.0, 0.0]);
    }
}
