//! Choosing one of N sampled answers: best-of-N by a score, self-consistency, random choice, pass@N
//! (arXiv 2404.02078, table 9 and figure 4).
//!
//! The order of the candidates matters, because ties go to the earliest. The paper sorts the samples
//! by log-probability and then takes the top N; [`Candidates::top`] does that for one N and
//! [`Candidates::curve`] for many. Best-of-N by the log-probability itself is the paper's "top logits".

mod curve;
mod method;
mod report;
mod vote;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use self::vote::{first_max, vote};

pub use curve::{CurvePoint, CurveRow, RerankingCurve};
pub use method::{Method, VoteWeights};
pub use report::{RerankingReport, RerankingRow};

/// One sampled answer to a problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The extracted answer; `None` if the sample has none. It votes only if it has one.
    pub answer: Option<String>,
    /// Whether the sample solves the problem.
    pub correct: bool,
    /// One score per scorer, in the order of [`Candidates::scorers`]; higher is better.
    pub scores: Vec<f64>,
}

/// Candidates of many problems, all scored by the same scorers.
///
/// ```
/// use eurus_eval::reranking::{Candidate, Candidates, Method};
///
/// let candidate = |answer: &str, correct, score| Candidate {
///     answer: Some(answer.to_owned()),
///     correct,
///     scores: vec![score],
/// };
/// let mut candidates = Candidates::new(["reward model"]).unwrap();
/// candidates.add_problem(vec![
///     candidate("12", false, -0.3),
///     candidate("14", true, 0.8),
///     candidate("12.0", false, 0.1),
/// ]).unwrap();
/// let report = candidates.report().unwrap();
/// let accuracy = |method: Method| report.accuracy(&method).unwrap().mean;
/// assert_eq!(accuracy(Method::best_of_n("reward model")), 1.0);
/// assert_eq!(accuracy(Method::SelfConsistency), 0.0); // "12" and "12.0" are the same number
/// assert_eq!(accuracy(Method::PassAtN), 1.0);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    scorers: Vec<String>,
    problems: Vec<Vec<Candidate>>,
}

impl Candidates {
    /// No problems yet; `scorers` names the entries of [`Candidate::scores`].
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateScorer`].
    pub fn new<S: Into<String>>(scorers: impl IntoIterator<Item = S>) -> Result<Self> {
        let scorers: Vec<String> = scorers.into_iter().map(Into::into).collect();
        for (index, name) in scorers.iter().enumerate() {
            if scorers[..index].contains(name) {
                return Err(Error::DuplicateScorer { name: name.clone() });
            }
        }
        Ok(Self {
            scorers,
            problems: Vec::new(),
        })
    }

    /// Adds the candidates of one problem, in the order that breaks ties.
    ///
    /// # Errors
    ///
    /// [`Error::NoCandidates`], [`Error::ScoreCount`] or [`Error::ScoreIsNan`].
    pub fn add_problem(&mut self, candidates: Vec<Candidate>) -> Result<()> {
        let problem = self.problems.len();
        if candidates.is_empty() {
            return Err(Error::NoCandidates { problem });
        }
        for (index, candidate) in candidates.iter().enumerate() {
            let (expected, actual) = (self.scorers.len(), candidate.scores.len());
            if expected != actual {
                return Err(Error::ScoreCount {
                    problem,
                    candidate: index,
                    expected,
                    actual,
                });
            }
            if let Some(position) = candidate.scores.iter().position(|score| score.is_nan()) {
                let scorer = self.scorers[position].clone();
                return Err(Error::ScoreIsNan {
                    problem,
                    candidate: index,
                    scorer,
                });
            }
        }
        self.problems.push(candidates);
        Ok(())
    }

    /// Names of the scorers.
    pub fn scorers(&self) -> &[String] {
        &self.scorers
    }

    /// The candidates, problem by problem.
    pub fn problems(&self) -> &[Vec<Candidate>] {
        &self.problems
    }

    /// The first `n` candidates of every problem.
    ///
    /// # Errors
    ///
    /// [`Error::NoCandidates`] for `n` = 0, [`Error::TooFewCandidates`].
    pub fn first(&self, n: usize) -> Result<Self> {
        let mut kept = self.clone();
        for (problem, candidates) in kept.problems.iter_mut().enumerate() {
            if n == 0 {
                return Err(Error::NoCandidates { problem });
            }
            if candidates.len() < n {
                return Err(Error::TooFewCandidates {
                    problem,
                    wanted: n,
                    actual: candidates.len(),
                });
            }
            candidates.truncate(n);
        }
        Ok(kept)
    }

    /// The `n` candidates of every problem that a scorer likes best, best first; equal scores keep
    /// their order.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownScorer`], [`Error::NoCandidates`] for `n` = 0, [`Error::TooFewCandidates`].
    pub fn top(&self, scorer: &str, n: usize) -> Result<Self> {
        let scorer = self.scorer(scorer)?;
        let mut sorted = self.clone();
        for candidates in &mut sorted.problems {
            candidates.sort_by(|a, b| {
                let order = b.scores[scorer].partial_cmp(&a.scores[scorer]);
                order.unwrap_or(std::cmp::Ordering::Equal)
            });
        }
        sorted.first(n)
    }

    /// Index of the candidate that a method chooses, for every problem.
    ///
    /// `None` where it chooses none: a vote without a single answer, and always for
    /// [`Method::Random`] and [`Method::PassAtN`], which are not choices.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownScorer`], [`Error::TemperatureOutOfRange`].
    pub fn choices(&self, method: &Method) -> Result<Vec<Option<usize>>> {
        Ok(match method {
            Method::Random | Method::PassAtN => self.choose(|_| None),
            Method::SelfConsistency => {
                self.choose(|candidates| vote(candidates, &vec![1.0; candidates.len()]))
            }
            Method::BestOfN { scorer } => {
                let scorer = self.scorer(scorer)?;
                self.choose(|candidates| first_max(candidates.iter().map(|c| c.scores[scorer])))
            }
            Method::WeightedVote { scorer, weights } => {
                let scorer = self.scorer(scorer)?;
                weights.check()?;
                self.choose(|candidates| {
                    let scores: Vec<f64> = candidates.iter().map(|c| c.scores[scorer]).collect();
                    vote(candidates, &weights.of(&scores))
                })
            }
        })
    }

    /// Credit from 0 to 1 that a method earns on every problem.
    ///
    /// A vote is credited with the first candidate that gave the winning answer, and with nothing
    /// where no candidate has an answer.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownScorer`], [`Error::TemperatureOutOfRange`].
    pub fn credits(&self, method: &Method) -> Result<Vec<f64>> {
        let credit = |yes: bool| f64::from(u8::from(yes));
        let credits = match method {
            Method::Random => self
                .problems
                .iter()
                .map(|candidates| share_correct(candidates))
                .collect(),
            Method::PassAtN => self
                .problems
                .iter()
                .map(|candidates| credit(candidates.iter().any(|c| c.correct)))
                .collect(),
            _ => self
                .choices(method)?
                .into_iter()
                .zip(&self.problems)
                .map(|(choice, candidates)| {
                    credit(choice.is_some_and(|index| candidates[index].correct))
                })
                .collect(),
        };
        Ok(credits)
    }

    fn choose(&self, pick: impl Fn(&[Candidate]) -> Option<usize>) -> Vec<Option<usize>> {
        self.problems
            .iter()
            .map(|candidates| pick(candidates))
            .collect()
    }

    fn scorer(&self, name: &str) -> Result<usize> {
        self.scorers
            .iter()
            .position(|scorer| scorer == name)
            .ok_or_else(|| Error::UnknownScorer {
                name: name.to_owned(),
                known: self.scorers.clone(),
            })
    }
}

