//! What is done to the points of a line before they are drawn.

use super::figure::Series;

pub(super) fn finite_points(series: &Series) -> impl Iterator<Item = (f64, f64)> + '_ {
    series.points.iter().copied().filter(is_finite)
}

pub(super) fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// The finite points of both edges of a band: the upper ones, then the lower ones backwards.
pub(super) fn edges(series: &Series) -> impl Iterator<Item = (f64, f64)> + '_ {
    let halves = series.points.iter().zip(&series.half_widths);
    let upper = halves.clone().map(|(&(x, y), half)| (x, y + half));
    let lower = halves.rev().map(|(&(x, y), half)| (x, y - half));
    upper.chain(lower).filter(is_finite)
}

/// Of a line of `from` points or more, which should be far more than the picture has columns, keeps per column the first, lowest,
/// highest and last point. The drawn line covers the same pixels.
pub(super) fn thin_out(pixels: Vec<(f64, f64)>, from: usize) -> Vec<(f64, f64)> {
    if pixels.len() < from {
        return pixels;
    }
    let mut kept = Vec::new();
    for column in pixels.chunk_by(|a, b| a.0.round() == b.0.round()) {
        let extreme = |pick: fn(f64, f64) -> bool| {
            (1..column.len()).fold(0, |best, index| {
                if pick(column[index].1, column[best].1) {
                    index
                } else {
                    best
                }
            })
        };
        let mut indices = [
            0,
            extreme(|a, b| a < b),
            extreme(|a, b| a > b),
            column.len() - 1,
        ];
        indices.sort_unstable();
        kept.extend(indices.iter().map(|&index| column[index]));
        kept.dedup();
    }
    kept
}

/// Mean over the finite points within `half_width` positions; a gap stays a gap.
pub(super) fn running_mean(points: &[(f64, f64)], half_width: usize) -> Vec<(f64, f64)> {
    (0..points.len())
        .map(|index| {
            if !is_finite(&points[index]) {
                return (points[index].0, f64::NAN);
            }
            let end = points.len().min(index + half_width + 1);
            let window = points[index.saturating_sub(half_width)..end]
                .iter()
                .filter(|point| is_finite(point));
            let (sum, count) =
                window.fold((0.0, 0.0), |(sum, count), (_, y)| (sum + y, count + 1.0));
            (points[index].0, sum / count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_mean_averages_neighbours_and_keeps_gaps() {
        let points = [(0.0, 0.0), (1.0, 3.0), (2.0, f64::NAN), (3.0, 6.0)];
        let smooth: Vec<f64> = running_mean(&points, 1)
            .into_iter()
            .map(|(_, y)| y)
            .collect();
        assert_eq!(smooth[..2], [1.5, 1.5]);
        assert!(smooth[2].is_nan());
        assert_eq!(smooth[3], 6.0);
    }
}
