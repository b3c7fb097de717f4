//! From a figure's numbers to the coordinates that its template draws.

use serde::Serialize;

use super::axis::{Axis, Tick, spoken};
use super::figure::{Figure, Panel, Scales, Series};
use super::points::{edges, finite_points, is_finite, running_mean, thin_out};

pub(super) const WIDTH: f64 = 400.0;
pub(super) const HEIGHT: f64 = 290.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 240.0;
/// The least room beside the plot.
const MARGIN: f64 = 10.0;
/// Room that the rotated label and one character of a tick take, in units of the picture.
const Y_LABEL: f64 = 26.0;
const CHARACTER: f64 = 7.5;
/// Colours, and as many dashes, that the style sheet tells apart.
const STYLES: usize = 6;
/// Points of a line from which on it is drawn by the extremes of each column of the picture.
const THIN_FROM: usize = 4 * WIDTH as usize;
/// Characters of a title that there is room for.
const TITLE_CHARACTERS: usize = 34;

#[derive(Debug, Serialize)]
pub(super) struct FigureView {
    number: usize,
    pub caption: String,
    note: Option<String>,
    pub legend: Vec<LegendItem>,
    pub panels: Vec<PanelView>,
}

#[derive(Debug, Serialize)]
pub(super) struct LegendItem {
    pub name: String,
    style: String,
}

#[derive(Debug, Serialize)]
pub(super) struct PanelView {
    id: String,
    title: String,
    shown_title: String,
    description: String,
    width: f64,
    height: f64,
    left: String,
    right: String,
    top: f64,
    bottom: f64,
    middle_x: String,
    middle_y: f64,
    x_label: String,
    y_label: String,
    x_ticks: Vec<TickView>,
    y_ticks: Vec<TickView>,
    bands: Vec<BandView>,
    lines: Vec<LineView>,
    marks: Vec<MarkView>,
    empty: bool,
}

#[derive(Debug, Serialize)]
struct TickView {
    at: String,
    label: String,
    zero: bool,
}

/// What lies between two lines.
#[derive(Debug, Serialize)]
struct BandView {
    style: String,
    path: String,
}

/// A line from top to bottom.
#[derive(Debug, Serialize)]
struct MarkView {
    style: String,
    at: String,
    height: usize,
    label: String,
    about: String,
}

#[derive(Debug, Serialize)]
struct LineView {
    style: String,
    faint: bool,
    path: String,
    dots: Vec<(String, String)>,
}

impl FigureView {
    pub fn new(figure: &Figure, number: usize) -> Self {
        let mut names: Vec<&str> = figure.names.iter().map(String::as_str).collect();
        for series in figure.panels.iter().flat_map(|panel| &panel.series) {
            if !names.contains(&series.name.as_str()) {
                names.push(&series.name);
            }
        }
        let style = |name: &str| {
            let known = names.iter().position(|known| *known == name);
            style_class(known.unwrap_or(0))
        };
        let panels = figure
            .panels
            .iter()
            .enumerate()
            .map(|(index, panel)| {
                let sharing_y = match figure.scales {
                    Scales::SharedY | Scales::SharedXy => &figure.panels[..],
                    Scales::Own => std::slice::from_ref(panel),
                };
                let sharing_x = match figure.scales {
                    Scales::SharedXy => &figure.panels[..],
                    Scales::SharedY | Scales::Own => std::slice::from_ref(panel),
                };
                let id = format!("figure-{number}-{}", index + 1);
                PanelView::new(figure, panel, id, (sharing_x, sharing_y), style)
            })
            .collect();
        let mut notes: Vec<String> = Vec::new();
        notes.extend(figure.smoothing.map(|half_width| {
            format!(
                "Bold: running mean over {} points. Faint: every point.",
                2 * half_width + 1
            )
        }));
        let series = || figure.panels.iter().flat_map(|panel| &panel.series);
        if series().any(|it| it.points.len() >= THIN_FROM) {
            notes.push(format!(
                "Lines of {THIN_FROM} points or more are drawn by the first, lowest, highest and last of the points that fall into one column."
            ));
        }
        let note = (!notes.is_empty()).then(|| notes.join(" "));
        let is_drawn = |name: &&&str| series().any(|it| it.name == **name);
        let legend = names
            .iter()
            .filter(is_drawn)
            .map(|name| LegendItem {
                name: (*name).to_owned(),
                style: style(name),
            })
            .collect();
        Self {
            number,
            caption: figure.caption.clone(),
            note,
            legend,
            panels,
        }
    }
}