fn share_correct(candidates: &[Candidate]) -> f64 {
    candidates.iter().filter(|c| c.correct).count() as f64 / candidates.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(answer: Option<&str>, correct: bool, score: f64) -> Candidate {
        Candidate {
            answer: answer.map(str::to_owned),
            correct,
            scores: vec![score],
        }
    }

    fn one_problem(candidates: Vec<Candidate>) -> Candidates {
        let mut all = Candidates::new(["rm"]).unwrap();
        all.add_problem(candidates).unwrap();
        all
    }

    #[test]
    fn best_of_n_gives_ties_to_the_first() {
        let all = one_problem(vec![
            candidate(Some("1"), false, 0.0),
            candidate(Some("2"), true, 0.5),
            candidate(Some("3"), false, 0.5),
        ]);
        assert_eq!(all.choices(&Method::best_of_n("rm")).unwrap(), [Some(1)]);
    }

    #[test]
    fn minus_zero_and_zero_tie() {
        let all = one_problem(vec![
            candidate(None, true, -0.0),
            candidate(None, false, 0.0),
        ]);
        assert_eq!(all.choices(&Method::best_of_n("rm")).unwrap(), [Some(0)]);
        assert!(all.top("rm", 1).unwrap().problems()[0][0].correct);
    }

    #[test]
    fn votes_count_equal_numbers_once_and_ties_go_to_the_first_seen() {
        let all = one_problem(vec![
            candidate(Some("7"), false, 0.0),
            candidate(Some("1,000"), true, 0.0),
            candidate(Some("8"), false, 0.0),
            candidate(Some(" 1000.0 "), true, 0.0),
            candidate(Some("7"), false, 0.0),
        ]);
        assert_eq!(all.choices(&Method::SelfConsistency).unwrap(), [Some(0)]);
        let all = all.first(4).unwrap();
        assert_eq!(all.choices(&Method::SelfConsistency).unwrap(), [Some(1)]);
    }

    #[test]
    fn a_vote_without_answers_earns_nothing() {
        let all = one_problem(vec![candidate(None, true, 1.0), candidate(None, true, 2.0)]);
        assert_eq!(all.choices(&Method::SelfConsistency).unwrap(), [None]);
        assert_eq!(all.credits(&Method::SelfConsistency).unwrap(), [0.0]);
    }

    #[test]
    fn random_choice_is_an_expectation() {
        let all = one_problem(vec![
            candidate(None, true, 0.0),
            candidate(None, false, 0.0),
            candidate(None, false, 0.0),
            candidate(None, false, 0.0),
        ]);
        assert_eq!(all.credits(&Method::Random).unwrap(), [0.25]);
    }

    #[test]
    fn bad_candidates_are_refused_with_their_place() {
        let mut all = Candidates::new(["rm"]).unwrap();
        assert!(matches!(
            all.add_problem(vec![]),
            Err(Error::NoCandidates { problem: 0 })
        ));
        let unscored = Candidate {
            answer: None,
            correct: true,
            scores: vec![],
        };
        assert!(matches!(
            all.add_problem(vec![candidate(None, true, 0.0), unscored]),
            Err(Error::ScoreCount {
                problem: 0,
                candidate: 1,
                expected: 1,
                actual: 0
            })
        ));
        assert!(matches!(
            all.add_problem(vec![candidate(None, true, f64::NAN)]),
            Err(Error::ScoreIsNan { .. })
        ));
        assert!(matches!(
            Candidates::new(["a", "a"]),
            Err(Error::DuplicateScorer { .. })
        ));
        let error = all.top("mr", 1).unwrap_err().to_string();
        assert_eq!(error, "no scorer is called `mr`; the candidates have `rm`");
    }
}
