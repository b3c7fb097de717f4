//! Accuracy of every method as N grows.

use serde::{Deserialize, Serialize};

use super::{Candidates, Method};
use crate::error::{Error, Result};
use crate::metrics::{Bootstrap, Estimate, Interval, Proportion, paired_difference};
use crate::report::{Figure, Series};
use crate::table::Table;

/// Every method on the N likeliest candidates of each problem, for several N: table 9 and figure 4 of arXiv 2404.02078.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RerankingCurve {
    /// Number of problems.
    pub problems: usize,
    /// Name of the scorer that holds the log-probabilities.
    pub log_prob: String,
    /// Share of bootstrap means that the intervals hold.
    pub confidence: f64,
    /// One entry per N, in the order asked for.
    pub points: Vec<CurvePoint>,
}

/// All methods at one N.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Number of candidates chosen from.
    pub n: usize,
    /// One row per method, the same methods at every N.
    pub rows: Vec<CurveRow>,
}

/// One method at one N.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveRow {
    /// The method.
    pub method: Method,
    /// Share of problems solved.
    pub accuracy: Proportion,
    /// Bootstrap interval of the accuracy over problems.
    pub interval: Interval,
    /// Gain over random choice among the same N, paired problem by problem.
    pub over_random: Estimate,
    /// Bootstrap interval of the gain.
    pub over_random_interval: Interval,
}

impl Candidates {
    /// Accuracy of every method on the `n` likeliest candidates of each problem, for each `n` of `ns`.
    ///
    /// `log_prob` names the scorer that orders the candidates. Methods: random choice, the likeliest candidate ("top logits",
    /// the same at every N), self-consistency, best-of-N and weighted vote by every other scorer, and pass@N, which counts
    /// whether any of the N is correct (not the unbiased estimate of [`pass_at_k`](crate::metrics::pass_at_k)).
    ///
    /// ```
    /// use eurus_eval::metrics::Bootstrap;
    /// use eurus_eval::reranking::{Candidate, Candidates, Method};
    ///
    /// let candidate = |answer: &str, correct, log_prob, reward| Candidate {
    ///     answer: Some(answer.to_owned()),
    ///     correct,
    ///     scores: vec![log_prob, reward],
    /// };
    /// let mut candidates = Candidates::new(["log-prob", "Eurus-RM"])?;
    /// candidates.add_problem(vec![candidate("4", true, -9.0, 1.5), candidate("3", false, -2.0, -0.5)])?;
    /// candidates.add_problem(vec![candidate("8", true, -1.0, 0.3), candidate("9", false, -4.0, -2.0)])?;
    /// let curve = candidates.curve("log-prob", &[1, 2], &Bootstrap::default())?;
    /// assert_eq!(curve.accuracy(2, &Method::best_of_n("log-prob")).map(|share| share.mean), Some(0.5));
    /// assert_eq!(curve.accuracy(2, &Method::best_of_n("Eurus-RM")).map(|share| share.mean), Some(1.0));
    /// # Ok::<(), eurus_eval::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoValues`] without problems or without `ns`; [`Error::UnknownScorer`]; [`Error::NoCandidates`] for an `n` of 0;
    /// [`Error::TooFewCandidates`] for a problem that has fewer than `n`; and what [`Bootstrap::mean`] refuses.
    pub fn curve(
        &self,
        log_prob: &str,
        ns: &[usize],
        bootstrap: &Bootstrap,
    ) -> Result<RerankingCurve> {
        if ns.is_empty() || self.problems.is_empty() {
            return Err(Error::NoValues {
                what: "reranking curve",
            });
        }
        let others = || self.scorers.iter().filter(|scorer| *scorer != log_prob);
        let mut methods = vec![
            Method::Random,
            Method::best_of_n(log_prob),
            Method::SelfConsistency,
        ];
        methods.extend(others().map(Method::best_of_n));
        methods.extend(others().map(Method::weighted_vote));
        methods.push(Method::PassAtN);

        let points = ns.iter().map(|&n| {
            let top = self.top(log_prob, n)?;
            let random = top.credits(&Method::Random)?;
            let rows = methods
                .iter()
                .map(|method| {
                    let credits = top.credits(method)?;
                    Ok(CurveRow {
                        method: method.clone(),
                        accuracy: Proportion::from_values(&credits)?,
                        interval: bootstrap.mean(&credits)?,
                        over_random: paired_difference(&credits, &random)?,
                        over_random_interval: bootstrap.difference(&credits, &random)?,
                    })
                })
                .collect::<Result<_>>()?;
            Ok(CurvePoint { n, rows })
        });
        Ok(RerankingCurve {
            problems: self.problems.len(),
            log_prob: log_prob.to_owned(),
            confidence: bootstrap.confidence,
            points: points.collect::<Result<_>>()?,
        })
    }
}