impl PanelView {
    fn new(
        figure: &Figure,
        panel: &Panel,
        id: String,
        (sharing_x, sharing_y): (&[Panel], &[Panel]),
        style: impl Fn(&str) -> String,
    ) -> Self {
        let y_values = sharing_y
            .iter()
            .flat_map(|panel| &panel.series)
            .flat_map(|series| finite_points(series).chain(edges(series)))
            .map(|(_, y)| y);
        let y_axis = &Axis::over(y_values, 0.06, 6, (BOTTOM, TOP));
        let longest = y_axis
            .ticks
            .iter()
            .map(|tick| tick.label.chars().count())
            .max()
            .unwrap_or(1);
        let x_values = || {
            let series = sharing_x.iter().flat_map(|panel| &panel.series);
            series.flat_map(finite_points).map(|(x, _)| x)
        };
        // Which ticks there are does not depend on the pixels. The labels of the outermost are centred on them, and these may
        // lie where the axis ends.
        let ticks_of_x = Axis::over(x_values(), 0.0, 5, (0.0, WIDTH)).ticks;
        let half = |tick: Option<&Tick>| {
            let label = tick.map_or(0, |tick| tick.label.chars().count());
            label as f64 * CHARACTER / 2.0
        };
        let left = (Y_LABEL + longest as f64 * CHARACTER).max(half(ticks_of_x.first()));
        let right = WIDTH - half(ticks_of_x.last()).max(MARGIN);
        let x_axis = Axis::over(x_values(), 0.0, 5, (left, right));

        let bands = panel.series.iter().filter_map(|series| {
            let path = band(series, &x_axis, y_axis)?;
            let style = style(&series.name);
            Some(BandView { style, path })
        });
        let bands = bands.collect();
        let marks = panel.marks.iter().filter(|mark| mark.at.is_finite());
        let marks = marks.enumerate().map(|(index, mark)| MarkView {
            style: style(&mark.series),
            at: coordinate(x_axis.pixel(mark.at)),
            // Labels of neighbours stand one below the other.
            height: 10 + 13 * (index % 4),
            label: mark.label.clone(),
            about: mark.about.clone(),
        });
        let marks = marks.collect();
        let smoothing = figure.smoothing.filter(|_| !panel.exact);
        let mut lines = Vec::new();
        if smoothing.is_some() {
            let raw = |series: &Series| {
                LineView::new(&series.points, &x_axis, y_axis, style(&series.name), true)
            };
            lines.extend(panel.series.iter().map(raw));
        }
        for series in &panel.series {
            let points = match smoothing {
                Some(half_width) => running_mean(&series.points, half_width),
                None => series.points.clone(),
            };
            lines.push(LineView::new(
                &points,
                &x_axis,
                y_axis,
                style(&series.name),
                false,
            ));
        }
        let ticks = |axis: &Axis| {
            let view = |tick: &Tick| TickView {
                at: coordinate(axis.pixel(tick.value)),
                label: tick.label.clone(),
                zero: tick.value == 0.0,
            };
            axis.ticks.iter().map(view).collect()
        };
        Self {
            id,
            title: panel.title.clone(),
            shown_title: shortened(&panel.title, TITLE_CHARACTERS),
            description: describe(figure, panel),
            width: WIDTH,
            height: HEIGHT,
            left: coordinate(left),
            right: coordinate(right),
            top: TOP,
            bottom: BOTTOM,
            middle_x: coordinate((left + right) / 2.0),
            middle_y: (TOP + BOTTOM) / 2.0,
            x_label: figure.x_label.clone(),
            y_label: y_label(figure, panel).to_owned(),
            x_ticks: ticks(&x_axis),
            y_ticks: ticks(y_axis),
            empty: panel
                .series
                .iter()
                .all(|series| finite_points(series).next().is_none()),
            bands,
            lines,
            marks,
        }
    }
}

