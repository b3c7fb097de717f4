//! Figures: panels of line charts side by side.

/// A row of line charts with a legend and a caption. They share one y axis unless [`Figure::scales`] says otherwise.
///
/// Series of the same name look the same in every panel. Points that are NaN or infinite are gaps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figure {
    /// The caption, without a number; the report numbers it.
    pub caption: String,
    /// Meaning and unit of the x axis.
    pub x_label: String,
    /// Meaning and unit of the y axis.
    pub y_label: String,
    /// The charts, from left to right.
    pub panels: Vec<Panel>,
    /// Half width of the running mean drawn over the raw points; `None` draws the points alone.
    pub smoothing: Option<usize>,
    /// Which axes the charts have in common.
    pub scales: Scales,
    /// Names in the order of their looks, so that they look the same in figures where some of them have no line.
    pub names: Vec<String>,
}

/// Which axes the charts of a figure have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scales {
    /// Heights can be compared from chart to chart.
    #[default]
    SharedY,
    /// Heights and steps can.
    SharedXy,
    /// Every chart shows something else.
    Own,
}

/// One line chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Panel {
    /// Title above the chart.
    pub title: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Meaning and unit of the y axis, where it is not that of the figure.
    pub y_label: Option<String>,
    /// Places on the x axis where something happened.
    pub marks: Vec<Mark>,
    /// Its points have no noise: they are drawn as they are, whatever [`Figure::smoothing`] says.
    pub exact: bool,
}

/// A place on the x axis where something happened, as a line from top to bottom.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mark {
    /// Where.
    pub at: f64,
    /// Name of the series that it happened to, whose colour it has.
    pub series: String,
    /// A few characters at its top, such as a number that a table explains.
    pub label: String,
    /// What happened, for those who point at it.
    pub about: String,
}

/// One line.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y), in the order they are joined.
    pub points: Vec<(f64, f64)>,
    /// Half the height of the band around each point, as a standard error; none without a band.
    pub half_widths: Vec<f64>,
}

/// Rewards at one training step, as DPO, KTO and NCA log them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardPoint {
    /// Optimizer step.
    pub step: usize,
    /// Mean reward of the chosen actions.
    pub chosen: f64,
    /// Mean reward of the rejected actions.
    pub rejected: f64,
}

impl Figure {
    /// A figure without panels.
    pub fn new(
        caption: impl Into<String>,
        x_label: impl Into<String>,
        y_label: impl Into<String>,
    ) -> Self {
        Self {
            caption: caption.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            ..Self::default()
        }
    }

    /// Adds a panel on the right.
    #[must_use]
    pub fn panel(mut self, title: impl Into<String>, series: Vec<Series>) -> Self {
        self.panels.push(Panel {
            title: title.into(),
            series,
            ..Panel::default()
        });
        self
    }

    /// Draws a centred running mean over `2 * half_width + 1` points and keeps the raw points faint
    /// behind it. Single training batches are noisy; the mean shows the trend. The caption says so.
    #[must_use]
    pub fn smooth(mut self, half_width: usize) -> Self {
        self.smoothing = (half_width > 0).then_some(half_width);
        self
    }

    /// Chosen reward, rejected reward and their margin against the step, one panel per algorithm:
    /// figure 5 of arXiv 2404.02078.
    ///
    /// ```
    /// use eurus_eval::report::{Figure, RewardPoint};
    ///
    /// let kto = vec![
    ///     RewardPoint { step: 0, chosen: 0.0, rejected: 0.0 },
    ///     RewardPoint { step: 1, chosen: 0.2, rejected: -0.1 },
    /// ];
    /// let figure = Figure::reward_trajectories("Rewards in training.", [("KTO", kto)]);
    /// assert_eq!(figure.panels[0].series.len(), 3);
    /// ```
    pub fn reward_trajectories<S: Into<String>>(
        caption: impl Into<String>,
        algorithms: impl IntoIterator<Item = (S, Vec<RewardPoint>)>,
    ) -> Self {
        algorithms.into_iter().fold(
            Self::new(caption, "Optimizer step", "Reward"),
            |figure, (algorithm, points)| {
                let series = |name: &str, value: fn(&RewardPoint) -> f64| {
                    Series::new(
                        name,
                        points.iter().map(|point| (point.step as f64, value(point))),
                    )
                };
                figure.panel(
                    algorithm,
                    vec![
                        series("Chosen reward", |point| point.chosen),
                        series("Rejected reward", |point| point.rejected),
                        series("Margin", |point| point.chosen - point.rejected),
                    ],
                )
            },
        )
    }
}

impl Series {
    /// A line through points (x, y).
    pub fn new(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points: points.into_iter().collect(),
            half_widths: Vec::new(),
        }
    }

    /// A line with a band around it, through points (x, y, half the height of the band).
    pub fn with_band(
        name: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64, f64)>,
    ) -> Self {
        let points = points.into_iter();
        let (points, half_widths) = points.map(|(x, y, half)| ((x, y), half)).unzip();
        Self {
            name: name.into(),
            points,
            half_widths,
        }
    }
}
