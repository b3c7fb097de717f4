//! Scales of a chart: which numbers an axis shows and where they lie.

use crate::metrics::typeset;

/// Beyond these the arithmetic of an axis would overflow or vanish.
const LARGEST: f64 = 1e300;
const SMALLEST: f64 = 1e-290;

/// A linear axis from data to pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    min: f64,
    max: f64,
    pixel_min: f64,
    pixel_max: f64,
    /// Round numbers inside the range.
    pub ticks: Vec<Tick>,
}

/// A labelled position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub value: f64,
    pub label: String,
}

impl Axis {
    /// An axis over the finite values, at most `max_ticks` labels; `margin` is the share of the range
    /// left free at both ends. Without finite values it runs from 0 to 1.
    pub fn over(
        values: impl Iterator<Item = f64>,
        margin: f64,
        max_ticks: usize,
        pixels: (f64, f64),
    ) -> Self {
        let (mut min, mut max) = values
            .filter(|value| value.is_finite())
            .map(|value| value.clamp(-LARGEST, LARGEST))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        if min > max {
            (min, max) = (0.0, 1.0);
        }
        let mut range = max - min;
        let size = min.abs().max(max.abs());
        if range <= (size * 1e-12).max(SMALLEST) {
            range = if size <= SMALLEST { 1.0 } else { size * 0.2 };
            (min, max) = (min - range / 2.0, max + range / 2.0);
        }
        (min, max) = (min - range * margin, max + range * margin);
        Self {
            min,
            max,
            pixel_min: pixels.0,
            pixel_max: pixels.1,
            ticks: ticks(min, max, max_ticks),
        }
    }

    /// Where a value lies, kept within a little more than the chart.
    pub fn pixel(&self, value: f64) -> f64 {
        let share = ((value - self.min) / (self.max - self.min)).clamp(-0.05, 1.05);
        self.pixel_min + share * (self.pixel_max - self.pixel_min)
    }
}

/// Multiples of 1, 2, 2.5 or 5 times a power of ten, as many as fit.
fn ticks(min: f64, max: f64, at_most: usize) -> Vec<Tick> {
    let raw_step = (max - min) / at_most.max(1) as f64;
    let magnitude = 10f64.powf(raw_step.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= raw_step * (1.0 - 1e-9))
        .unwrap_or(10.0 * magnitude);
    let first = (min / step).ceil();
    let largest = min.abs().max(max.abs());
    (0..=at_most)
        .map(|index| (first + index as f64) * step)
        .take_while(|value| *value <= max + step * 1e-9)
        .map(|value| Tick {
            value,
            label: number(value, step, largest),
        })
        .collect()
}

/// A tick with the digits that steps of this size need. All ticks of an axis share one notation:
/// powers of ten where plain decimals would be long.
fn number(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if largest >= 1e6 || step < 1e-5 {
        let digits = (largest / step).log10().ceil().clamp(1.0, 12.0);
        return typeset(format!("{value:.*e}", digits as usize));
    }
    let decimals = (0..=7)
        .find(|&places| is_whole(step * 10f64.powi(places)))
        .unwrap_or(7);
    typeset(format!("{value:.*}", decimals as usize))
}

/// A value in running text: three significant places are plenty.
pub(super) fn spoken(value: f64) -> String {
    match value {
        value if !value.is_finite() => "undefined".to_owned(),
        value if value == value.trunc() && value.abs() < 1e6 => typeset(format!("{value:.0}")),
        value if (0.01..1e6).contains(&value.abs()) => typeset(format!("{value:.2}")),
        value => typeset(format!("{value:.1e}")),
    }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 * value.abs().max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(min: f64, max: f64) -> Vec<String> {
        ticks(min, max, 5)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        assert_eq!(labels(-1.3, 1.1), ["−1.0", "−0.5", "0", "0.5", "1.0"]);
        assert_eq!(labels(0.0, 60.0), ["0", "20", "40", "60"]);
        assert_eq!(
            labels(0.0, 0.01),
            ["0", "0.002", "0.004", "0.006", "0.008", "0.010"]
        );
        assert_eq!(labels(0.0, 12.0), ["0", "2.5", "5.0", "7.5", "10.0"]);
        assert_eq!(labels(0.0, 2e7), ["0", "5.0e6", "1.0e7", "1.5e7", "2.0e7"]);
    }

    #[test]
    fn very_small_and_very_large_ticks_are_in_powers_of_ten() {
        assert_eq!(
            labels(-1e-5, 1e-5),
            ["−1.0e−5", "−5.0e−6", "0", "5.0e−6", "1.0e−5"]
        );
        assert_eq!(
            labels(1e9, 1e9 + 2.0)[..2],
            ["1.0000000000e9", "1.0000000005e9"]
        );
    }

    #[test]
    fn any_values_make_an_axis() {
        let cases: [&[f64]; 8] = [
            &[],
            &[f64::NAN, f64::INFINITY],
            &[3.0],
            &[0.0, -0.0],
            &[f64::MAX, f64::MIN],
            &[f64::MIN_POSITIVE],
            &[1e300, 1e300],
            &[1.0, 1.0 + f64::EPSILON],
        ];
        for values in cases {
            let axis = Axis::over(values.iter().copied(), 0.05, 5, (0.0, 100.0));
            for &value in values.iter().filter(|value| value.is_finite()) {
                let pixel = axis.pixel(value);
                assert!(
                    (-5.1..=105.1).contains(&pixel),
                    "{values:?}: {value} lies at {pixel}"
                );
            }
            assert!(
                axis.ticks.iter().all(|tick| tick.value.is_finite()),
                "{values:?}"
            );
        }
    }

    #[test]
    fn an_axis_may_run_downwards() {
        let axis = Axis::over([0.0, 10.0].into_iter(), 0.0, 5, (200.0, 0.0));
        assert_eq!(axis.pixel(0.0), 200.0);
        assert_eq!(axis.pixel(10.0), 0.0);
    }
}