impl LineView {
    fn new(
        points: &[(f64, f64)],
        x_axis: &Axis,
        y_axis: &Axis,
        style: String,
        faint: bool,
    ) -> Self {
        let mut path = String::new();
        let mut dots = Vec::new();
        for segment in points
            .split(|point| !is_finite(point))
            .filter(|segment| !segment.is_empty())
        {
            let pixels: Vec<(f64, f64)> = segment
                .iter()
                .map(|&(x, y)| (x_axis.pixel(x), y_axis.pixel(y)))
                .collect();
            if let [(x, y)] = pixels[..] {
                dots.push((coordinate(x), coordinate(y)));
                continue;
            }
            for (index, (x, y)) in thin_out(pixels, THIN_FROM).into_iter().enumerate() {
                path.push(if index == 0 { 'M' } else { 'L' });
                path.push_str(&format!("{} {}", coordinate(x), coordinate(y)));
            }
        }
        Self {
            style,
            faint,
            path,
            dots,
        }
    }
}

/// What the style sheet knows the n-th line by: one of the colours with a dash of its own; further lines have the colours again,
/// with other dashes.
pub(super) fn style_class(index: usize) -> String {
    let colour = index % STYLES;
    match index / STYLES {
        0 => format!("s{colour}"),
        round => format!("s{colour} d{}", (index + round) % STYLES),
    }
}

