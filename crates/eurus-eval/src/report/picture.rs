//! A figure as a picture of its own.

use serde::Serialize;

use super::chart::{FigureView, LegendItem, PanelView, WIDTH};
use super::figure::Figure;
use super::{chart, rendered};
use crate::error::Result;

const STYLE: &str = include_str!("templates/charts.css");
/// Height of the legend.
const TOP: f64 = 30.0;
/// Room that a name in the legend takes: its line, and each of its characters.
const LEGEND: (f64, f64) = (58.0, 7.0);

#[derive(Serialize)]
struct Picture<'a> {
    caption: &'a str,
    style: &'a str,
    width: f64,
    height: f64,
    top: f64,
    legend: Vec<LegendPlace<'a>>,
    panels: Vec<PanelPlace<'a>>,
}

#[derive(Serialize)]
struct LegendPlace<'a> {
    x: f64,
    #[serde(flatten)]
    item: &'a LegendItem,
}

#[derive(Serialize)]
struct PanelPlace<'a> {
    x: f64,
    #[serde(flatten)]
    panel: &'a PanelView,
}

impl Figure {
    /// The figure as an SVG file: its charts side by side below the legend. It loads nothing, and follows the reader's light or
    /// dark preference.
    ///
    /// ```
    /// use eurus_eval::report::{Figure, Series};
    /// let figure = Figure::new("A line.", "Step", "Loss").panel("Run", vec![Series::new("a", [(0.0, 1.0), (1.0, 0.5)])]);
    /// assert!(figure.to_svg()?.starts_with("<svg "));
    /// # Ok::<(), eurus_eval::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Template`](crate::Error::Template), which would be a fault of this crate.
    pub fn to_svg(&self) -> Result<String> {
        let view = FigureView::new(self, 1);
        let mut x = 0.0;
        let mut legend = Vec::new();
        for item in &view.legend {
            legend.push(LegendPlace { x: x + 10.0, item });
            x += LEGEND.0 + LEGEND.1 * item.name.chars().count() as f64;
        }
        let panels = view.panels.iter().enumerate();
        let panels: Vec<PanelPlace<'_>> = panels
            .map(|(index, panel)| PanelPlace {
                x: index as f64 * WIDTH,
                panel,
            })
            .collect();
        let width = (panels.len() as f64 * WIDTH).max(x);
        rendered(
            "picture.svg",
            Picture {
                caption: &view.caption,
                style: STYLE,
                width,
                height: TOP + chart::HEIGHT,
                top: TOP,
                legend,
                panels,
            },
        )
    }
}
