//! Straight lines through noisy levels.

/// A least-squares line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Change per step.
    pub slope: f64,
    /// Standard error of the slope.
    pub slope_error: f64,
    /// Mean level.
    pub mean: f64,
    /// Standard error of the mean, with the slope taken out.
    pub mean_error: f64,
    /// Value of the line at the last step.
    pub last: f64,
}

impl Line {
    /// Fits `(step, level)`: at least 3 points at increasing steps.
    pub fn through(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let sum = |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|&(x, y)| of(x, y)).sum::<f64>();
        let (mean_step, mean) = (sum(&|x, _| x) / n, sum(&|_, y| y) / n);
        let spread = sum(&|x, _| (x - mean_step).powi(2));
        let slope = sum(&|x, y| (x - mean_step) * (y - mean)) / spread;
        let at = |step: f64| mean + slope * (step - mean_step);
        let variance = sum(&|x, y| (y - at(x)).powi(2)) / (n - 2.0);
        Self {
            slope,
            slope_error: (variance / spread).sqrt(),
            mean,
            mean_error: (variance / n).sqrt(),
            last: at(points[points.len() - 1].0),
        }
    }
}

/// Level at the first step of a straight line that outliers do not move (Theil-Sen): through the
/// median of the slopes between any two points.
///
/// Later levels are measured against it for a whole run, so a single odd step must not shift it.
pub(super) fn robust_start(points: &[(f64, f64)]) -> f64 {
    let slopes = points.iter().enumerate().flat_map(|(index, &(x, y))| {
        let later = &points[index + 1..];
        later
            .iter()
            .map(move |&(step, level)| (level - y) / (step - x))
    });
    let slope = median(slopes.collect());
    let first = points[0].0;
    median(
        points
            .iter()
            .map(|&(x, y)| y - slope * (x - first))
            .collect(),
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        0.5 * (values[middle - 1] + values[middle])
    }
}
