//! Estimates with their intervals: dots with whiskers, side by side.

use serde::Serialize;

use super::axis::{Axis, spoken};
use super::chart::{shortened, style_class};

const WIDTH: f64 = 720.0;
/// Room for the names on the left.
const LEFT: f64 = 230.0;
const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 12.0;
/// Height of one row.
const ROW: f64 = 26.0;
/// Height of the axis below.
const AXIS: f64 = 44.0;
const NAME_CHARACTERS: usize = 32;

/// A chart of estimates: a row for each, with a dot and whiskers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DotPlot {
    /// The caption, without a number; the report numbers it.
    pub caption: String,
    /// Meaning and unit of the axis.
    pub label: String,
    /// The rows, from top to bottom.
    pub dots: Vec<Dot>,
}

/// An estimate with its interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dot {
    /// Name of the row.
    pub name: String,
    /// The estimate.
    pub value: f64,
    /// The ends of its interval; none for an estimate without.
    pub interval: Option<(f64, f64)>,
    /// Dots of the same number have the same colour.
    pub style: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct DotPlotView {
    number: usize,
    caption: String,
    label: String,
    description: String,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    middle: f64,
    ticks: Vec<(String, String)>,
    rows: Vec<RowView>,
}

#[derive(Debug, Serialize)]
struct RowView {
    name: String,
    shown_name: String,
    style: String,
    y: f64,
    at: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl DotPlotView {
    pub fn new(plot: &DotPlot, number: usize) -> Self {
        let bottom = TOP + ROW * plot.dots.len() as f64;
        let values = plot.dots.iter().flat_map(|dot| {
            let (low, high) = dot.interval.unwrap_or((dot.value, dot.value));
            [dot.value, low, high]
        });
        let axis = Axis::over(values, 0.06, 6, (LEFT, RIGHT));
        let place = |value: f64| {
            value
                .is_finite()
                .then(|| format!("{:.1}", axis.pixel(value)))
        };
        let row = |(index, dot): (usize, &Dot)| RowView {
            name: dot.name.clone(),
            shown_name: shortened(&dot.name, NAME_CHARACTERS),
            style: style_class(dot.style),
            y: TOP + ROW * (index as f64 + 0.5),
            at: place(dot.value),
            from: dot.interval.and_then(|(low, _)| place(low)),
            to: dot.interval.and_then(|(_, high)| place(high)),
        };
        Self {
            number,
            caption: plot.caption.clone(),
            label: plot.label.clone(),
            description: describe(plot),
            width: WIDTH,
            height: bottom + AXIS,
            left: LEFT,
            right: RIGHT,
            top: TOP,
            bottom,
            middle: (LEFT + RIGHT) / 2.0,
            ticks: axis
                .ticks
                .iter()
                .map(|tick| (format!("{:.1}", axis.pixel(tick.value)), tick.label.clone()))
                .collect(),
            rows: plot.dots.iter().enumerate().map(row).collect(),
        }
    }
}

/// The chart in words, for those who hear it.
fn describe(plot: &DotPlot) -> String {
    let rows = plot.dots.iter().map(|dot| {
        let value = spoken(dot.value);
        match dot.interval {
            Some((low, high)) => format!(
                "{}: {value}, from {} to {}.",
                dot.name,
                spoken(low),
                spoken(high)
            ),
            None => format!("{}: {value}.", dot.name),
        }
    });
    rows.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_lies_between_its_whiskers_and_what_is_not_finite_is_not_drawn() {
        let dot = |value, interval| Dot {
            name: "a".to_owned(),
            value,
            interval,
            style: 0,
        };
        let plot = DotPlot {
            dots: vec![
                dot(0.5, Some((0.4, 0.7))),
                dot(f64::NAN, Some((f64::NEG_INFINITY, 0.2))),
                dot(0.1, None),
            ],
            ..DotPlot::default()
        };
        let view = DotPlotView::new(&plot, 1);
        let number = |text: &Option<String>| text.as_deref().map(|it| it.parse::<f64>().unwrap());
        let row = &view.rows[0];
        assert!(number(&row.from) < number(&row.at) && number(&row.at) < number(&row.to));
        assert_eq!((&view.rows[1].at, &view.rows[1].from), (&None, &None));
        assert_eq!((view.rows[2].at.is_some(), &view.rows[2].to), (true, &None));
    }
}