impl RerankingCurve {
    /// The accuracy of a method at one N, if the curve has it.
    pub fn accuracy(&self, n: usize, method: &Method) -> Option<Proportion> {
        let point = self.points.iter().find(|point| point.n == n)?;
        let row = point.rows.iter().find(|row| row.method == *method)?;
        Some(row.accuracy)
    }

    /// One row per method, one column per N, each accuracy with its bootstrap interval.
    pub fn table(&self, caption: impl Into<String>) -> Table {
        let headers = self.points.iter().map(|point| format!("N = {}", point.n));
        let mut table =
            Table::new(caption).headers(std::iter::once("Method".to_owned()).chain(headers));
        for (name, rows) in self.series() {
            let cells = rows.map(|(_, row)| {
                let percent = row.accuracy.mean * 100.0;
                format!("{percent:.1} {}", row.interval)
            });
            table = table.row(std::iter::once(name).chain(cells));
        }
        table.note(format!(
            "Percent of {} problems solved by choosing among the N likeliest samples; in brackets the {} % bootstrap interval \
             over problems.",
            self.problems,
            self.confidence * 100.0
        ))
    }

    /// Accuracy against N, a line per method with a band of one standard error.
    pub fn figure(&self, caption: impl Into<String>) -> Figure {
        let series = self.series().map(|(name, rows)| {
            let points = rows.map(|(n, row)| {
                let error = row.accuracy.standard_error.unwrap_or_default();
                (n as f64, row.accuracy.mean, error)
            });
            Series::with_band(name, points)
        });
        Figure::new(caption, "Samples, N", "Accuracy").panel("", series.collect())
    }

    /// The name of each method and its row at every N.
    fn series(
        &self,
    ) -> impl Iterator<Item = (String, impl Iterator<Item = (usize, &CurveRow)>)> + '_ {
        let methods = self.points.first().map_or(&[][..], |point| &point.rows);
        methods.iter().enumerate().map(|(index, row)| {
            let rows = self
                .points
                .iter()
                .filter_map(move |point| Some((point.n, point.rows.get(index)?)));
            (self.name(&row.method), rows)
        })
    }

    fn name(&self, method: &Method) -> String {
        match method {
            Method::BestOfN { scorer } if *scorer == self.log_prob => "Top logits".to_owned(),
            method => method.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Candidate;
    use super::*;

    fn two_problems() -> Candidates {
        let mut all = Candidates::new(["log-prob", "rm"]).unwrap();
        for correct in [0, 2] {
            let candidate = |index: usize| Candidate {
                answer: Some(index.to_string()),
                correct: index == correct,
                scores: vec![-(index as f64), index as f64],
            };
            all.add_problem((0..4).rev().map(candidate).collect())
                .unwrap();
        }
        all
    }

    #[test]
    fn the_table_has_a_row_per_method_and_a_column_per_n() {
        let curve = two_problems()
            .curve("log-prob", &[1, 2, 3], &Bootstrap::default())
            .unwrap();
        let table = curve.table("c");
        assert_eq!(table.headers, ["Method", "N = 1", "N = 2", "N = 3"]);
        let names: Vec<&str> = table.rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(
            names,
            [
                "Random choice",
                "Top logits",
                "Self-consistency",
                "Best-of-N, rm",
                "Weighted vote, rm",
                "Pass@N"
            ]
        );
        assert_eq!(table.rows[5][3], "100.0 [100.0, 100.0]");
        assert_eq!(
            table.rows[1][1..],
            ["50.0 [0.0, 100.0]"; 3],
            "the same at every N"
        );
        let figure = curve.figure("c");
        assert_eq!(figure.panels[0].series.len(), 6);
        assert_eq!(
            figure.panels[0].series[5].points,
            [(1.0, 0.5), (2.0, 0.5), (3.0, 1.0)]
        );
    }

    #[test]
    fn a_curve_refuses_what_it_cannot_draw() {
        let all = two_problems();
        let bootstrap = Bootstrap::default();
        let curve = |scorer, ns: &[usize]| all.curve(scorer, ns, &bootstrap);
        assert!(matches!(
            curve("log-prob", &[]),
            Err(Error::NoValues { .. })
        ));
        assert!(matches!(
            curve("logits", &[1]),
            Err(Error::UnknownScorer { .. })
        ));
        assert!(matches!(
            curve("log-prob", &[0]),
            Err(Error::NoCandidates { .. })
        ));
        assert!(matches!(
            curve("log-prob", &[5]),
            Err(Error::TooFewCandidates { .. })
        ));
    }
}
