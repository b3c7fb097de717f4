//! Every method on the same candidates, side by side.

use serde::{Deserialize, Serialize};

use super::{Candidates, Method};
use crate::error::{Error, Result};
use crate::metrics::{Estimate, Proportion, paired_difference};
use crate::table::Table;

/// Accuracy of every method on the same candidates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RerankingReport {
    /// Number of candidates per problem, N.
    pub n: usize,
    /// Number of problems.
    pub problems: usize,
    /// One row per method.
    pub rows: Vec<RerankingRow>,
}

/// Accuracy of one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RerankingRow {
    /// The method.
    pub method: Method,
    /// Share of problems solved, with its standard error over problems.
    pub accuracy: Proportion,
    /// Gain over random choice, paired problem by problem.
    pub over_random: Estimate,
}

impl RerankingReport {
    /// The accuracy of a method, if the report has it.
    pub fn accuracy(&self, method: &Method) -> Option<Proportion> {
        self.rows
            .iter()
            .find(|row| &row.method == method)
            .map(|row| row.accuracy)
    }

    /// The report as a table, one row per method.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let mut table = Table::new(caption).headers(["Method", "Accuracy", "Gain over random"]);
        for row in &self.rows {
            let name = match &row.method {
                Method::BestOfN { scorer } => format!("Best-of-{}, {scorer}", self.n),
                Method::PassAtN => format!("Pass@{} (upper bound)", self.n),
                method => method.to_string(),
            };
            let gain = match &row.method {
                Method::Random => "–".to_owned(),
                _ => row.over_random.in_points(),
            };
            table = table.row([name, row.accuracy.to_string(), gain]);
        }
        table.note(format!(
            "{} problems, {} candidates each; ± is the standard error over problems. \
             Gains are points of accuracy, paired problem by problem.",
            self.problems, self.n
        ))
    }
}

impl Candidates {
    /// Accuracy of random choice, self-consistency, best-of-N and weighted vote by every scorer,
    /// and pass@N.
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] without problems, [`Error::UnevenCandidates`] if problems differ in the
    /// number of candidates.
    pub fn report(&self) -> Result<RerankingReport> {
        let n = self.problems.first().map_or(0, Vec::len);
        for (problem, candidates) in self.problems.iter().enumerate() {
            if candidates.len() != n {
                return Err(Error::UnevenCandidates {
                    problem,
                    expected: n,
                    actual: candidates.len(),
                });
            }
        }
        let mut methods = vec![Method::Random, Method::SelfConsistency];
        methods.extend(self.scorers.iter().map(Method::best_of_n));
        methods.extend(self.scorers.iter().map(Method::weighted_vote));
        methods.push(Method::PassAtN);

        let random = self.credits(&Method::Random)?;
        let rows = methods
            .into_iter()
            .map(|method| {
                let credits = self.credits(&method)?;
                Ok(RerankingRow {
                    method,
                    accuracy: Proportion::from_values(&credits)?,
                    over_random: paired_difference(&credits, &random)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(RerankingReport {
            n,
            problems: self.problems.len(),
            rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Candidate;
    use super::*;

    fn solved() -> Candidate {
        Candidate {
            answer: None,
            correct: true,
            scores: vec![0.0],
        }
    }

    fn one_problem(candidates: Vec<Candidate>) -> Candidates {
        let mut all = Candidates::new(["rm"]).unwrap();
        all.add_problem(candidates).unwrap();
        all
    }

    #[test]
    fn a_report_needs_problems_of_equal_n() {
        assert!(matches!(
            Candidates::new(["rm"]).unwrap().report(),
            Err(Error::NoValues { .. })
        ));
        let mut all = one_problem(vec![solved(); 3]);
        all.add_problem(vec![solved(); 2]).unwrap();
        assert!(matches!(
            all.report(),
            Err(Error::UnevenCandidates {
                problem: 1,
                expected: 3,
                actual: 2
            })
        ));
        assert!(matches!(
            all.first(3),
            Err(Error::TooFewCandidates {
                problem: 1,
                wanted: 3,
                actual: 2
            })
        ));
        assert_eq!(all.first(2).unwrap().report().unwrap().n, 2);
    }

    #[test]
    fn gains_are_points_of_accuracy() {
        let failed = || Candidate {
            correct: false,
            ..solved()
        };
        let mut all = one_problem(vec![solved(), failed()]);
        all.add_problem(vec![solved(), solved()]).unwrap();
        let table = all.report().unwrap().table("Reranking");
        let gains: Vec<&str> = table.rows.iter().map(|row| row[2].as_str()).collect();
        assert_eq!(gains[0], "–", "random choice itself");
        assert_eq!(gains[4], "+25.0 ± 25.0", "a share of 0.25");
    }

    #[test]
    fn the_table_names_n() {
        let table = one_problem(vec![solved(); 8])
            .report()
            .unwrap()
            .table("Reranking");
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(
            names,
            [
                "Random choice",
                "Self-consistency",
                "Best-of-8, rm",
                "Weighted vote, rm",
                "Pass@8 (upper bound)"
            ]
        );
    }
}