/// A text with its middle left out where it is long.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let half = most.saturating_sub(1) / 2;
    let (head, tail) = (&characters[..half], &characters[characters.len() - half..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

fn y_label<'a>(figure: &'a Figure, panel: &'a Panel) -> &'a str {
    panel.y_label.as_deref().unwrap_or(&figure.y_label)
}

/// The outline of a series' band, if it has one.
fn band(series: &Series, x_axis: &Axis, y_axis: &Axis) -> Option<String> {
    let corners = edges(series).map(|(x, y)| {
        let (x, y) = (coordinate(x_axis.pixel(x)), coordinate(y_axis.pixel(y)));
        format!("{x} {y}")
    });
    let corners: Vec<String> = corners.collect();
    (!corners.is_empty()).then(|| format!("M{}Z", corners.join("L")))
}

/// The chart in words, for those who hear it.
fn describe(figure: &Figure, panel: &Panel) -> String {
    let mut text = format!(
        "Line chart of {} against {}.",
        y_label(figure, panel),
        figure.x_label
    );
    for series in &panel.series {
        let (first, last) = (finite_points(series).next(), finite_points(series).last());
        match first.zip(last) {
            Some(((x0, y0), (x1, y1))) => {
                let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(spoken);
                text.push_str(&format!(
                    " {}: from {y0} at {x0} to {y1} at {x1}.",
                    series.name
                ));
            }
            None => text.push_str(&format!(" {}: no data.", series.name)),
        }
    }
    text
}

fn coordinate(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(points: Vec<(f64, f64)>) -> PanelView {
        let figure =
            Figure::new("c", "Step", "Reward").panel("DPO", vec![Series::new("Chosen", points)]);
        FigureView::new(&figure, 1).panels.remove(0)
    }

    #[test]
    fn points_that_are_not_finite_are_gaps() {
        let panel = view(vec![
            (0.0, 0.0),
            (1.0, 1.0),
            (2.0, f64::NAN),
            (3.0, 1.0),
            (4.0, f64::INFINITY),
            (5.0, 0.0),
            (6.0, 2.0),
        ]);
        let line = &panel.lines[0];
        assert_eq!(line.path.matches('M').count(), 2, "{}", line.path);
        assert_eq!(line.dots.len(), 1, "a point between two gaps is a dot");
        assert!(!line.path.contains("NaN") && !line.path.contains("inf"));
    }

    #[test]
    fn a_panel_without_data_says_so() {
        for points in [vec![], vec![(0.0, f64::NAN)]] {
            let panel = view(points);
            assert!(panel.empty);
            assert_eq!(
                panel.description,
                "Line chart of Reward against Step. Chosen: no data."
            );
        }
        let figure = Figure::new("c", "x", "y").panel("nothing at all", vec![]);
        assert!(FigureView::new(&figure, 1).panels[0].empty);
    }

    #[test]
    fn a_band_goes_around_its_line_and_fits_into_the_panel() {
        let points = [(0.0, 1.0, 0.5), (1.0, 2.0, 1.0), (2.0, f64::NAN, 1.0)];
        let figure = Figure::new("c", "x", "y").panel("", vec![Series::with_band("a", points)]);
        let panel = FigureView::new(&figure, 1).panels.remove(0);
        let path = &panel.bands[0].path;
        let heights: Vec<f64> = path
            .trim_matches(['M', 'Z'])
            .split('L')
            .map(|corner| corner.split_once(' ').unwrap().1.parse().unwrap())
            .collect();
        let [upper_left, upper_right, lower_right, lower_left] = heights[..] else {
            panic!("four corners: {path}");
        };
        assert!(upper_right < upper_left && upper_left < lower_right && lower_right < lower_left);
        assert!(upper_right >= TOP && lower_left <= BOTTOM);
        assert!(view(vec![(0.0, 1.0), (1.0, 2.0)]).bands.is_empty());
    }

    #[test]
    fn panels_share_the_y_axis() {
        let line = |top: f64| vec![Series::new("a", [(0.0, 0.0), (1.0, top)])];
        let figure = Figure::new("c", "x", "y")
            .panel("small", line(1.0))
            .panel("large", line(10.0));
        let panels = FigureView::new(&figure, 1).panels;
        let labels = |panel: &PanelView| {
            panel
                .y_ticks
                .iter()
                .map(|tick| tick.label.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(labels(&panels[0]), labels(&panels[1]));
        assert!(labels(&panels[0]).contains(&"10".to_owned()));
    }

    #[test]
    fn a_name_has_one_style_in_every_panel() {
        let series = |name: &str| Series::new(name, [(0.0, 0.0), (1.0, 1.0)]);
        let figure = Figure::new("c", "x", "y")
            .panel("left", vec![series("a"), series("b")])
            .panel("right", vec![series("b"), series("c")]);
        let view = FigureView::new(&figure, 1);
        let styles = |panel: usize| {
            view.panels[panel]
                .lines
                .iter()
                .map(|line| line.style.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (styles(0), styles(1)),
            (
                vec!["s0".to_owned(), "s1".to_owned()],
                vec!["s1".to_owned(), "s2".to_owned()]
            )
        );
        assert_eq!(view.legend.len(), 3);
    }

    #[test]
    fn a_long_line_is_thinned_without_losing_its_peaks() {
        let mut points: Vec<(f64, f64)> = (0..100_000)
            .map(|x| (f64::from(x), f64::from(x % 7)))
            .collect();
        points[54_321].1 = 50.0;
        let panel = view(points);
        let path = &panel.lines[0].path;
        assert!(path.len() < 40_000, "{} bytes", path.len());
        let peak =
            coordinate(Axis::over([0.0, 50.0].into_iter(), 0.06, 6, (BOTTOM, TOP)).pixel(50.0));
        assert!(
            path.contains(&format!(" {peak}")),
            "the peak at {peak} is drawn"
        );
    }
}
