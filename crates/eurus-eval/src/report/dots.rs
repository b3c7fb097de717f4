//! Estimates with their intervals: dots with whiskers, side by side.

use serde::Serialize;

use super::axis::{Axis, spoken};
use super::chart::{shortened, style_class};

/// How a plot is laid out; a page has both, and shows the one that there is room for.
struct Shape {
    class: &'static str,
    width: f64,
    /// Where the axis begins.
    left: f64,
    /// Height of one row.
    row: f64,
    /// Where the dot is in its row.
    dot: f64,
    name_characters: usize,
    ticks: usize,
}

/// Names stand on the left.
const BROAD: Shape = Shape {
    class: "broad",
    width: 720.0,
    left: 270.0,
    row: 26.0,
    dot: 13.0,
    name_characters: 38,
    ticks: 6,
};
/// Names stand above their dots.
const NARROW: Shape = Shape {
    class: "narrow",
    width: 350.0,
    left: 12.0,
    row: 42.0,
    dot: 28.0,
    name_characters: 44,
    ticks: 4,
};
/// Room beside the axis.
const MARGIN: f64 = 20.0;
const TOP: f64 = 12.0;
/// Height of the axis below.
const AXIS: f64 = 44.0;

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
    layouts: [Layout; 2],
}

#[derive(Debug, Serialize)]
struct Layout {
    class: &'static str,
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
    name_x: f64,
    name_y: f64,
    name_anchor: &'static str,
    y: f64,
    at: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

impl DotPlotView {
    pub fn new(plot: &DotPlot, number: usize) -> Self {
        Self {
            number,
            caption: plot.caption.clone(),
            label: plot.label.clone(),
            description: describe(plot),
            layouts: [BROAD, NARROW].map(|shape| Layout::new(plot, &shape)),
        }
    }
}

impl Layout {
    fn new(plot: &DotPlot, shape: &Shape) -> Self {
        let bottom = TOP + shape.row * plot.dots.len() as f64;
        let (left, right) = (shape.left, shape.width - MARGIN);
        let values = plot.dots.iter().flat_map(|dot| {
            let (low, high) = dot.interval.unwrap_or((dot.value, dot.value));
            [dot.value, low, high]
        });
        let axis = Axis::over(values, 0.06, shape.ticks, (left, right));
        let place = |value: f64| {
            value
                .is_finite()
                .then(|| format!("{:.1}", axis.pixel(value)))
        };
        let row = |(index, dot): (usize, &Dot)| {
            let top = TOP + shape.row * index as f64;
            let y = top + shape.dot;
            let (name_x, name_y, name_anchor) = match shape.class == BROAD.class {
                true => (left - 8.0, y + 4.0, "end"),
                false => (left + 6.0, top + 15.0, "start"),
            };
            RowView {
                name: dot.name.clone(),
                shown_name: shortened(&dot.name, shape.name_characters),
                style: style_class(dot.style),
                name_x,
                name_y,
                name_anchor,
                y,
                at: place(dot.value),
                from: dot.interval.and_then(|(low, _)| place(low)),
                to: dot.interval.and_then(|(_, high)| place(high)),
            }
        };
        Self {
            class: shape.class,
            width: shape.width,
            height: bottom + AXIS,
            left,
            right,
            top: TOP,
            bottom,
            middle: (left + right) / 2.0,
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
        for Layout { rows, .. } in &view.layouts {
            let row = &rows[0];
            assert!(number(&row.from) < number(&row.at) && number(&row.at) < number(&row.to));
            assert_eq!((&rows[1].at, &rows[1].from), (&None, &None));
            assert_eq!((rows[2].at.is_some(), &rows[2].to), (true, &None));
        }
    }
}
